"""Does the engine return the highest maximum?

Random problems of 2 to 40 studies, their sampling variances up to 1e8 apart, doses in mixed units:
one variance (pooling, meta-regression), two levels, random curves of two and three coefficients,
an outcome at several times. Each is searched again by code that shares nothing with the engine:
heights at thousands of random parameters, the best of them climbed by quasi-Newton steps; of
several coefficients half of the parameters are the covariance of effects at rows drawn at random,
of any size, as hills lie where single rows see much of an effect and others none of it. What
counts is how far the engine's log-likelihood is below the highest found.

    python benchmarks/maxima.py --problems 3000
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy import optimize

from backpain_analysis.engine.mixed import MixedFit, fit
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate

Heights = Callable[[np.ndarray], np.ndarray]

KINDS = ("one variance", "two levels", "line", "curve", "spline", "visits")
WIDTH, RANDOM, CLIMBED = 4, 3000, 8
ALLOWED = 1e-6
LOST = 1e12
"""A row's variance over its sampling variance, above which heights are mostly rounding."""


rational = np.vectorize(lambda number: Fraction(float(number)), otypes=[object])
"""The same numbers, to be reckoned with exactly."""


def log(number: Fraction) -> float:
    """The logarithm of a rational number of any size; minus infinity if it is not positive."""
    if number <= 0:
        return -math.inf
    return math.log(number.numerator) - math.log(number.denominator)


