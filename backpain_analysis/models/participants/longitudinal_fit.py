"""The highest likelihood of the longitudinal mixed model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backpain_analysis.models.mixed import components_of
from backpain_analysis.models.optimise import ConvergenceError, Derivatives, maximise
from backpain_analysis.models.participants.longitudinal_likelihood import Point, Sums, evaluate
from backpain_analysis.models.terms import RandomTerm, ScaledTerm

STARTS = (0.2, 1.0, 5.0, 25.0, 125.0)
"""Standard deviations of the random effects over the residual one."""
NEGLIGIBLE = 1e-5


@dataclass(frozen=True)
class SumsFit:
    """Where the likelihood is highest.

    Attributes
    ----------
    point : Point
    psi : ndarray, shape (q, q)
        Covariance of a participant's random effects.
    trial_variance : float or None
        Variance of the trials' intercepts, where they are random.
    n_variance_parameters : int
        With the residual variance.
    n_iterations : int
    """

    point: Point
    psi: np.ndarray
    trial_variance: float | None
    n_variance_parameters: int
    n_iterations: int


def fit_sums(sums: Sums, *, reml: bool) -> SumsFit:
    """Maximise the profiled likelihood over Cholesky factors of the relative covariances.

    Raises
    ------
    ValueError
        Where the scores do not vary beyond the model.
    ConvergenceError
        If no maximum was found; says what to do.
    """
    q = len(sums.design)
    terms = [ScaledTerm(RandomTerm(np.eye(q)), q)]
    if sums.trial_effect == "random":
        terms.append(ScaledTerm(RandomTerm(np.ones(1)), 1))

    def at(theta: np.ndarray) -> Derivatives:
        values, jacobian, curvature = components_of(terms, theta)
        point = evaluate(sums, values, reml=reml)
        hessian = jacobian.T @ point.hessian @ jacobian
        hessian = hessian + np.tensordot(point.gradient, curvature, axes=1)
        return point.llf, jacobian.T @ point.gradient, hessian

    starts = [np.concatenate([term.start(size) for term in terms]) for size in STARTS]
    try:
        found = maximise(at, max(starts, key=lambda start: at(start)[0]))
    except np.linalg.LinAlgError:
        raise ValueError(
            "the scores do not vary beyond the model: nothing is left to fit."
        ) from None
    except ConvergenceError:
        raise ConvergenceError(
            "the likelihood has no maximum that could be found: the visits may not tell the "
            "variances apart. Use random='intercept', trial_effect='fixed' (or None), or fewer "
            "terms in the fixed part; or look for scores that repeat without any variation."
        ) from None
    theta = _without_negligible(at, found.theta)
    values = components_of(terms, theta)[0]
    point = evaluate(sums, values, reml=reml)
    lower = terms[0].factor(theta[: terms[0].n_parameters])
    return SumsFit(
        point=point,
        psi=point.sigma2 * lower @ lower.T,
        trial_variance=None if len(terms) == 1 else point.sigma2 * float(values[-1]),
        n_variance_parameters=len(theta) + 1,
        n_iterations=found.n_iterations,
    )


def _without_negligible(at: Callable[[np.ndarray], Derivatives], theta: np.ndarray) -> np.ndarray:
    """Parameters that are zero but for rounding set to zero, where the likelihood allows it."""
    without = np.where(np.abs(theta) < NEGLIGIBLE, 0.0, theta)
    return without if at(without)[0] >= at(theta)[0] - 1e-8 else theta
