"""Random- and common-effect pooling of effect sizes, in all and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.display import html_table
from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.heterogeneity import (
    ESTIMATORS,
    WeightedFit,
    estimate_tau2,
    q_profile,
    typical_variance,
)
from backpain_analysis.engine.mixed import fit
from backpain_analysis.engine.terms import RandomTerm, multi_arm_term
from backpain_analysis.models.bayes.model import (
    AnyPrior,
    chosen_prior,
    implied_sd,
    pooling_model,
)
from backpain_analysis.models.bayes.posterior import PooledPosterior, pooled
from backpain_analysis.models.results import quantile, two_sided_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes


METHODS = ("CE", "DL", "HE", "HS", "SJ", "PM", "ML", "REML", "EB")

TESTS = ("knapp-hartung", "z")


def fitting_test(n_trials: int) -> str:
    """The test for reports that pool few trials: "knapp-hartung" from three on, else "z".

    With two trials the t quantile on one degree of freedom is 12.7, and the interval says nothing
    (Cochrane Handbook 10.10.4.4).
    """
    return "knapp-hartung" if n_trials > 2 else "z"


def check_options(method: str, test: str, level: float) -> None:
    """Refuse an unknown method or test, or a level outside (0, 1).

    Raises
    ------
    ValueError
        Every fault is named.
    """
    faults = _option_faults(method, test, level)
    if faults:
        raise ValueError("; ".join(faults) + ".")


def _option_faults(method: str, test: str, level: float) -> list[str]:
    faults = []
    if method not in METHODS:
        faults.append(f"unknown method {method!r}: use one of {', '.join(METHODS)}")
    if test not in TESTS:
        faults.append(f"unknown test {test!r}: use one of {', '.join(TESTS)}")
    if not 0 < level < 1:
        faults.append(f"level {level} is not between 0 and 1")
    return faults


def study_names(k: int) -> list[str]:
    """What studies are called that were given no labels."""
    return [f"study {i + 1}" for i in range(k)]


def checked_studies(
    yi: ArrayLike,
    vi: ArrayLike | None,
    labels: Sequence[str] | None,
    method: str,
    test: str,
    level: float,
) -> tuple[np.ndarray, np.ndarray, list[str] | None]:
    """Effect sizes, variances and labels (None where none were given) that can be pooled.

    Raises
    ------
    ValueError
        If anything is wrong; every fault is named.
    """
    if vi is None:
        raise ValueError("give the sampling variances vi.")
    y, v = np.asarray(yi, dtype=float).ravel(), np.asarray(vi, dtype=float).ravel()
    faults = _option_faults(method, test, level)
    if len(y) != len(v):
        faults.append(f"{len(y)} effect sizes but {len(v)} variances")
    if len(y) == 0:
        faults.append("no effect sizes to pool")
    labels = None if labels is None else list(labels)
    if labels is not None and len(labels) != len(y):
        faults.append(f"{len(labels)} labels for {len(y)} effect sizes")
    elif len(y) == len(v):
        wrong = ~np.isfinite(y) | ~np.isfinite(v) | ~(v > 0)
        if wrong.any():
            names = labels or study_names(len(y))
            faults.extend(
                f"{names[i]}: yi = {y[i]}, vi = {v[i]}; both must be known and vi above zero"
                for i in np.flatnonzero(wrong)
            )
    if faults:
        raise ValueError("; ".join(faults) + ".")
    return y, v, labels


@dataclass(frozen=True)
class PoolResult:
    """A pooled effect.

    Attributes
    ----------
    estimate, se, ci_low, ci_high, p_value : float
    pi_low, pi_high : float
        Prediction interval: where the effect of a new trial is expected. Missing for fewer than
        three trials (Cochrane Handbook 10.10.4.3).
    tau2, tau2_ci_low, tau2_ci_high : float
        Between-trial variance with its Q-profile interval (missing where trials are correlated).
    i2, h2 : float
        I2 in per cent.
    q, q_df, q_p : float
        Cochran's test of heterogeneity.
    method, test : str
    level : float
    df : float
        Degrees of freedom of the t quantile; infinite for "z".
    n_trials : int
    n_participants : int or None
        In arms of known size, when an `Effects` was pooled.
    unsized_arms : int
        Arms of unknown size.
    llf : float
        Log-likelihood at the estimates: restricted for "REML", else full.
    """

    estimate: float
    se: float
    ci_low: float
    ci_high: float
    p_value: float
    pi_low: float
    pi_high: float
    tau2: float
    tau2_ci_low: float
    tau2_ci_high: float
    i2: float
    h2: float
    q: float
    q_df: int
    q_p: float
    method: str
    test: str
    level: float
    df: float
    n_trials: int
    n_participants: int | None
    llf: float
    columns: Mapping[str, Any] = field(repr=False)
    unsized_arms: int = 0

    @cached_property
    def table(self) -> pd.DataFrame:
        """`label, yi, vi, weight` (per cent) a contrast."""
        labels = self.columns["label"] or study_names(len(self.columns["yi"]))
        return pd.DataFrame({**self.columns, "label": labels})

    @property
    def tau(self) -> float:
        return float(np.sqrt(self.tau2))

    @property
    def params(self) -> pd.Series:
        return pd.Series({"estimate": self.estimate})

    @property
    def bse(self) -> pd.Series:
        return pd.Series({"estimate": self.se})

    def conf_int(self) -> pd.DataFrame:
        """The interval, columns `ci_low` and `ci_high`."""
        return pd.DataFrame(
            {"ci_low": [self.ci_low], "ci_high": [self.ci_high]}, index=["estimate"]
        )

    def summary(self) -> pd.DataFrame:
        """One row: estimate, intervals and heterogeneity."""
        names = "estimate se ci_low ci_high p_value pi_low pi_high tau2 i2 q q_df q_p n_trials"
        return pd.DataFrame([{name: getattr(self, name) for name in names.split()}])

    def plot(self, **options: Any) -> Axes:
        """Forest plot of what was pooled: see `figures.forest`."""
        from backpain_analysis import figures

        return figures.forest(self.table, self, **options)

    def _repr_html_(self) -> str:
        title = f"Pooled effect of {self.n_trials} trials"
        return html_table(self.summary(), title=title, note=f"{self.method}, {self.test}.")


@overload
def pool(
    yi: ArrayLike | Effects,
    vi: ArrayLike | None = None,
    *,
    prior: None = None,
    method: str = "REML",
    test: str = "knapp-hartung",
    level: float = 0.95,
    labels: Sequence[str] | None = None,
) -> PoolResult: ...


@overload
def pool(
    yi: ArrayLike | Effects,
    vi: ArrayLike | None = None,
    *,
    prior: AnyPrior | str,
    level: float = 0.95,
    labels: Sequence[str] | None = None,
) -> PooledPosterior: ...


def pool(
    yi: ArrayLike | Effects,
    vi: ArrayLike | None = None,
    *,
    method: str = "REML",
    test: str = "knapp-hartung",
    level: float = 0.95,
    labels: Sequence[str] | None = None,
    prior: AnyPrior | str | None = None,
) -> PoolResult | PooledPosterior:
    """Pool effect sizes.

    Parameters
    ----------
    yi : array_like, shape (k,), or Effects
        Effect sizes of independent trials; or `Effects`, whose contrasts of one trial are
        correlated: by their sampling covariance and, with more than one arm against the same
        reference, by a heterogeneity correlation of one half (Higgins & Whitehead 1996,
        doi 10.1002/(SICI)1097-0258(19961230)15:24<2733::AID-SIM562>3.0.CO;2-0).
    vi : array_like, shape (k,)
        Sampling variances; not with `Effects`.
    method : {"REML", "ML", "CE", "DL", "HE", "HS", "SJ", "PM", "EB"}
        Estimator of tau2 (see `heterogeneity.estimate_tau2`); "CE" is the common-effect model.
    test : {"knapp-hartung", "z"}
        Knapp & Hartung 2003 (doi 10.1002/sim.1482): scale the variance by the weighted residual
        mean square, t quantiles on k - 1 degrees of freedom (trials - 1 for `Effects`).
    level : float
        Of the confidence and prediction intervals.
    labels : sequence of str, optional
    prior : Prior, TauPrior, Mixture or "auto", optional
        What is believed before the data (see `priors`); then the result is a posterior, and
        `method` and `test` do not count. "auto" is the empirical prior for outcome and measure.

    Returns
    -------
    PoolResult, or PooledPosterior with a prior
        The prediction interval is `estimate +- q sqrt(se^2 + tau2)` with the same quantile as
        the confidence interval (as metafor; Higgins, Thompson & Spiegelhalter 2009,
        doi 10.1111/j.1467-985X.2008.00552.x).

    Raises
    ------
    ValueError
        For unusable input; all of it is named.
    """
    effects, blocks, covariance = None, None, None
    if isinstance(yi, Effects):
        if vi is not None:
            raise ValueError("Effects carry their own variances: leave out vi.")
        effects = yi
        yi, vi = effects.table["yi"], effects.table["vi"]
        blocks, covariance = effects.table["trial_id"].to_numpy(), effects.covariance
        labels = list(effects.table["label"]) if labels is None else labels
    y, v, labels = checked_studies(yi, vi, labels, method, test, level)
    if prior is not None:
        return _posterior(y, v, labels, effects, prior, level)
    if blocks is None or len(set(blocks)) == len(y):
        result = _pool_independent(y, v, labels, method, test, level)
    else:
        result = _pool_blocks(y, v, covariance, blocks, labels, method, test, level)
    if effects is None:
        return result
    return replace(result, n_participants=effects.n_participants, unsized_arms=effects.unsized_arms)


def _posterior(
    y: np.ndarray,
    v: np.ndarray,
    labels: list[str] | None,
    effects: Effects | None,
    prior: AnyPrior | str,
    level: float,
) -> PooledPosterior:
    named = tuple(labels or study_names(len(y)))
    if effects is None:
        return pooled(pooling_model(y, v, labels=named), chosen_prior(prior, "", "", None), level)
    model = pooling_model(
        y,
        v,
        effects.covariance,
        effects.table["trial_id"].to_numpy(),
        named,
        effects.outcome,
        effects.measure,
    )
    chosen = chosen_prior(prior, model.outcome, model.measure, implied_sd(effects.table))
    counted = {"n_participants": effects.n_participants, "unsized_arms": effects.unsized_arms}
    return replace(pooled(model, chosen, level), **counted)


def _pool_independent(
    y: np.ndarray,
    v: np.ndarray,
    labels: list[str] | None,
    method: str,
    test: str,
    level: float,
) -> PoolResult:
    k, X = len(y), np.ones((len(y), 1))
    tau2, llf = 0.0, np.nan
    if k > 1 and method in ESTIMATORS:
        tau2 = estimate_tau2(y, v, X, method)
    elif k > 1 and method != "CE":
        model = fit(y, X, v, terms=[RandomTerm(X)], method=method)
        tau2, llf = float(model.psi[0][0, 0]), model.llf
    weighted, common = WeightedFit(y, v, X, tau2), WeightedFit(y, v, X)
    if method != "REML":
        llf = -0.5 * (float(np.sum(np.log(2 * np.pi / weighted.weights))) + weighted.rss)
    typical = typical_variance(v, X) if k > 1 else np.nan
    return _result(
        estimate=float(weighted.beta[0]),
        variance=float(weighted.cov[0, 0]),
        rss=weighted.rss,
        q=common.rss,
        tau2=tau2,
        tau2_ci=q_profile(y, v, X, level),
        typical=typical,
        weights=weighted.weights,
        n_trials=k,
        llf=llf,
        method=method,
        test=test,
        level=level,
        columns={"label": labels, "yi": y, "vi": v},
    )


def _pool_blocks(
    y: np.ndarray,
    v: np.ndarray,
    covariance: Sequence[np.ndarray],
    blocks: np.ndarray,
    labels: list[str] | None,
    method: str,
    test: str,
    level: float,
) -> PoolResult:
    if method in ESTIMATORS:
        raise ValueError(
            f"method {method!r} is for independent effect sizes, but some of these trials have "
            "several arms: use 'REML', 'ML' or 'CE'."
        )
    X = np.ones((len(y), 1))
    term = multi_arm_term(blocks)
    n_trials = len(set(blocks))
    chosen = method if n_trials > 1 else "CE"
    model = fit(y, X, covariance, blocks=blocks, terms=[term], method=chosen)
    common = fit(y, X, covariance, blocks=blocks, method="CE")
    tau2 = float(2 * model.psi[0][0, 0]) if model.psi else 0.0
    weights = np.zeros(len(y))
    trace = 0.0
    for batch, W, W0 in zip(model.blocks.batches, model.precision, common.precision, strict=True):
        weights[batch] = W.sum(axis=2)
        trace += np.einsum("bii->", W0) - np.sum(W0.sum(axis=2) ** 2) * common.cov_beta[0, 0]
    return _result(
        estimate=float(model.beta[0]),
        variance=float(model.cov_beta[0, 0]),
        rss=model.rss,
        q=common.rss,
        tau2=tau2,
        tau2_ci=(np.nan, np.nan),
        typical=(len(y) - 1) / trace,
        weights=weights,
        n_trials=n_trials,
        llf=model.llf,
        method=method,
        test=test,
        level=level,
        columns={"label": labels, "yi": y, "vi": v},
    )


def _result(
    *,
    estimate: float,
    variance: float,
    rss: float,
    q: float,
    tau2: float,
    tau2_ci: tuple[float, float],
    typical: float,
    weights: np.ndarray,
    n_trials: int,
    llf: float,
    method: str,
    test: str,
    level: float,
    columns: dict[str, Any],
) -> PoolResult:
    k = len(weights)
    df = np.inf
    if test == "knapp-hartung" and n_trials > 1:
        variance, df = variance * rss / (k - 1), n_trials - 1.0
    se = float(np.sqrt(variance))
    critical = quantile(level, df)
    half, reach = critical * se, critical * float(np.sqrt(variance + tau2))
    if n_trials < 3 and method != "CE":
        reach = np.nan
    q_df = k - 1
    if method == "CE":
        h2 = max(1.0, q / q_df) if q_df else np.nan
        i2 = 100 * (h2 - 1) / h2
    else:
        h2 = 1 + tau2 / typical
        i2 = 100 * tau2 / (tau2 + typical)
    return PoolResult(
        estimate=estimate,
        se=se,
        ci_low=estimate - half,
        ci_high=estimate + half,
        p_value=float(two_sided_p(np.array(estimate / se), df)) if se > 0 else np.nan,
        pi_low=estimate - reach,
        pi_high=estimate + reach,
        tau2=tau2,
        tau2_ci_low=tau2_ci[0],
        tau2_ci_high=tau2_ci[1],
        i2=i2,
        h2=h2,
        q=q,
        q_df=q_df,
        q_p=float(special.chdtrc(q_df, q)) if q_df else np.nan,
        method=method,
        test=test,
        level=level,
        df=df,
        n_trials=n_trials,
        n_participants=None,
        llf=llf,
        columns={**columns, "weight": 100 * weights / weights.sum()},
    )


def pool_by(
    effects: Effects, column: str = "exercise_type", **options: Any
) -> dict[str, PoolResult]:
    """Pool each group of contrasts on its own.

    Each group has its own tau2 (Cochrane Handbook 10.11.2); a trial with arms in several groups
    enters each with its own arms.

    Parameters
    ----------
    effects : Effects
    column : str
        Column of `effects.table` that names the group; rows without one are left out.
    **options
        As of `pool`.

    Returns
    -------
    dict
        Group name -> PoolResult, largest number of trials first, then by name.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    if column not in effects.table:
        raise ValueError(f"no column {column!r}: use one of {', '.join(effects.table.columns)}.")
    groups = {
        str(name): effects.select(effects.table[column] == name, f"another {column}")
        for name in effects.table[column].dropna().unique()
    }
    order = sorted(groups, key=lambda name: (-groups[name].n_trials, name))
    return {name: pool(groups[name], **options) for name in order}


def pooled_table(results: Mapping[str, PoolResult]) -> pd.DataFrame:
    """Several pooled effects side by side, a row a result.

    Returns
    -------
    DataFrame
        `trials, participants, estimate, ci_low, ci_high, pi_low, pi_high, tau2, i2, p_value`,
        indexed by the names of the results.
    """
    names = "estimate ci_low ci_high pi_low pi_high tau2 i2 p_value".split()
    rows = [
        {
            "trials": result.n_trials,
            "participants": result.n_participants,
            **{name: getattr(result, name) for name in names},
        }
        for result in results.values()
    ]
    return pd.DataFrame(rows, index=pd.Index(results, name="group"))
