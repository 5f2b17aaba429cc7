"""Large tables as text, column by column; whatever is not plain is left to the careful reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

ALL_TEXT = csv.ConvertOptions(
    check_utf8=True, strings_can_be_null=False, default_column_type=pa.string()
)


def plain_csv_cells(file: Path) -> pd.DataFrame | None:
    """The cells of a CSV file, or None unless every row has the cells of a proper header.

    A file with quotation marks is never plain. Cells are those of the careful reader: text
    without surrounding blanks, missing where empty, index = spreadsheet row.
    """
    content = file.read_bytes()
    if b'"' in content:
        return None
    parse = csv.ParseOptions(quote_char=False, ignore_empty_lines=False)
    try:
        table = csv.read_csv(
            pa.BufferReader(content), parse_options=parse, convert_options=ALL_TEXT
        )
    except pa.ArrowException:
        return None
    names = [name.strip() for name in table.column_names]
    if len(names) < 2 or len(set(names)) < len(names) or "" in names or not len(table):
        return None
    return text_cells(table.rename_columns(names))


def frame_cells(frame: pd.DataFrame) -> pd.DataFrame | None:
    """The cells of a frame as text, or None where its columns are not each of one plain type."""
    names = [str(column).strip() for column in frame.columns]
    if not len(frame) or not names or len(set(names)) < len(names) or "" in names:
        return None
    try:
        table = pa.Table.from_pandas(frame.set_axis(names, axis="columns"), preserve_index=False)
        return text_cells(table)
    except pa.ArrowException:
        return None


def text_cells(table: pa.Table, first_row: int = 2) -> pd.DataFrame:
    """Columns of any plain type as text; rows without any text are passed over.

    Parameters
    ----------
    table
        With distinct column names.
    first_row
        Spreadsheet row of the first row.

    Returns
    -------
    DataFrame
        Dtype ``str``, missing where empty, index = spreadsheet row.
    """
    columns = {name: _texts(table[name]) for name in table.column_names}
    filled = np.zeros(len(table), dtype=bool)
    for column in columns.values():
        filled |= column.is_valid().to_numpy()
    index = np.flatnonzero(filled) + first_row
    kept = pa.table(columns).filter(pa.array(filled))
    frame = kept.to_pandas(types_mapper={pa.string(): pd.StringDtype(na_value=np.nan)}.get)
    return frame.set_axis(index)


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), None, text)
