"""The data that travel with the package, and made-up data with known truth, by name."""

from typing import Any

import lazy_loader as _lazy

SIMULATORS = ["simulate_participants", "simulate_trials"]

_attached, _, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "bundled": [
            "data_dir",
            "load_reference",
            "notebooks_dir",
            "reference_names",
            "reports_dir",
        ],
        "trials": ["AS_REPORTED", "TRIAL_TRUTHS", "TrialTruth", "write_synthetic_trials"],
        "participants": ["Truth", "load_truth"],
    },
)
__all__ = [*__all__, *SIMULATORS]


def __getattr__(name: str) -> Any:
    """Hand out the simulators, which give checked data and so live above, and the rest by need."""
    if name not in SIMULATORS:
        return _attached(name)
    import backpain_analysis

    return getattr(backpain_analysis, name)


def __dir__() -> list[str]:
    return __all__
