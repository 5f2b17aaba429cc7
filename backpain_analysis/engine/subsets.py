"""The model of independent effect sizes for many subsets of them at once.

Leaving out each study in turn, adding one after another, and random subsets are one task: every
quantity of a fit is made of sums over studies, and the sums of all subsets come from the same
terms. With w = 1/(v + tau2) these are the sums of w and w^2 times products of the columns of X and
of the residuals r of the fit to all studies at the same tau2, so that little cancels.

Time is linear in the studies, as only few values of tau2 are looked at. The grid is that of
`one_variance`, with its proof that the highest hill is found, but that it begins with an interval
from no tau2 to a quarter of the smallest variance. Seen as a function of log tau2 (of tau2 in the
first interval), each sum is analytic within a distance of pi, and every quantity of a fit within
pi/2. A polynomial through `NODES` Chebyshev points of an interval, half a unit wide and with
pieces of about 1/16, is then exact to 1e-13 (Trefethen 2013, Approximation Theory and
Approximation Practice, theorem 8.2). Tops of hills and the sums at each subset's own tau2 are read
off these polynomials.

Where a subset's sums are what is left of much larger ones, it is fitted on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import NamedTuple, Protocol

import numpy as np
import scipy

from backpain_analysis.engine.heterogeneity import ESTIMATORS, WeightedFit, estimate_tau2
from backpain_analysis.engine.one_variance import BEYOND, COARSE, independent

CELLS = 400_000
"""Values of tau2 times studies (or subsets) that are held at once."""
DIRECT = 400_000
"""Up to so many subsets times studies, the final fits are made without polynomials."""
NODES = 13
LINEAR = 0.25
"""The first interval ends at this share of the smallest variance."""
LOST, GRIP = 1e6, 1e3
"""How many times smaller a subset's residuals, and its information, than those of all may be."""


def _basis(x: np.ndarray) -> np.ndarray:
    """Chebyshev's polynomials at each x, shape (h, NODES)."""
    return np.cos(np.arccos(x)[:, None] * np.arange(NODES))


_X = -np.cos(np.pi * np.arange(NODES) / (NODES - 1))
_COEFFICIENTS = np.linalg.inv(_basis(_X))
_SLOPES = np.polynomial.chebyshev.chebder(np.vstack([_COEFFICIENTS, np.zeros(NODES)]))


