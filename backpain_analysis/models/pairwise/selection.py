"""Selection models: the effect if publication depends on the P value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, special

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.search import ConvergenceError, Maximum, maximise
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.pairwise.diagnostics import Studies, as_studies
from backpain_analysis.models.pairwise.meta_regression import MetaRegressionResult, meta_regression
from backpain_analysis.models.pairwise.pooling import PoolResult, pool
from backpain_analysis.models.results import TableResult, checked_level, quantile, two_sided_p

_LOG_WEIGHT_LIMIT = 30.0
_NODES = 100

SMALLEST_P = 1e-5
"""Of beta weights: smaller P values count as this."""


class Selected:
    """Effects with weights of publication; larger effects have smaller P values.

    A study with effect y has the density `w(p) f(y) / A`, f normal with mean `x b` and variance
    `v + tau2`, A the mean of w over f.

    Attributes
    ----------
    y, v : ndarray, shape (k,)
    X : ndarray, shape (k, p)
    n_weights : int
        Free parameters of w.
    """

    n_weights: int

    def __init__(self, y: np.ndarray, v: np.ndarray, X: np.ndarray) -> None:
        self.y, self.v, self.X = y, v, X

    def rows(
        self, mean: np.ndarray, tau2: float, delta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log-densities, and their derivatives by mean, tau2 and free weights.

        Returns
        -------
        value : ndarray, shape (k,)
        first : ndarray, shape (k, m)
        second : ndarray, shape (k, m, m)
        """
        raise NotImplementedError

    def parameters(self, theta: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Coefficients, tau2 and delta from coefficients, tau and logarithms of the free delta.

        Raises
        ------
        LinAlgError
            Where a weight runs off.
        """
        p = self.X.shape[1]
        if np.abs(theta[p + 1 :]).max() > _LOG_WEIGHT_LIMIT:
            raise np.linalg.LinAlgError("a relative chance of publication runs off")
        return theta[:p], float(theta[p] ** 2), self.weights(np.exp(theta[p + 1 :]))

    def weights(self, free: np.ndarray) -> np.ndarray:
        """All weights from the free ones."""
        return free

    def at(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood, gradient and Hessian by the search's parameters."""
        p = self.X.shape[1]
        beta, tau2, delta = self.parameters(theta)
        value, gradient, hessian = self.derivatives(beta, tau2, delta)
        free = delta[len(delta) - self.n_weights :]
        scale = np.concatenate([np.ones(p), [2 * theta[p]], free])
        bend = np.concatenate([np.zeros(p), [2.0], free])
        return value, scale * gradient, scale[:, None] * hessian * scale + np.diag(gradient * bend)

    def derivatives(
        self, beta: np.ndarray, tau2: float, delta: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood, gradient and Hessian by coefficients, tau2 and free delta."""
        X, p = self.X, self.X.shape[1]
        value, first, second = self.rows(X @ beta, tau2, delta)
        gradient = np.concatenate([X.T @ first[:, 0], first[:, 1:].sum(axis=0)])
        hessian = np.zeros((len(gradient), len(gradient)))
        hessian[:p, :p] = X.T @ (X * second[:, :1, 0])
        hessian[:p, p:] = X.T @ second[:, 0, 1:]
        hessian[p:, :p] = hessian[:p, p:].T
        hessian[p:, p:] = second[:, 1:, 1:].sum(axis=0)
        return float(value.sum()), gradient, hessian

    def _normal(
        self, mean: np.ndarray, tau2: float, m: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log-densities without selection and their derivatives, of `m` parameters."""
        variance, residual = self.v + tau2, self.y - mean
        value = -0.5 * (np.log(2 * np.pi * variance) + residual**2 / variance)
        first, second = np.zeros((len(value), m)), np.zeros((len(value), m, m))
        first[:, 0] = residual / variance
        first[:, 1] = 0.5 * (residual**2 - variance) / variance**2
        second[:, 0, 0] = -1 / variance
        second[:, 0, 1] = second[:, 1, 0] = -residual / variance**2
        second[:, 1, 1] = 0.5 / variance**2 - residual**2 / variance**3
        return value, first, second


class Steps(Selected):
    """Weights that are constant between cut points of the P value; the first is one.

    With cut points `c_1 > c_2 > ...` of y between segments of weight delta and `u = (c - mu)/s`,
    `s^2 = v + tau2`, `A = sum_h delta_h P(segment h)`, so that `dA = sum_m D_m d Phi(u_m)`, `D_m`
    the delta below the cut less the delta above it.
    """

    def __init__(
        self, y: np.ndarray, v: np.ndarray, X: np.ndarray, steps: np.ndarray, alternative: str
    ) -> None:
        super().__init__(y, v, X)
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
        self.counts = np.bincount(self.interval, minlength=len(steps) + 1)
        self.cuts = se[:, None] * quantiles
        self.member = np.eye(len(steps) + 1)[segments]
        self.n_weights = len(steps)

    def weights(self, free: np.ndarray) -> np.ndarray:
        return np.append(1.0, free)

    def rows(
        self, mean: np.ndarray, tau2: float, delta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        variance = self.v + tau2
        s = np.sqrt(variance)
        u = (self.cuts - mean[:, None]) / s[:, None]
        density = np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)
        chances = _segment_chances(u) @ self.member
        A = chances @ delta
        jumps = np.diff(self.member, axis=0)
        D = jumps @ delta
        by_mean = -density / s[:, None]
        by_tau2 = -u * density / (2 * variance[:, None])
        n = len(delta) + 1
        of_A = np.column_stack([by_mean @ D, by_tau2 @ D, chances[:, 1:]]) / A[:, None]
        bent = np.zeros((len(s), n, n))
        bent[:, 0, 0] = by_tau2 @ D * 2
        bent[:, 0, 1] = bent[:, 1, 0] = (1 - u**2) * density @ D / (2 * s**3)
        bent[:, 1, 1] = u * (3 - u**2) * density @ D / (4 * variance**2)
        bent[:, 0, 2:] = bent[:, 2:, 0] = by_mean @ jumps[:, 1:]
        bent[:, 1, 2:] = bent[:, 2:, 1] = by_tau2 @ jumps[:, 1:]
        value, first, second = self._normal(mean, tau2, n)
        value += np.log(delta[self.interval] / A)
        own = (self.interval[:, None] == np.arange(1, len(delta))) / delta[1:]
        first -= of_A
        first[:, 2:] += own
        second += of_A[:, :, None] * of_A[:, None, :] - bent / A[:, None, None]
        places = np.arange(2, n)
        second[:, places, places] -= own**2
        return value, first, second


class BetaWeights(Selected):
    """Weights `p^(delta_1 - 1) (1 - p)^(delta_2 - 1)` of the one-sided P value.

    P counts as 0.00001 where it is smaller, and likewise at one, as in the program of Citkowicz &
    Vevea: the weights would have no mean otherwise. Between these, A is the integral of a smooth
    function of `z = y / se`, by Gauss and Legendre's rule; beyond, of normal tails.
    """

    n_weights = 2

    def __init__(self, y: np.ndarray, v: np.ndarray, X: np.ndarray) -> None:
        super().__init__(y, v, X)
        end = -special.ndtri(SMALLEST_P)
        nodes, shares = np.polynomial.legendre.leggauss(_NODES)
        self.z, self.shares = end * nodes, end * shares
        self.ends = np.array([-end, end])
        z = np.clip(y / np.sqrt(v), -end, end)
        self.own, self.logs, self.tails = (
            np.stack([special.log_ndtr(-at), special.log_ndtr(at)], axis=-1)
            for at in (z, self.z, self.ends)
        )

    def rows(
        self, mean: np.ndarray, tau2: float, delta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        variance, se = self.v + tau2, np.sqrt(self.v)[:, None]
        s, wide = np.sqrt(variance)[:, None], variance[:, None]
        u = (se * self.z - mean[:, None]) / s
        weight = self.shares * np.exp(self.logs @ (delta - 1)) / np.sqrt(2 * np.pi)
        mass = weight * np.exp(-0.5 * u**2) * se / s
        scores = np.stack([u / s, (u**2 - 1) / (2 * wide)], axis=-1)
        A, of_A = mass.sum(axis=1), np.zeros((len(variance), 4))
        bent = np.zeros((len(variance), 4, 4))
        of_A[:, :2], of_A[:, 2:] = np.einsum("kn,kna->ka", mass, scores), mass @ self.logs
        weighted = mass[:, :, None] * scores
        bent[:, :2, :2] = weighted.transpose(0, 2, 1) @ scores
        bent[:, 0, 0] -= A / variance
        bent[:, 0, 1] -= (mass * u).sum(axis=1) / s[:, 0] ** 3
        bent[:, 1, 1] += (mass * (0.5 - u**2)).sum(axis=1) / variance**2
        bent[:, :2, 2:] = weighted.transpose(0, 2, 1) @ self.logs
        bent[:, 2:, 2:] = np.einsum("kn,na,nb->kab", mass, self.logs, self.logs)
        for end, logs, side in zip(self.ends, self.tails, (1.0, -1.0), strict=True):
            u = (se * end - mean[:, None]) / s
            tail = np.exp(logs @ (delta - 1))
            density = side * tail * np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)
            chance = tail * special.ndtr(side * u[:, 0])
            moved = np.hstack([-density / s, -u * density / (2 * wide)])
            A += chance
            of_A[:, :2] += moved
            of_A[:, 2:] += chance[:, None] * logs
            bent[:, 0, 0] += 2 * moved[:, 1]
            bent[:, 0, 1] += ((1 - u**2) * density / (2 * s**3))[:, 0]
            bent[:, 1, 1] += (u * (3 - u**2) * density / (4 * wide**2))[:, 0]
            bent[:, :2, 2:] += moved[:, :, None] * logs
            bent[:, 2:, 2:] += chance[:, None, None] * np.outer(logs, logs)
        bent[:, 1, 0] = bent[:, 0, 1]
        bent[:, 2:, :2] = bent[:, :2, 2:].transpose(0, 2, 1)
        if not A.min() > 0:
            raise np.linalg.LinAlgError("the weights have no mean")
        of_A = of_A / A[:, None]
        value, first, second = self._normal(mean, tau2, 4)
        first[:, 2:] += self.own
        second += of_A[:, :, None] * of_A[:, None, :] - bent / A[:, None, None]
        return value + self.own @ (delta - 1) - np.log(A), first - of_A, second


def _segment_chances(u: np.ndarray) -> np.ndarray:
    """Normal chances between descending cut points, exact in both tails."""
    edge = np.full((len(u), 1), np.inf)
    upper, lower = np.hstack([edge, u]), np.hstack([u, -edge])
    right = special.ndtr(-lower) - special.ndtr(-upper)
    return np.where(lower > 0, right, special.ndtr(upper) - special.ndtr(lower))


ALTERNATIVES = ("less", "greater", "two.sided")

FARTHEST = 12.0
"""Logarithms of delta, and tau over the typical standard error, where profiles are given up."""


@dataclass(frozen=True, repr=False)
class SelectionModel(TableResult):
    """A pooled effect, or a meta-regression, corrected for selection by P value.

    Attributes
    ----------
    estimate, se, ci_low, ci_high, p_value : float
        The effect before selection; with moderators the first coefficient.
    coefficients : DataFrame
        The same for every coefficient, a row each.
    tau2 : float
    delta : DataFrame
        Of steps a row an interval of P values `p_above < p <= p_up_to`: `n_trials` in it, and
        `delta`, its chance of publication relative to the first interval, with `se, ci_low,
        ci_high`; of beta weights a row a parameter.
    llf : float
    lrt, lrt_df, lrt_p : float
        Likelihood-ratio test against no selection.
    alternative, form : str
    unadjusted : PoolResult or MetaRegressionResult
        The model without selection, by ML.
    """

    estimate: float
    se: float
    ci_low: float
    ci_high: float
    p_value: float
    coefficients: pd.DataFrame = field(repr=False)
    tau2: float
    delta: pd.DataFrame = field(repr=False)
    llf: float
    lrt: float
    lrt_df: int
    lrt_p: float
    alternative: str
    form: str
    level: float
    unadjusted: PoolResult | MetaRegressionResult = field(repr=False)
    likelihood: Selected = field(repr=False)
    maximum: Maximum = field(repr=False)
    unit: float = field(repr=False)

    def summary(self) -> pd.DataFrame:
        """Adjusted and unadjusted effect: `estimate, se, ci_low, ci_high, p_value, tau2, llf`."""
        bare = self.unadjusted
        row = bare.summary().iloc[0][["estimate", "se", "ci_low", "ci_high", "p_value"]]
        names = [*row.index, "tau2", "llf"]
        rows = {
            "adjusted": [getattr(self, name) for name in names],
            "unadjusted": [*row, bare.tau2, bare.llf],
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=names).rename_axis("model")

    def profile_intervals(self, level: float | None = None) -> pd.DataFrame:
        """Profile-likelihood intervals of tau2 and delta: what a likelihood-ratio test keeps.

        Those of delta from the observed information, in `delta`, are symmetric and can be far off
        with few studies in an interval.

        Returns
        -------
        DataFrame
            `estimate, ci_low, ci_high`; rows `tau2`, then a delta each. Zero and infinity where
            the likelihood never falls far enough.
        """
        level = self.level if level is None else checked_level(level)
        drop = float(special.chdtri(1, 1 - level))
        first, theta = self.likelihood.X.shape[1], self.maximum.theta
        rows = {}
        for index in range(first, len(theta)):
            limits = list(_profile(self.likelihood, self.maximum, index, drop))
            if index == first:
                rows["tau2"] = (self.unit * np.array([theta[index], *limits])) ** 2
            else:
                free = self.delta.index[len(self.delta) - (len(theta) - first - 1) :]
                rows[free[index - first - 1]] = np.exp([theta[index], *limits])
        return pd.DataFrame.from_dict(
            rows, orient="index", columns=["estimate", "ci_low", "ci_high"]
        )

    def _title(self) -> str:
        return f"Selection model ({self.form}), alternative {self.alternative}"

    def _note(self) -> str:
        test = f"Against none: P = {self.lrt_p:.3g}."
        if self.form == "beta":
            one, two = self.delta["delta"]
            return f"Chance of publication as p^{one - 1:.3g} (1 - p)^{two - 1:.3g}. {test}"
        weights = "; ".join(
            f"{row.delta:.3g} for P up to {row.p_up_to:g}" for row in self.delta.itertuples()
        )
        return f"Relative chance of publication: {weights}. {test}"


def selection_model(
    yi: ArrayLike | PoolResult | MetaRegressionResult | Effects,
    vi: ArrayLike | None = None,
    *,
    form: Literal["steps", "beta"] = "steps",
    steps: float | Sequence[float] = 0.025,
    alternative: Literal["less", "greater", "two.sided"] = "less",
    labels: Sequence[str] | None = None,
    level: float | None = None,
) -> SelectionModel:
    """Fit a random-effects model with selection by P value, by maximum likelihood.

    "steps": a study is published with a chance proportional to `delta_j` if its P value lies in
    interval j, so its density is `delta_j f(y) / sum_h delta_h P(interval h)`, f normal with
    variance `v + tau2` (Vevea & Hedges 1995, doi 10.1007/BF02294384). "beta": with a chance
    proportional to `p^(delta_1 - 1) (1 - p)^(delta_2 - 1)`, p between 0.00001 and 0.99999
    (Citkowicz & Vevea 2017, doi 10.1037/met0000119). Standard errors are from the observed
    information of coefficients, tau2 and delta (without tau2 where it is zero);
    intervals of delta are normal and cut at zero, as in metafor; see
    `SelectionModel.profile_intervals`.

    Parameters
    ----------
    yi, vi, labels, level
        As of `leave_one_out`; the estimator is always ML, its test z. A fitted meta-regression as
        `yi` brings its moderators.
    form : {"steps", "beta"}
    steps : float or sequence of float
        Cut points of the P value, between 0 and 1; one is the three-parameter model.
    alternative : {"less", "greater", "two.sided"}
        Which P values select: those against negative effects (which favour exercise), positive
        effects, or both; both for steps only.

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
    if form not in ("steps", "beta"):
        raise ValueError(f"unknown form {form!r}: use 'steps' or 'beta'.")
    if form == "beta" and alternative == "two.sided":
        raise ValueError("beta weights are for one-sided P values: use 'less' or 'greater'.")
    cuts = np.unique(np.atleast_1d(np.asarray(steps, dtype=float)))
    if not len(cuts) or not np.all((cuts > 0) & (cuts < 1)):
        raise ValueError(f"steps {steps}: give cut points between 0 and 1.")
    studies, X, names, unadjusted = _without_selection(yi, vi, labels, level)
    sign = -1.0 if alternative == "less" else 1.0
    unit = float(np.sqrt(np.median(studies.v)))
    orthonormal, triangle = _orthonormal(X)
    y, v = sign * studies.y / unit, studies.v / unit**2
    model: Selected
    if form == "beta":
        model = BetaWeights(y, v, orthonormal)
    else:
        model = Steps(y, v, orthonormal, cuts, alternative)
        _check_counts(model.counts, np.concatenate([[0.0], cuts, [1.0]]))
    start = sign * triangle @ unadjusted.params.to_numpy() / unit
    found = _search(model, start, unadjusted.tau2 / unit**2)
    beta, tau2, delta = model.parameters(found.theta)
    covariance = _covariance(model, beta, tau2, delta)
    back, critical = sign * unit * np.linalg.inv(triangle), quantile(studies.level, np.inf)
    p = len(beta)
    estimates = back @ beta
    errors = np.sqrt(np.diag(back @ covariance[:p, :p] @ back.T))
    table = pd.DataFrame({"estimate": estimates, "se": errors}, names)
    table["ci_low"], table["ci_high"] = estimates - critical * errors, estimates + critical * errors
    table["p_value"] = two_sided_p(estimates / errors, np.inf)
    llf = found.value - len(studies) * np.log(unit)
    lrt = max(0.0, 2 * (llf - unadjusted.llf))
    df = len(found.theta) - p - 1
    return SelectionModel(
        **{name: float(value) for name, value in table.iloc[0].items()},
        coefficients=table,
        tau2=float(tau2 * unit**2),
        delta=_told(model, cuts, delta, np.sqrt(np.diag(covariance)[p + 1 :]), critical),
        llf=float(llf),
        lrt=float(lrt),
        lrt_df=df,
        lrt_p=float(special.chdtrc(df, lrt)),
        alternative=alternative,
        form=form,
        level=studies.level,
        unadjusted=unadjusted,
        likelihood=model,
        maximum=found,
        unit=unit,
    )


def _without_selection(
    yi: ArrayLike | PoolResult | MetaRegressionResult | Effects,
    vi: ArrayLike | None,
    labels: Sequence[str] | None,
    level: float | None,
) -> tuple[Studies, np.ndarray, list[str], PoolResult | MetaRegressionResult]:
    """The studies, their model matrix, names of its columns, and the model without selection."""
    if isinstance(yi, MetaRegressionResult):
        if vi is not None or labels is not None:
            raise ValueError("a fitted meta-regression carries its own variances and names.")
        kept = yi.level if level is None else checked_level(level)
        names = [str(label) for label in yi.data.index]
        studies = Studies(yi.design.y, yi.vi, names, "ML", "z", kept)
        data = yi.data.assign(**{" vi": yi.vi})
        refit = meta_regression(yi.formula, data, vi=" vi", **studies.options)
        return studies, yi.design.X, list(yi.params.index), refit
    studies = as_studies(yi, vi, labels, method="ML", test="z", level=level, least=3)
    pooled = pool(studies.y, studies.v, labels=studies.labels, **studies.options)
    return studies, np.ones((len(studies), 1)), ["estimate"], pooled


def _orthonormal(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X as columns of unit size that do not correlate, times a triangle."""
    q, r = np.linalg.qr(X)
    flip = np.sign(np.diag(r)) * np.sqrt(len(X))
    return q * flip, r / flip[:, None]


def _told(
    model: Selected, cuts: np.ndarray, delta: np.ndarray, errors: np.ndarray, critical: float
) -> pd.DataFrame:
    """The parameters of selection with their intervals."""
    table = pd.DataFrame(index=["delta 1", "delta 2"])
    if isinstance(model, Steps):
        errors = np.concatenate([[np.nan], errors])
        above, up_to = np.append(0.0, cuts), np.append(cuts, 1.0)
        table = pd.DataFrame({"p_above": above, "p_up_to": up_to, "n_trials": model.counts})
    low = np.maximum(0.0, delta - critical * errors)
    return table.assign(delta=delta, se=errors, ci_low=low, ci_high=delta + critical * errors)


def _search(model: Selected, start: np.ndarray, tau2: float) -> Maximum:
    """The highest of the maxima reached from no, strong and reversed selection."""
    size = max(np.sqrt(tau2), 0.1)
    starts = [
        np.concatenate([start * shift, [size], np.full(model.n_weights, log_delta)])
        for shift, log_delta in ((1.0, 0.0), (0.3, -1.5), (1.5, 1.0))
    ]
    best = _highest(model, starts, np.full(len(starts[0]), True))
    if best is None:
        raise ConvergenceError(
            "the selection model has no maximum of the likelihood", "use fewer steps"
        )
    return best


def _highest(model: Selected, starts: Sequence[np.ndarray], free: np.ndarray) -> Maximum | None:
    """The highest maximum over the free parameters; None where no start reaches one."""
    best = None
    for start in starts:

        def at(part: np.ndarray, start: np.ndarray = start) -> tuple:
            theta = start.copy()
            theta[free] = part
            value, gradient, hessian = model.at(theta)
            return value, gradient[free], hessian[np.ix_(free, free)]

        try:
            found = maximise(at, start[free])
        except (CannotEstimate, np.linalg.LinAlgError):
            continue
        if best is None or found.value > best.value:
            theta = start.copy()
            theta[free] = found.theta
            best = Maximum(theta, found.value, found.n_iterations)
    return best


def _profile(model: Selected, best: Maximum, index: int, drop: float) -> Iterator[float]:
    """Where twice the log-likelihood, a parameter held, lies `drop` below its maximum."""
    free = np.arange(len(best.theta)) != index
    first, is_tau = model.X.shape[1], index == model.X.shape[1]
    centre = abs(best.theta[index]) if is_tau else best.theta[index]
    last = best.theta.copy()

    def gap(value: float) -> float:
        nonlocal last
        near, plain = last.copy(), best.theta.copy()
        plain[first], plain[first + 1 :] = 0.05, 0.0
        near[index] = plain[index] = value
        found = _highest(model, [near, plain], free)
        if found is None:
            return np.inf
        last = found.theta
        return 2 * (best.value - found.value) - drop

    for direction in (-1.0, 1.0):
        last, inner, step = best.theta.copy(), centre, 0.5
        end = 0.0 if is_tau and direction < 0 else direction * FARTHEST
        while True:
            outer = inner + direction * step
            if direction * (outer - end) >= 0:
                outer = end
            value = gap(outer)
            if value > 0:
                yield float(optimize.brentq(gap, inner, outer, xtol=1e-10, rtol=1e-10))
                break
            if outer == end:
                yield 0.0 if is_tau and direction < 0 else direction * np.inf
                break
            inner, step = outer, 2 * step


def _covariance(model: Selected, beta: np.ndarray, tau2: float, delta: np.ndarray) -> np.ndarray:
    """Covariance of coefficients, tau2 and free delta from the observed information."""
    hessian = model.derivatives(beta, tau2, delta)[2]
    free = np.full(len(hessian), True)
    free[len(beta)] = tau2 >= 1e-8
    covariance = np.full(hessian.shape, np.nan)
    information = -hessian[np.ix_(free, free)]
    values, vectors = np.linalg.eigh(information)
    if values[0] > 1e-12 * values[-1]:
        covariance[np.ix_(free, free)] = (vectors / values) @ vectors.T
    return covariance


def _check_counts(counts: np.ndarray, bounds: np.ndarray) -> None:
    empty = [f"{bounds[i]:g} < P <= {bounds[i + 1]:g}" for i in np.flatnonzero(counts == 0)]
    if empty:
        raise CannotEstimate(
            f"no study has {' or '.join(empty)}",
            "its chance of publication cannot be estimated. "
            "Use other steps (or the other alternative)",
        )
