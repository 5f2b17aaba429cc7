"""Random- and common-effect pooling of effect sizes, in all and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.effects.table import Effects, refuse_evidence
from backpain_analysis.engine.heterogeneity import (
    ESTIMATORS,
    WeightedFit,
    estimate_tau2,
    profile_interval,
    q_profile,
    tau2_se,
    typical_variance,
)
from backpain_analysis.engine.mixed import fit
from backpain_analysis.engine.one_variance import independent
from backpain_analysis.engine.tails import chi_square_tail
from backpain_analysis.engine.terms import multi_arm_term
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.models.pairwise.inputs import NO_RESIDUAL, checked_studies, study_names
from backpain_analysis.models.results import (
    CoefficientTable,
    Summary,
    checked_level,
    quantile,
    two_sided_p,
)
from backpain_analysis.words import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from backpain_analysis.models.bayes.model import AnyPrior
    from backpain_analysis.models.bayes.posterior import PooledPosterior


def fitting_test(n_trials: int) -> str:
    """The test for reports that pool few trials: "knapp-hartung" from three on, else "z".

    With two trials the t quantile on one degree of freedom is 12.7, and the interval says nothing
    (Cochrane Handbook 10.10.4.4).
    """
    return "knapp-hartung" if n_trials > 2 else "z"


def scaled_covariance(
    cov: np.ndarray, rss: float, spare: int, test: str, df: float
) -> tuple[np.ndarray, float, float]:
    """Covariance, degrees of freedom and Knapp-Hartung's factor of a test.

    "knapp-hartung" multiplies the covariance by the mean square of the weighted residuals (Knapp &
    Hartung 2003, doi 10.1002/sim.1482); where these are all zero it says nothing, and the
    covariance stays. "adhoc" never multiplies by less than one (Jackson et al. 2017,
    doi 10.1002/sim.7411). Both, and "t", use t quantiles on `df`.
    """
    if test == "z" or spare < 1:
        return cov, np.inf, np.nan
    if test == "t":
        return cov, df, np.nan
    return cov * scales(rss, spare, test), df, rss / spare


def scales(rss: np.ndarray | float, spare: np.ndarray | int, test: str) -> np.ndarray:
    """What a test multiplies the covariance by, of one fit or of many; see `scaled_covariance`."""
    factor = np.asarray(rss / spare)
    if test in ("z", "t"):
        return np.ones(factor.shape)
    used = np.maximum(factor, 1.0) if test == "adhoc" else factor
    return np.where(factor > NO_RESIDUAL, used, 1.0)


@dataclass(frozen=True, repr=False)
class PoolResult(CoefficientTable):
    """A pooled effect.

    Attributes
    ----------
    estimate, se, ci_low, ci_high, p_value : float
    pi_low, pi_high : float
        Prediction interval: where the effect of a new trial is expected. Missing for fewer than
        three trials (Cochrane Handbook 10.10.4.3).
    tau2, tau2_ci_low, tau2_ci_high : float
        Between-trial variance with its Q-profile interval (missing where trials are correlated).
    tau2_se : float
        Its standard error; see `heterogeneity.tau2_se`.
    i2, h2 : float
        I2 in per cent.
    q, q_df, q_p : float
        Cochran's test of heterogeneity.
    method, test : str
    level : float
    df : float
        Degrees of freedom of the t quantile; infinite for "z".
    factor : float
        What Knapp-Hartung's method multiplies the variance by (before "adhoc" lifts it to one).
    common : tuple of float
        The common effect with its normal interval: estimate, lower and upper limit.
    n_trials : int
    n_participants : int or None
        In arms of known size, when an `Effects` was pooled.
    unsized_arms : int
        Arms of unknown size.
    outcome, measure : str
        Of the `Effects` pooled; empty where unknown.
    of_effects : tuple of str
        Notes of the `Effects` that were pooled; part of `notes`.
    llf, aic, bic : float
        Log-likelihood at the estimates: restricted for "REML", else full; and the criteria.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> pooled = bp.pool(yi, vi)
    >>> pooled.params.round(1)
    estimate   -8.8
    dtype: float64
    >>> pooled.conf_int().round(1)
              ci_low  ci_high
    estimate   -14.7     -2.9
    """

    estimate: float
    se: float
    ci_low: float
    ci_high: float
    p_value: float
    pi_low: float
    pi_high: float
    tau2: float
    i2: float
    h2: float
    q: float
    q_df: int
    q_p: float
    method: str
    test: str
    level: float
    df: float
    factor: float
    common: tuple[float, float, float]
    n_trials: int
    n_participants: int | None
    llf: float
    aic: float
    bic: float
    columns: Mapping[str, Any]
    unsized_arms: int = 0
    outcome: str = ""
    measure: str = ""
    of_effects: tuple[str, ...] = ()

    @cached_property
    def _q_profile(self) -> tuple[float, float]:
        y, v = self.columns["yi"], self.columns["vi"]
        if self.n_trials < len(y):
            return np.nan, np.nan
        return q_profile(y, v, np.ones((len(y), 1)), self.level)

    @property
    def tau2_ci_low(self) -> float:
        return self._q_profile[0]

    @property
    def tau2_ci_high(self) -> float:
        return self._q_profile[1]

    @cached_property
    def tau2_se(self) -> float:
        y, v = self.columns["yi"], self.columns["vi"]
        if self.n_trials < len(y):
            return np.nan
        return tau2_se(y, v, np.ones((len(y), 1)), self.tau2, self.method)

    @cached_property
    def table(self) -> pd.DataFrame:
        """`label, yi, vi, weight` (per cent) a contrast."""
        labels = self.columns["label"] or study_names(len(self.columns["yi"]))
        return pd.DataFrame({**self.columns, "label": labels})

    @property
    def tau(self) -> float:
        return float(np.sqrt(self.tau2))

    @cached_property
    def params(self) -> pd.Series:
        return pd.Series({"estimate": self.estimate})

    @cached_property
    def cov(self) -> pd.DataFrame:
        return pd.DataFrame([[self.se**2]], ["estimate"], ["estimate"])

    def predict(self, level: float | None = None) -> pd.DataFrame:
        """The mean effect and where that of a new trial is expected, at any level.

        Returns
        -------
        DataFrame
            One row: `estimate, se, ci_low, ci_high, pi_low, pi_high`.
        """
        level = self.level if level is None else checked_level(level)
        critical = quantile(level, self.df)
        half = critical * self.se
        reach = np.nan if np.isnan(self.pi_low) else critical * np.sqrt(self.se**2 + self.tau2)
        return pd.DataFrame(
            {
                "estimate": self.estimate,
                "se": self.se,
                "ci_low": self.estimate - half,
                "ci_high": self.estimate + half,
                "pi_low": self.estimate - reach,
                "pi_high": self.estimate + reach,
            },
            index=["estimate"],
        )

    def heterogeneity(self, kind: str = "q-profile", level: float | None = None) -> pd.DataFrame:
        """tau2, tau, I2 (per cent) and H2 with their intervals; see `heterogeneity_table`."""
        if self.n_trials < len(self.columns["yi"]):
            raise CannotEstimate(
                "intervals of the heterogeneity are for independent trials, but some of these have "
                "several arms",
                "pool one contrast a trial",
            )
        y, v = self.columns["yi"], self.columns["vi"]
        level = self.level if level is None else checked_level(level)
        return heterogeneity_table(y, v, np.ones((len(y), 1)), self.tau2, self.method, kind, level)

    @property
    def surer_than_errors(self) -> bool:
        """Whether the Knapp-Hartung interval is narrower than that of a common effect."""
        _, low, high = self.common
        used = self.test == "knapp-hartung" and self.factor > NO_RESIDUAL
        return bool(used and self.ci_high - self.ci_low < high - low)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of the interval must know, in sentences; often nothing."""
        notes = []
        percent = f"{100 * self.level:g}%"
        centre, low, high = self.common
        common = f"{centre:.4g} ({percent} CI {low:.4g} to {high:.4g})"
        if self.n_trials == 2 and np.isfinite(self.df):
            notes.append(
                "Two trials leave one degree of freedom, so this interval says little. If both "
                f"had the same effect it would be {common}; `pool` with a `prior` weighs both."
            )
        if self.factor <= NO_RESIDUAL:
            notes.append(
                "The effects are equal, so Knapp-Hartung's method says nothing about the error; "
                "the standard error is that of the sampling errors alone."
            )
        elif self.surer_than_errors:
            notes.append(
                "The Knapp-Hartung interval is narrower than that of a common effect, "
                f"{common}: the trials agree more than their errors let expect (factor "
                f"{self.factor:.2g}). test='adhoc' is never narrower than z."
            )
        return (*notes, *self.of_effects)

    def summary(self) -> Summary:
        """One row: estimate, intervals and heterogeneity."""
        names = "estimate se ci_low ci_high p_value pi_low pi_high tau2 i2 q q_df q_p n_trials"
        values = {name: getattr(self, name) for name in names.split()}
        return Summary(values, index=["estimate"])

    def plot(self, **options: Any) -> Axes:
        """Forest plot of what was pooled: see `figures.forest`."""
        from backpain_analysis import figures

        return figures.forest(self.table, self, **options)

    def _title(self) -> str:
        trials = plural(self.n_trials, "trial")
        return f"Pooled effect of {trials}"

    def _note(self) -> str:
        return " ".join([f"{self.method}, {self.test}.", *self.notes])


