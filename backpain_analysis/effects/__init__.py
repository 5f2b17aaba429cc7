"""From what trials reported to effect sizes and their covariance."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "assemble": ["from_evidence"],
        "measures": ["effect_size"],
        "table": ["Effects"],
    },
)
