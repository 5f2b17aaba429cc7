"""Posteriors with more than three variance parameters or shapes, by importance sampling.

Where a lattice would need too many nodes, the parameters are drawn instead. A multivariate t in
the stretched coordinates of `integration` is fitted to the posterior step by step (adaptive
importance sampling: Oh & Berger 1992, doi 10.1080/00949659208810396), then divided into a mixture
of several, fitted to the weighted nodes by the EM algorithm (Cappe et al. 2008,
doi 10.1007/s11222-008-9059-x): standard deviations near zero have long one-sided tails, which one
t leaves to few, heavy nodes. Last, nodes are spread over it by scrambled Sobol sequences, which
fill space more evenly than chance (Owen 1998, doi 10.1145/272991.273010). Several scramblings tell
how far off a probability may be. Seeds are fixed: the same data give the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from backpain_analysis.engine.integration import (
    Axis,
    Integral,
    LogJoint,
    Marginal,
    joint,
    within,
)
from backpain_analysis.engine.marginal import Conditional
from backpain_analysis.errors import CannotEstimate

DF = 6.0
"""Degrees of freedom of what nodes are drawn from: heavier tails than the posterior's."""

ROUNDS, FIRST = 30, 2048
"""Most steps of the fit, and nodes of each."""

ENOUGH, GOOD = 0.25, 0.6
"""Effective share of the nodes from which one t, and the mixture, fit well enough."""

PARTS, REFINED, SECOND, EM_STEPS = 8, 6, 4096, 5
"""Parts of the mixture, most times it is fitted, nodes of each and steps of EM."""

SCRAMBLES, NODES = 8, 1024
"""Scramblings, and nodes of each at first."""

DOUBLINGS, FURTHER = 3, 5
"""How often the nodes are doubled to reach `TARGET`, and to reach `TOLERANCE`."""

TARGET, TOLERANCE = 5e-3, 1e-2
"""Error of a probability that is aimed at, and the largest that is let through."""

LEAST = 1e-5
"""Mass at either end of a smoothed density that is left out."""

CHUNK = 2048


@dataclass(frozen=True)
class Part:
    """A multivariate t: its centre and the triangle of its scale."""

    centre: np.ndarray
    triangle: np.ndarray

    def squares(self, t: np.ndarray) -> np.ndarray:
        """Squared distances of points, shape (n, d), from the centre."""
        return (np.linalg.solve(self.triangle, (t - self.centre).T) ** 2).sum(axis=0)

    def log_density(self, t: np.ndarray) -> np.ndarray:
        d = len(self.centre)
        size = special.gammaln((DF + d) / 2) - special.gammaln(DF / 2) - d / 2 * np.log(DF * np.pi)
        size -= np.log(np.abs(np.diag(self.triangle))).sum()
        return size - (DF + d) / 2 * np.log1p(self.squares(t) / DF)


