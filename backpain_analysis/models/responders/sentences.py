"""Responders in words: computed, with their uncertainty."""

from __future__ import annotations

from backpain_analysis.models.pooling import PoolResult
from backpain_analysis.models.responders.nnt import nnt_from_smd
from backpain_analysis.models.responders.participants import Responders
from backpain_analysis.models.responders.trials import TrialResponders
from backpain_analysis.models.sentences import number, outcome_words, plural, size_words


def trial_responders(result: TrialResponders) -> str:
    """How many more respond with exercise, over published trials."""
    found = result.summary().loc["difference"]
    more = "more" if found["estimate"] >= 0 else "fewer"
    return (
        f"In {size_words(result.effects)}, {_percent(result.control_share)}% of people without "
        f"exercise and {_percent(abs(found['estimate']))} percentage points {more} with it "
        f"({result.difference.level:.0%} CI {_percent(found['ci_low'])} to "
        f"{_percent(found['ci_high'])}) improved in {outcome_words(result.outcome)} by "
        f"{result.response.text}, by the normal approximation: {result.nnt.text}."
    )


def from_pooled_smd(pooled: PoolResult, control_share: float, *, lower_is_better: bool) -> str:
    """The number needed to treat that a pooled SMD implies (see `nnt.nnt_from_smd`)."""
    sign = -1 if lower_is_better else 1
    limits = sorted((sign * pooled.ci_low, sign * pooled.ci_high))
    needed = nnt_from_smd(sign * pooled.estimate, *limits, control_share, pooled.level)
    return (
        f"The pooled SMD of all {size_words(pooled)} at this time, "
        f"{number(pooled.estimate, 2)} ({pooled.level:.0%} CI {number(pooled.ci_low, 2)} to "
        f"{number(pooled.ci_high, 2)}), implies {needed.text} where {_percent(control_share)}% "
        "respond without exercise."
    )


def responders(result: Responders) -> str:
    """How many respond at each dose, from participants."""
    first, *others = result.shares.to_dict("records")
    differences = result.differences.set_index("group")
    parts = [
        f"{_percent(row['share'])}% at {row['group']} ({differences.loc[row['group'], 'nnt']})"
        for row in others
    ]
    return (
        f"Of {plural(result.n_participants, 'participant')} in {plural(result.n_trials, 'trial')}, "
        f"{_percent(first['share'])}% at a dose of {first['group']} improved by "
        f"{result.response.text} at week {result.week:g}, and {', '.join(parts)}."
    )


def _percent(share: float) -> str:
    return number(100 * share, 0)
