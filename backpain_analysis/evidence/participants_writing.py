"""Write participants' tables to a new folder: whole, or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.evidence.reading import read_descriptor

if TYPE_CHECKING:
    from backpain_analysis.evidence.participants import Participants


def write_folder(data: Participants, path: str | Path) -> Path:
    """The tables as CSV beside their ``datapackage.json``; see :meth:`Participants.to_folder`."""
    folder = Path(path)
    if folder.exists() or folder.is_symlink():
        raise FileExistsError(
            f"{folder} is there already, and is left as it is: name a new folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        tables = {"interventions": data.interventions, "scores": data.scores}
        if len(data.people):
            tables["participants"] = data.people
        for name, table in tables.items():
            table.to_csv(aside / f"{name}.csv", index=False, lineterminator="\n")
        text = json.dumps(_descriptor(data, list(tables)), indent=2, ensure_ascii=False)
        (aside / "datapackage.json").write_text(f"{text}\n", encoding="utf-8")
        aside.chmod(0o755)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder


def _descriptor(data: Participants, tables: list[str]) -> dict:
    """Name, version and the columns' meaning; nothing of the bundled set's origin."""
    own = read_descriptor(data_dir() / "participants")
    head = {"$schema": own["$schema"], "name": data.name}
    if data.version is not None:
        head["version"] = data.version
    resources = [resource for resource in own["resources"] if resource["name"] in tables]
    return {**head, "synthetic": data.synthetic, "resources": resources}