HETEROGENEITY_INTERVALS = ("q-profile", "profile-likelihood")


def heterogeneity_table(
    y: np.ndarray,
    v: np.ndarray,
    X: np.ndarray,
    tau2: float,
    method: str,
    kind: str = "q-profile",
    level: float = 0.95,
) -> pd.DataFrame:
    """tau2, tau, I2 and H2 with intervals.

    Those of I2 and H2 follow from that of tau2 at the typical sampling variance (Viechtbauer 2007,
    doi 10.1002/sim.2514).

    Parameters
    ----------
    kind : {"q-profile", "profile-likelihood"}
        The second for "ML" and "REML" only (Hardy & Thompson 1996).

    Returns
    -------
    DataFrame
        Rows `tau2, tau, i2` (per cent), `h2`; columns `estimate, ci_low, ci_high`.

    Raises
    ------
    ValueError
        For an unknown kind, or a profile likelihood of another method.
    """
    if kind not in HETEROGENEITY_INTERVALS:
        raise ValueError(f"unknown kind {kind!r}: use {' or '.join(HETEROGENEITY_INTERVALS)}.")
    if len(y) <= X.shape[1]:
        raise CannotEstimate(
            f"{plural(len(y), 'trial')} and {plural(X.shape[1], 'coefficient')} cannot tell how "
            "trials differ"
        )
    if kind == "q-profile":
        limits = q_profile(y, v, X, level)
    elif method in ("ML", "REML"):
        limits = profile_interval(y, v, X, level, reml=method == "REML")
    else:
        raise ValueError(f"method {method!r} has no likelihood to profile: use 'q-profile'.")
    values = np.array([tau2, *limits])
    ratio = values / typical_variance(v, X)
    with np.errstate(invalid="ignore"):
        i2 = np.where(np.isinf(ratio), 100.0, 100 * ratio / (1 + ratio))
    rows = {"tau2": values, "tau": np.sqrt(values), "i2": i2, "h2": 1 + ratio}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "ci_low", "ci_high"])


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
    method : {"REML", "ML", "CE", "DL", "HE", "HS", "HSk", "SJ", "PM", "PMM", "EB", "SJIT", "DLIT"}
        Estimator of tau2 (see `heterogeneity.estimate_tau2`); "CE" is the common-effect model.
        "FE" and "EE" are other names of it.
    test : {"knapp-hartung", "adhoc", "t", "z"}
        Knapp & Hartung 2003 (doi 10.1002/sim.1482): scale the variance by the weighted residual
        mean square, t quantiles on k - 1 degrees of freedom (trials - 1 for `Effects`); "knha"
        and "hksj" are other names. "adhoc" never scales by less than one, "t" does not scale.
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

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> bp.pool(yi, vi).params.round(2)
    estimate   -8.83
    dtype: float64
    """
    refuse_evidence(yi)
    effects: Effects | None = None
    values: ArrayLike
    if isinstance(yi, Effects):
        if vi is not None:
            raise ValueError("Effects carry their own variances: leave out vi.")
        effects = yi
        values, vi = effects.table["yi"].to_numpy(), effects.table["vi"].to_numpy()
        labels = list(effects.table["label"]) if labels is None else labels
    else:
        values = yi
    y, v, labels, method, test = checked_studies(values, vi, labels, method, test, level)
    if prior is not None:
        return _posterior(y, v, labels, effects, prior, level)
    if effects is None or effects.n_trials == len(y):
        result = _pool_independent(y, v, labels, method, test, level)
    else:
        blocks = effects.table["trial_id"].to_numpy()
        result = _pool_blocks(y, v, effects.covariance, blocks, labels, method, test, level)
    if effects is None:
        return result
    return replace(
        result,
        n_participants=effects.n_participants,
        unsized_arms=effects.unsized_arms,
        outcome=effects.outcome,
        measure=effects.measure,
        of_effects=effects.notes,
    )


def _posterior(
    y: np.ndarray,
    v: np.ndarray,
    labels: list[str] | None,
    effects: Effects | None,
    prior: AnyPrior | str,
    level: float,
) -> PooledPosterior:
    from backpain_analysis.models.bayes.model import chosen_prior, implied_sd, pooling_model
    from backpain_analysis.models.bayes.posterior import pooled

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
    return replace(
        pooled(model, chosen, level),
        n_participants=effects.n_participants,
        unsized_arms=effects.unsized_arms,
    )


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
        tau2, llf = independent(y, v, X, reml=method == "REML")
    weighted, common = WeightedFit(y, v, X, tau2), WeightedFit(y, v, X)
    if method != "REML":
        llf = -0.5 * (float(np.sum(np.log(2 * np.pi / weighted.weights))) + weighted.rss)
    typical = common.typical_variance if k > 1 else np.nan
    return _result(
        estimate=float(weighted.beta[0]),
        variance=float(weighted.cov[0, 0]),
        rss=weighted.rss,
        common=(float(common.beta[0]), float(common.cov[0, 0]), common.rss),
        tau2=tau2,
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
        common=(float(common.beta[0]), float(common.cov_beta[0, 0]), common.rss),
        tau2=tau2,
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
    common: tuple[float, float, float],
    tau2: float,
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
    q = common[2]
    cov, df, factor = scaled_covariance(
        np.array([[variance]]), rss, k - 1 if n_trials > 1 else 0, test, n_trials - 1.0
    )
    se = float(np.sqrt(cov[0, 0]))
    critical = quantile(level, df)
    half, reach = critical * se, critical * float(np.sqrt(cov[0, 0] + tau2))
    if n_trials < 3 and method != "CE":
        reach = np.nan
    q_df = k - 1
    if method == "CE" or not q_df:
        h2 = max(1.0, q / q_df) if q_df else np.nan
        i2 = 100 * (h2 - 1) / h2
    else:
        h2 = 1 + tau2 / typical
        i2 = 100 * tau2 / (tau2 + typical)
    n_parameters = 1 + (method != "CE")
    normal = quantile(level, np.inf) * float(np.sqrt(common[1]))
    return PoolResult(
        estimate=estimate,
        se=se,
        ci_low=estimate - half,
        ci_high=estimate + half,
        p_value=float(two_sided_p(np.array(estimate / se), df)) if se > 0 else np.nan,
        pi_low=estimate - reach,
        pi_high=estimate + reach,
        tau2=tau2,
        i2=i2,
        h2=h2,
        q=q,
        q_df=q_df,
        q_p=chi_square_tail(q, q_df) if q_df else np.nan,
        method=method,
        test=test,
        level=level,
        df=df,
        factor=factor,
        common=(common[0], common[0] - normal, common[0] + normal),
        n_trials=n_trials,
        n_participants=None,
        llf=llf,
        aic=-2 * llf + 2 * n_parameters,
        bic=-2 * llf + float(np.log(max(k - (method == "REML"), 1))) * n_parameters,
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

    Examples
    --------
    >>> effects = bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
    >>> sorted(bp.pool_by(effects))[:3]
    ['aerobic_running', 'general_mixed', 'mckenzie']
    """
    require(effects, "Effects")
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

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> effects = evidence.effects("pain_intensity")
    >>> bp.pooled_table(bp.pool_by(effects))[["estimate", "ci_low", "ci_high"]].round(
    ...     1
    ... ).head(3)
              estimate  ci_low  ci_high
    group
    yoga          -6.8   -12.4     -1.3
    pilates      -18.8   -34.4     -3.2
    mckenzie      -7.0   -32.9     18.9
    """
    require(results, "dict", "Mapping")
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
