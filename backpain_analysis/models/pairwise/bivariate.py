"""Two outcomes of the same trials: do trials that gain more of one gain more of the other?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.mixed import MixedFit, fit
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.models.results import TableResult, check_choices, quantile
from backpain_analysis.words import outcome_words, plural

FEWEST_TRIALS = 5


@dataclass(frozen=True, repr=False)
class Bivariate(TableResult):
    """A bivariate meta-analysis.

    Attributes
    ----------
    outcomes : tuple of str
    estimates : DataFrame
        Indexed by outcome: `estimate, se, ci_low, ci_high, tau`.
    slope, slope_low, slope_high : float
        Difference in the effect on the second outcome between trials whose effect on the first
        differs by one; with its jackknife interval. An association between trials, not mediation.
    rho : float
        Correlation of the effects between trials.
    n_trials : int
    llf : float
    """

    outcomes: tuple[str, str]
    estimates: pd.DataFrame
    slope: float
    slope_low: float
    slope_high: float
    rho: float
    n_trials: int
    llf: float

    def summary(self) -> pd.DataFrame:
        """The two mean effects."""
        return self.estimates.rename_axis("outcome").reset_index()

    def _title(self) -> str:
        return f"{self.outcomes[0]} and {self.outcomes[1]} in {plural(self.n_trials, 'trial')}"


def bivariate(
    first: Effects, second: Effects, *, correlation: float = 0.5, level: float = 0.95
) -> Bivariate:
    """Meta-analyse two outcomes of the trials that have both.

    `y ~ N(mu, V + Psi)`, V with the assumed within-trial correlation, Psi free, by REML (van
    Houwelingen, Arends & Stijnen 2002, doi 10.1002/sim.1040). The slope of the second effect on
    the first, `Psi_12 / Psi_11`, is that of their equation 8; its interval is a jackknife over
    trials (Tukey 1958), t on trials - 1 degrees of freedom.

    Parameters
    ----------
    first, second : Effects
        One effect a trial is made of each (`Effects.one_per_trial`).
    correlation : float
        Of the sampling errors of the two outcomes in a trial.
    level : float

    Returns
    -------
    Bivariate

    Raises
    ------
    ValueError
        If fewer than five trials have both, or the correlation is outside (-1, 1).
    ConvergenceError
        If the likelihood has no maximum.

    Examples
    --------
    >>> evidence = bp.load_evidence()
    >>> pain, disability = (
    ...     evidence.effects(name, measure="SMD").one_per_trial()
    ...     for name in ("pain_intensity", "disability")
    ... )
    >>> bp.bivariate(pain, disability).n_trials
    12
    """
    require(first, "Effects")
    require(second, "Effects")
    check_choices(level)
    if not -1 < correlation < 1:
        raise ValueError(f"correlation {correlation} is not between -1 and 1.")
    both = _paired(first, second)
    if len(both) < FEWEST_TRIALS:
        raise CannotEstimate(
            f"{plural(len(both), 'trial')} with both {outcome_words(first.outcome)} and "
            f"{outcome_words(second.outcome)}; {FEWEST_TRIALS} are needed to see whether they go "
            "together"
        )
    model = _fit(both, correlation)
    psi = model.psi[0]
    slope = _slope(model)
    low, high = _jackknife(both, correlation, slope, level)
    half = quantile(level, np.inf) * np.sqrt(np.diag(model.cov_beta))
    names = (first.outcome, second.outcome)
    table = {
        "estimate": model.beta,
        "se": np.sqrt(np.diag(model.cov_beta)),
        "ci_low": model.beta - half,
        "ci_high": model.beta + half,
        "tau": np.sqrt(np.diag(psi)),
    }
    spread = np.sqrt(psi[0, 0] * psi[1, 1])
    return Bivariate(
        outcomes=names,
        estimates=pd.DataFrame(table, index=list(names)),
        slope=slope,
        slope_low=low,
        slope_high=high,
        rho=float(psi[0, 1] / spread) if spread > 0 else np.nan,
        n_trials=len(both),
        llf=model.llf,
    )


def _paired(first: Effects, second: Effects) -> pd.DataFrame:
    tables = [
        effects.one_per_trial().table.set_index("trial_id")[["yi", "vi"]]
        for effects in (first, second)
    ]
    return tables[0].merge(tables[1], on="trial_id", suffixes=("_1", "_2"))


def _fit(both: pd.DataFrame, r: float) -> MixedFit:
    k = len(both)
    y = both[["yi_1", "yi_2"]].to_numpy(dtype=float).ravel()
    X = np.tile(np.eye(2), (k, 1))
    v1, v2 = (both[name].to_numpy(dtype=float) for name in ("vi_1", "vi_2"))
    shared = r * np.sqrt(v1 * v2)
    V = np.stack([np.stack([v1, shared], -1), np.stack([shared, v2], -1)], -2)
    return fit(y, X, list(V), blocks=np.repeat(np.arange(k), 2), terms=[RandomTerm(X)])


def _slope(model: MixedFit) -> float:
    psi = model.psi[0]
    return float(psi[0, 1] / psi[0, 0]) if psi[0, 0] > 0 else np.nan


def _jackknife(both: pd.DataFrame, r: float, slope: float, level: float) -> tuple[float, float]:
    """Interval from pseudo-values; missing where a trial cannot be left out."""
    k = len(both)
    try:
        others = np.array([_slope(_fit(both.drop(index=trial), r)) for trial in both.index])
    except CannotEstimate:
        return np.nan, np.nan
    pseudo = k * slope - (k - 1) * others
    half = quantile(level, float(k - 1)) * pseudo.std(ddof=1) / np.sqrt(k)
    return float(pseudo.mean() - half), float(pseudo.mean() + half)
