"""From estimates to statements: sentences, certainty, verdicts, findings, claims, tables."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submodules=["sentences", "tables"])
