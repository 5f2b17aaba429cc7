"""nbformat and jsonschema, imported without what takes them seconds.

jsonschema imports `rfc3987_syntax` if it is there. That package builds a grammar of web addresses
for two to three seconds of every process; no notebook's schema asks for that format (see
jsonschema's `FormatChecker`), so that it is imported as where the package is not installed.
"""

from __future__ import annotations

import sys
from importlib import import_module

GRAMMAR = "rfc3987_syntax"

if GRAMMAR not in sys.modules:
    sys.modules[GRAMMAR] = None  # type: ignore[assignment]
    try:
        import_module("jsonschema")
    finally:
        del sys.modules[GRAMMAR]

import nbformat  # noqa: E402

__all__ = ["nbformat"]
