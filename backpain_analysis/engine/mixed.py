"""The one engine: linear mixed models with known sampling covariance, by REML, ML or CE.

    y = X b + Z u + e,   u ~ N(0, Psi),   e ~ N(0, S),   one independent block a trial

Pooling, meta-regression, multilevel models, one-stage dose-response and network meta-analysis
are thin callers that build X, the blocks and the random terms. Sources: Harville 1977
(doi 10.1080/01621459.1977.10480998) for the likelihoods; Gasparrini, Armstrong & Kenward 2012
(doi 10.1002/sim.5471) and Sera et al. 2019 (doi 10.1002/sim.8362) for their use in
meta-analysis.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal, TypeVar

import numpy as np

from backpain_analysis.engine.few_rows import reduced
from backpain_analysis.engine.likelihood import (
    Batch,
    Blocks,
    NotDefinite,
    Point,
    evaluate,
    gathered,
    group,
    singletons,
    stack_covariance,
)
from backpain_analysis.engine.one_variance import Turning, turning
from backpain_analysis.engine.several_variances import Found, Problem, highest
from backpain_analysis.engine.terms import RandomTerm, ScaledTerm, components_of, split
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.words import plural

Method = Literal["REML", "ML", "CE"]

METHODS = ("REML", "ML", "CE")

COLLINEAR = 1e-8
"""Share of a column of X, by length, that the columns before it must leave."""

TINY = 1e-14
"""Smallest eigenvalue of an invertible covariance, over its largest."""

FARTHEST = 1e6
"""Distance of two effects in standard errors that is taken for a mistake of units."""

WIDEST = 1e12
"""Largest sampling variance of a model, over its smallest."""


@dataclass(frozen=True)
class MixedFit:
    """A fitted linear mixed model.

    Attributes
    ----------
    beta : ndarray, shape (p,)
    cov_beta : ndarray, shape (p, p)
        Model-based covariance of `beta`, `(X'V^-1 X)^-1`.
    psi : tuple of ndarray
        Covariance of the random effects of each term, on the scale of its design.
    llf : float
        Log-likelihood; for REML with `1/2 log|X'X|` as in metafor, so that it does not depend
        on the units of X.
    method : {"REML", "ML", "CE"}
    n_variance_parameters : int
    rss : float
        `(y - Xb)' V^-1 (y - Xb)`.
    y, X, blocks, terms
        What went in.
    n_iterations : int
    theta : ndarray
        Variance parameters as the engine searches them.
    told : bool
        Whether the data tell the variances as far as effects and standard errors depend on them:
        no others were found that fit as well and give others.
    inverted : callable
        Gives `precision`, which few results need.
    """

    beta: np.ndarray
    cov_beta: np.ndarray
    psi: tuple[np.ndarray, ...]
    llf: float
    method: str
    n_variance_parameters: int
    rss: float
    y: np.ndarray
    X: np.ndarray
    blocks: Blocks
    terms: tuple[RandomTerm, ...]
    n_iterations: int
    theta: np.ndarray
    told: bool
    inverted: Callable[[], tuple[np.ndarray, ...]] = field(repr=False)

    @cached_property
    def precision(self) -> tuple[np.ndarray, ...]:
        """Inverse marginal covariance of each batch of blocks, in the units of y."""
        return self.inverted()

    @property
    def n_rows(self) -> int:
        return len(self.y)

    @property
    def n_blocks(self) -> int:
        return len(self.blocks.labels)

    @property
    def n_parameters(self) -> int:
        return len(self.beta) + self.n_variance_parameters

    @property
    def aic(self) -> float:
        """Akaike's criterion, `-2 llf + 2 (p + m)`; compare REML fits only at equal X."""
        return -2 * self.llf + 2 * self.n_parameters

    @property
    def bic(self) -> float:
        """Bayes criterion, with `n - p` observations for REML and n else, as in metafor."""
        n = self.n_rows - len(self.beta) * (self.method == "REML")
        return -2 * self.llf + np.log(n) * self.n_parameters

    def blups(self, term: int = 0) -> np.ndarray:
        """Best linear unbiased predictions of a term's random effects, one row a block.

        `u = Psi Z' V^-1 (y - X b)` (Harville 1977), shape (n_blocks, q).
        """
        design = self.terms[term].design
        residual = self.y - self.X @ self.beta
        effects = np.zeros((len(self.blocks.labels), design.shape[1]))
        for batch, members, W in zip(
            self.blocks.batches, self.blocks.members, self.precision, strict=True
        ):
            weighted = np.einsum("bnm,bm->bn", W, residual[batch])
            effects[members] = np.einsum("bnq,bn->bq", design[batch], weighted)
        return effects @ self.psi[term]


