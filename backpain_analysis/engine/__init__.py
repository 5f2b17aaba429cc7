"""The linear mixed model with known sampling covariance: likelihood, search, and what serves it."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submodules=["priors"])
