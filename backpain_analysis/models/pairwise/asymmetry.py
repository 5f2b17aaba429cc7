"""Small-study effects: whether less precise studies show different effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.heterogeneity import WeightedFit
from backpain_analysis.errors import CannotEstimate, ConvergenceError
from backpain_analysis.models.pairwise.diagnostics import Studies, as_studies
from backpain_analysis.models.pairwise.inputs import numbers
from backpain_analysis.models.pairwise.meta_regression import MetaRegressionResult, meta_regression
from backpain_analysis.models.pairwise.pooling import PoolResult, pool, pooled_table
from backpain_analysis.models.results import TableResult, quantile, two_sided_p

EXACT_UP_TO = 500


PREDICTORS = {
    "sei": lambda v, n: np.sqrt(v),
    "vi": lambda v, n: v,
    "ni": lambda v, n: n,
    "ninv": lambda v, n: 1 / n,
    "sqrtni": lambda v, n: np.sqrt(n),
    "sqrtninv": lambda v, n: 1 / np.sqrt(n),
}
"""What effects may depend on, from sampling variances and numbers of participants."""


@dataclass(frozen=True, repr=False)
class EggerTest(TableResult):
    """Regression test of funnel asymmetry.

    Attributes
    ----------
    model : str
        "mixed" or "classical".
    predictor : str
        What the effects were regressed on.
    slope, slope_se : float
        Change of the effect per unit of the predictor.
    statistic, df, p_value : float
        t statistic of the slope (z for infinite `df`).
    limit, limit_ci_low, limit_ci_high : float
        The intercept: the effect expected of a study without sampling error. Missing for "ni" and
        "sqrtni", which grow without end for such a study.
    n_trials : int
    """

    model: str
    predictor: str
    slope: float
    slope_se: float
    statistic: float
    df: float
    p_value: float
    limit: float
    limit_ci_low: float
    limit_ci_high: float
    n_trials: int

    def _title(self) -> str:
        return f"Egger's test ({self.model}, {self.predictor})"


@dataclass(frozen=True, repr=False)
class RankTest(TableResult):
    """Rank correlation test of funnel asymmetry: Kendall's tau and its two-sided P value."""

    tau: float
    p_value: float
    exact: bool
    n_trials: int

    def _title(self) -> str:
        return "Rank correlation test"


@dataclass(frozen=True, repr=False)
class PetPeese(TableResult):
    """Effects extrapolated to a study without sampling error.

    Attributes
    ----------
    pet, peese : MetaRegressionResult
        Regressions on the standard error and on the variance.
    chosen : {"PET", "PEESE"}
        Whose intercept is the conditional estimate.
    alpha : float
    estimate, se, ci_low, ci_high, p_value : float
        The conditional estimate.
    """

    pet: MetaRegressionResult
    peese: MetaRegressionResult
    chosen: Literal["PET", "PEESE"]
    alpha: float
    estimate: float
    se: float
    ci_low: float
    ci_high: float
    p_value: float

    def summary(self) -> pd.DataFrame:
        """Intercepts of PET and PEESE and the conditional estimate."""
        rows = {"PET": self.pet, "PEESE": self.peese}
        table = pd.DataFrame({name: fit.summary().iloc[0] for name, fit in rows.items()}).T
        table.loc["conditional"] = table.loc[self.chosen]
        return table.rename_axis("estimator")

    def _title(self) -> str:
        return "PET-PEESE"

    def _note(self) -> str:
        return f"Conditional on P < {self.alpha:g} of the PET intercept: {self.chosen}."


