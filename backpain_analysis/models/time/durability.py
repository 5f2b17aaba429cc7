"""Whether an effect lasts once the programme is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.mixed import MixedFit, fit
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.results import TableResult, quantile, two_sided_p
from backpain_analysis.words import plural

WEEKS_A_MONTH = 365.25 / 12 / 7
GRACE = 1.0
"""Weeks before the end of a programme in which a measurement counts as taken at its end."""
USUAL = (26.0, 52.0)
"""Weeks after the end at which one asks what remains."""
COLUMNS = ["estimate", "se", "ci_low", "ci_high", "p_value"]


@dataclass(frozen=True, repr=False)
class Durability(TableResult):
    """The effect after the end of the programme.

    Attributes
    ----------
    at_end : DataFrame
        One row: the effect at the end, `estimate, se, ci_low, ci_high, p_value`.
    change : DataFrame
        Change of the effect a month, the same columns: row "all trials" from trials with early and
        late follow-ups alike, "within trials" only from those with more than one.
    retained : DataFrame
        `weeks, effect, ci_low, ci_high, retained, retained_low, retained_high, note`: the effect
        so many weeks after the end, and what share of that at the end it is.
    n_trials, n_repeated, n_participants : int
        Trials with a follow-up at or after the end; those with more than one; participants.
    last_week : float
        Latest follow-up, in weeks after the end.
    level : float
    repeated : tuple of str
        The trials with more than one follow-up.
    """

    at_end: pd.DataFrame
    change: pd.DataFrame
    retained: pd.DataFrame
    n_trials: int
    n_repeated: int
    n_participants: int
    last_week: float
    level: float
    repeated: tuple[str, ...]

    @property
    def is_told(self) -> bool:
        """Whether trials followed their own people on: more than one trial, or the only one."""
        return self.n_repeated > 1 or self.n_trials == 1

    @property
    def monthly(self) -> pd.Series:
        """Change of the effect a month: within trials where more than one shows it, else of all.

        Named "within trials" or "all trials".
        """
        return self.change.iloc[-1]

    def summary(self) -> pd.DataFrame:
        """The effect at the end and its change a month."""
        return pd.concat([self.at_end, self.change])

    def _title(self) -> str:
        return "After the end of the programme"

    def _note(self) -> str:
        return (
            f"{plural(self.n_trials, 'trial')}, {self.n_repeated} with more than one "
            f"follow-up, the latest {self.last_week:.0f} weeks after the end. A month is "
            f"{WEEKS_A_MONTH:.2f} weeks."
        )


def durability(
    effects: Effects,
    *,
    weeks: Sequence[float] | None = None,
    method: str = "REML",
    level: float = 0.95,
) -> Durability:
    """The effect at the end of the programme, its change after it, and what is retained.

    `y = a + u + b m + e`, m months after the end, u the trial's own level, e with the covariance
    of a trial's contrasts over time. The change within trials alone is the coefficient of the
    months less their mean in the trial, that mean being a term of its own (van de Pol & Wright
    2009, doi 10.1016/j.anbehav.2008.11.006). The share retained is `(a + b m)/a` with Fieller's
    interval (Fieller 1954, doi 10.1111/j.2517-6161.1954.tb00159.x). It is missing where the effect
    at the end is not clearly different from zero, and where fewer than two trials measured twice:
    early and late effects would be those of different trials.

    Parameters
    ----------
    effects : Effects
        With `weeks_after_programme` (see `effects.over_time`). Follow-ups from one week before
        the end on enter.
    weeks : sequence of float, optional
        After the end, for `retained`; missing beyond the last follow-up. By default 26 and 52 as
        far as the data reach, else the last follow-up.
    method : {"REML", "ML", "CE"}
    level : float

    Returns
    -------
    Durability
        t quantiles on (trials - 2) degrees of freedom; within trials on (trials with more than
        one follow-up - 1).

    Raises
    ------
    ValueError
        Without at least three trials (one for "CE") and two different times.
    """
    if "weeks_after_programme" not in effects.table:
        raise ValueError(
            "these effects have no column 'weeks_after_programme': make them with "
            "effects_over_time, or say how long the programme was (programme_weeks)."
        )
    after = effects.select(
        lambda t: t["weeks_after_programme"].astype(float) >= -GRACE,
        "measured before the end of the programme, or its length is unknown",
    )
    method = "CE" if after.n_trials == 1 else method
    since = np.maximum(after.table["weeks_after_programme"].to_numpy(dtype=float), 0.0)
    if len(np.unique(since)) < 2 or (after.n_trials < 3 and method != "CE"):
        raise CannotEstimate(
            f"{plural(after.n_trials, 'trial')} with "
            f"{plural(len(np.unique(since)), 'different time')} after the end of the programme "
            "cannot tell whether the effect lasts",
            "at least three trials and two times are needed",
        )
    months = since / WEEKS_A_MONTH
    model = _fitted(after, np.column_stack([np.ones(len(months)), months]), method)
    df = np.inf if method == "CE" else float(after.n_trials - 2)
    trial = after.table["trial_id"]
    times = pd.Series(since).groupby(trial.to_numpy()).nunique()
    names = tuple(str(name) for name in times.index[times > 1])
    repeated = len(names)
    change = pd.DataFrame([_row(model, np.array([0.0, 1.0]), df, level)], index=["all trials"])
    if repeated > 1:
        change.loc["within trials"] = _within(after, months, method, repeated, level)
    at_end = pd.DataFrame([_row(model, np.array([1.0, 0.0]), df, level)], index=["at the end"])
    last = float(since.max())
    if weeks is None:
        weeks = [week for week in USUAL if week <= last] or [last]
    return Durability(
        at_end=at_end,
        change=change,
        retained=pd.DataFrame(
            [_retained(model, week, last, repeated, df, level) for week in weeks]
        ),
        n_trials=after.n_trials,
        n_repeated=repeated,
        n_participants=after.n_participants,
        last_week=last,
        level=level,
        repeated=names,
    )


def _fitted(effects: Effects, X: np.ndarray, method: str) -> MixedFit:
    return fit(
        effects.table["yi"].to_numpy(dtype=float),
        X,
        effects.covariance,
        blocks=effects.table["trial_id"].to_numpy(),
        terms=[RandomTerm(np.ones((len(X), 1)), name="trial")],
        method=method,
    )


def _row(model: MixedFit, weights: np.ndarray, df: float, level: float) -> dict[str, float]:
    estimate = float(weights @ model.beta)
    se = float(np.sqrt(weights @ model.cov_beta @ weights))
    half = quantile(level, df) * se
    p = float(two_sided_p(np.array(estimate / se), df))
    return dict(zip(COLUMNS, (estimate, se, estimate - half, estimate + half, p), strict=True))


def _within(
    effects: Effects, months: np.ndarray, method: str, repeated: int, level: float
) -> dict[str, float]:
    mean = pd.Series(months).groupby(effects.table["trial_id"].to_numpy()).transform("mean")
    X = np.column_stack([np.ones(len(months)), months - mean, mean])
    varies = np.ptp(mean) > 0
    model = _fitted(effects, X if varies else X[:, :2], method)
    weights = np.array([0.0, 1.0, 0.0])[: 3 if varies else 2]
    return _row(model, weights, np.inf if method == "CE" else repeated - 1.0, level)


def _retained(
    model: MixedFit, week: float, last: float, repeated: int, df: float, level: float
) -> dict[str, float | str]:
    names = ["weeks", "effect", "ci_low", "ci_high", "retained", "retained_low", "retained_high"]
    if week > last:
        missing = dict.fromkeys(names, np.nan) | {"weeks": week}
        return missing | {"note": f"no follow-up later than {last:g} weeks after the end"}
    later = np.array([1.0, week / WEEKS_A_MONTH])
    found = _row(model, later, df, level)
    share, low, high = fieller(model.beta, model.cov_beta, later, quantile(level, df))
    note = "" if np.isfinite(low) else "the effect at the end is not clearly different from zero"
    if repeated < 2:
        share, low, high = np.nan, np.nan, np.nan
        note = f"{repeated} trial measured twice after the end, so late effects are other trials'"
    values = (week, found["estimate"], found["ci_low"], found["ci_high"], share, low, high)
    return {**dict(zip(names, values, strict=True)), "note": note}


def fieller(
    beta: np.ndarray, cov: np.ndarray, numerator: np.ndarray, critical: float
) -> tuple[float, float, float]:
    """The ratio of `numerator @ beta` to `beta[0]` with Fieller's interval.

    The limits are the roots of `(N - r D)^2 = q^2 Var(N - r D)`; missing where the denominator is
    within q standard errors of zero, so that the interval would be unbounded.

    Parameters
    ----------
    beta : ndarray, shape (p,)
    cov : ndarray, shape (p, p)
    numerator : ndarray, shape (p,)
    critical : float
        The quantile q.

    Returns
    -------
    ratio, low, high : float
    """
    N, D = float(numerator @ beta), float(beta[0])
    cross = float(cov[0] @ numerator)
    a = D**2 - critical**2 * cov[0, 0]
    b = N * D - critical**2 * cross
    c = N**2 - critical**2 * float(numerator @ cov @ numerator)
    if a <= 0:
        return N / D, np.nan, np.nan
    root = np.sqrt(max(b**2 - a * c, 0.0))
    return N / D, (b - root) / a, (b + root) / a