@dataclass(frozen=True)
class Sampling:
    """The sampling covariance of some rows, checked and stacked once for all their fits.

    Attributes
    ----------
    blocks : Blocks
    stacks : tuple of ndarray
        Of each batch of blocks, divided by the square of `spread`.
    spread : float
        The typical standard deviation, the engine's unit of y.
    """

    blocks: Blocks
    stacks: tuple[np.ndarray, ...]
    spread: float
    _last: list[tuple[RandomTerm, Turning]] = field(default_factory=list, repr=False)

    def turning(self, scaled: ScaledTerm) -> Turning:
        """How the rows become independent under a term of one variance; the last is kept."""
        if not (self._last and self._last[0][0] is scaled.term):
            changes = [basis[0] for basis in scaled.bases(self.blocks)]
            self._last[:] = [(scaled.term, turning(self.stacks, changes))]
        return self._last[0][1]


def sampling(covariance: np.ndarray | Sequence[np.ndarray], blocks: Blocks) -> Sampling:
    """Check and stack a sampling covariance, given as to `fit`.

    Raises
    ------
    ValueError
        For unusable shapes, and missing, infinite or negative variances.
    CannotEstimate
        If the covariance of a trial has no inverse.
    """
    stacks = stack_covariance(covariance, blocks)
    spread = typical_sd(stacks)
    scaled = tuple(stack / spread**2 for stack in stacks)
    _check_definite(scaled, blocks)
    variances = np.concatenate([np.diagonal(stack, axis1=1, axis2=2).ravel() for stack in scaled])
    if variances.max() > WIDEST * variances.min():
        raise CannotEstimate(
            f"the sampling variances differ by a factor of {variances.max() / variances.min():.0e}",
            "check their units: no computer's numbers hold both in one model",
        )
    return Sampling(blocks, scaled, spread)


def fit(
    y: np.ndarray,
    X: np.ndarray,
    covariance: np.ndarray | Sequence[np.ndarray] | Sampling,
    *,
    blocks: Sequence | np.ndarray | None = None,
    terms: Sequence[RandomTerm] = (),
    method: str = "REML",
    names: Sequence[str] | None = None,
    near: np.ndarray | None = None,
) -> MixedFit:
    """Fit the model by restricted or full maximum likelihood, or with no random effects.

    The result does not depend on the units of y or of the columns of X and Z: all are scaled to
    one inside. Variance parameters are searched as Cholesky factors, so estimates stay inside
    (and may reach) the boundary of positive semidefinite matrices.

    Parameters
    ----------
    y : ndarray, shape (n_rows,)
    X : ndarray, shape (n_rows, p)
    covariance : ndarray (n_rows,), sequence of square ndarrays, or Sampling
        Sampling variances, or a sampling covariance matrix a block in the order of first
        appearance of the block; or these with their blocks, for many fits of the same rows.
    blocks : sequence, shape (n_rows,), optional
        Block (trial) labels; None: each row is its own block.
    terms : sequence of RandomTerm
        Ignored for "CE".
    method : {"REML", "ML", "CE"}
        "CE" is the common-effect model (no random effects, full likelihood).
    names : sequence of str, optional
        Names of the columns of X, for messages.
    near : ndarray, shape (q, q), optional
        About the Psi of the only term, unstructured and positive definite, of data so many that
        their likelihood has one hill: it is climbed from there alone.

    Returns
    -------
    MixedFit

    Raises
    ------
    ValueError
        For unusable shapes, missing or infinite values, collinear columns of X, too few rows,
        a sampling covariance that is not positive definite.
    ConvergenceError
        If no maximum was found.
    """
    asked = fitting(
        y, X, covariance, blocks=blocks, terms=terms, method=method, names=names, near=near
    )
    return alone(asked)


Result = TypeVar("Result")
Fitting = Generator[Problem, Any, Result]
"""A fit that stops at each problem it meets, to be sent where that likelihood is highest."""


def alone(asked: Fitting[Result]) -> Result:
    """The result of one fit."""
    return together([asked])[0]


def together(asked: Iterable[Fitting[Result]]) -> list[Result]:
    """The results of many fits, whose small problems are climbed at once.

    Raises
    ------
    CannotEstimate
        Of the first fit that cannot be, and does not catch it.
    """
    fits = list(asked)
    results: dict[int, Result] = {}
    found: dict[int, Found | CannotEstimate | None] = dict.fromkeys(range(len(fits)))
    while found:
        problems: dict[int, Problem] = {}
        for number, answer in found.items():
            try:
                if isinstance(answer, CannotEstimate):
                    problems[number] = fits[number].throw(answer)
                else:
                    problems[number] = fits[number].send(answer)
            except StopIteration as end:
                results[number] = end.value
        found = dict(zip(problems, highest(list(problems.values())), strict=True))
    return [results[number] for number in range(len(fits))]


