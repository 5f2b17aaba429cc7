"""Every treatment of a network against one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.axes import Axes

from backpain_analysis.figures.summary_forest import summary_forest

if TYPE_CHECKING:
    from backpain_analysis.models.network.result import NetworkResult


class Row(NamedTuple):
    """What `summary_forest` draws of a treatment; trials are those with direct evidence."""

    estimate: float
    ci_low: float
    ci_high: float
    pi_low: float
    pi_high: float
    n_trials: int
    n_participants: float | None
    level: float


def network_forest(result: NetworkResult, *, reference: str | None = None, **options: Any) -> Axes:
    """Forest plot of the network's estimates against one treatment, the best first.

    "Trials" are those that compare the two directly, "n" the treatment's participants.

    Parameters
    ----------
    result : NetworkResult
    reference : str, optional
        By default the reference of the fit.
    **options
        Of `summary_forest`: `xlabel, mcid, ax`.

    Returns
    -------
    Axes
    """
    rows = {}
    for name, effect in result.effects(reference).iterrows():
        people = effect["participants"]
        rows[name] = Row(
            *effect[["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]],
            n_trials=int(effect["trials"]),
            n_participants=int(people) if people == people else None,
            level=result.level,
        )
    return summary_forest(rows, lower_is_better=result.lower_is_better, **options)
