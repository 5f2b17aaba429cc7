"""Random-effects terms: how a few variance parameters spread over the rows of a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from backpain_analysis.engine.likelihood import Blocks
from backpain_analysis.errors import CannotEstimate

Structure = Literal["unstructured", "diagonal", "identity"]


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
    structure : {"unstructured", "diagonal", "identity"}
        `Psi` free, diagonal, or one variance times the identity.
    name : str
        What the term is called in results.
    labels : tuple of str
        Names of the columns of the design; may be left empty.
    """

    design: np.ndarray
    levels: np.ndarray | None = None
    structure: Structure = "unstructured"
    name: str = "trial"
    labels: tuple[str, ...] = ()


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
            if term.structure == "identity":
                scale = np.full(self.q, np.sqrt(np.mean(scale**2)))
            if np.any(scale == 0):
                raise CannotEstimate(f"random term {term.name!r} has a column of zeros", "drop it")
            self.design = design / scale
            self.back = np.diag(1 / scale)
        if term.structure == "unstructured":
            self.cells = [(a, b) for a in range(self.q) for b in range(a + 1)]
        elif term.structure == "diagonal":
            self.cells = [(a, a) for a in range(self.q)]
        else:
            self.cells = [(0, 0)]

    @property
    def n_parameters(self) -> int:
        return len(self.cells)

    def start(self, size: float) -> np.ndarray:
        """Cholesky parameters of `size**2` times the identity."""
        return np.array([size if a == b else 0.0 for a, b in self.cells])

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
        lower = self.back @ self.factor(theta)
        return lower @ lower.T

    def components(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Linear variance components and their derivatives by the Cholesky parameters.

        Returns
        -------
        values : ndarray, shape (m,)
            The distinct cells of `L L'`.
        jacobian : ndarray, shape (m, m)
        curvature : ndarray, shape (m, m, m)
            Second derivatives, component first; constant in theta.
        """
        m = self.n_parameters
        if self.term.structure != "unstructured":
            curvature = np.zeros((m, m, m))
            curvature[np.arange(m), np.arange(m), np.arange(m)] = 2.0
            return theta**2, np.diag(2 * theta), curvature
        lower = self.factor(theta)
        product = lower @ lower.T
        values = np.array([product[cell] for cell in self.cells])
        jacobian, curvature = np.zeros((m, m)), np.zeros((m, m, m))
        for row, (a, b) in enumerate(self.cells):
            for i, (c, d) in enumerate(self.cells):
                jacobian[row, i] = (a == c) * lower[b, d] + (b == c) * lower[a, d]
                for j, (e, f) in enumerate(self.cells):
                    curvature[row, i, j] = (d == f) * ((a == c) * (b == e) + (b == c) * (a == e))
        return values, jacobian, curvature

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
    position = pd.Series(np.asarray(blocks)).groupby(np.asarray(blocks)).cumcount().to_numpy()
    design = np.zeros((len(position), int(position.max()) + 2))
    design[np.arange(len(position)), position + 1] = 1.0
    design[:, 0] = 1.0
    return RandomTerm(design, structure="identity", name=name)