def fitting(
    y: np.ndarray,
    X: np.ndarray,
    covariance: np.ndarray | Sequence[np.ndarray] | Sampling,
    *,
    blocks: Sequence | np.ndarray | None = None,
    terms: Sequence[RandomTerm] = (),
    method: str = "REML",
    names: Sequence[str] | None = None,
    near: np.ndarray | None = None,
) -> Fitting[MixedFit]:
    """As `fit`, for many fits `together`."""
    y, X = np.asarray(y, dtype=float), np.asarray(X, dtype=float)
    names = [f"x{j}" for j in range(X.shape[1])] if names is None else list(names)
    terms = () if method == "CE" else tuple(terms)
    orthonormal, triangle = _check(y, X, names, terms, method)
    if not isinstance(covariance, Sampling):
        grouped = singletons(len(y)) if blocks is None else group(blocks)
        covariance = sampling(covariance, grouped)
    spread = covariance.spread
    if terms:
        _check_distances((y - orthonormal @ (orthonormal.T @ y)) / spread)
    scaled = [ScaledTerm(term, len(y)) for term in terms]
    reml = method == "REML"
    start = None if near is None or not scaled else scaled[0].at_psi(near / spread**2)
    theta, point, n_iterations, told = yield from _search(
        y / spread, orthonormal, covariance, scaled, reml, start
    )
    back = np.linalg.inv(triangle)
    n_effective = len(y) - X.shape[1] * reml
    return MixedFit(
        beta=spread * back @ point.beta,
        cov_beta=spread**2 * back @ point.cov_beta @ back.T,
        psi=tuple(
            spread**2 * term.psi(part)
            for term, part in zip(scaled, split(scaled, theta), strict=True)
        ),
        llf=point.llf - n_effective * np.log(spread),
        method=method,
        n_variance_parameters=len(theta),
        rss=point.rss,
        y=y,
        X=X,
        blocks=covariance.blocks,
        terms=terms,
        n_iterations=n_iterations,
        theta=theta,
        told=told,
        inverted=partial(_inverted, y, X, covariance, scaled, theta),
    )


def _inverted(
    y: np.ndarray, X: np.ndarray, covariance: Sampling, terms: list[ScaledTerm], theta: np.ndarray
) -> tuple[np.ndarray, ...]:
    psi = components_of(terms, theta)[0]
    batches = batches_of(y, X, covariance.stacks, covariance.blocks, terms)
    try:
        return tuple(batch.precision(psi)[0] / covariance.spread**2 for batch in batches)
    except NotDefinite:
        raise CannotEstimate(
            "the variances of this model differ too much to be held in a computer's numbers",
            "check the units of effects and variances",
        ) from None


def _check(
    y: np.ndarray,
    X: np.ndarray,
    names: list[str],
    terms: tuple[RandomTerm, ...],
    method: str,
) -> tuple[np.ndarray, np.ndarray]:
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: use one of {', '.join(METHODS)}.")
    if X.ndim != 2 or len(X) != len(y):
        raise ValueError(f"X has shape {X.shape} but y has {len(y)} rows.")
    if not (np.isfinite(y).all() and np.isfinite(X).all()):
        raise ValueError("y or X holds missing or infinite values: drop those rows first.")
    if len(y) < X.shape[1] or (method == "REML" and len(y) == X.shape[1] and terms):
        raise CannotEstimate(
            f"{plural(len(y), 'effect size')} cannot estimate "
            f"{plural(X.shape[1], 'coefficient')} and the heterogeneity",
            "use a simpler model or method='CE'",
        )
    return check_design(X, names)


