"""The reference tables: MCIDs, MET values, published meta-analyses, guidelines, correlations."""

from __future__ import annotations

import pandas as pd

from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.datasets.datapackage import read_datapackage
from backpain_analysis.datasets.words import did_you_mean


def reference_names() -> tuple[str, ...]:
    """Names that :func:`load_reference` knows."""
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
