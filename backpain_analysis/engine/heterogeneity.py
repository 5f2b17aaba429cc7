"""Between-trial variance of independent effect sizes: estimators and the Q-profile interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from backpain_analysis.engine.one_variance import rows_of


class WeightedFit:
    """Weighted least squares of `y` on X at a given tau2, weights `1/(v + tau2)`.

    Attributes
    ----------
    beta : ndarray, shape (p,)
    cov : ndarray, shape (p, p)
        `(X'WX)^-1`.
    rss : float
        Weighted residual sum of squares; Cochran's Q at tau2 = 0.
    weights, residual : ndarray, shape (k,)
    """

    def __init__(self, y: np.ndarray, v: np.ndarray, X: np.ndarray, tau2: float = 0.0) -> None:
        self.weights = 1 / (v + tau2)
        if X.shape[1] == 1:
            self._fit_one(y, X[:, 0])
            return
        root = np.sqrt(self.weights)
        q, r = np.linalg.qr(X * root[:, None])
        scaled = y * root
        inverse = np.linalg.inv(r)
        self.beta = inverse @ (q.T @ scaled)
        self.cov = inverse @ inverse.T
        residual = scaled - q @ (q.T @ scaled)
        self.rss = float(residual @ residual)
        self.residual = residual / root
        self.leverage = np.einsum("ij,ij->i", q, q)

    def _fit_one(self, y: np.ndarray, x: np.ndarray) -> None:
        """One column needs no factorisation."""
        weighted = self.weights * x
        information = weighted @ x
        beta = (weighted @ y) / information
        self.residual = y - x * beta
        self.beta, self.cov = np.array([beta]), np.array([[1 / information]])
        self.rss = float(self.weights @ self.residual**2)
        self.leverage = weighted * x / information

    @property
    def typical_variance(self) -> float:
        """Of a common-effect fit: see `typical_variance`."""
        return (len(self.weights) - len(self.beta)) / self.trace_p

    @property
    def trace_p(self) -> float:
        """Trace of `P = W - WX(X'WX)^-1X'W`."""
        return float(np.sum(self.weights * (1 - self.leverage)))


def _dersimonian_laird(y: np.ndarray, v: np.ndarray, X: np.ndarray) -> float:
    common = WeightedFit(y, v, X)
    return (common.rss - (len(y) - X.shape[1])) / common.trace_p


def _hedges(y: np.ndarray, v: np.ndarray, X: np.ndarray) -> float:
    plain = WeightedFit(y, np.ones_like(v), X)
    return (plain.rss - float(np.sum(v * (1 - plain.leverage)))) / (len(y) - X.shape[1])


def _hunter_schmidt(y: np.ndarray, v: np.ndarray, X: np.ndarray) -> float:
    common = WeightedFit(y, v, X)
    return (common.rss - len(y)) / float(common.weights.sum())


def _hunter_schmidt_small(y: np.ndarray, v: np.ndarray, X: np.ndarray) -> float:
    common, k = WeightedFit(y, v, X), len(y)
    return (common.rss * k / (k - X.shape[1]) - k) / float(common.weights.sum())


def _sidik_jonkman(y: np.ndarray, v: np.ndarray, X: np.ndarray) -> float:
    start = float(np.mean((y - y.mean()) ** 2))
    if start == 0:
        return 0.0
    return start * WeightedFit(y, v, X, start).rss / (len(y) - X.shape[1])


def _paule_mandel(y: np.ndarray, v: np.ndarray, X: np.ndarray) -> float:
    return _solve_q(y, v, X, len(y) - X.shape[1])


def _paule_mandel_median(y: np.ndarray, v: np.ndarray, X: np.ndarray) -> float:
    df = len(y) - X.shape[1]
    return _solve_q(y, v, X, float(scipy.special.chdtri(df, 0.5)))


def _solve_q(y: np.ndarray, v: np.ndarray, X: np.ndarray, target: float) -> float:
    """The tau2 at which the generalised Q statistic equals `target`; 0 if it is below at once.

    Q is convex and falls in tau2, so Newton's steps from zero never overshoot.
    """
    tau2 = 0.0
    for _ in range(2000):
        fitted = WeightedFit(y, v, X, tau2)
        gap = fitted.rss - target
        if gap <= 0:
            return tau2
        step = gap / float(fitted.weights**2 @ fitted.residual**2)
        tau2 += step
        if step <= 1e-14 * tau2:
            return tau2
    raise RuntimeError("the generalised Q statistic could not be solved for tau2.")


ESTIMATORS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "DL": _dersimonian_laird,
    "HE": _hedges,
    "HS": _hunter_schmidt,
    "HSk": _hunter_schmidt_small,
    "SJ": _sidik_jonkman,
    "PM": _paule_mandel,
    "PMM": _paule_mandel_median,
    "EB": _paule_mandel,
    "SJIT": _paule_mandel,
    "DLIT": _paule_mandel,
}


def estimate_tau2(y: np.ndarray, v: np.ndarray, X: np.ndarray, method: str) -> float:
    """Between-trial variance by a method of moments, set to zero where negative.

    "DL" DerSimonian & Laird 1986 (doi 10.1016/0197-2456(86)90046-2), "HE" Hedges & Olkin 1985,
    "HS" Hunter & Schmidt 1990, "SJ" Sidik & Jonkman 2005 (doi 10.1111/j.1467-9876.2005.00489.x),
    "PM" Paule & Mandel 1982 (doi 10.6028/jres.087.022), "EB" Morris 1983
    (doi 10.1080/01621459.1983.10477920), whose solution is PM's, as is that of SJ and of DL taken
    again and again ("SJIT", "DLIT"): each stops where the generalised Q is k - p; "PMM" the
    median-unbiased form of PM (Viechtbauer 2021, doi 10.1002/jrsm.1483), "HSk" HS with Brannick et
    al.'s 2019 correction (doi 10.1002/jrsm.1348). Forms for a model matrix X:
    Viechtbauer et al. 2015 (doi 10.1037/met0000016), appendix; DerSimonian & Kacker 2007
    (doi 10.1016/j.cct.2006.04.004).

    Parameters
    ----------
    y, v : ndarray, shape (k,)
        Effect sizes and sampling variances.
    X : ndarray, shape (k, p)
    method : {"DL", "HE", "HS", "HSk", "SJ", "PM", "PMM", "EB", "SJIT", "DLIT"}
    """
    return max(0.0, ESTIMATORS[method](y, v, X))


def tau2_se(y: np.ndarray, v: np.ndarray, X: np.ndarray, tau2: float, method: str) -> float:
    """Standard error of an estimated tau2; for its size only, intervals are better told by Q.

    From the information matrix for "ML" and "REML" (Harville 1977), and for the others from the
    variance `2 tr(A V A V)` of the quadratic form `y'Ay` that the estimator is, `V = v + tau2`
    (Viechtbauer 2005, doi 10.3102/10769986030003261; Viechtbauer et al. 2015, appendix); for "PM"
    and its kin `sqrt(2 k^2 / (k - p)) / sum(w)` (Morris 1983). Missing for "CE".
    """
    k, p = X.shape
    if method == "CE" or k <= p:
        return np.nan
    weighted = WeightedFit(y, v, X, tau2)
    w, whole = weighted.weights, v + tau2
    if method == "ML":
        return float(np.sqrt(2 / np.sum(w**2)))
    if method == "REML":
        return float(np.sqrt(2 / _trace_of_square(w, X, np.ones(k))))
    if ESTIMATORS[method] in (_paule_mandel, _paule_mandel_median):
        return float(np.sqrt(2 * k**2 / (k - p)) / w.sum())
    if method == "HE":
        return float(np.sqrt(2 * _trace_of_square(np.ones(k), X, whole)) / (k - p))
    if method == "SJ":
        start = float(np.mean((y - y.mean()) ** 2))
        if start == 0:
            return 0.0
        return float(np.sqrt(2 * _trace_of_square(1 / (v / start + 1), X, whole)) / (k - p))
    common = WeightedFit(y, v, X)
    spread = np.sqrt(2 * _trace_of_square(common.weights, X, whole))
    if method == "DL":
        return float(spread / common.trace_p)
    return float(spread * (k / (k - p) if method == "HSk" else 1) / common.weights.sum())


def _trace_of_square(w: np.ndarray, X: np.ndarray, v: np.ndarray) -> float:
    """`tr(P V P V)` with `P = W - W X (X'WX)^-1 X'W` and a diagonal V."""
    q = np.linalg.qr(X * np.sqrt(w)[:, None])[0]
    inner = q.T @ (q * (w * v)[:, None])
    leverage = np.einsum("ij,ij->i", q, q)
    return max(0.0, float(np.sum((w * v) ** 2 * (1 - 2 * leverage)) + np.sum(inner**2)))


def q_profile(
    y: np.ndarray, v: np.ndarray, X: np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """Confidence interval of tau2 by the Q-profile method.

    Source: Viechtbauer 2007 (doi 10.1002/sim.2514). Exact under the model; limits below zero are
    set to zero.
    """
    df = len(y) - X.shape[1]
    if df < 1:
        return np.nan, np.nan
    low = _solve_q(y, v, X, float(scipy.special.chdtri(df, (1 - level) / 2)))
    high = _solve_q(y, v, X, float(scipy.special.chdtri(df, (1 + level) / 2)))
    return low, high


def profile_interval(
    y: np.ndarray, v: np.ndarray, X: np.ndarray, level: float = 0.95, *, reml: bool = True
) -> tuple[float, float]:
    """Profile-likelihood interval of tau2: what a likelihood-ratio test does not reject.

    Source: Hardy & Thompson 1996 (doi 10.1002/(SICI)1097-0258(19960330)15:6<619::AID-SIM188>
    3.0.CO;2-A).
    """
    return rows_of(y, v, X, reml=reml).interval(float(scipy.special.chdtri(1, 1 - level)))


def typical_variance(v: np.ndarray, X: np.ndarray) -> float:
    """Typical sampling variance `(k - p) / tr(P)` that I2 and H2 compare tau2 with.

    Source: Higgins & Thompson 2002 (doi 10.1002/sim.1186), equation 9, in its form for a model
    matrix as in metafor.
    """
    return WeightedFit(np.zeros_like(v), v, X).typical_variance
