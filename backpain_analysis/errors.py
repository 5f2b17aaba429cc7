"""What a user can be told: the data cannot carry what was asked. Everything else is a bug.

Faults of tables are `evidence.faults.EvidenceError`; a wrong argument is a plain ValueError.
"""

from __future__ import annotations


class CannotEstimate(ValueError):
    """These data cannot carry what was asked of them.

    Code that tells results catches this and nothing else: an error of another kind is a bug, and
    never becomes "not testable".

    Parameters
    ----------
    reason : str
        Why, as it can stand in a sentence: "2 trials with 2 distinct doses cannot carry a spline".
    advice : str, optional
        What would help: "use a simpler curve".

    Examples
    --------
    >>> error = CannotEstimate("all doses are equal", "leave out the dose")
    >>> error.reason
    'all doses are equal'
    >>> print(error)
    all doses are equal: leave out the dose.
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason, advice)
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        between = ":" if self.advice.startswith("\n") else ": "
        return f"{self.reason}{between}{self.advice}." if self.advice else f"{self.reason}."


class ConvergenceError(CannotEstimate, RuntimeError):
    """The likelihood was climbed and no maximum was found.

    Examples
    --------
    >>> issubclass(bp.ConvergenceError, bp.CannotEstimate)
    True
    """
