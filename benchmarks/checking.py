"""How long checking large tables takes, whole, and how much memory.

    python benchmarks/checking.py            # 1,250 to 20,000 trials, ten rows of results each
    python benchmarks/checking.py --forms    # 5,000 trials, told in every form
    python benchmarks/checking.py --profile  # where the time goes at 5,000 trials

The tables are those of the bundled trials, repeated under other names; with faults, one row in ten
or every row has a word for a number, each another, and every third row an unknown arm. Processor
time of `backpain data check`, without the start of Python.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import typer

import backpain_analysis as bp

ROWS = 10


FAULTS = {"none": 0, "one row in ten": 10, "every row": 1}
FORMS = ("text", "csv", "json", "html", "mark")


def written(trials: int, folder: Path, faulty: int) -> Path:
    """A folder of that many trials with ten rows of outcomes each, one in `faulty` with faults."""
    bundled = bp.load_evidence()
    base = bundled.outcomes.groupby("trial_id", sort=False).filter(lambda rows: len(rows) >= ROWS)
    base = base.groupby("trial_id", sort=False).head(ROWS)
    names = base["trial_id"].unique()
    copies = -(-trials // len(names))

    def repeated(table: pd.DataFrame) -> pd.DataFrame:
        own = table[table["trial_id"].isin(names)]
        parts = [own.assign(trial_id=own["trial_id"] + f"_{copy}") for copy in range(copies)]
        kept = pd.concat(parts, ignore_index=True)
        return kept[kept["trial_id"].isin(chosen)]

    chosen = [f"{name}_{copy}" for copy in range(copies) for name in names][:trials]
    table = repeated(bundled.trials)
    table = table.assign(doi=None, pmid=None, title=[f"Trial {n}" for n in range(len(table))])
    outcomes = repeated(base)
    if faulty:
        rows = np.arange(len(outcomes))
        wrong = [f"about {row}" for row in rows]
        mean = outcomes["mean"].astype(object).where(rows % faulty > 0, wrong)
        arms = outcomes["arm_id"].where(rows % (3 * faulty) > 0, [f"x{row}" for row in rows])
        outcomes = outcomes.assign(mean=mean, arm_id=arms)
    folder.mkdir()
    table.to_csv(folder / "trials.csv", index=False)
    repeated(bundled.arms).to_csv(folder / "arms.csv", index=False)
    outcomes.to_csv(folder / "outcomes.csv", index=False)
    return folder


def checked(path: str, form: str) -> None:
    """Check a folder as the command does, and print seconds and the peak of memory in MB."""
    from backpain_analysis.cli_data import check

    bp.load_evidence()
    mark = Path(f"{path}-{form}.xlsx") if form == "mark" else None
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(typer.Exit):
        check(Path(path), "text" if mark else form, mark, None)
    seconds = time.process_time() - start
    print(f"{seconds:.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")


def timed(path: Path, form: str) -> str:
    """Two cells of a table, measured in a process of its own."""
    run = [sys.executable, __file__, "--path", str(path), "--form", form]
    out = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    seconds, peak = out.split()
    return f"{seconds} | {peak} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--forms", action="store_true")
    parser.add_argument("--path", help=argparse.SUPPRESS)
    parser.add_argument("--form", default="text", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.path:
        checked(options.path, options.form)
        return
    sizes = (5000,) if options.forms or options.profile else (1250, 2500, 5000, 10000, 20000)
    forms = FORMS if options.forms else ("text",)
    print(
        "| trials | rows of results | faults | told as | processor seconds | peak MB |\n"
        "|---:|---:|---|---|---:|---:|"
    )
    with tempfile.TemporaryDirectory() as home:
        for trials in sizes:
            for said, faulty in FAULTS.items():
                path = written(trials, Path(home) / f"{trials}-{faulty}", faulty)
                for form in forms:
                    if options.profile:
                        profile = cProfile.Profile()
                        profile.runcall(checked, str(path), form)
                        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
                        continue
                    cells = f"| {trials:,} | {ROWS * trials:,} | {said} | {form} | "
                    print(cells + timed(path, form), flush=True)


if __name__ == "__main__":
    main()
