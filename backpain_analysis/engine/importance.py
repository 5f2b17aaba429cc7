"""Posteriors with more than three variance parameters or shapes, by importance sampling.

Where a lattice would need too many nodes, the parameters are drawn instead: a multivariate t in
the stretched coordinates of `integration` is fitted to the posterior step by step (adaptive
importance sampling: Oh & Berger 1992, doi 10.1080/00949659208810396), then nodes are spread over
it by scrambled Sobol sequences, which fill space more evenly than chance (Owen 1998,
doi 10.1145/272991.273010). Several scramblings tell how far off a probability may be. Seeds are
fixed: the same data give the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
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
"""Degrees of freedom of the t that nodes are drawn from: heavier tails than the posterior's."""

ROUNDS, FIRST = 30, 2048
"""Most steps of the fit, and nodes of each."""

ENOUGH = 0.25
"""Effective share of the nodes from which the fit is good enough."""

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
class Proposal:
    """A multivariate t: its centre and the triangle of its scale."""

    centre: np.ndarray
    triangle: np.ndarray

    def draw(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Points, shape (count, d), and their log density."""
        from scipy.stats import qmc

        d = len(self.centre)
        share = qmc.Sobol(d + 1, seed=seed).random(count).clip(1e-12, 1 - 1e-12)
        chi2 = 2 * special.gammaincinv(DF / 2, share[:, d])
        z = special.ndtri(share[:, :d]) * np.sqrt(DF / chi2)[:, None]
        size = special.gammaln((DF + d) / 2) - special.gammaln(DF / 2) - d / 2 * np.log(DF * np.pi)
        size -= np.log(np.abs(np.diag(self.triangle))).sum()
        log_density = size - (DF + d) / 2 * np.log1p((z**2).sum(axis=1) / DF)
        return self.centre + z @ self.triangle.T, log_density


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
    """A t whose centre and scale are those of the posterior.

    Weights are tempered, so that a tenth of the nodes count, until they need not be.
    """
    proposal = Proposal(np.zeros(len(axes)), 1.5 * np.eye(len(axes)))
    for number in range(ROUNDS):
        t, density = proposal.draw(FIRST, number)
        log_weight = _heights(log_joint, axes, t)[0] - density
        weights, power = _tempered(log_weight)
        centre = weights @ t
        apart = t - centre
        cov = (weights[:, None] * apart).T @ apart + 1e-8 * np.eye(len(axes))
        proposal = Proposal(centre, np.linalg.cholesky(cov))
        if power == 1 and 1 / (weights**2).sum() > ENOUGH * FIRST:
            break
    return proposal


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