class Family(Protocol):
    """Subsets of the same studies."""

    def __len__(self) -> int: ...

    def sums(self, terms: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Terms of the studies, shape (..., k), summed over each of these subsets, (..., m)."""
        ...

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """Which studies are in these subsets, shape (m, k)."""
        ...


@dataclass(frozen=True)
class Chosen:
    """Any subsets, as a mask of shape (m, k)."""

    mask: np.ndarray

    def __len__(self) -> int:
        return len(self.mask)

    def sums(self, terms: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return terms @ self.mask[rows].T.astype(float)

    def masks(self, rows: np.ndarray) -> np.ndarray:
        return self.mask[rows]


@dataclass(frozen=True)
class WithoutOne:
    """All of k studies but each of `left_out`."""

    k: int
    left_out: np.ndarray

    def __len__(self) -> int:
        return len(self.left_out)

    def sums(self, terms: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return terms.sum(axis=-1, keepdims=True) - terms[..., self.left_out[rows]]

    def masks(self, rows: np.ndarray) -> np.ndarray:
        return np.arange(self.k) != self.left_out[rows, None]


@dataclass(frozen=True)
class FirstOnes:
    """The first `start + 1`, `start + 2`, ..., k of k studies."""

    k: int
    start: int = 0

    def __len__(self) -> int:
        return self.k - self.start

    def sums(self, terms: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.cumsum(terms, axis=-1)[..., self.start + rows]

    def masks(self, rows: np.ndarray) -> np.ndarray:
        return np.arange(self.k) <= self.start + rows[:, None]


class Sums(NamedTuple):
    """Weighted fits of subsets (last axis of the first shape) at several weights (first axis).

    `rss` and `crossed` are the weighted squares of their own residuals and of those of all
    studies; `ratio` and `logs` sum the ratio and the log of the weights; `leverage` is
    `tr(A^-1 A2)` and `explained` the squares of their own residuals, A2 and these with the weights
    times the ratio.
    """

    A: np.ndarray
    beta: np.ndarray
    rss: np.ndarray
    crossed: np.ndarray
    ratio: np.ndarray
    logs: np.ndarray
    leverage: np.ndarray
    explained: np.ndarray


class Own(NamedTuple):
    """Fits of subsets, each at its own tau2; `trace` is `tr(P)` there."""

    A: np.ndarray
    beta: np.ndarray
    rss: np.ndarray
    crossed: np.ndarray
    trace: np.ndarray


@dataclass(frozen=True)
class Fits:
    """The fits of all subsets, each as on its own.

    Attributes
    ----------
    n : ndarray, shape (m,)
        Studies in each.
    tau2, rss, q : ndarray, shape (m,)
        Weighted residual sums of squares at tau2, and at none.
    beta : ndarray, shape (m, p)
    information : ndarray, shape (m, p, p)
        `X'WX` at tau2.
    trace : ndarray, shape (m,)
        `tr(P)` at no tau2; see `WeightedFit.trace_p`.
    """

    n: np.ndarray
    tau2: np.ndarray
    beta: np.ndarray
    information: np.ndarray
    rss: np.ndarray
    q: np.ndarray
    trace: np.ndarray


def fit_subsets(y: np.ndarray, v: np.ndarray, X: np.ndarray, family: Family, method: str) -> Fits:
    """Fit every subset as `pool` and `meta_regression` fit it alone.

    Parameters
    ----------
    y, v : ndarray, shape (k,)
        Effect sizes and sampling variances.
    X : ndarray, shape (k, p)
        The subsets' own columns must be independent.
    family : Family
    method : str
        "CE", "ML", "REML" or one of `ESTIMATORS`.
    """
    return _Problem(y, v, X, family).fits(method)


Tell = Callable[[Sums, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class _Problem:
    y: np.ndarray
    v: np.ndarray
    X: np.ndarray
    family: Family

    @cached_property
    def rows(self) -> np.ndarray:
        return np.arange(len(self.family))

    @cached_property
    def n(self) -> np.ndarray:
        return self.family.sums(np.ones(len(self.y)), self.rows)

    @cached_property
    def spare(self) -> np.ndarray:
        return self.n - self.X.shape[1]

    @cached_property
    def grid(self) -> np.ndarray:
        """No tau2, and values up to where every likelihood falls and every Q is below its target.

        Both hold where the residuals of all studies about their mean vanish beside tau2.
        """
        low = LINEAR * float(self.v.min())
        squares = float(np.sum((self.y - self.y.mean()) ** 2))
        high = max(BEYOND * float(self.v.max()), 4 * squares, 10 * low)
        points = int(np.ceil(np.log(high / low) / COARSE)) + 1
        return np.append(0.0, low * np.exp(COARSE * np.arange(points)))

    @cached_property
    def common(self) -> Sums:
        """The sums at no tau2."""
        return self.at(1 / self.v[None], self.rows)

    @cached_property
    def none(self) -> Own:
        """The fits at no tau2."""
        return self._own(np.zeros(len(self.rows)))

    def fits(self, method: str) -> Fits:
        with np.errstate(divide="ignore", invalid="ignore"):
            tau2 = np.where(self.spare > 0, self._tau2(method), 0.0)
            own, none = self._own(tau2), self.none
            poor = own.crossed > LOST * np.abs(own.rss)
            poor |= none.crossed > LOST * np.abs(none.rss)
            if method in ("SJ", "HE"):
                plain = self._plain(method)
                poor |= plain.crossed[0] > LOST * np.abs(plain.rss[0])
            if isinstance(self.family, WithoutOne):
                poor |= self._gripped(own.A, tau2) | self._gripped(none.A, 0 * tau2)
        fits = Fits(self.n, tau2, own.beta, own.A, own.rss, none.rss, none.trace)
        for row in np.flatnonzero(poor & (self.spare > 0)):
            self._fit_alone(fits, int(row), method)
        return fits

    def _gripped(self, A: np.ndarray, tau2: np.ndarray) -> np.ndarray:
        """Where the study left out outweighs what is left."""
        assert isinstance(self.family, WithoutOne)
        out = self.family.left_out
        x = self.X[out]
        solved = np.linalg.solve(A, x[:, :, None])[:, :, 0] if x.shape[1] > 1 else x / A[:, 0]
        return ~(np.abs((x * solved).sum(axis=1)) < GRIP * (self.v[out] + tau2))

    def _fit_alone(self, fits: Fits, row: int, method: str) -> None:
        """Put the fit of one subset in its place."""
        keep = np.asarray(self.family.masks(np.array([row]))[0], dtype=bool)
        y, v, X = self.y[keep], self.v[keep], self.X[keep]
        tau2 = 0.0
        if method in ESTIMATORS:
            tau2 = estimate_tau2(y, v, X, method)
        elif method != "CE":
            tau2 = independent(y, v, X, reml=method == "REML").psi
        own, common = WeightedFit(y, v, X, tau2), WeightedFit(y, v, X)
        fits.tau2[row], fits.beta[row], fits.rss[row] = tau2, own.beta, own.rss
        fits.information[row] = (X * own.weights[:, None]).T @ X
        fits.q[row], fits.trace[row] = common.rss, common.trace_p

    def _tau2(self, method: str) -> np.ndarray:
        """See `estimate_tau2`."""
        if method == "CE":
            return np.zeros(len(self.rows))
        if method in ("ML", "REML"):
            return self._highest(reml=method == "REML")
        if method in ("PM", "EB", "SJIT", "DLIT"):
            return self._paule_mandel(self.spare)
        if method == "PMM":
            return self._paule_mandel(scipy.special.chdtri(np.maximum(self.spare, 1), 0.5))
        if method == "SJ":
            start = self._plain("SJ").rss[0] / self.n
            return start * self._own(start).rss / self.spare
        if method == "HE":
            plain = self._plain("HE")
            return np.maximum(0.0, (plain.rss - plain.ratio + plain.leverage)[0] / self.spare)
        q, total = self.none.rss, self.common.ratio[0]
        if method in ("HS", "HSk"):
            part = self.n / self.spare if method == "HSk" else 1.0
            return np.maximum(0.0, (q * part - self.n) / total)
        return np.maximum(0.0, (q - self.spare) / self.none.trace)

    def _plain(self, method: str) -> Sums:
        """Without weights; the ratio is v."""
        X = np.ones((len(self.y), 1)) if method == "SJ" else self.X
        whole = _Problem(self.y, self.v, X, self.family)
        return whole.at(np.ones((1, len(self.y))), self.rows, self.v[None])

    def at(self, w: np.ndarray, rows: np.ndarray, ratio: np.ndarray | None = None) -> Sums:
        """The fits of these subsets with weights w, shape (T, k); the ratio is w if not given."""
        p, ratio = self.X.shape[1], w if ratio is None else ratio
        centre = self._centre(w)
        Z = [*self.X.T, self.y - centre @ self.X.T]
        first, second = zip(*combinations_with_replacement(range(p + 1), 2), strict=True)
        c = len(first)
        terms = np.empty((2 * c + 2, *w.shape))
        for own, a, b in zip(terms[:c], first, second, strict=True):
            np.multiply(Z[a], Z[b], out=own)
        terms[:c] *= w
        np.multiply(terms[:c], ratio, out=terms[c : 2 * c])
        terms[-2], terms[-1] = ratio, np.log(w)
        sums = self.family.sums(terms, rows)
        if p == 1:
            A, B, C, A2, B2, C2, total, logs = sums
            moved = B / A
            beta = (centre + moved)[..., None]
            explained = C2 - moved * (2 * B2 - moved * A2)
            inner = A[..., None, None]
            return Sums(inner, beta, C - B * moved, C, total, logs, A2 / A, explained)
        place = np.zeros((p + 1, p + 1), dtype=int)
        place[first, second] = place[second, first] = np.arange(c)
        inner = np.moveaxis(sums[place], (0, 1), (-2, -1))
        outer = np.moveaxis(sums[c + place], (0, 1), (-2, -1))
        A, B, C = inner[..., :-1, :-1], inner[..., :-1, -1:], inner[..., -1, -1]
        solved = np.linalg.solve(A, np.concatenate([B, outer[..., :-1, :-1]], axis=-1))
        moved = solved[..., 0]
        line = np.concatenate([-moved, np.ones((*moved.shape[:-1], 1))], axis=-1)
        return Sums(
            A=A,
            beta=centre[:, None] + moved,
            rss=C - (moved * B[..., 0]).sum(axis=-1),
            crossed=C,
            ratio=sums[-2],
            logs=sums[-1],
            leverage=np.trace(solved[..., 1:], axis1=-2, axis2=-1),
            explained=(line * (outer @ line[..., None])[..., 0]).sum(axis=-1),
        )

    def _centre(self, w: np.ndarray) -> np.ndarray:
        """Coefficients of all studies, shape (T, p)."""
        if self.X.shape[1] == 1:
            x = self.X[:, 0]
            return ((w @ (x * self.y)) / (w @ (x * x)))[:, None]
        weighted = w[:, :, None] * self.X
        A = np.swapaxes(weighted, 1, 2) @ self.X
        return np.linalg.solve(A, (self.y @ weighted)[..., None])[..., 0]

    def _told(self, tau2: np.ndarray, rows: np.ndarray, tell: Tell) -> np.ndarray:
        """What is told of these subsets at each tau2, shape (..., T, m), a few values at a time."""
        step = max(1, CELLS // max(len(self.y), len(rows)))
        batches = [tau2[first : first + step] for first in range(0, len(tau2), step)]
        told = [tell(self.at(1 / (self.v + own[:, None]), rows), rows) for own in batches]
        return np.concatenate(told, axis=-2) if len(told) > 1 else told[0]

    def _highest(self, *, reml: bool) -> np.ndarray:
        def tell(sums: Sums, rows: np.ndarray) -> np.ndarray:
            """Slope, value, and the part of it that falls in tau2."""
            trace, value = sums.ratio, 0.5 * (sums.logs - sums.rss)
            if reml:
                trace, value = trace - sums.leverage, value - 0.5 * _log_size(sums.A)
            return np.stack([0.5 * (sums.explained - trace), value, 0.5 * sums.logs])

        kept = list(self._along(tell)) if len(self.grid) * len(self.rows) <= CELLS else None
        top = np.max([told[1].max(axis=0) for told in kept or self._along(tell)], axis=0)

        def may_hold(told: np.ndarray) -> np.ndarray:
            _, value, falling = told
            return falling[:-1] + (value - falling)[1:] >= top

        return self._tops(tell, kept or self._along(tell), may_hold)

    def _paule_mandel(self, target: np.ndarray) -> np.ndarray:
        """Where the generalised Q, which falls in tau2, passes its target; else zero."""

        def tell(sums: Sums, rows: np.ndarray) -> np.ndarray:
            gap = sums.rss - target[rows]
            return np.stack([gap, gap * 0])

        return self._tops(
            tell, self._along(tell), lambda told: (told[0, :-1] > 0) & (told[0, 1:] <= 0)
        )

    def _along(self, tell: Tell) -> Iterator[np.ndarray]:
        """What is told along the grid, in pieces that share their ends."""
        step = max(1, CELLS // max(len(self.y), len(self.rows)))
        for first in range(0, len(self.grid) - 1, step):
            yield self._told(self.grid[first : first + step + 1], self.rows, tell)

    def _tops(
        self,
        tell: Tell,
        along: Iterable[np.ndarray],
        may_hold: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """The highest point of each subset: where a slope turns, or no tau2.

        `tell` gives slopes and heights; `along` what is told along the grid; `may_hold` which of
        its intervals may hold a top that counts, by what is told at their ends.
        """
        slope, height = tell(self.common, self.rows)[:2, 0]
        best, tau2, start = np.where(slope > 0, -np.inf, height), np.zeros(len(slope)), 0
        for told in along:
            held = may_hold(told) & (self.spare > 0)
            for some in self._few(np.flatnonzero(held.any(axis=1))):
                rows = np.flatnonzero(held[some].any(axis=0))
                nodes = self._told(self._nodes(start + some).ravel(), rows, tell)[:2]
                slope, height = nodes.reshape(2, len(some), NODES, len(rows))
                interval, piece, row = np.nonzero((slope[:, :-1] > 0) & (slope[:, 1:] <= 0))
                x = _root(slope[interval, :, row], piece)
                reached = _read(height[interval, :, row], x)
                place = start + some[interval]
                rising = np.argsort(reached)
                rising = rising[reached[rising] >= best[rows[row[rising]]]]
                best[rows[row[rising]]] = reached[rising]
                tau2[rows[row[rising]]] = self._between(place, x)[rising]
            start += len(held)
        return tau2

    def _few(self, intervals: np.ndarray) -> Iterator[np.ndarray]:
        step = max(1, CELLS // (NODES * max(len(self.y), len(self.rows))))
        for first in range(0, len(intervals), step):
            yield intervals[first : first + step]

    def _nodes(self, intervals: np.ndarray) -> np.ndarray:
        """Values of tau2 in intervals of the grid, shape (I, NODES)."""
        return self._between(intervals[:, None], _X)

    def _between(self, interval: np.ndarray, x: np.ndarray) -> np.ndarray:
        """tau2 at a place x, from -1 to 1, of an interval of the grid: the first one is linear."""
        share = (1 + x) / 2
        return np.where(
            interval == 0, share * self.grid[1], self.grid[interval] * np.exp(COARSE * share)
        )

    def _own(self, tau2: np.ndarray) -> Own:
        """The fit of each subset at its own tau2."""
        if not isinstance(self.family, Chosen) and len(self.rows) * len(self.y) > DIRECT:
            return self._read_off(tau2)
        step = max(1, CELLS // len(self.y))
        batches = [self.rows[first : first + step] for first in self.rows[::step]]
        parts = [self._direct(batch, tau2[batch]) for batch in batches]
        return Own(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _direct(self, rows: np.ndarray, tau2: np.ndarray) -> Own:
        whole = 1 / (self.v + tau2[:, None])
        w = whole * self.family.masks(rows)
        beta = self._centre(w)
        A = np.swapaxes(w[:, :, None] * self.X, 1, 2) @ self.X
        rss, crossed = (
            (w * (self.y - centre @ self.X.T) ** 2).sum(axis=1)
            for centre in (beta, self._centre(whole))
        )
        around = self.X.T / A if self.X.shape[1] == 1 else np.linalg.solve(A, self.X.T)
        leverage = w * (self.X.T * around).sum(axis=1)
        return Own(A, beta, rss, crossed, (w * (1 - leverage)).sum(axis=1))

    def _read_off(self, tau2: np.ndarray) -> Own:
        """From polynomials through few values of tau2."""
        p = self.X.shape[1]

        def tell(sums: Sums, rows: np.ndarray) -> np.ndarray:
            numbers = [sums.rss, sums.crossed, sums.ratio - sums.leverage]
            inner = sums.A.reshape(*sums.rss.shape, p * p)
            columns = [inner, sums.beta, *(number[..., None] for number in numbers)]
            return np.moveaxis(np.concatenate(columns, axis=-1), -1, 0)

        values = tell(self.common, self.rows)[:, 0]
        place = np.searchsorted(self.grid, tau2, side="right") - 1
        place = np.clip(place, 0, len(self.grid) - 2)
        for interval in np.unique(place[tau2 > 0]):
            rows = np.flatnonzero((place == interval) & (tau2 > 0))
            nodes = self._told(self._nodes(np.array([interval]))[0], rows, tell)
            low, own = self.grid[interval], tau2[rows]
            share = np.log(own / low) / COARSE if interval else own / self.grid[1]
            coefficients = np.einsum("nj,cjm->ncm", _COEFFICIENTS, nodes)
            values[:, rows] = np.polynomial.chebyshev.chebval(
                2 * share - 1, coefficients, tensor=False
            )
        A, beta = values[: p * p].T.reshape(-1, p, p), values[p * p : -3].T
        return Own(A, beta, *values[-3:])


def _log_size(A: np.ndarray) -> np.ndarray:
    """Logarithm of the determinant of each matrix."""
    return np.log(A[..., 0, 0]) if A.shape[-1] == 1 else np.linalg.slogdet(A)[1]


def _read(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Polynomials through `values` (h, NODES), each at its own x."""
    return ((values @ _COEFFICIENTS.T) * _basis(x)).sum(axis=1)


def _root(values: np.ndarray, piece: np.ndarray) -> np.ndarray:
    """Where polynomials through `values` (h, NODES) turn from plus to minus in a piece of each.

    By Newton's steps from the chord; the middle replaces one that leaves what holds the root.
    """
    lines = np.stack([values @ _COEFFICIENTS.T, values @ _SLOPES.T], axis=1)
    rows = np.arange(len(values))
    noise = 1e-14 * np.abs(values).max(axis=1, initial=0)
    a, b = _X[piece], _X[piece + 1]
    fa, fb = values[rows, piece], values[rows, piece + 1]
    x = a + (b - a) * fa / (fa - fb)
    for _ in range(60):
        f, slope = (lines @ _basis(x)[:, :, None])[:, :, 0].T
        a, b = np.where(f > 0, x, a), np.where(f > 0, b, x)
        newton = x - f / slope
        x = np.where((a <= newton) & (newton <= b), newton, (a + b) / 2)
        if np.all((np.abs(f) <= noise) | (b - a <= 1e-14)):
            break
    return x
