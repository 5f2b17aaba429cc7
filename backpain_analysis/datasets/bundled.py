"""What travels with the package: where its folders are, and its reference tables by name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from backpain_analysis.datasets.datapackage import read_datapackage
from backpain_analysis.words import did_you_mean

_PACKAGE = Path(__file__).resolve().parent.parent

_ROOTS = (_PACKAGE / "_bundled", _PACKAGE.parent)


def data_dir() -> Path:
    """Folder of the bundled data (``trials/``, ``reference/`` and the codebook).

    Examples
    --------
    >>> (bp.datasets.data_dir() / "trials" / "trials.csv").exists()
    True
    """
    return _bundled_folder("data")


def notebooks_dir() -> Path:
    """Folder of the bundled notebooks.

    Examples
    --------
    >>> (bp.datasets.notebooks_dir() / "03_dose_response.ipynb").exists()
    True
    """
    return _bundled_folder("notebooks")


def reports_dir() -> Path:
    """Folder of the bundled report suites.

    Examples
    --------
    >>> (bp.datasets.reports_dir() / "default.yml").exists()
    True
    """
    return _bundled_folder("reports")


def _bundled_folder(name: str) -> Path:
    """Find a folder in an installed wheel (``_bundled/``), else in a checkout's root."""
    for root in _ROOTS:
        if (root / name).is_dir():
            return root / name
    looked = " or ".join(str(root / name) for root in _ROOTS)
    raise FileNotFoundError(
        f"The folder {name!r} that belongs to backpain-analysis is missing: looked for {looked}. "
        "Install the package again, or run from a complete checkout."
    )


def reference_names() -> tuple[str, ...]:
    """Names that :func:`load_reference` knows.

    Examples
    --------
    >>> "mcid" in bp.datasets.reference_names()
    True
    """
    return tuple(read_datapackage(data_dir() / "reference").tables)


def load_reference(name: str) -> pd.DataFrame:
    """Read one reference table; ``data/README.md`` says what its columns mean.

    Parameters
    ----------
    name
        One of :func:`reference_names`, e.g. ``"mcid"`` or ``"met_defaults"``.

    Returns
    -------
    pandas.DataFrame
        Columns typed as the data package says; a missing value stays missing.

    Raises
    ------
    ValueError
        If there is no reference table of that name.

    Examples
    --------
    >>> bp.load_reference("mcid")["instrument"].head(2).tolist()
    ['VAS', 'NRS']
    """
    folder = data_dir() / "reference"
    tables = read_datapackage(folder).tables
    if name not in tables:
        raise ValueError(f"No reference table {name!r}. {did_you_mean(name, tables)}")
    table = tables[name]
    return pd.read_csv(
        folder / table.path,
        dtype={field.name: field.dtype for field in table.fields},
        keep_default_na=False,
        na_values=[""],
    )
