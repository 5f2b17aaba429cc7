"""Read a Frictionless Data Package: which tables a folder holds and what each column means.

The ``datapackage.json`` beside the tables is the one place where columns, types, units,
vocabularies, ranges and keys are written down. Everything else (validation, codebook, typed
reading) is built from it. See https://datapackage.org/standard/table-schema/.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Field:
    """One column: ``kind`` is ``string``, ``number`` or ``integer``."""

    name: str
    kind: str
    description: str
    unit: str | None
    required: bool
    vocabulary: tuple[str, ...]
    ordered: bool
    minimum: float | None
    exclusive_minimum: float | None
    maximum: float | None
    pattern: str | None

    @property
    def dtype(self) -> str:
        """The pandas dtype of the column (an ordered vocabulary becomes a categorical later)."""
        return {"string": "str", "number": "float64", "integer": "Int64"}[self.kind]


@dataclass(frozen=True)
class ForeignKey:
    """Columns of a table that must occur together in another table."""

    fields: tuple[str, ...]
    table: str
    reference: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """One table: its columns in order, what makes a row unique, and where it points."""

    name: str
    path: str
    description: str
    fields: tuple[Field, ...]
    unique: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in the order they are written."""
        return tuple(field.name for field in self.fields)

    def field(self, name: str) -> Field:
        """The column of that name."""
        return next(field for field in self.fields if field.name == name)


@dataclass(frozen=True)
class DataPackage:
    """The tables of one folder, with the folder's name, title and version."""

    name: str
    title: str
    version: str | None
    tables: dict[str, Table]


@cache
def read_datapackage(folder: Path) -> DataPackage:
    """Read ``datapackage.json`` of a folder.

    Parameters
    ----------
    folder
        The folder that holds the tables and their ``datapackage.json``.

    Returns
    -------
    DataPackage
    """
    content = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
    tables = [_table(resource) for resource in content["resources"]]
    return DataPackage(
        name=content["name"],
        title=content["title"],
        version=content.get("version"),
        tables={table.name: table for table in tables},
    )


def _table(resource: dict[str, Any]) -> Table:
    schema = resource["schema"]
    keys = [schema["primaryKey"]] if "primaryKey" in schema else schema.get("uniqueKeys", [[]])
    return Table(
        name=resource["name"],
        path=resource["path"],
        description=resource["description"],
        fields=tuple(_field(field) for field in schema["fields"]),
        unique=tuple(keys[0]),
        foreign_keys=tuple(_foreign_key(key) for key in schema.get("foreignKeys", [])),
    )


def _field(field: dict[str, Any]) -> Field:
    limits = field.get("constraints", {})
    return Field(
        name=field["name"],
        kind=field["type"],
        description=field["description"],
        unit=field.get("unit"),
        required=limits.get("required", False),
        vocabulary=tuple(field.get("categories") or limits.get("enum", ())),
        ordered=field.get("categoriesOrdered", False),
        minimum=limits.get("minimum"),
        exclusive_minimum=limits.get("exclusiveMinimum"),
        maximum=limits.get("maximum"),
        pattern=limits.get("pattern"),
    )


def _foreign_key(key: dict[str, Any]) -> ForeignKey:
    target = key["reference"]
    return ForeignKey(tuple(key["fields"]), target["resource"], tuple(target["fields"]))
