"""Selection models: the effect if publication depends on the P value by steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.search import ConvergenceError, Maximum, maximise
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.pairwise.diagnostics import as_studies
from backpain_analysis.models.pairwise.pooling import PoolResult, pool
from backpain_analysis.models.results import TableResult, quantile, two_sided_p

ALTERNATIVES = ("less", "greater", "two.sided")

_LOG_WEIGHT_LIMIT = 30.0


@dataclass(frozen=True, repr=False)
class SelectionModel(TableResult):
    """A pooled effect corrected for selection by P value.

    Attributes
    ----------
    estimate, se, ci_low, ci_high, p_value : float
        The effect before selection.
    tau2 : float
    delta : DataFrame
        A row an interval of P values `p_above < p <= p_up_to`: `n_trials` in it, and `delta`, its
        chance of publication relative to the first interval, with `se, ci_low, ci_high`.
    llf : float
    lrt, lrt_df, lrt_p : float
        Likelihood-ratio test against no selection.
    alternative : str
    unadjusted : PoolResult
        The model without selection, by ML.
    """

    estimate: float
    se: float
    ci_low: float
    ci_high: float
    p_value: float
    tau2: float
    delta: pd.DataFrame = field(repr=False)
    llf: float
    lrt: float
    lrt_df: int
    lrt_p: float
    alternative: str
    unadjusted: PoolResult = field(repr=False)

    def summary(self) -> pd.DataFrame:
        """Adjusted and unadjusted effect: `estimate, se, ci_low, ci_high, p_value, tau2, llf`."""
        names = ["estimate", "se", "ci_low", "ci_high", "p_value", "tau2", "llf"]
        rows = {"adjusted": self, "unadjusted": self.unadjusted}
        table = {row: [getattr(of, name) for name in names] for row, of in rows.items()}
        return pd.DataFrame.from_dict(table, orient="index", columns=names).rename_axis("model")

    def _title(self) -> str:
        return f"Selection model, alternative {self.alternative}"

    def _note(self) -> str:
        weights = "; ".join(
            f"{row.delta:.3g} for P up to {row.p_up_to:g}" for row in self.delta.itertuples()
        )
        return f"Relative chance of publication: {weights}. Against none: P = {self.lrt_p:.3g}."


def selection_model(
    yi: ArrayLike | PoolResult | Effects,
    vi: ArrayLike | None = None,
    *,
    steps: float | Sequence[float] = 0.025,
    alternative: Literal["less", "greater", "two.sided"] = "less",
    labels: Sequence[str] | None = None,
    level: float | None = None,
) -> SelectionModel:
    """Fit a random-effects model with a step function of selection, by maximum likelihood.

    A study with effect y is published with a chance proportional to `delta_j` if its P value lies
    in interval j, so its density is `delta_j f(y) / sum_h delta_h P(interval h)`, f normal with
    variance `v + tau2`. Source: Vevea & Hedges 1995 (doi 10.1007/BF02294384). Standard errors are
    from the observed information of effect, tau2 and delta (without tau2 where it is zero);
    intervals of delta are normal and cut at zero, as in metafor.

    Parameters
    ----------
    yi, vi, labels, level
        As of `leave_one_out`; the estimator is always ML, its test z.
    steps : float or sequence of float
        Cut points of the P value, between 0 and 1; one is the three-parameter model.
    alternative : {"less", "greater", "two.sided"}
        Which P values select: those against negative effects (which favour exercise), positive
        effects, or both.

    Returns
    -------
    SelectionModel

    Raises
    ------
    ValueError
        For unusable or correlated effects, fewer than three studies, unusable steps, or an
        interval of P values without studies, whose delta cannot be estimated.
    ConvergenceError
        If the likelihood has no maximum.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> round(bp.selection_model(yi, vi).estimate, 1)
    -9.5
    """
    if alternative not in ALTERNATIVES:
        raise ValueError(
            f"unknown alternative {alternative!r}: use one of {', '.join(ALTERNATIVES)}."
        )
    cuts = np.unique(np.atleast_1d(np.asarray(steps, dtype=float)))
    if not len(cuts) or not np.all((cuts > 0) & (cuts < 1)):
        raise ValueError(f"steps {steps}: give cut points between 0 and 1.")
    studies = as_studies(yi, vi, labels, method="ML", test="z", level=level, least=3)
    unadjusted = pool(studies.y, studies.v, labels=studies.labels, **studies.options)
    sign = -1.0 if alternative == "less" else 1.0
    unit = float(np.sqrt(np.median(studies.v)))
    steps_of = _Steps(sign * studies.y / unit, studies.v / unit**2, cuts, alternative)
    counts = np.bincount(steps_of.interval, minlength=len(cuts) + 1)
    bounds = np.concatenate([[0.0], cuts, [1.0]])
    _check_counts(counts, bounds)
    found = _search(steps_of, sign * unadjusted.estimate / unit, unadjusted.tau2 / unit**2)
    mean, tau2, delta = steps_of.parameters(found.theta)
    errors = _standard_errors(steps_of, mean, tau2, delta)
    critical = quantile(studies.level, np.inf)
    estimate, se = float(sign * mean * unit), float(errors[0] * unit)
    delta_se = np.concatenate([[np.nan], errors[1:]])
    llf = found.value - len(studies) * np.log(unit)
    lrt = max(0.0, 2 * (llf - unadjusted.llf))
    return SelectionModel(
        estimate=estimate,
        se=se,
        ci_low=estimate - critical * se,
        ci_high=estimate + critical * se,
        p_value=float(two_sided_p(np.array(estimate / se), np.inf)),
        tau2=float(tau2 * unit**2),
        delta=pd.DataFrame(
            {
                "p_above": bounds[:-1],
                "p_up_to": bounds[1:],
                "n_trials": counts,
                "delta": delta,
                "se": delta_se,
                "ci_low": np.maximum(0.0, delta - critical * delta_se),
                "ci_high": delta + critical * delta_se,
            }
        ),
        llf=float(llf),
        lrt=float(lrt),
        lrt_df=len(cuts),
        lrt_p=float(special.chdtrc(len(cuts), lrt)),
        alternative=alternative,
        unadjusted=unadjusted,
    )


class _Steps:
    """The likelihood of the model and its derivatives; larger effects have smaller P values.

    With cut points `c_1 > c_2 > ...` of y between segments of weight delta and
    `u = (c - mu)/s`, `s^2 = v + tau2`, the chance of publication of a study is
    `A = sum_h delta_h P(segment h)`, so that `dA = sum_m D_m d Phi(u_m)`, `D_m` the delta below
    the cut less the delta above it.
    """

    def __init__(self, y: np.ndarray, v: np.ndarray, steps: np.ndarray, alternative: str) -> None:
        self.y, self.v = y, v
        se = np.sqrt(v)
        if alternative == "two.sided":
            p = 2 * special.ndtr(-np.abs(y / se))
            quantiles = -special.ndtri(steps / 2)
            quantiles = np.concatenate([quantiles, -quantiles[::-1]])
            segments = [*range(len(steps) + 1), *reversed(range(len(steps)))]
        else:
            p = special.ndtr(-y / se)
            quantiles, segments = -special.ndtri(steps), list(range(len(steps) + 1))
        self.interval = np.searchsorted(steps, p, side="left")
        self.cuts = se[:, None] * quantiles
        self.member = np.eye(len(steps) + 1)[segments]

    def parameters(self, theta: np.ndarray) -> tuple[float, float, np.ndarray]:
        """Mean, tau2 and delta from the search's mean, tau and logarithms of delta[1:]."""
        if np.abs(theta[2:]).max() > _LOG_WEIGHT_LIMIT:
            raise np.linalg.LinAlgError("a relative chance of publication runs off")
        return theta[0], theta[1] ** 2, np.concatenate([[1.0], np.exp(theta[2:])])

    def at(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood, gradient and Hessian by the search's parameters."""
        mean, tau2, delta = self.parameters(theta)
        value, gradient, hessian = self.derivatives(mean, tau2, delta)
        scale = np.concatenate([[1.0, 2 * theta[1]], delta[1:]])
        bend = np.concatenate([[0.0, 2.0], delta[1:]])
        return value, scale * gradient, scale[:, None] * hessian * scale + np.diag(gradient * bend)

    def derivatives(
        self, mean: float, tau2: float, delta: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood, gradient and Hessian by mean, tau2 and delta[1:]."""
        variance = self.v + tau2
        s = np.sqrt(variance)
        residual = self.y - mean
        u = (self.cuts - mean) / s[:, None]
        density = np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)
        chances = _segment_chances(u) @ self.member
        A = chances @ delta
        value = np.sum(
            np.log(delta[self.interval] / A)
            - 0.5 * (np.log(2 * np.pi * variance) + residual**2 / variance)
        )
        jumps = np.diff(self.member, axis=0)
        D = jumps @ delta
        by_mean = -density / s[:, None]
        by_tau2 = -u * density / (2 * variance[:, None])
        n = len(delta) + 1
        first = np.column_stack([by_mean @ D, by_tau2 @ D, chances[:, 1:]]) / A[:, None]
        second = np.zeros((len(s), n, n))
        second[:, 0, 0] = by_tau2 @ D * 2
        second[:, 0, 1] = second[:, 1, 0] = (1 - u**2) * density @ D / (2 * s**3)
        second[:, 1, 1] = u * (3 - u**2) * density @ D / (4 * variance**2)
        second[:, 0, 2:] = second[:, 2:, 0] = by_mean @ jumps[:, 1:]
        second[:, 1, 2:] = second[:, 2:, 1] = by_tau2 @ jumps[:, 1:]
        share = np.bincount(self.interval, minlength=len(delta))[1:]
        gradient = -first.sum(axis=0)
        gradient[0] += np.sum(residual / variance)
        gradient[1] += 0.5 * np.sum((residual**2 - variance) / variance**2)
        gradient[2:] += share / delta[1:]
        hessian = first.T @ first - np.sum(second / A[:, None, None], axis=0)
        hessian[0, 0] -= np.sum(1 / variance)
        hessian[0, 1] -= np.sum(residual / variance**2)
        hessian[1, 0] = hessian[0, 1]
        hessian[1, 1] += np.sum(0.5 / variance**2 - residual**2 / variance**3)
        hessian[2:, 2:] -= np.diag(share / delta[1:] ** 2)
        return float(value), gradient, hessian


def _segment_chances(u: np.ndarray) -> np.ndarray:
    """Normal chances between descending cut points, exact in both tails."""
    edge = np.full((len(u), 1), np.inf)
    upper, lower = np.hstack([edge, u]), np.hstack([u, -edge])
    right = special.ndtr(-lower) - special.ndtr(-upper)
    return np.where(lower > 0, right, special.ndtr(upper) - special.ndtr(lower))


def _search(model: _Steps, mean: float, tau2: float) -> Maximum:
    """The highest of the maxima reached from no, strong and reversed selection."""
    size = max(np.sqrt(tau2), 0.1)
    others = model.member.shape[1] - 1
    best, fault = None, None
    for shift, log_delta in ((1.0, 0.0), (0.3, -1.5), (1.5, 1.0)):
        start = np.concatenate([[mean * shift, size], np.full(others, log_delta)])
        try:
            found = maximise(model.at, start)
        except (CannotEstimate, np.linalg.LinAlgError) as failure:
            fault = failure
            continue
        if best is None or found.value > best.value:
            best = found
    if best is None:
        raise ConvergenceError(
            "the selection model has no maximum of the likelihood", "use fewer steps"
        ) from fault
    return best


def _standard_errors(model: _Steps, mean: float, tau2: float, delta: np.ndarray) -> np.ndarray:
    """Standard errors of the mean and of delta[1:] from the observed information."""
    hessian = model.derivatives(mean, tau2, delta)[2]
    free = np.arange(len(hessian)) != 1 if tau2 < 1e-8 else np.full(len(hessian), True)
    variances = np.full(len(hessian), np.nan)
    variances[free] = np.diag(np.linalg.inv(-hessian[np.ix_(free, free)]))
    return np.sqrt(np.delete(variances, 1))


def _check_counts(counts: np.ndarray, bounds: np.ndarray) -> None:
    empty = [f"{bounds[i]:g} < P <= {bounds[i + 1]:g}" for i in np.flatnonzero(counts == 0)]
    if empty:
        raise CannotEstimate(
            f"no study has {' or '.join(empty)}",
            "its chance of publication cannot be estimated. "
            "Use other steps (or the other alternative)",
        )