@dataclass(frozen=True)
class Proposal:
    """A mixture of parts and the share of each."""

    shares: np.ndarray
    parts: Sequence[Part]

    def log_densities(self, t: np.ndarray) -> np.ndarray:
        """A row a part, weighted by its share."""
        both = zip(self.shares, self.parts, strict=True)
        return np.stack([np.log(share) + part.log_density(t) for share, part in both])

    def draw(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Points, shape (count, d), and their log density."""
        from scipy.stats import qmc

        d = len(self.parts[0].centre)
        share = qmc.Sobol(d + 2, seed=seed).random(count).clip(1e-12, 1 - 1e-12)
        chi2 = 2 * special.gammaincinv(DF / 2, share[:, d])
        z = special.ndtri(share[:, :d]) * np.sqrt(DF / chi2)[:, None]
        of = np.searchsorted(np.cumsum(self.shares)[:-1], share[:, d + 1])
        t = np.empty_like(z)
        for number, part in enumerate(self.parts):
            t[of == number] = part.centre + z[of == number] @ part.triangle.T
        return t, special.logsumexp(self.log_densities(t), axis=0)

    def fitted(self, t: np.ndarray, weights: np.ndarray) -> Proposal:
        """One step of EM: parts that follow the weighted points; what is nearly empty is left."""
        d = t.shape[1]
        log_densities = self.log_densities(t)
        own = weights * np.exp(log_densities - special.logsumexp(log_densities, axis=0))
        shares, parts = [], []
        for part, mass in zip(self.parts, own, strict=True):
            if mass.sum() < 0.01:
                continue
            pull = mass * (DF + d) / (DF + part.squares(t))
            centre = pull @ t / pull.sum()
            apart = t - centre
            scale = (pull[:, None] * apart).T @ apart / mass.sum() + 1e-6 * np.eye(d)
            shares.append(mass.sum())
            parts.append(Part(centre, np.linalg.cholesky(scale)))
        return Proposal(np.array(shares) / sum(shares), parts)


@dataclass(frozen=True)
class SampledIntegral(Integral):
    """As `Integral`, with nodes that were drawn; `step` has no meaning."""

    def marginal(self, axis: int) -> Marginal:
        """The posterior of one parameter, smoothed in its stretched coordinate.

        By a normal kernel, after the nodes were drawn together so that their variance stays
        (Silverman 1986, section 6.4).
        """
        t = self.t[:, axis]
        middle = self.weights @ t
        sd = float(np.sqrt(self.weights @ (t - middle) ** 2))
        width = 0.5 * sd * float((self.weights**2).sum()) ** 0.2
        t = middle + (t - middle) * np.sqrt(1 - (width / sd) ** 2)
        order = np.argsort(t)
        below = np.cumsum(self.weights[order])
        low, high = t[order][np.searchsorted(below, [LEAST, 1 - LEAST]).clip(max=len(t) - 1)]
        grid = np.arange(low - 5 * width, high + 5 * width, width / 3)
        place = np.rint((t - grid[0]) / (width / 3)).astype(int).clip(0, len(grid) - 1)
        mass = np.bincount(place, self.weights, len(grid))
        apart = (grid[:, None] - grid) / width
        density = np.exp(-0.5 * apart**2) @ mass / (width * np.sqrt(2 * np.pi))
        return Marginal(self.axes[axis], grid, density)


def sample(log_joint: LogJoint, axes: Sequence[Axis]) -> SampledIntegral:
    """Integrate `log_joint` over its parameters by importance sampling.

    The stated error is three standard errors, between scramblings, of the least certain of the
    total mass and of probabilities of all parameters and effects.

    Raises
    ------
    CannotEstimate
        If it stays above `TOLERANCE`.
    """
    proposal = _fitted(log_joint, axes)
    for doublings in range(FURTHER + 1):
        found = _drawn(log_joint, axes, proposal, NODES * 2**doublings)
        if found.error <= (TARGET if doublings < DOUBLINGS else TOLERANCE):
            return found
    raise CannotEstimate(
        f"the posterior of {len(axes)} parameters of heterogeneity and shape could not be "
        f"integrated to {TOLERANCE:g}: probabilities may be off by {found.error:.1g}",
        "use a more informative prior, or a simpler model",
    )


def _fitted(log_joint: LogJoint, axes: Sequence[Axis]) -> Proposal:
    """A mixture that is near the posterior."""

    def drawn(proposal: Proposal, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
        t, density = proposal.draw(count, seed)
        return t, *_tempered(_heights(log_joint, axes, t)[0] - density)

    proposal = _one_part(drawn, len(axes))
    for number in range(REFINED):
        t, weights, power = drawn(proposal, SECOND, ROUNDS + number)
        if power == 1 and _effective(weights) > GOOD:
            break
        if number == 0:
            picks = np.random.default_rng(0).choice(len(t), PARTS, p=weights)
            parts = [Part(t[pick], proposal.parts[0].triangle) for pick in picks]
            proposal = Proposal(np.full(PARTS, 1 / PARTS), parts)
        for _ in range(EM_STEPS):
            proposal = proposal.fitted(t, weights)
    return proposal


def _one_part(drawn: Callable[..., tuple[np.ndarray, np.ndarray, float]], d: int) -> Proposal:
    """A t whose centre and scale are those of the posterior.

    Weights are tempered, so that a tenth of the nodes count, until they need not be.
    """
    proposal = Proposal(np.ones(1), [Part(np.zeros(d), 1.5 * np.eye(d))])
    for number in range(ROUNDS):
        t, weights, power = drawn(proposal, FIRST, number)
        centre = weights @ t
        apart = t - centre
        cov = (weights[:, None] * apart).T @ apart + 1e-8 * np.eye(d)
        proposal = Proposal(np.ones(1), [Part(centre, np.linalg.cholesky(cov))])
        if power == 1 and _effective(weights) > ENOUGH:
            break
    return proposal


def _effective(weights: np.ndarray) -> float:
    """The share of the nodes that count (Kong's effective sample size over their number)."""
    return 1 / float((weights**2).sum()) / len(weights)


def _tempered(log_weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights to the largest power at which a tenth of the nodes count, and that power."""

    def at(power: float) -> np.ndarray:
        weights = np.exp(power * (log_weight - log_weight.max()))
        return weights / weights.sum()

    fewest = 0.1 * len(log_weight)
    if 1 / (at(1.0) ** 2).sum() >= fewest:
        return at(1.0), 1.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        enough = 1 / (at(middle) ** 2).sum() >= fewest
        low, high = (middle, high) if enough else (low, middle)
    return at(low), low


def _heights(
    log_joint: LogJoint, axes: Sequence[Axis], t: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Conditional]:
    """Log density by t, values, and the normals of the effects, in pieces that fit in memory."""
    inside = within(axes, t)
    height = np.full(len(t), -np.inf)
    ends = np.array([axis.ends for axis in axes])
    held = np.clip(t, ends[:, 0], ends[:, 1])
    parts = [joint(log_joint, axes, held[i : i + CHUNK]) for i in range(0, len(t), CHUNK)]
    height[inside] = np.concatenate([part[1] for part in parts])[inside]
    columns = zip(*((c.log_likelihood, c.mean, c.cov) for _, _, c in parts), strict=True)
    return (
        height,
        np.concatenate([part[0] for part in parts]),
        Conditional(*(np.concatenate(column) for column in columns)),
    )


def _drawn(
    log_joint: LogJoint, axes: Sequence[Axis], proposal: Proposal, count: int
) -> SampledIntegral:
    drawn = [proposal.draw(count, 1000 + number) for number in range(SCRAMBLES)]
    t = np.concatenate([points for points, _ in drawn])
    density = np.concatenate([own for _, own in drawn])
    height, values, conditional = _heights(log_joint, axes, t)
    log_weight = height - density
    top = float(log_weight.max())
    mass = np.exp(log_weight - top)
    total = float(mass.sum())
    kept = mass > 0
    return SampledIntegral(
        axes=tuple(axes),
        step=np.nan,
        t=t[kept],
        values=values[kept],
        weights=mass[kept] / total,
        mean=conditional.mean[kept],
        cov=conditional.cov[kept],
        log_evidence=top + float(np.log(total / len(t))),
        error=_error(mass, t, conditional),
    )


def _error(mass: np.ndarray, t: np.ndarray, conditional: Conditional) -> float:
    """Three standard errors between scramblings: of the mass, and of probabilities."""
    deviation = np.sqrt(np.diagonal(conditional.cov, axis1=1, axis2=2))
    weights = mass / mass.sum()
    middle = weights @ conditional.mean
    spread = np.sqrt(weights @ (deviation**2 + (conditional.mean - middle) ** 2))
    columns = [special.expit((t - weights @ t) / np.sqrt(weights @ (t - weights @ t) ** 2))]
    columns += [
        special.ndtr((middle + shift * spread - conditional.mean) / deviation)
        for shift in (-1.5, 0.0, 1.5)
    ]
    asked = np.hstack(columns).reshape(SCRAMBLES, -1, sum(c.shape[1] for c in columns))
    own = mass.reshape(SCRAMBLES, -1)
    shares = np.einsum("rg,rgk->rk", own, asked) / own.sum(axis=1, keepdims=True)
    sums = own.sum(axis=1) / own.sum(axis=1).mean()
    apart = max(float(shares.std(axis=0, ddof=1).max()), float(sums.std(ddof=1)))
    return 3 * apart / SCRAMBLES**0.5
