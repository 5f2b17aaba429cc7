"""Random-effects terms: how a few variance parameters spread over the rows of a block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Literal

import numpy as np

from backpain_analysis.engine.likelihood import Blocks
from backpain_analysis.errors import CannotEstimate

Structure = Literal["unstructured", "diagonal", "identity", "CS", "HCS", "AR", "HAR", "CAR"]

LEANS, MOST_PATTERNS = (0.6, 0.95), 8
"""Correlations that a search starts from, and patterns of their signs."""

CORRELATED = ("CS", "HCS", "AR", "HAR", "CAR")
"""Structures with standard deviations and one correlation."""


@dataclass(frozen=True)
class RandomTerm:
    """Random effects `u ~ N(0, Psi)` that enter the rows as `design @ u`.

    Attributes
    ----------
    design : ndarray, shape (n_rows, q)
        `Z` of the mixed model: a column of ones for a random intercept, the fixed-effect
        columns for random curves.
    levels : ndarray of shape (n_rows,), optional
        Rows of a block with equal level share `u`; None: the whole block shares it.
    structure : str
        `Psi` free ("unstructured"), "diagonal", one variance times the "identity"; with one
        correlation of all columns "CS" (compound symmetry) or "HCS" (a variance a column); with
        correlations `rho^|i - j|` "AR" or "HAR", at any `positions` "CAR".
    name : str
        What the term is called in results.
    labels : tuple of str
        Names of the columns of the design; may be left empty.
    positions : tuple of float
        Of the columns in time, for "AR", "HAR" and "CAR".
    """

    design: np.ndarray
    levels: np.ndarray | None = None
    structure: Structure = "unstructured"
    name: str = "trial"
    labels: tuple[str, ...] = ()
    positions: tuple[float, ...] = ()


class ScaledTerm:
    """A term on the engine's scale: design orthonormal (or unit root mean square) by column.

    The unstructured term is indifferent to any invertible change of its design's columns, so
    those are orthogonalised; this is what makes a fit indifferent to the unit of dose.
    """

    def __init__(self, term: RandomTerm, n_rows: int) -> None:
        design = np.asarray(term.design, dtype=float).reshape(n_rows, -1)
        self.term = term
        self.q = design.shape[1]
        if term.structure == "unstructured" and self.q > 1:
            orthogonal, triangle = np.linalg.qr(design)
            smallest = np.abs(np.diag(triangle)).min()
            if smallest <= 1e-10 * np.abs(np.diag(triangle)).max():
                raise CannotEstimate(
                    f"the columns of random term {term.name!r} are collinear",
                    "use fewer random effects",
                )
            self.design = orthogonal * np.sqrt(n_rows)
            self.back = np.linalg.inv(triangle / np.sqrt(n_rows))
        else:
            scale = np.sqrt(np.mean(design**2, axis=0))
            if term.structure in ("identity", "CS", "AR", "CAR"):
                scale = np.full(self.q, np.sqrt(np.mean(scale**2)))
            if np.any(scale == 0):
                raise CannotEstimate(f"random term {term.name!r} has a column of zeros", "drop it")
            self.design = design / scale
            self.back = np.diag(1 / scale)
        self.cells = _cells(term.structure, self.q)

    @property
    def n_sizes(self) -> int:
        """Standard deviations among the parameters."""
        return 1 if self.term.structure in ("identity", "CS", "AR", "CAR") else self.q

    @property
    def n_parameters(self) -> int:
        return self.n_sizes + 1 if self.term.structure in CORRELATED else len(self.cells)

    def start(self, size: float) -> np.ndarray:
        """Parameters of equal standard deviations without correlation."""
        return self.at_sizes(np.full(self.n_sizes, size))

    @cached_property
    def leans(self) -> np.ndarray:
        """How the effects may lean: none, then of each pattern of signs the `LEANS`.

        Correlation matrices, shape (n_leans, q, q); of a structure with one correlation its place
        in the range, from -1 to 1, shape (n_leans,).
        """
        if self.term.structure in CORRELATED:
            return np.array([0.0, *LEANS, *(-lean for lean in LEANS)])
        apart = 1.0 - np.eye(self.q)
        found = [np.zeros_like(apart)]
        if self.term.structure == "unstructured" and self.q > 1:
            patterns = list(product((1.0, -1.0), repeat=self.q - 1))[:MOST_PATTERNS]
            signs = [np.array([1.0, *pattern]) for pattern in patterns]
            found += [lean * np.outer(own, own) * apart for own in signs for lean in LEANS]
        return np.eye(self.q) + np.array(found)

    def at_sizes(self, sizes: np.ndarray, lean: int = 0) -> np.ndarray:
        """Parameters of these standard deviations, with the lean of this number (see `leans`)."""
        if self.term.structure in CORRELATED:
            return np.append(sizes, np.arcsin(self.leans[lean]))
        if self.term.structure != "unstructured":
            return np.asarray(sizes, dtype=float)
        lower = np.asarray(sizes)[:, None] * self._lower_leans[lean]
        return np.array([lower[cell] for cell in self.cells])

    @cached_property
    def _lower_leans(self) -> np.ndarray:
        return np.linalg.cholesky(self.leans)

    def at_psi(self, psi: np.ndarray) -> np.ndarray:
        """Parameters of an unstructured term at a positive definite Psi, for y scaled to one."""
        own = np.linalg.inv(self.back)
        lower = np.linalg.cholesky(own @ psi @ own.T)
        return np.array([lower[cell] for cell in self.cells])

    def size(self, theta: np.ndarray) -> float:
        """The largest of the parameters that are zero where the term is."""
        own = theta[: self.n_sizes] if self.term.structure in CORRELATED else theta
        return float(np.abs(own).max())

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """Lower-triangular L with Psi = L L' on the engine's scale, shape (q, q)."""
        if self.term.structure == "identity":
            return theta[0] * np.eye(self.q)
        lower = np.zeros((self.q, self.q))
        for value, (a, b) in zip(theta, self.cells, strict=True):
            lower[a, b] = value
        return lower

    def psi(self, theta: np.ndarray) -> np.ndarray:
        """Psi on the scale of the term's own design, shape (q, q), for y scaled to one."""
        if self.term.structure in CORRELATED:
            sizes = np.broadcast_to(theta[: self.n_sizes], self.q)
            correlation = self._correlations(theta[-1])[0]
            return self.back @ (np.outer(sizes, sizes) * correlation) @ self.back.T
        lower = self.back @ self.factor(theta)
        return lower @ lower.T

    def rho(self, theta: np.ndarray) -> float:
        """The correlation of a correlated structure: of all columns, or at a distance of one."""
        low, high = self._range()
        rho = low + (high - low) * (1 + np.sin(theta[-1])) / 2
        return float(rho ** (1 / self._gap()) if self.term.structure == "CAR" else rho)

    def _range(self) -> tuple[float, float]:
        if self.term.structure in ("CS", "HCS"):
            return -1 / max(self.q - 1, 1), 1.0
        return (0.0, 1.0) if self.term.structure == "CAR" else (-1.0, 1.0)

    def _gap(self) -> float:
        """The smallest distance of two columns, the unit of the search."""
        return float(np.min(np.diff(np.unique(self.term.positions))))

    def _correlations(self, phi: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Correlations and their first two derivatives by phi; `rho` is a sine of it."""
        low, high = self._range()
        half = (high - low) / 2
        rho, rho1, rho2 = low + half * (1 + np.sin(phi)), half * np.cos(phi), -half * np.sin(phi)
        if self.term.structure in ("CS", "HCS"):
            apart = 1.0 - np.eye(self.q)
            return np.where(apart == 0, 1.0, rho), rho1 * apart, rho2 * apart
        unit = self._gap() if self.term.structure == "CAR" else 1.0
        distance = np.abs(np.subtract.outer(self.term.positions, self.term.positions)) / unit
        first = distance * rho ** np.maximum(distance - 1, 0)
        second = distance * (distance - 1) * rho ** np.maximum(distance - 2, 0)
        if self.term.structure == "CAR" and rho == 0:
            second = np.where(distance == 2, 2.0, 0.0)
        return rho**distance, first * rho1, second * rho1**2 + first * rho2

    def components(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Linear variance components and their derivatives by the parameters.

        Returns
        -------
        values : ndarray, shape (m,)
            The distinct cells of Psi.
        jacobian : ndarray, shape (m, n_parameters)
        curvature : ndarray, shape (m, n_parameters, n_parameters)
            Second derivatives, component first.
        """
        if self.term.structure in CORRELATED:
            return self._structured(theta)
        jacobian = self._curvature @ theta
        return jacobian @ theta / 2, jacobian, self._curvature

    def components_at(self, thetas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`components` at many parameters, (c, n_parameters), stacked.

        The curvature that is the same at all parameters is given once, shape (m, k, k).
        """
        if self.term.structure in CORRELATED:
            found = [self._structured(theta) for theta in thetas]
            values, jacobian, curvature = (np.stack(part) for part in zip(*found, strict=True))
            return values, jacobian, curvature
        m = len(self._curvature)
        jacobian = (thetas @ self._curvature.reshape(-1, m).T).reshape(len(thetas), m, m)
        values = (jacobian @ thetas[:, :, None])[:, :, 0] / 2
        return values, jacobian, self._curvature

    @property
    def _curvature(self) -> np.ndarray:
        return _curvature(self.term.structure, self.q)

    def cells_at_sizes(self, sizes: np.ndarray) -> np.ndarray:
        """Components at many standard deviations with each lean, (n, n_sizes) to (leans, n, m)."""
        left, right = np.array(self.cells).T
        wide = np.broadcast_to(sizes, (len(sizes), self.q)) if self.n_sizes == 1 else sizes
        if self.term.structure in CORRELATED:
            pairs = np.array([self._correlations(np.arcsin(lean))[0] for lean in self.leans])
        else:
            pairs = self.leans
        return wide[:, left] * wide[:, right] * pairs[:, None, left, right]

    def _structured(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cells `s_a s_b r_ab(rho)`."""
        own = np.ones((self.q, 1)) if self.n_sizes == 1 else np.eye(self.q)
        size = own @ theta[:-1]
        r, r1, r2 = self._correlations(float(theta[-1]))
        left, right = np.array(self.cells).T
        pair, pair1, pair2 = r[left, right], r1[left, right], r2[left, right]
        both = size[left] * size[right]
        by_size = own[left] * size[right, None] + size[left, None] * own[right]
        crossed = own[left][:, :, None] * own[right][:, None, :]
        m = len(theta)
        jacobian, curvature = np.zeros((len(left), m)), np.zeros((len(left), m, m))
        jacobian[:, :-1], jacobian[:, -1] = pair[:, None] * by_size, both * pair1
        curvature[:, :-1, :-1] = pair[:, None, None] * (crossed + crossed.transpose(0, 2, 1))
        curvature[:, :-1, -1] = curvature[:, -1, :-1] = pair1[:, None] * by_size
        curvature[:, -1, -1] = both * pair2
        return both * pair, jacobian, curvature

    def bases(self, blocks: Blocks) -> list[np.ndarray]:
        """Derivative of the block covariance by each component.

        Returns
        -------
        list of ndarray, each of shape (m, n_blocks_of_this_size, size, size)
        """
        stacks = []
        for batch in blocks.batches:
            z = self.design[batch]
            if self.term.structure == "identity":
                stack = np.matmul(z, z.transpose(0, 2, 1))[None]
            else:
                left, right = zip(*self.cells, strict=True)
                outer = z[:, :, None, left] * z[:, None, :, right]
                outer = outer + outer.transpose(0, 2, 1, 3)
                outer = outer * np.where(np.equal(left, right), 0.5, 1.0)
                stack = np.ascontiguousarray(outer.transpose(3, 0, 1, 2))
            if self.term.levels is not None:
                level = self.term.levels[batch]
                stack = stack * (level[:, :, None] == level[:, None, :])
            stacks.append(stack)
        return stacks


def _cells(structure: Structure, q: int) -> list[tuple[int, int]]:
    """The distinct cells of Psi."""
    if structure == "diagonal":
        return [(a, a) for a in range(q)]
    if structure == "identity":
        return [(0, 0)]
    return [(a, b) for a in range(q) for b in range(a + 1)]


@lru_cache(maxsize=64)
def _curvature(structure: Structure, q: int) -> np.ndarray:
    """Second derivatives of the cells of `L L'`, which are quadratic in the parameters."""
    cells = _cells(structure, q)
    m = len(cells)
    curvature = np.zeros((m, m, m))
    if structure != "unstructured":
        curvature[np.arange(m), np.arange(m), np.arange(m)] = 2.0
    else:
        for row, (a, b) in enumerate(cells):
            for i, (c, d) in enumerate(cells):
                for j, (e, f) in enumerate(cells):
                    ends = (a == c) * (b == e) + (b == c) * (a == e)
                    curvature[row, i, j] = (d == f) * ends
    curvature.flags.writeable = False
    return curvature


def split(terms: list[ScaledTerm], theta: np.ndarray) -> list[np.ndarray]:
    """The parameters of each term."""
    parts, first = [], 0
    for term in terms:
        parts.append(theta[first : first + term.n_parameters])
        first += term.n_parameters
    return parts


def components_of(
    terms: list[ScaledTerm], theta: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Components of all terms, with block-diagonal Jacobian and curvature."""
    if len(terms) == 1:
        return terms[0].components(theta)
    n, m = sum(len(term.cells) for term in terms), len(theta)
    values, jacobian, curvature = np.zeros(n), np.zeros((n, m)), np.zeros((n, m, m))
    row = first = 0
    for term, part in zip(terms, split(terms, theta), strict=True):
        rows = slice(row, row + len(term.cells))
        own = slice(first, first + len(part))
        values[rows], jacobian[rows, own], curvature[rows, own, own] = term.components(part)
        row, first = rows.stop, own.stop
    return values, jacobian, curvature


def components_at(
    terms: list[ScaledTerm], thetas: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`components_of` at many parameters, (c, m), stacked."""
    if len(terms) == 1:
        return terms[0].components_at(thetas)
    found = [components_of(terms, theta) for theta in thetas]
    values, jacobian, curvature = (np.stack(part) for part in zip(*found, strict=True))
    return values, jacobian, curvature


def multi_arm_term(blocks: np.ndarray, name: str = "trial") -> RandomTerm:
    """Heterogeneity of contrasts against a shared reference arm: tau2, correlation one half.

    Each arm, the reference included, has its own random effect of variance tau2/2, so `Psi` is
    tau2/2 times the identity. Source: Higgins & Whitehead 1996; Lu & Ades 2004
    (doi 10.1002/sim.1875).

    Parameters
    ----------
    blocks : array_like, shape (n_rows,)
        Trial of each contrast.
    """
    arms: Counter[Hashable] = Counter()
    places = []
    for trial in np.asarray(blocks).tolist():
        arms[trial] += 1
        places.append(arms[trial])
    design = np.zeros((len(places), max(places) + 1))
    design[np.arange(len(places)), places] = 1.0
    design[:, 0] = 1.0
    return RandomTerm(design, structure="identity", name=name)
