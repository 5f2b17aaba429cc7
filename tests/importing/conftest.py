"""Made-up files in the shapes in which people keep their extractions."""

from __future__ import annotations

import openpyxl
import pytest

from backpain_analysis.importing import guess_mapping, read_source, turn
from backpain_analysis.importing.mapping import Mapping


@pytest.fixture
def workbook(tmp_path):
    """Write a workbook of one sheet: rows, merged cells, number formats."""

    def write(name, rows, merged=(), formats=None, title="Sheet1"):
        book = openpyxl.Workbook()
        book.active.title = title
        for row in rows:
            book.active.append(list(row))
        for cells in merged:
            book.active.merge_cells(cells)
        for cell, number_format in (formats or {}).items():
            book.active[cell].number_format = number_format
        book.save(tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def text_file(tmp_path):
    def write(name, text, encoding="utf-8"):
        (tmp_path / name).write_text(text, encoding=encoding)
        return tmp_path / name

    return write


def decided(guess, **decisions):
    """The guessed mapping with values for what stands as a question mark, by field."""
    content = guess.mapping.model_dump(exclude_defaults=True)

    def decide(part, name=""):
        if part == "?":
            return decisions[name]
        if isinstance(part, list):
            return [decide(own, name) for own in part]
        if not isinstance(part, dict):
            return part
        source = set(part) <= _PARTS
        return {
            key: {text: decide(word, name) for text, word in own.items()}
            if source and key == "words"
            else decide(own, name if source else key)
            for key, own in part.items()
        }

    content["tables"] = decide(content["tables"])
    content["common"] = decide(content.get("common", {}))
    content["ids"] = decide(content["ids"])
    return Mapping.model_validate(content)


_PARTS = {"value", "words", "otherwise", "spread", "column", "from_row"}


def imported(path, **decisions):
    """A file turned by its guessed mapping, with decisions."""
    grid = read_source(path)
    _, guess = guess_mapping(grid)
    return turn(grid, decided(guess, **decisions))


def rows(table, *columns):
    """Some columns of a table of text as tuples, missing as the empty text."""
    return [tuple(row) for row in table[list(columns)].fillna("").itertuples(index=False)]