def egger_test(
    yi: ArrayLike | PoolResult | Effects,
    vi: ArrayLike | None = None,
    *,
    model: Literal["mixed", "classical"] = "mixed",
    predictor: Literal["sei", "vi", "ni", "ninv", "sqrtni", "sqrtninv"] = "sei",
    ni: ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    method: str | None = None,
    test: str | None = None,
    level: float | None = None,
) -> EggerTest:
    """Test whether effects depend on their standard errors, or on the sizes of the studies.

    "classical" is Egger et al. 1997 (doi 10.1136/bmj.315.7109.629): regression weighted by 1/vi
    with multiplicative dispersion, t on k - 2 degrees of freedom. "mixed" is the meta-regression
    on the standard error (Sterne & Egger 2005, in Publication Bias in Meta-Analysis, ch. 6).
    Standardised mean differences correlate with their standard errors by construction, so a
    small P value of them need not mean asymmetry: take "sqrtninv" (Pustejovsky & Rodgers 2019,
    doi 10.1002/jrsm.1332). On sizes: Macaskill, Walter & Irwig 2001 (doi 10.1002/sim.698); on
    their inverse: Peters et al. 2006 (doi 10.1001/jama.295.6.676). With fewer than ten studies the
    test has little power (Cochrane Handbook 13.3.5.4).

    Parameters
    ----------
    yi : array_like, shape (k,), or PoolResult or Effects
        Effect sizes of independent studies; or a pooled result, whose method, test and level are
        then the defaults.
    vi : array_like, shape (k,)
    model : {"mixed", "classical"}
    predictor : {"sei", "vi", "ni", "ninv", "sqrtni", "sqrtninv"}
        Standard error, variance, number of participants, its inverse, and the roots of the two.
    ni : array_like, shape (k,), optional
        Participants of each study; by default those of the `Effects`.
    labels : sequence of str, optional
        For messages.
    method, test, level : optional
        As of `pool`; `method` and `test` are for "mixed".

    Raises
    ------
    ValueError
        For unusable or correlated effects, fewer than three studies, sizes that are missing or
        not above zero; for studies that are all alike in the predictor.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> round(bp.egger_test(yi, vi).p_value, 2)
    0.64
    >>> found = bp.egger_test(yi, vi, predictor="sqrtninv", ni=[120, 60, 150, 90, 44])
    >>> round(found.p_value, 2)
    0.7
    """
    if model not in ("mixed", "classical"):
        raise ValueError(f"unknown model {model!r}: use 'mixed' or 'classical'.")
    if predictor not in PREDICTORS:
        raise ValueError(f"unknown predictor {predictor!r}: use one of {', '.join(PREDICTORS)}.")
    studies = as_studies(yi, vi, labels, method=method, test=test, level=level, least=3)
    sizes = _sizes(yi, ni, studies) if predictor not in ("sei", "vi") else np.ones(len(studies))
    x = PREDICTORS[predictor](studies.v, sizes)
    if np.ptp(x) <= 1e-10 * x.max():
        alike = (
            "have the same standard error" if predictor in ("sei", "vi") else "are equally large"
        )
        raise CannotEstimate(f"all studies {alike}", "whether effects depend on it cannot be told")
    k = len(studies)
    if model == "mixed":
        fitted = meta_regression("yi ~ x", frame_of(studies).assign(x=x), **studies.options)
        (limit, slope), (limit_se, slope_se) = fitted.params, fitted.bse
        df = float(fitted.df)
    else:
        weighted = WeightedFit(studies.y, studies.v, np.column_stack([np.ones(k), x]))
        df = k - 2.0
        limit, slope = weighted.beta
        limit_se, slope_se = np.sqrt(np.diag(weighted.cov) * weighted.rss / df)
    if predictor in ("ni", "sqrtni"):
        limit = np.nan
    statistic = float(slope / slope_se) if slope_se > 0 else np.nan
    half = quantile(studies.level, df) * limit_se
    return EggerTest(
        model=model,
        predictor=predictor,
        slope=float(slope),
        slope_se=float(slope_se),
        statistic=statistic,
        df=df,
        p_value=float(two_sided_p(np.array(statistic), df)),
        limit=float(limit),
        limit_ci_low=float(limit - half),
        limit_ci_high=float(limit + half),
        n_trials=k,
    )


def _sizes(
    yi: ArrayLike | PoolResult | Effects, ni: ArrayLike | None, studies: Studies
) -> np.ndarray:
    """Participants of each study: as given, or of both arms of `Effects`."""
    if ni is None and isinstance(yi, Effects):
        ni = yi.table["n_arm"].astype(float) + yi.table["n_ref"].astype(float)
    if ni is None:
        raise ValueError("give ni, the number of participants of each study.")
    sizes = numbers(ni, "ni")
    if len(sizes) != len(studies):
        raise ValueError(f"ni has {len(sizes)} values for {len(studies)} studies.")
    unknown = [studies.labels[i] for i in np.flatnonzero(~(sizes > 0) | ~np.isfinite(sizes))]
    if unknown:
        raise ValueError(f"ni must be known and above zero, but is not for {', '.join(unknown)}.")
    return sizes