def eliminated(table: np.ndarray) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Each pivot and row of a table while the columns below its pivots become zero."""
    for j in range(len(table)):
        pivot = table[j, j]
        yield pivot, table[j]
        table[j + 1 :] -= np.outer(table[j + 1 :, j] / pivot, table[j])


@dataclass
class Problem:
    """Trials of one to `WIDTH` rows, padded to it by rows that say nothing."""

    y: np.ndarray
    X: np.ndarray
    V: np.ndarray
    Z: np.ndarray
    rows: np.ndarray
    reml: bool
    kind: str
    unit: float

    @property
    def size(self) -> int:
        """How many parameters the reference searches."""
        if self.kind in ("one variance", "two levels"):
            return 1 + (self.kind == "two levels")
        q = self.Z.shape[-1]
        return q * (q + 1) // 2

    def heights(self, theta: np.ndarray) -> np.ndarray:
        """Log-likelihoods at parameters of shape (g, size)."""
        eye = np.eye(WIDTH) * self.rows[:, :, None]
        if self.kind in ("one variance", "two levels"):
            every = self.rows[:, :, None] * self.rows[:, None, :]
            parts = [every, eye] if self.kind == "two levels" else [every]
            added = np.tensordot(theta**2, np.stack(parts), axes=1)
        else:
            ZL = np.einsum("bnq,gqr->gbnr", self.Z, self._lower(theta))
            added = ZL @ ZL.swapaxes(-1, -2)
        return self._levels(added)

    def _lower(self, theta: np.ndarray) -> np.ndarray:
        q = self.Z.shape[-1]
        L = np.zeros((len(theta), q, q))
        L[:, *np.tril_indices(q)] = theta
        return L

    def _levels(self, added: np.ndarray) -> np.ndarray:
        """Log-likelihoods of heterogeneity of shape (g, trials, `WIDTH`, `WIDTH`)."""
        V = self.V + self.unit**2 * added
        known, whole = (np.diagonal(M, axis1=-2, axis2=-1) for M in (self.V, V))
        lost = (whole.max(axis=2) > LOST * known.min(axis=1)).any(axis=1)
        V[lost] = self.V
        sign, logdet = np.linalg.slogdet(V)
        W = np.linalg.inv(V)
        A = np.einsum("bnp,gbnm,bmq->gpq", self.X, W, self.X, optimize=True)
        c = np.einsum("bnp,gbnm,bm->gp", self.X, W, self.y, optimize=True)
        told = np.linalg.slogdet(A)[0] > 0
        A[~told] = np.eye(A.shape[-1])
        beta = np.linalg.solve(A, c[..., None])[..., 0]
        e = self.y - np.einsum("bnp,gp->gbn", self.X, beta)
        rss = np.einsum("gbn,gbnm,gbm->g", e, W, e, optimize=True)
        llf = -0.5 * (logdet.sum(axis=1) + rss + self._constant())
        if self.reml:
            llf -= 0.5 * np.linalg.slogdet(A)[1]
        sound = (sign > 0).all(axis=1) & ~lost & told & np.isfinite(llf)
        return np.where(sound, llf, -np.inf)

    def exact(self, psi: np.ndarray) -> float:
        """The log-likelihood at a covariance of the coefficients, in rational numbers.

        Where effects vary by many times what their rows can show, heights are mostly rounding.
        """
        p, psi = self.X.shape[-1], rational(psi)
        gram = np.full((p + 1, p + 1), Fraction(0))
        height = -0.5 * self._constant()
        for V, X, Z, y, there in zip(self.V, self.X, self.Z, self.y, self.rows > 0, strict=True):
            Z, own = rational(Z[there]), np.column_stack([X, y])[there]
            marginal = rational(V[np.ix_(there, there)]) + Z @ psi @ Z.T
            for pivot, row in eliminated(np.column_stack([marginal, rational(own)])):
                height -= 0.5 * log(pivot)
                gram += np.outer(row[-p - 1 :], row[-p - 1 :]) / pivot
        for pivot, _ in eliminated(gram[:p].copy()):
            height -= 0.5 * log(pivot) * self.reml
        *_, (rss, _) = eliminated(gram)
        return height - 0.5 * float(rss)

    def _constant(self) -> float:
        p, flat = self.X.shape[-1], self.X.reshape(-1, self.X.shape[-1])
        inside = np.linalg.slogdet(flat.T @ flat)[1] if self.reml else 0.0
        return (self.rows.sum() - p * self.reml) * np.log(2 * np.pi) - inside

    def reference(self, rng: np.random.Generator, found: float = np.inf) -> float:
        """The highest log-likelihood of random points and of climbs from the best of them.

        Of curves, what is above `found` is computed again in rational numbers.
        """
        theta = rng.normal(size=(RANDOM, self.size)) * 10 ** rng.uniform(-2.5, 2.5, (RANDOM, 1))
        theta *= 10 ** rng.uniform(-1.5, 1.5, theta.shape) * (rng.random(theta.shape) < 0.85)
        theta[0] = 0.0
        if self.size <= 2:
            return max(level for level, _ in self._ends(theta, self.heights))
        ends = [
            (level, self._lower(end[None])[0]) for level, end in self._ends(theta, self.heights)
        ]
        ends += self._from_rows(rng)
        best = -np.inf
        for level, factor in sorted(ends, key=lambda end: -end[0]):
            if level <= max(best, found + ALLOWED):
                return max(best, level)
            best = max(best, self.exact(self.unit**2 * factor @ factor.T))
        return best

    def _ends(self, theta: np.ndarray, heights: Heights) -> list[tuple[float, np.ndarray]]:
        """The highest of many points, and where climbs from the best of them end."""
        level = np.concatenate([heights(part) for part in np.array_split(theta, 10)])
        order = np.argsort(-level)
        ends = [(float(level[order[0]]), theta[order[0]])]
        for row in order[:: max(1, RANDOM // 400)][:CLIMBED]:
            ends.append(self._climb(heights, theta[row]))
        return ends

    def _from_rows(self, rng: np.random.Generator) -> list[tuple[float, np.ndarray]]:
        """The same of effects at as many rows as there are coefficients."""
        q = self.Z.shape[-1]
        there = self.Z[self.rows > 0]
        bases = np.stack([there[rng.choice(len(there), q, replace=False)] for _ in range(RANDOM)])
        told = np.linalg.svd(bases, compute_uv=False)
        bases = bases[told[:, -1] > 1e-6 * told[:, 0]]
        if not len(bases):
            return []
        n = len(bases)
        rank = rng.integers(1, q + 1, n)
        turns = np.linalg.qr(rng.normal(size=(n, q, q)))[0]
        turns *= (np.arange(q) < rank[:, None])[:, None]
        sizes = 10 ** rng.uniform(-2, rng.choice([1, 3, 6], (n, 1)), (n, q))
        back = np.linalg.inv(bases) * sizes[:, None]

        def level(factors: np.ndarray) -> np.ndarray:
            ZL = np.einsum("bnq,gqr->gbnr", self.Z, factors)
            return self._levels(ZL @ ZL.swapaxes(-1, -2))

        levels = np.concatenate([level(part) for part in np.array_split(back @ turns, 10)])
        order = np.argsort(-levels)
        ends = [(float(levels[order[0]]), back[order[0]] @ turns[order[0]])]
        for row in order[:: max(1, RANDOM // 400)][:CLIMBED]:

            def own(flat: np.ndarray, row: int = row) -> np.ndarray:
                return level(back[row] @ flat.reshape(-1, q, q))

            height, flat = self._climb(own, turns[row].ravel())
            ends.append((height, back[row] @ flat.reshape(q, q)))
        return ends

    def _climb(self, heights: Heights, start: np.ndarray) -> tuple[float, np.ndarray]:
        def down(theta: np.ndarray) -> tuple[float, np.ndarray]:
            step = 1e-5 * np.maximum(np.abs(theta), 1e-2)
            moves = np.diag(step)
            near = heights(np.concatenate([theta[None], theta + moves, theta - moves]))
            if not np.isfinite(near).all():
                return 1e10, np.zeros_like(theta)
            up, below = np.split(near[1:], 2)
            return -near[0], -(up - below) / (2 * step)

        bounds = [(-1e5, 1e5)] * len(start)
        found = optimize.minimize(down, start, jac=True, method="L-BFGS-B", bounds=bounds)
        return -float(found.fun), found.x

    def engine(self) -> float:
        """The log-likelihood where the engine ends; of curves, in rational numbers."""
        found = self.fitted()
        return found.llf if self.size <= 2 else self.exact(found.psi[0])

    def fitted(self) -> MixedFit:
        """What the engine makes of it."""
        there = self.rows.ravel() > 0
        labels = np.repeat(np.arange(len(self.rows)), WIDTH)[there]
        X, Z = (own.reshape(-1, own.shape[-1])[there] for own in (self.X, self.Z))
        terms = [RandomTerm(np.ones((len(X), 1)) if self.kind in KINDS[:2] else Z)]
        if self.kind == "two levels":
            terms.append(RandomTerm(np.ones((len(X), 1)), np.arange(len(X))))
        covariance = [V[np.ix_(own > 0, own > 0)] for V, own in zip(self.V, self.rows, strict=True)]
        y = self.y.ravel()[there]
        method = "REML" if self.reml else "ML"
        return fit(y, X, covariance, blocks=labels, terms=terms, method=method)


def problem(rng: np.random.Generator, kind: str, most: int = 40) -> Problem:
    """A random problem of a kind, of two to so many trials."""
    k = int(rng.integers(2, most + 1))
    rows = np.arange(WIDTH) < rng.integers(1, WIDTH + 1, k)[:, None]
    if kind == "one variance":
        rows = np.repeat(np.arange(WIDTH) < 1, k).reshape(WIDTH, k).T
    dose = rng.uniform(0, 1, rows.shape) * 10 ** rng.uniform(-2, 3)
    dose = np.where(rng.random(rows.shape) < 0.3, 60 * dose, dose)
    ones = np.ones_like(dose)
    bent = np.maximum(dose - np.median(dose), 0)
    columns = {
        "line": [ones, dose],
        "curve": [dose, dose**2],
        "spline": [ones, dose, bent],
        "visits": [np.broadcast_to(np.arange(WIDTH) == j, rows.shape) for j in range(3)],
    }.get(kind, [ones])
    if kind == "visits":
        rows = rows & (np.arange(WIDTH) < 3)
    X = np.stack(columns, axis=-1) * rows[..., None].astype(float)
    if kind == "one variance" and k > 4 and rng.random() < 0.5:
        X = np.stack([ones, dose], axis=-1) * rows[..., None]
    variance = 10.0 ** (rng.uniform(0, 8) * rng.uniform(-0.5, 0.5, k) + rng.uniform(-3, 3))
    root = np.sqrt(variance[:, None] * rng.uniform(0.5, 2, rows.shape))
    share = rng.uniform(0, 0.8, k)[:, None, None]
    inside = rows[:, :, None] & rows[:, None, :]
    V = root[:, :, None] * root[:, None, :] * (share + (1 - share) * np.eye(WIDTH)) * inside
    V += np.eye(WIDTH) * ~rows[:, :, None]
    unit = float(np.sqrt(np.median(np.diagonal(V, axis1=1, axis2=2)[rows])))
    flat = X[rows]
    length = np.linalg.norm(flat, axis=0)
    if not length.all() or len(flat) < len(length) or np.linalg.cond(flat / length) > 1e8:
        return problem(rng, kind, most)
    if kind in ("one variance", "two levels"):
        Z = rows[..., None].astype(float)
    else:
        Z = X @ np.linalg.inv(np.linalg.qr(flat)[1]) * np.sqrt(len(flat))
    q = Z.shape[-1]
    sizes = unit * 10 ** rng.uniform(-2, 2, q) * (rng.random(q) < 0.8)
    lean = np.linalg.cholesky(np.eye(q) + rng.uniform(0, 0.98) * (np.ones((q, q)) - np.eye(q)))
    u = rng.normal(size=(k, q)) @ lean.T * sizes * rng.choice([-1, 1], q)
    u *= 10 ** (rng.uniform(0, 1, (k, 1)) * (rng.random() < 0.3))
    noise = (np.linalg.cholesky(V) @ rng.normal(size=(*rows.shape, 1)))[..., 0]
    y = (np.einsum("bnq,bq->bn", Z, u) + noise) * rows
    if kind == "two levels":
        y += rows * unit * 10 ** rng.uniform(-2, 2) * rng.normal(size=rows.shape)
    return Problem(y, X, V, Z, rows.astype(float), bool(rng.integers(2)), kind, unit)


def main() -> None:
    """Print, every hundred problems, what was found; the worst seeds by kind at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=3000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--most", type=int, default=40, help="trials of a problem at most")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    options = parser.parse_args()
    counts = {kind: [0, 0, 0.0, 0.0, 0] for kind in options.kinds}
    for number in range(options.first, options.first + options.problems):
        kind = options.kinds[number % len(options.kinds)]
        rng = np.random.default_rng(number)
        made = problem(rng, kind, options.most)
        row = counts[kind]
        try:
            at = time.process_time()
            made.fitted()
            row[3] += time.process_time() - at
            found = made.engine()
        except CannotEstimate:
            row[4] += 1
            continue
        lower = made.reference(rng, found) - found
        row[0] += 1
        row[1] += lower > ALLOWED
        row[2] = max(row[2], lower)
        if lower > ALLOWED:
            print(f"problem {number} ({kind}): {lower:.3g} below the highest found", flush=True)
        if number % 120 == 119 or number == options.first + options.problems - 1:
            print(f"after problem {number}:")
            for name, (tried, missed, worst, seconds, refused) in counts.items():
                print(
                    f"  {name}: {tried} fitted ({refused} cannot be), {missed} missed by more "
                    f"than {ALLOWED:g}, worst {max(worst, 0):.2g}, "
                    f"{1000 * seconds / max(tried, 1):.1f} ms a fit",
                    flush=True,
                )


if __name__ == "__main__":
    main()
