"""Models with one variance parameter: the highest maximum, found on the line of its logarithm.

Whitened by the sampling covariance, the model is `y ~ N(Xb, I + psi D)`, D diagonal, and with
`w = 1/(1 + psi d)` the log-likelihood, b profiled out, is

    l(psi) = -1/2 sum log(1 + psi d) - 1/2 RSS(psi) - 1/2 log|X'WX| (REML only)

Why the maximum found is the highest one:

- Where `psi` is so large that the residuals vanish beside it, l falls; below the first point of
  the grid it is a straight line in `psi`, but for terms of order 1e-8. So nothing lies outside.
- The first part falls in `psi` and the others rise: on an interval [a, b] l is never above the
  first part at a plus the others at b. Where this is below what has been reached, it is done.
- In `t = log psi` each part is a sum of functions of `t + log d` that bend within about one unit,
  whatever the data and their units. The other intervals are cut into pieces of 1/16, and value
  and slope are taken at each end: a hill rises where the slope turns from plus to minus. A hill
  that hides between two points of one slope is lower, but for its bump (of third order in 1/16),
  than what lies beyond it, which is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from backpain_analysis.engine.likelihood import (
    Batch,
    NotDefinite,
    cholesky,
    solved,
    too_singular,
)

COARSE, FINE = 0.5, 8
"""Step of the grid in log psi, and into how many pieces an interval is cut."""
LOWEST, BEYOND = 1e-4, 20.0
MANY, BIN = 600, 1 / 32
"""From so many rows on the grid is of rows grouped by log d; the climb is of all rows."""
NEARBY = 0.01
STEPS, FURTHER, LARGEST, EXACT = 200, 2.0, 600.0, 1e-14


class Peak(NamedTuple):
    """The variance at the highest point, and the log-likelihood there."""

    psi: float
    llf: float


@dataclass(frozen=True)
class Rows:
    """A whitened model: `y ~ N(Xb, 1 + psi d)`.

    Attributes
    ----------
    d : ndarray, shape (n,)
    y : ndarray, shape (n,)
    X : ndarray, shape (n, p)
    logdet : float
        Log-determinant of the sampling covariance.
    reml : bool
    """

    d: np.ndarray
    y: np.ndarray
    X: np.ndarray
    logdet: float
    reml: bool

    def highest(self) -> Peak:
        """The highest point of the likelihood.

        Raises
        ------
        ConvergenceError
            If rounding leaves a coefficient without information.
        """
        try:
            return self._highest()
        except NotDefinite:
            raise too_singular() from None

    def _highest(self) -> Peak:
        products, d, counts = self._products()
        line = _Line(d, counts, products, self.X.shape[1], self.reml)
        low, high = self._ends()
        t = np.linspace(low, high, max(2, int(np.ceil((high - low) / COARSE)) + 1))
        t, slope, nothing, rising = line.refined(t)
        exact = line
        if counts is not None:
            exact = _Line(self.d, None, self._crossed, line.p, self.reml)
            value, up, _ = exact.at(np.zeros(1))
            nothing, rising = value[0], up[0]
        best = Peak(0.0, float(nothing))
        for i in np.flatnonzero((slope[:-1] > 0) & (slope[1:] <= 0)):
            low, high = float(t[i]), float(t[i + 1])
            if counts is not None:
                near = float(np.log(line.top(low, high).psi))
                low, high = near - NEARBY, near + NEARBY
            best = max(best, exact.top(low, high), key=_height)
        if slope[0] <= 0 < rising:
            best = max(best, exact.top(t[0] - FURTHER, t[0]), key=_height)
        if slope[-1] > 0:
            best = max(best, exact.top(t[-1], t[-1] + FURTHER), key=_height)
        n = len(self.y) - self.X.shape[1] * self.reml
        return Peak(best.psi, best.llf - 0.5 * float(self.logdet + n * np.log(2 * np.pi)))

    def at(self, psi: float) -> tuple[np.ndarray, np.ndarray, float]:
        """Coefficients, their covariance, and the weighted residual sum of squares."""
        w = 1 / (1 + psi * self.d)
        weighted = self.X * w[:, None]
        half = np.linalg.inv(cholesky(weighted.T @ self.X))
        cov = half.T @ half
        beta = cov @ (weighted.T @ self.y)
        return beta, cov, float(w @ (self.y - self.X @ beta) ** 2)

    def interval(self, drop: float) -> tuple[float, float]:
        """The outermost psi where twice the log-likelihood is `drop` below its maximum."""
        line = _Line(self.d, None, self._crossed, self.X.shape[1], self.reml)
        peak = self.highest()
        best = float(line.at(np.array([peak.psi])).value[0])
        low, high = self._ends()
        t = np.linspace(low, high, max(2, int(np.ceil((high - low) / COARSE)) + 1))
        t = np.sort(np.append(t, np.log(peak.psi) if peak.psi > 0 else low))
        inside = np.flatnonzero(line.at(np.exp(t)).value > best - drop / 2)

        def gap(at: float) -> float:
            return float(line.at(np.exp(np.array([at]))).value[0]) - best + drop / 2

        first, last = (int(inside[0]), int(inside[-1])) if len(inside) else (0, 0)
        lower, upper = 0.0, np.inf
        if first > 0 or (gap(t[0]) < 0 and line.at(np.zeros(1)).value[0] < best - drop / 2):
            lower = float(np.exp(_crossing(gap, t[max(first - 1, 0)], t[first])))
        if last < len(t) - 1:
            upper = float(np.exp(_crossing(gap, t[last + 1], t[last])))
        return lower, upper

    @cached_property
    def _crossed(self) -> np.ndarray:
        """Products of the columns of (X, y) by row, shape (n, (p + 1)^2)."""
        Z = np.column_stack([self.X, self.y])
        return (Z[:, :, None] * Z[:, None, :]).reshape(len(Z), -1)

    def _products(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        crossed = self._crossed
        if len(self.d) < MANY:
            return crossed, self.d, None
        logs = np.log(np.maximum(self.d, 1e-300))
        numbers = np.floor((logs - logs.min()) / BIN).astype(np.int64)
        if numbers.max() > MANY * 10:
            numbers = np.unique(numbers, return_inverse=True)[1]
        counts = np.bincount(numbers).astype(float)
        full = counts > 0
        sums = np.empty((int(full.sum()), crossed.shape[1]))
        for column in range(crossed.shape[1]):
            sums[:, column] = np.bincount(numbers, crossed[:, column])[full]
        mean = np.bincount(numbers, logs)[full] / counts[full]
        return sums, np.exp(mean), counts[full]

    def _ends(self) -> tuple[float, float]:
        """Log psi below and beyond which nothing is to be found."""
        d = self.d[self.d > 1e-12 * self.d.max()]
        rows = self.d > 1e-12 * self.d.max()
        y = self.y[rows] / np.sqrt(d)
        low = LOWEST / float(d.max())
        return float(np.log(low)), float(
            np.log(max(BEYOND / float(d.min()), 2 * float(y @ y), 10 * low))
        )


class _Values(NamedTuple):
    value: np.ndarray
    slope: np.ndarray
    falling: np.ndarray


@dataclass(frozen=True)
class _Line:
    """Value and slope of the likelihood, up to a constant, at many values of psi at once."""

    d: np.ndarray
    counts: np.ndarray | None
    products: np.ndarray
    p: int
    reml: bool

    def at(self, psi: np.ndarray) -> _Values:
        """At each psi: the value, its slope by log psi (by psi at zero), and its falling part."""
        ratio = psi[:, None] * self.d
        W = 1 / (1 + ratio)
        share = np.where(psi[:, None] > 0, ratio, self.d) * W
        logs, shares = np.log1p(ratio), share
        if self.counts is not None:
            logs, shares = logs * self.counts, share * self.counts
        falling = -0.5 * logs.sum(axis=1)
        sums = (W @ self.products).reshape(len(psi), self.p + 1, self.p + 1)
        turned = ((W * share) @ self.products).reshape(len(psi), self.p + 1, self.p + 1)
        if self.p == 1:
            total, first = sums[:, 0, 0], sums[:, 0, 1]
            beta = first / total
            rss = sums[:, 1, 1] - beta * first
            explained = turned[:, 1, 1] - beta * (2 * turned[:, 0, 1] - beta * turned[:, 0, 0])
            logdet, leverage = np.log(total), turned[:, 0, 0] / total
        else:
            A, b = sums[:, :-1, :-1], sums[:, :-1, -1]
            both = solved(A, np.concatenate([b[:, :, None], turned[:, :-1, :-1]], 2))
            beta = both[:, :, 0]
            rss = sums[:, -1, -1] - (beta * b).sum(axis=1)
            moved = (turned[:, :-1, :-1] @ beta[:, :, None])[:, :, 0]
            crossed = 2 * turned[:, :-1, -1] - moved
            explained = turned[:, -1, -1] - (beta * crossed).sum(axis=1)
            logdet = np.linalg.slogdet(A)[1]
            leverage = np.trace(both[:, :, 1:], axis1=1, axis2=2)
        value = falling - 0.5 * rss
        slope = -0.5 * (shares.sum(axis=1) - explained)
        if self.reml:
            value, slope = value - 0.5 * logdet, slope + 0.5 * leverage
        return _Values(value, slope, falling)

    def slope(self, t: float) -> float:
        """The slope by log psi at one point."""
        ratio = np.exp(t) * self.d
        w = 1 / (1 + ratio)
        share = ratio * w
        sums, bent = w @ self.products, (w * share) @ self.products
        shares = float(share.sum() if self.counts is None else share @ self.counts)
        if self.p == 1:
            beta = sums[1] / sums[0]
            explained = bent[3] - beta * (2 * bent[1] - beta * bent[0])
            return float(0.5 * (explained - shares + self.reml * bent[0] / sums[0]))
        size = (self.p + 1, self.p + 1)
        sums, bent = sums.reshape(size), bent.reshape(size)
        sides = bent[:-1].copy()
        sides[:, -1] = sums[:-1, -1]
        both = solved(sums[:-1, :-1], sides)
        line = np.append(-both[:, -1], 1.0)
        return float(0.5 * (line @ bent @ line - shares + self.reml * both.trace()))

    def _tells(self, t: float) -> bool:
        """Whether every coefficient still rests on rows that say something at exp(t)."""
        w = 1 / (1 + np.exp(t) * self.d)
        sums = (w @ self.products).reshape(self.p + 1, self.p + 1)[:-1, :-1]
        return self.p == 1 or bool(np.linalg.cond(sums) < 1 / EXACT)

    def top(self, low: float, high: float) -> Peak:
        """The top of the hill between two values of log psi, by Illinois' false position."""
        a, b = float(low), float(high)
        fa, fb = self.slope(a), self.slope(b)
        while fb > 0 and b < LARGEST and self._tells(b + FURTHER):
            a, fa, b = b, fb, b + FURTHER
            fb = self.slope(b)
        while fa <= 0 and a > -LARGEST:
            b, fb, a = a, fa, a - FURTHER
            fa = self.slope(a)
        for _ in range(STEPS):
            if b - a <= 1e-14 * max(1.0, abs(a)) or fa == 0 or fb == 0:
                break
            c = b - fb * (b - a) / (fb - fa)
            if not a < c < b:
                c = (a + b) / 2
            fc = self.slope(c)
            if fc > 0:
                fb = fb / 2 if c - a < (b - a) / 2 else fb
                a, fa = c, fc
            else:
                fa = fa / 2 if b - c < (b - a) / 2 else fa
                b, fb = c, fc
            if abs(fc) < 1e-14 * len(self.d):
                break
        t = a if abs(fa) < abs(fb) else b
        value = self.at(np.exp(np.array([t]))).value
        return Peak(float(np.exp(t)), float(value[0]))

    def refined(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
        """The grid, cut where a hill may rise above what it shows: points and their slopes.

        Then value and slope at zero.
        """
        found = self.at(np.append(np.exp(t), 0.0))
        value, slope, falling = (part[:-1] for part in found)
        bound = falling[:-1] + (value - falling)[1:]
        open_ = np.flatnonzero(bound > value.max())
        steps = np.arange(1, FINE) / FINE
        between = (t[open_, None] + (t[1] - t[0]) * steps).ravel()
        t = np.concatenate([t, between])
        order = np.argsort(t)
        slope = np.append(slope, self.at(np.exp(between)).slope) if len(between) else slope
        return t[order], slope[order], float(found.value[-1]), float(found.slope[-1])


def _crossing(gap: Callable[[float], float], below: float, above: float) -> float:
    """Where the gap is zero between a point below and one above, by bisection."""
    while abs(above - below) > 1e-13 * max(1.0, abs(above)):
        middle = (below + above) / 2
        if middle in (below, above):
            break
        below, above = (middle, above) if gap(middle) < 0 else (below, middle)
    return above


def _height(peak: Peak) -> float:
    return peak.llf


def rows_of(y: np.ndarray, v: np.ndarray, X: np.ndarray, *, reml: bool) -> Rows:
    """The model of independent effect sizes, `psi` being tau2.

    Parameters
    ----------
    y, v : ndarray, shape (n,)
        Effect sizes and sampling variances.
    X : ndarray, shape (n, p)
    """
    if X.shape[1] > 1:
        X = np.linalg.qr(X)[0]
        centred = y - X @ (X.T @ y)
    else:
        X = X / np.linalg.norm(X[:, 0])
        centred = y - X[:, 0] * float(X[:, 0] @ y)
    root = np.sqrt(v)
    return Rows(1 / v, centred / root, X / root[:, None], float(np.sum(np.log(v))), reml)


def independent(y: np.ndarray, v: np.ndarray, X: np.ndarray, *, reml: bool) -> Peak:
    """The between-trial variance of independent effect sizes by ML or REML.

    Parameters
    ----------
    y, v : ndarray, shape (n,)
        Effect sizes and sampling variances.
    X : ndarray, shape (n, p)

    Returns
    -------
    Peak
        tau2 and the log-likelihood (for REML with `1/2 log|X'X|`, as `MixedFit`).
    """
    return rows_of(y, v, X, reml=reml).highest()


@dataclass(frozen=True)
class Turning:
    """How the rows of blocks become independent, whatever their effects and model matrix.

    With `S = L L'` and `L^-1 K L'^-1 = U D U'` a block's rows turned by `U' L^-1` are independent,
    of variance `1 + psi D`.

    Attributes
    ----------
    d : ndarray, shape (n,)
        Of all rows, batch by batch.
    turns : tuple of ndarray
        `U' L^-1` of each batch of blocks.
    logdet : float
        Log-determinant of the sampling covariance.
    """

    d: np.ndarray
    turns: tuple[np.ndarray, ...]
    logdet: float

    def rows(
        self, y: Sequence[np.ndarray], X: Sequence[np.ndarray], *, reml: bool
    ) -> tuple[Rows, np.ndarray]:
        """The independent rows, y less its fit without heterogeneity; and the coefficients of that.

        Parameters
        ----------
        y, X : sequence of ndarray
            Stacked, of each batch of blocks.
        """
        turned_y = [
            (turn @ own[..., None]).ravel() for turn, own in zip(self.turns, y, strict=True)
        ]
        turned_X = [
            (turn @ own).reshape(-1, own.shape[-1]) for turn, own in zip(self.turns, X, strict=True)
        ]
        flat, matrix = np.concatenate(turned_y), np.concatenate(turned_X)
        centre = np.linalg.lstsq(matrix, flat, rcond=None)[0]
        return Rows(self.d, flat - matrix @ centre, matrix, self.logdet, reml), centre


def turning(stacks: Sequence[np.ndarray], changes: Sequence[np.ndarray]) -> Turning:
    """Turn blocks of sampling covariance S, whose variance adds K.

    Parameters
    ----------
    stacks, changes : sequence of ndarray
        S and K of each batch of blocks, shape (B, n, n).
    """
    values, turns, logdet = [], [], 0.0
    for S, K in zip(stacks, changes, strict=True):
        if S.shape[-1] == 1:
            values.append((K / S).ravel())
            turns.append(1 / np.sqrt(S))
            logdet += float(np.log(S).sum())
            continue
        lower = cholesky(S)
        half = np.linalg.inv(lower)
        logdet += 2 * float(np.log(np.diagonal(lower, axis1=1, axis2=2)).sum())
        d, U = np.linalg.eigh(half @ K @ half.transpose(0, 2, 1))
        values.append(d.ravel())
        turns.append(U.transpose(0, 2, 1) @ half)
    return Turning(np.maximum(np.concatenate(values), 0.0), tuple(turns), logdet)


def whitened(batches: list[Batch], *, reml: bool) -> Rows:
    """A model of blocks with one component, as independent rows."""
    turned = turning([batch.S for batch in batches], [batch.K[0] for batch in batches])
    return turned.rows([batch.y for batch in batches], [batch.X for batch in batches], reml=reml)[0]