def rank_test(
    yi: ArrayLike | PoolResult | Effects,
    vi: ArrayLike | None = None,
    *,
    labels: Sequence[str] | None = None,
) -> RankTest:
    """Test the rank correlation of standardised effects with their variances.

    Source: Begg & Mazumdar 1994 (doi 10.2307/2533446). Effects are centred at the common-effect
    estimate and divided by the SD of that difference, `sqrt(v_i - 1/sum(1/v))`; Kendall's tau-b.
    The P value is exact without ties (up to 500 studies), else by the normal approximation with
    the variance for ties and without continuity correction, as in R's cor.test.

    Parameters
    ----------
    yi, vi, labels
        As of `egger_test`.

    Raises
    ------
    ValueError
        As `egger_test`.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> round(bp.rank_test(yi, vi).tau, 2)
    -0.2
    """
    from scipy.stats import kendalltau  # costs a third of a second: only when asked for

    studies = as_studies(yi, vi, labels, least=3)
    check_spread(studies)
    weights = 1 / studies.v
    centred = studies.y - weights @ studies.y / weights.sum()
    standardised = centred / np.sqrt(studies.v - 1 / weights.sum())
    k = len(studies)
    tied = len(np.unique(standardised)) < k or len(np.unique(studies.v)) < k
    exact = not tied and k <= EXACT_UP_TO
    way = "exact" if exact else "asymptotic"
    found = kendalltau(standardised, studies.v, method=way)
    return RankTest(float(found.statistic), float(found.pvalue), exact, k)