def check_design(X: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Every column of the model matrix must say something that those before it do not.

    Returns
    -------
    tuple of ndarray
        The model matrix as orthonormal columns times a triangle.

    Raises
    ------
    CannotEstimate
        Names the column that does not.
    """
    orthonormal, triangle = np.linalg.qr(X)
    norms = np.linalg.norm(triangle, axis=0)
    if np.any(norms == 0):
        raise CannotEstimate(f"column {names[int(np.argmin(norms))]!r} of X is all zero", "drop it")
    own = np.abs(np.diag(triangle)) / norms
    if own.min() <= COLLINEAR * own.max():
        raise CannotEstimate(
            f"column {names[int(np.argmin(own))]!r} of X is a combination of the others (or too "
            "close to one)",
            "drop it, or collect data in which they differ",
        )
    return orthonormal, triangle


def _check_distances(residual: np.ndarray) -> None:
    """Effects must lie within what a likelihood of their heterogeneity can resolve.

    Raises
    ------
    CannotEstimate
    """
    if np.ptp(residual) > FARTHEST:
        raise CannotEstimate(
            f"effects lie {np.ptp(residual):.0e} standard errors apart",
            "check that effects and variances are of the same units",
        )


def _check_definite(stacks: Sequence[np.ndarray], blocks: Blocks) -> None:
    """Every trial's sampling covariance must have an inverse.

    Raises
    ------
    CannotEstimate
        Names the first trial whose covariance has none.
    """
    for stack, members in zip(stacks, blocks.members, strict=True):
        values = np.linalg.eigvalsh(stack)
        definite = values[:, 0] > TINY * values[:, -1]
        if definite.all():
            continue
        label = blocks.labels[members[int(np.argmin(definite))]]
        raise CannotEstimate(
            f"the sampling covariance of trial '{label}' is not positive definite",
            "a variance is zero or negative, or two of its rows repeat each other",
        )


def typical_sd(stacks: Sequence[np.ndarray]) -> float:
    """Median sampling standard deviation, the engine's unit of y.

    Raises
    ------
    ValueError
        For missing, infinite or negative variances.
    """
    variances = np.concatenate([np.diagonal(stack, axis1=1, axis2=2).ravel() for stack in stacks])
    if not np.isfinite(variances).all():
        raise ValueError("the sampling covariance holds missing or infinite values.")
    if np.any(variances < 0):
        raise ValueError("a sampling variance is negative.")
    typical = float(np.median(variances))
    return np.sqrt(typical) if typical > 0 else 1.0


def batches_of(
    y: np.ndarray,
    X: np.ndarray,
    stacks: Sequence[np.ndarray],
    blocks: Blocks,
    terms: list[ScaledTerm],
) -> list[Batch]:
    """What the likelihood takes, y and the covariance in the engine's unit."""
    bases = [term.bases(blocks) for term in terms]
    batches = []
    for number, rows in enumerate(blocks.batches):
        S = stacks[number]
        K = np.concatenate([np.zeros((0, *S.shape)), *(basis[number] for basis in bases)])
        batches.append(Batch(y[rows], X[rows], S, K))
    return batches


def _search(
    y: np.ndarray,
    X: np.ndarray,
    covariance: Sampling,
    terms: list[ScaledTerm],
    reml: bool,
    near: np.ndarray | None,
) -> Fitting[tuple[np.ndarray, Point, int, bool]]:
    """Where the likelihood is highest, the likelihood there, steps, and whether it is told.

    Fewer rows hold variances that the numbers of all rows cannot: then all are searched.
    """
    blocks = covariance.blocks
    if sum(term.n_parameters for term in terms) == 1:
        turned = covariance.turning(terms[0])
        rows, centre = turned.rows(blocks.split(y), blocks.split(X), reml=reml)
        psi, llf = rows.highest()
        beta, cov, rss = rows.at(psi)
        return np.sqrt([psi]), Point(llf, centre + beta, cov, rss), 0, True
    batches = batches_of(y, X, covariance.stacks, blocks, terms)
    if not terms:
        return np.zeros(0), evaluate(batches, np.zeros(0), reml=reml), 0, True
    fewer = batches
    if near is not None:
        fewer = [gathered(batch) for batch in batches]
    elif len(terms) == 1 and terms[0].term.levels is None:
        fewer = [
            reduced(batch, terms[0].design[rows])
            for batch, rows in zip(batches, blocks.batches, strict=True)
        ]
    theta, n_iterations, told = yield Problem(fewer, terms, reml, near)
    try:
        point = evaluate(batches, components_of(terms, theta)[0], reml=reml)
    except NotDefinite:
        theta, n_iterations, told = yield Problem(batches, terms, reml, near)
        point = evaluate(batches, components_of(terms, theta)[0], reml=reml)
    return theta, point, n_iterations, told


def times_precision(model: MixedFit, matrix: np.ndarray) -> np.ndarray:
    """`V^-1` of a fitted model times the rows of `matrix`, shape (n_rows, k)."""
    product = np.empty_like(matrix)
    for rows, W in zip(model.blocks.batches, model.precision, strict=True):
        product[rows] = W @ matrix[rows]
    return product


def inverse_information(
    J: np.ndarray, weighted: np.ndarray, reason: str, advice: str = ""
) -> np.ndarray:
    """`(J' V^-1 J)^-1` for any units of the columns.

    Parameters
    ----------
    J, weighted : ndarray, shape (n_rows, k)
        Derivatives of the mean by the parameters, and `V^-1 J`.
    reason, advice : str
        What to say if the data do not tell the parameters apart.

    Raises
    ------
    CannotEstimate
        With that reason and advice.
    """
    information = J.T @ weighted
    scale = np.sqrt(np.diag(information))
    if np.any(scale == 0) or np.linalg.cond(information / np.outer(scale, scale)) > 1e13:
        raise CannotEstimate(reason, advice)
    return np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
