"""The likelihood of a curve of time with one coefficient, from the trials' own heights."""

from __future__ import annotations

import numpy as np

from backpain_analysis.effects import Effects
from backpain_analysis.models.curves import Curve
from backpain_analysis.models.information import times_precision
from backpain_analysis.models.mixed import fit
from backpain_analysis.models.optimise import maximise

STARTS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Standard deviations between trials, over the typical error of a trial's own height."""


class Heights:
    """Maximised log-likelihood of `y = f(t) (b + u) + e` for one curve f after another.

    A curve enters by two numbers a trial, `a = f'S^-1 f` and `c = f'S^-1 y`: the trial's own height
    `b + u` is `c / a` with variance `1 / a`. So S is inverted only once, and cost and memory are
    linear in the trials. The likelihood is that of `mixed.fit` by "ML" (with no u: "CE"), less
    what all curves share.

    Parameters
    ----------
    effects : Effects
        With weeks as their dose.
    between : bool
        Whether trials deviate from the mean curve.

    Raises
    ------
    ValueError
        For effects that `mixed.fit` refuses.
    """

    def __init__(self, effects: Effects, *, between: bool) -> None:
        self._weeks = effects.table["dose"].to_numpy(dtype=float)
        y, trials = (effects.table[name].to_numpy() for name in ("yi", "trial_id"))
        ones = np.ones((len(y), 1))
        self._known = fit(y, ones, effects.covariance, blocks=trials, method="CE")
        self._between = between

    def of(self, curve: Curve) -> float:
        """Maximised log-likelihood, less what all curves share.

        Raises
        ------
        ConvergenceError
        """
        f = curve.basis(self._weeks)[:, 0]
        weighted = times_precision(self._known, f[:, None])[:, 0]
        blocks = self._known.blocks
        a, c = np.zeros((2, len(blocks.labels)))
        for rows, members in zip(blocks.batches, blocks.members, strict=True):
            a[members] = np.sum(f[rows] * weighted[rows], axis=1)
            c[members] = np.sum(self._known.y[rows] * weighted[rows], axis=1)
        typical = np.median(a)
        a, c = a / typical, c / np.sqrt(typical)
        none = _at(np.zeros(1), a, c)[0]
        if not self._between:
            return none
        start = max(STARTS, key=lambda sd: _at(np.array([sd]), a, c)[0])
        return max(none, maximise(lambda sd: _at(sd, a, c), np.array([start])).value)


def _at(sd: np.ndarray, a: np.ndarray, c: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood, gradient and Hessian by the standard deviation of u, b profiled out.

    See `models.likelihood`, for blocks of one height each.
    """
    tau2 = sd[0] ** 2
    shrunk = 1 + tau2 * a
    w, wy = a / shrunk, c / shrunk
    total = w.sum()
    mean = wy.sum() / total
    e = wy - mean * w
    value = 0.5 * (tau2 * c @ wy + mean * wy.sum() - np.log(shrunk).sum())
    score = 0.5 * (e @ e - w.sum())
    bend = 0.5 * w @ w - w @ e**2 + (w @ e) ** 2 / total
    return value, 2 * sd * score, np.array([[2 * score + 4 * tau2 * bend]])