def pet_peese(
    yi: ArrayLike | PoolResult | Effects,
    vi: ArrayLike | None = None,
    *,
    labels: Sequence[str] | None = None,
    method: str | None = None,
    test: str | None = None,
    level: float | None = None,
    alpha: float = 0.1,
) -> PetPeese:
    """The effect extrapolated to a standard error of zero.

    PET is the intercept of the meta-regression on the standard error, PEESE that on the variance;
    the conditional estimator is PEESE where the PET intercept differs from zero, else PET
    (Stanley & Doucouliagos 2014, doi 10.1002/jrsm.1095).

    Parameters
    ----------
    yi, vi, labels, method, test, level
        As of `egger_test`.
    alpha : float
        Level of the two-sided test of the PET intercept; 0.1 is a one-sided test at 0.05.

    Raises
    ------
    ValueError
        As `egger_test`.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> round(bp.pet_peese(yi, vi).estimate, 1)
    -2.3
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha {alpha} is not between 0 and 1.")
    studies = as_studies(yi, vi, labels, method=method, test=test, level=level, least=3)
    check_spread(studies)
    data = frame_of(studies)
    pet = meta_regression("yi ~ sei", data, **studies.options)
    peese = meta_regression("yi ~ vi", data, **studies.options)
    chosen: Literal["PET", "PEESE"] = "PEESE" if pet.pvalues.iloc[0] < alpha else "PET"
    row = (peese if chosen == "PEESE" else pet).summary().iloc[0]
    return PetPeese(pet, peese, chosen, alpha, **{name: float(row[name]) for name in row.index})


def check_spread(studies: Studies) -> None:
    """Refuse studies that are all equally precise.

    Raises
    ------
    ValueError
    """
    if np.ptp(studies.v) <= 1e-10 * studies.v.max():
        raise CannotEstimate(
            "all studies have the same standard error",
            "whether effects depend on it cannot be told",
        )


def frame_of(studies: Studies) -> pd.DataFrame:
    """`yi, vi, sei` of the studies, as meta-regressions take them."""
    return pd.DataFrame({"yi": studies.y, "vi": studies.v, "sei": np.sqrt(studies.v)})


@dataclass(frozen=True, repr=False)
class TrimAndFill(TableResult):
    """The pooled effect before and after filling in mirror images of the outermost studies.

    Attributes
    ----------
    estimator : str
    side : {"left", "right"}
        Where studies are taken to be missing.
    k0 : int
        How many.
    observed, filled : PoolResult
        Without and with the filled studies.
    table : DataFrame
        `label, yi, vi, filled`: the observed studies as given, then the filled ones.
    """

    estimator: str
    side: Literal["left", "right"]
    k0: int
    observed: PoolResult
    filled: PoolResult
    table: pd.DataFrame = field(repr=False)

    def summary(self) -> pd.DataFrame:
        """Both pooled effects, as of `pooled_table`."""
        return pooled_table({"observed": self.observed, "filled": self.filled}).drop(
            columns="participants"
        )

    def _title(self) -> str:
        return "Trim and fill"

    def _note(self) -> str:
        return f"{self.estimator}: {self.k0} studies filled on the {self.side}."


def trim_and_fill(
    yi: ArrayLike | PoolResult | Effects,
    vi: ArrayLike | None = None,
    *,
    estimator: Literal["L0", "R0", "Q0"] = "L0",
    side: Literal["left", "right"] | None = None,
    labels: Sequence[str] | None = None,
    method: str | None = None,
    test: str | None = None,
    level: float | None = None,
) -> TrimAndFill:
    """Estimate how many studies are missing on one side of the funnel, and fill them in.

    Source: Duval & Tweedie 2000 (doi 10.1111/j.0006-341X.2000.00455.x;
    doi 10.1080/01621459.2000.10473905). A sensitivity analysis: it takes all asymmetry to be due
    to missing studies.

    Parameters
    ----------
    yi, vi, labels, method, test, level
        As of `egger_test`.
    estimator : {"L0", "R0", "Q0"}
        Of the number of missing studies.
    side : {"left", "right"}, optional
        Where they are missing; None: on the right if effects fall as standard errors grow (in
        the meta-regression on the standard error), else on the left.

    Raises
    ------
    ValueError
        As `egger_test`; equal standard errors only where `side` is None.
    ConvergenceError
        If the number of missing studies does not settle.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> found = bp.trim_and_fill(yi, vi)
    >>> found.k0, found.side
    (0, 'right')
    """
    if estimator not in ("L0", "R0", "Q0"):
        raise ValueError(f"unknown estimator {estimator!r}: use 'L0', 'R0' or 'Q0'.")
    if side not in ("left", "right", None):
        raise ValueError(f"unknown side {side!r}: use 'left', 'right' or None.")
    studies = as_studies(yi, vi, labels, method=method, test=test, level=level, least=3)
    if side is None:
        check_spread(studies)
        slope = meta_regression("yi ~ sei", frame_of(studies), **studies.options).params.iloc[1]
        side = "right" if slope < 0 else "left"
    sign = -1.0 if side == "right" else 1.0
    order = np.argsort(sign * studies.y, kind="stable")
    y, v = sign * studies.y[order], studies.v[order]
    k0, centre = _trim(y, v, estimator, studies)
    outermost = order[len(y) - k0 :]
    mirrored = 2 * sign * centre - studies.y[outermost]
    table = pd.DataFrame(
        {
            "label": studies.labels + [f"filled {studies.labels[i]}" for i in outermost],
            "yi": np.concatenate([studies.y, mirrored]),
            "vi": np.concatenate([studies.v, studies.v[outermost]]),
            "filled": np.arange(len(y) + k0) >= len(y),
        }
    )
    observed = pool(studies.y, studies.v, labels=studies.labels, **studies.options)
    filled = pool(table["yi"], table["vi"], labels=list(table["label"]), **studies.options)
    return TrimAndFill(estimator, side, k0, observed, filled, table)


def _trim(y: np.ndarray, v: np.ndarray, estimator: str, studies: Studies) -> tuple[int, float]:
    """Number of missing studies on the left of ascending `y`, and the centre without excess."""
    k0 = 0
    for _ in range(100):
        kept = slice(0, len(y) - k0)
        centre = pool(y[kept], v[kept], **studies.options).estimate
        found = _missing(y - centre, estimator)
        if found == k0:
            return k0, centre
        k0 = found
    raise ConvergenceError(
        "trim and fill does not settle on a number of missing studies", "use another estimator"
    )


def _missing(centred: np.ndarray, estimator: str) -> int:
    """Estimated number of missing studies, from the ranks of the centred effects.

    Effects that differ from the centre, or from each other, by rounding only count as equal.
    """
    k = len(centred)
    centred = np.round(centred / (np.abs(centred).max() or 1.0), 12)
    ranks = 1 + np.argsort(np.argsort(np.abs(centred), kind="stable"))
    if estimator == "R0":
        found = k - ranks[centred < 0].max(initial=0) - 1
    else:
        positive = ranks[centred > 0].sum()
        if estimator == "L0":
            found = (4 * positive - k * (k + 1)) / (2 * k - 1)
        else:
            inside = 2 * k**2 - 4 * positive + 0.25
            if inside < 0:
                raise CannotEstimate(
                    "the estimator Q0 has no solution for effects that lie so far to one side",
                    "use 'L0' or 'R0'",
                )
            found = k - 0.5 - np.sqrt(inside)
    return int(np.clip(np.round(found), 0, k - 1))
