"""What the small results of diagnostics have in common: a table, plain values, HTML."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.display import html_table


class Report:
    """Base of frozen dataclasses; `summary` is one row of the plain fields unless overridden."""

    def summary(self) -> pd.DataFrame:
        """The result as a table."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {name: value for name, value in values.items() if np.isscalar(value)}
        return pd.DataFrame([plain])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def _title(self) -> str:
        return type(self).__name__

    def _note(self) -> str | None:
        return None

    def _repr_html_(self) -> str:
        return html_table(self.summary(), title=self._title(), note=self._note())


def _plain(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return value.to_dict(orient="records")
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return list(value) if isinstance(value, tuple) else value
