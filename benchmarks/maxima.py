"""Does the engine return the highest maximum?

Random problems of 2 to 40 studies, their sampling variances up to 1e8 apart, doses in mixed units:
one variance (pooling, meta-regression), two levels, random curves of two and three coefficients,
an outcome at several times. Each is searched again by code that shares nothing with the engine:
heights at thousands of random parameters, the best of them climbed by quasi-Newton steps. What
counts is how far the engine's log-likelihood is below the highest found.

    python benchmarks/maxima.py --problems 3000
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy import optimize

from backpain_analysis.engine.mixed import fit
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate

KINDS = ("one variance", "two levels", "line", "curve", "spline", "visits")
WIDTH, RANDOM, CLIMBED = 4, 3000, 8
ALLOWED = 1e-6


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
            q = self.Z.shape[-1]
            L = np.zeros((len(theta), q, q))
            L[:, *np.tril_indices(q)] = theta
            ZL = np.einsum("bnq,gqr->gbnr", self.Z, L)
            added = ZL @ ZL.swapaxes(-1, -2)
        V = self.V + self.unit**2 * added
        sign, logdet = np.linalg.slogdet(V)
        try:
            W = np.linalg.inv(V)
        except np.linalg.LinAlgError:
            return np.full(len(theta), -np.inf)
        A = np.einsum("bnp,gbnm,bmq->gpq", self.X, W, self.X, optimize=True)
        c = np.einsum("bnp,gbnm,bm->gp", self.X, W, self.y, optimize=True)
        told = np.linalg.slogdet(A)[0] > 0
        A[~told] = np.eye(A.shape[-1])
        beta = np.linalg.solve(A, c[..., None])[..., 0]
        e = self.y - np.einsum("bnp,gp->gbn", self.X, beta)
        rss = np.einsum("gbn,gbnm,gbm->g", e, W, e, optimize=True)
        own, p = int(self.rows.sum()), self.X.shape[-1]
        llf = -0.5 * (logdet.sum(axis=1) + rss + (own - p * self.reml) * np.log(2 * np.pi))
        if self.reml:
            flat = self.X.reshape(-1, p)
            llf += 0.5 * (np.linalg.slogdet(flat.T @ flat)[1] - np.linalg.slogdet(A)[1])
        return np.where((sign > 0).all(axis=1) & told & np.isfinite(llf), llf, -np.inf)

    def reference(self, rng: np.random.Generator) -> float:
        """The highest log-likelihood of random points and of climbs from the best of them."""
        theta = rng.normal(size=(RANDOM, self.size)) * 10 ** rng.uniform(-2.5, 2.5, (RANDOM, 1))
        theta *= 10 ** rng.uniform(-1.5, 1.5, theta.shape) * (rng.random(theta.shape) < 0.85)
        theta[0] = 0.0
        level = np.concatenate([self.heights(part) for part in np.array_split(theta, 10)])
        best = float(level.max())
        for row in np.argsort(-level)[:: max(1, RANDOM // 400)][:CLIMBED]:
            best = max(best, -float(self._climb(theta[row])))
        return best

    def _climb(self, start: np.ndarray) -> float:
        def down(theta: np.ndarray) -> tuple[float, np.ndarray]:
            step = 1e-5 * np.maximum(np.abs(theta), 1e-2)
            moves = np.diag(step)
            near = self.heights(np.concatenate([theta[None], theta + moves, theta - moves]))
            if not np.isfinite(near).all():
                return 1e10, np.zeros_like(theta)
            up, below = np.split(near[1:], 2)
            return -near[0], -(up - below) / (2 * step)

        bounds = [(-1e5, 1e5)] * len(start)
        return optimize.minimize(down, start, jac=True, method="L-BFGS-B", bounds=bounds).fun

    def engine(self) -> float:
        """The engine's log-likelihood."""
        there = self.rows.ravel() > 0
        labels = np.repeat(np.arange(len(self.rows)), WIDTH)[there]
        X, Z = (own.reshape(-1, own.shape[-1])[there] for own in (self.X, self.Z))
        terms = [RandomTerm(np.ones((len(X), 1)) if self.kind in KINDS[:2] else Z)]
        if self.kind == "two levels":
            terms.append(RandomTerm(np.ones((len(X), 1)), np.arange(len(X))))
        covariance = [V[np.ix_(own > 0, own > 0)] for V, own in zip(self.V, self.rows, strict=True)]
        y = self.y.ravel()[there]
        method = "REML" if self.reml else "ML"
        return fit(y, X, covariance, blocks=labels, terms=terms, method=method).llf


def problem(rng: np.random.Generator, kind: str) -> Problem:
    """A random problem of a kind."""
    k = int(rng.integers(2, 41))
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
    X = np.stack(columns, axis=-1) * rows[..., None]
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
        return problem(rng, kind)
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
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    options = parser.parse_args()
    counts = {kind: [0, 0, 0.0, 0.0, 0] for kind in options.kinds}
    for number in range(options.first, options.first + options.problems):
        kind = options.kinds[number % len(options.kinds)]
        rng = np.random.default_rng(number)
        made = problem(rng, kind)
        row = counts[kind]
        try:
            at = time.process_time()
            found = made.engine()
            row[3] += time.process_time() - at
        except CannotEstimate:
            row[4] += 1
            continue
        lower = made.reference(rng) - found
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
