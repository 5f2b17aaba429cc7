"""Linear mixed models that wait for a prior: pooling and whatever else the engine fits.

The posterior of the standard deviations is integrated by `engine.integration`; given them the
effects are normal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import special

from backpain_analysis.engine.importance import sample
from backpain_analysis.engine.integration import STEPS, Axis, Integral, integrate
from backpain_analysis.engine.likelihood import Blocks, group, singletons, stack_covariance
from backpain_analysis.engine.marginal import (
    Conditional,
    ManyVariances,
    OneVariance,
    with_designs,
)
from backpain_analysis.engine.mixed import typical_sd
from backpain_analysis.engine.priors import (
    SETTINGS,
    Earlier,
    Mixture,
    Prior,
    TauPrior,
    as_prior,
    empirical,
)
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate

PIECE = 2048
"""Nodes whose model matrices are held at once."""

SPAN = (-30.0, 14.0)
"""How far log sigma may lie from that of the sampling errors, where V may turn singular."""

HIGHEST = 7.0
"""The same above the start of the search, for more variances than a lattice holds."""

AnyPrior = Prior | TauPrior | Mixture


@dataclass(frozen=True)
class Shape:
    """Positive parameters that the model is not linear in.

    Attributes
    ----------
    names : tuple of str
    priors : tuple of TauPrior
        Where the user gives none.
    at : callable
        From values (G, s) to X, shape (G, n, p), and K, shape (G or 1, m, B, n, n) a batch.
    standard : tuple of str
        Coefficients that are standard normal a priori: deviations in units of one of the
        parameters, which is then a standard deviation, with the user's prior of `tau`.
    told : callable, optional
        From values (G, s) to the matrices (G, p, p) that turn the coefficients of X into those
        that results tell.
    """

    names: tuple[str, ...]
    priors: tuple[TauPrior, ...]
    at: Callable[[np.ndarray], tuple[np.ndarray, tuple[np.ndarray, ...]]]
    standard: tuple[str, ...] = ()
    told: Callable[[np.ndarray], np.ndarray] | None = None

    def priors_of(self, part: Prior) -> list[TauPrior]:
        """The user's priors of the parameters, else their own.

        A single `shape` is that of every ED50; of a mapping the keys are names ("yoga: ED50") or
        what these end with.

        Raises
        ------
        ValueError
            For a name that no parameter has.
        """
        given = {"ED50": part.shape} if isinstance(part.shape, TauPrior) else dict(part.shape or {})
        ends = {name: name.rsplit(": ")[-1] for name in self.names}
        unknown = [name for name in given if name not in {*ends, *ends.values()}]
        if unknown:
            known = ", ".join(name for name in self.names if not name.startswith(AGENTS))
            raise ValueError(f"no shape {unknown[0]!r}: the curves have {known or 'none'}.")
        return [
            part.tau_of(name)
            if name.startswith(AGENTS)
            else given.get(name, given.get(ends[name], own))
            for name, own in zip(self.names, self.priors, strict=True)
        ]


def each(
    at: Callable[[np.ndarray], tuple[np.ndarray, tuple[np.ndarray, ...]]],
) -> Callable[[np.ndarray], tuple[np.ndarray, tuple[np.ndarray, ...]]]:
    """`Shape.at` from a function of one set of values, shape (s,), to X (n, p) and K."""

    def stacked(values: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        different, place = np.unique(values, axis=0, return_inverse=True)
        made = [at(one) for one in different]
        X = np.stack([own for own, _ in made])[place]
        if all(K is made[0][1] for _, K in made):
            return X, tuple(stack[None] for stack in made[0][1])
        batches = zip(*(K for _, K in made), strict=True)
        return X, tuple(np.stack(stacks)[place] for stacks in batches)

    return stacked


AGENTS = "agents: "
"""Names of standard deviations between the agents of a network begin so."""

Evaluate = Callable[[np.ndarray], Conditional]
"""From parameters (G, d) to the likelihood and the normal of the effects."""


@dataclass(frozen=True)
class BayesModel:
    """A linear mixed model that waits for a prior.

    Attributes
    ----------
    y, X : ndarray, shape (n,) and (n, p)
    names : tuple of str
        Of the coefficients.
    S : tuple of ndarray
        Sampling covariance, a stack a batch of `blocks`.
    K : tuple of ndarray, each (m, B, n, n)
        Change of the covariance with each squared standard deviation, then with each covariance.
    blocks : Blocks
    sds : tuple of str
        Names of the standard deviations between trials.
    correlated : tuple of (int, int)
        Pairs of `sds` that have a correlation: every correlation matrix is as likely a priori
        (Lewandowski, Kurowicka & Joe 2009, doi 10.1016/j.jmva.2009.04.008), so that a single
        correlation is uniform on (-1, 1). Parameters are correlations given the sds before.
    labels : tuple of str
        Of the rows.
    outcome, measure : str
        Where they are known.
    shape : Shape, optional
        Then X and K are those at some value of it.
    """

    y: np.ndarray
    X: np.ndarray
    names: tuple[str, ...]
    S: tuple[np.ndarray, ...]
    K: tuple[np.ndarray, ...]
    blocks: Blocks
    sds: tuple[str, ...] = ("tau",)
    correlated: tuple[tuple[int, int], ...] = ()
    labels: tuple[str, ...] = ()
    outcome: str = ""
    measure: str = ""
    shape: Shape | None = None

    def integrals(self, prior: AnyPrior) -> tuple[dict[str, Integral], dict[str, float]]:
        """The integral of each part of the prior, and the parts' posterior weights.

        Raises
        ------
        CannotEstimate
            For an improper posterior, coefficients that the data and the prior do not tell
            apart, or an integral that cannot be computed well enough.
        """
        parts = parts_of(prior)
        found = {name: self._integral(part) for name, (part, _) in parts.items()}
        if len(found) == 1:
            return found, dict.fromkeys(found, 1.0)
        heights = np.array(
            [
                np.log(weight) + found[name].log_evidence - self._earlier_evidence(part)
                for name, (part, weight) in parts.items()
            ]
        )
        shares = np.exp(heights - heights.max())
        return found, dict(zip(found, (shares / shares.sum()).tolist(), strict=True))

    def log_evidence(self, prior: AnyPrior, *, without_tau: bool = False) -> float:
        """Log marginal likelihood, with heterogeneity or (one sd only) without any."""
        terms = []
        for part, weight in parts_of(prior).values():
            if without_tau:
                own = float(self._likelihood(part)(np.zeros(1)).log_likelihood[0])
            else:
                own = self._integral(part).log_evidence
            terms.append(np.log(weight) + own - self._earlier_evidence(part, without_tau))
        return float(np.logaddexp.reduce(terms))

    def _earlier_evidence(self, part: Prior, without_tau: bool = False) -> float:
        """Log of what makes a power prior integrate to one."""
        if part.earlier is None or part.earlier.weight == 0:
            return 0.0
        alone = pooling_model(part.earlier.yi, part.earlier.vi)
        alone = replace(alone, names=self.names)
        power = np.full(len(alone.y), part.earlier.weight)
        bare = replace(part, earlier=None)
        if without_tau:
            return float(alone._one(bare, power)(np.zeros(1)).log_likelihood[0])
        return alone._integral(bare, power).log_evidence

    def without(self, name: str, value: float) -> BayesModel:
        """The model, without a shape, in which one coefficient is known."""
        column = self.names.index(name)
        kept = [j for j in range(len(self.names)) if j != column]
        return replace(
            self,
            y=self.y - value * self.X[:, column],
            X=self.X[:, kept],
            names=tuple(self.names[j] for j in kept),
        )

    def _with_earlier(self, earlier: Earlier) -> tuple[BayesModel, np.ndarray]:
        """New and earlier trials in one model, with the weight of each row."""
        if self.names != ("estimate",) or any(batch.shape[1] > 1 for batch in self.blocks.batches):
            raise ValueError("earlier trials are a prior for pooling independent effects only.")
        v = np.empty(len(self.y))
        v[self.blocks.batches[0][:, 0]] = self.S[0][:, 0, 0]
        both = pooling_model(np.concatenate([self.y, earlier.yi]), np.concatenate([v, earlier.vi]))
        power = np.concatenate([np.ones(len(self.y)), np.full(len(earlier.yi), earlier.weight)])
        return both, power

    def _one(self, part: Prior, power: np.ndarray | None = None) -> OneVariance:
        mean, precision = part.effects_of(list(self.names))
        K = [stack[0] for stack in self.K]
        return OneVariance(self.y, self.X, self.S, K, self.blocks, mean, precision, power)

    def _likelihood(self, part: Prior, power: np.ndarray | None = None) -> OneVariance:
        if part.earlier is not None:
            model, power = self._with_earlier(part.earlier)
            return model._one(part, power)
        return self._one(part, power)

    def _beliefs(self, part: Prior) -> tuple[np.ndarray, np.ndarray]:
        """Means and precisions of the coefficients a priori."""
        standard = () if self.shape is None else self.shape.standard
        free = [name for name in self.names if name not in standard]
        mean, precision = np.zeros(len(self.names)), np.ones(len(self.names))
        own = [name not in standard for name in self.names]
        mean[own], precision[own] = part.effects_of(free)
        return mean, precision

    def _evaluate(self, part: Prior, power: np.ndarray | None) -> Evaluate:
        if self.shape is not None:
            return self._evaluate_shape(part, self.shape)
        if len(self.sds) == 1:
            one = self._likelihood(part, power)
            return lambda values: one(values[:, 0] ** 2)
        mean, precision = self._beliefs(part)
        many = ManyVariances(self.y, self.X, self.S, self.K, self.blocks, mean, precision)
        return lambda values: many(self.components(values))

    def _evaluate_shape(self, part: Prior, shape: Shape) -> Evaluate:
        prior = self._beliefs(part)

        def piece(values: np.ndarray) -> Conditional:
            X, K = shape.at(values[:, -len(shape.names) :])
            psi = self.components(values)
            return with_designs(psi, X, K, self.y, self.S, self.blocks, prior)

        def evaluate(values: np.ndarray) -> Conditional:
            pieces = [piece(values[i : i + PIECE]) for i in range(0, len(values), PIECE)]
            columns = zip(*((c.log_likelihood, c.mean, c.cov) for c in pieces), strict=True)
            return Conditional(*(np.concatenate(column) for column in columns))

        return evaluate

    def designs(self, values: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """X and K at parameters (G, d): shapes (G or 1, n, p) and (G or 1, m, B, n, n)."""
        if self.shape is None:
            return self.X[None], tuple(stack[None] for stack in self.K)
        return self.shape.at(values[:, -len(self.shape.names) :])

    def _integral(self, part: Prior, power: np.ndarray | None = None) -> Integral:
        precision = self._beliefs(part)[1]
        _check_rank(self.X, precision, self.names)
        priors = [part.tau_of(name) for name in self.sds]
        axes = [self._axis(name, prior) for name, prior in zip(self.sds, priors, strict=True)]
        axes += self._correlation_axes()
        if self.shape is not None:
            loose = [name for name in self.shape.names if not name.startswith(AGENTS)]
            if loose and not (precision > 0).all():
                raise CannotEstimate(
                    f"effects with a flat prior leave {' and '.join(loose)} open",
                    "give them a normal prior",
                )
            own = self.shape.priors_of(part)
            priors += own
            axes += [self._shape_axis(n, p) for n, p in zip(self.shape.names, own, strict=True)]
        self._check_proper(priors, part, power)
        shapes = 0 if self.shape is None else len(self.shape.names)
        columns = [*range(len(self.sds)), *range(len(axes) - shapes, len(axes))]
        evaluate = self._evaluate(part, power)

        def log_joint(values: np.ndarray) -> tuple[np.ndarray, Conditional]:
            conditional = evaluate(values)
            height = conditional.log_likelihood + self._correlation_prior(values)
            for column, prior in zip(columns, priors, strict=True):
                height = height + prior.log_density(values[:, column])
            return height, conditional

        if len(axes) <= max(STEPS):
            found = integrate(log_joint, axes)
        else:
            found = sample(log_joint, [_held(axis) for axis in axes])
        if self.shape is None or self.shape.told is None:
            return found
        turn = self.shape.told(found.values[:, -shapes:])
        return replace(
            found,
            mean=np.einsum("gij,gj->gi", turn, found.mean),
            cov=turn @ found.cov @ turn.transpose(0, 2, 1),
        )

    def _shape_axis(self, name: str, prior: TauPrior) -> Axis:
        typical = typical_sd(list(self.S)) if name.startswith(AGENTS) else prior.median
        middle = _start(prior, typical)
        span = (middle + SPAN[0], middle + SPAN[1])
        return Axis(name, prior.upper, centre=middle, span=span)

    def _axis(self, name: str, prior: TauPrior) -> Axis:
        """Of a standard deviation; not far beyond the data where its covariance turns singular."""
        typical = typical_sd(list(self.S))
        axis = Axis(name, prior.upper, centre=_start(prior, typical))
        if np.isfinite(prior.upper):
            return axis
        lowest = [np.linalg.eigvalsh(stack[0]).min() for stack in self.K]
        if len(self.sds) == 1 and self.shape is None and min(lowest) > 1e-9:
            return axis
        middle = float(np.log(typical))
        return replace(axis, span=(middle + SPAN[0], middle + SPAN[1]))

    def _check_proper(
        self, priors: Sequence[TauPrior], part: Prior, power: np.ndarray | None
    ) -> None:
        """Refuse what does not integrate.

        Raises
        ------
        CannotEstimate
        """
        if all(prior.proper for prior in priors):
            return
        if len(priors) > 1:
            raise CannotEstimate(
                "a uniform prior without an end is for one heterogeneity only",
                "give each standard deviation a proper prior, such as half-normal",
            )
        spare = priors[0].tail + self._likelihood(part, power).tail
        if spare <= 1:
            count = len(self.blocks.labels)
            raise CannotEstimate(
                f"with a uniform prior without an end, the posterior of {count} "
                f"trial{'s' * (count != 1)} is improper",
                f"add {int(np.ceil(2 - spare))} more, or use a proper prior, such as half-normal",
            )

    def components(self, values: np.ndarray) -> np.ndarray:
        """Weights of `K` at parameters (G, d): squared sds, then covariances."""
        count = len(self.sds)
        squares = values[:, :count] ** 2
        if not self.correlated:
            return squares
        correlations = self._correlations(values)
        crossed = [correlations[:, i, j] * values[:, i] * values[:, j] for i, j in self.correlated]
        return np.column_stack([squares, *crossed])

    def _correlations(self, values: np.ndarray) -> np.ndarray:
        """Correlation matrices of the sds from correlations given those before, (G, s, s)."""
        count = len(self.sds)
        lower = np.tile(np.eye(count), (len(values), 1, 1))
        for k, (i, j) in enumerate(self.correlated):
            partial = values[:, count + k]
            lower[:, j, i] = partial * lower[:, j, j]
            lower[:, j, j] *= np.sqrt((1 - partial) * (1 + partial))
        return lower @ lower.transpose(0, 2, 1)

    def _given(self, i: int, j: int) -> tuple[list[int], int]:
        """The sds of a correlated term before the i-th, and how many the term has."""
        own = {k for pair in self.correlated if i in pair or j in pair for k in pair}
        return sorted(k for k in own if k < i), len(own)

    def _correlation_axes(self) -> list[Axis]:
        axes = []
        for i, j in self.correlated:
            given = [self.sds[k] for k in self._given(i, j)[0]]
            name = f"correlation of {self.sds[i]} and {self.sds[j]}"
            axes.append(Axis(name + f" given {' and '.join(given)}" * bool(given), 1.0, -1.0))
        return axes

    def _correlation_prior(self, values: np.ndarray) -> np.ndarray:
        """All correlation matrices alike (Lewandowski, Kurowicka & Joe 2009, eta = 1)."""
        height = np.zeros(len(values))
        for k, (i, j) in enumerate(self.correlated):
            given, size = self._given(i, j)
            power = (size - 2 - len(given)) / 2
            if power:
                share = values[:, len(self.sds) + k]
                height += power * np.log((1 - share) * (1 + share))
            height -= special.betaln(power + 1, power + 1) + (2 * power + 1) * np.log(2)
        return height

    def moment_exists(self, prior: AnyPrior, order: int) -> bool:
        """Whether the posterior mean of tau to the power `order` is finite."""
        for part, _ in parts_of(prior).values():
            for j, name in enumerate(self.sds):
                K = tuple(stack[j : j + 1] for stack in self.K)
                alone = replace(self, sds=(name,), K=K, shape=None)
                enough = part.tau_of(name).tail + alone._likelihood(part).tail - order
                if not (enough > 1 or (enough == 1 and part.tau_of(name).is_log)):
                    return False
        return True


def _held(axis: Axis) -> Axis:
    """An axis that ends where several variances would be too far apart for floating point."""
    if np.isfinite(axis.upper):
        return replace(axis, span=(SPAN[0], -SPAN[0]))
    return replace(axis, span=(axis.span[0], min(axis.span[1], axis.centre + HIGHEST)))


def _start(prior: TauPrior, typical: float) -> float:
    """Where to begin looking, as the log of a value; of a bounded parameter its middle."""
    if np.isfinite(prior.upper):
        return 0.0
    return float(np.log(min(prior.median, typical)))


def parts_of(prior: AnyPrior) -> dict[str, tuple[Prior, float]]:
    """The named parts of a prior with their weights; a single prior is one part, named ""."""
    if isinstance(prior, Mixture):
        return {name: (part, prior.weights[name]) for name, part in prior.parts.items()}
    return {"": (as_prior(prior), 1.0)}


def _check_rank(X: np.ndarray, precision: np.ndarray, names: Sequence[str]) -> None:
    size = np.abs(X).max(axis=0, initial=0.0)
    scaled = X / np.where(size > 0, size, 1.0)
    rows = np.vstack([scaled, np.diag((precision > 0).astype(float))])
    if X.shape[1] and np.linalg.matrix_rank(rows, tol=1e-10 * len(rows)) < X.shape[1]:
        raise CannotEstimate(
            f"{len(X)} effect sizes cannot tell {', '.join(names)} apart",
            "use fewer coefficients, or a normal prior of the effects",
        )


def pooling_model(
    y: np.ndarray,
    v: np.ndarray,
    covariance: Sequence[np.ndarray] | None = None,
    trials: np.ndarray | None = None,
    labels: Sequence[str] = (),
    outcome: str = "",
    measure: str = "",
) -> BayesModel:
    """One mean; contrasts of a trial have a heterogeneity correlation of one half."""
    if trials is None or covariance is None:
        blocks = singletons(len(y))
        S = stack_covariance(v, blocks)
    else:
        blocks = group(trials)
        S = stack_covariance(covariance, blocks)
    return BayesModel(
        y=y,
        X=np.ones((len(y), 1)),
        names=("estimate",),
        S=tuple(S),
        K=tuple(half_correlated(blocks)),
        blocks=blocks,
        labels=tuple(labels),
        outcome=outcome,
        measure=measure,
    )


def spread_of(
    terms: Sequence[RandomTerm], blocks: Blocks
) -> tuple[tuple[str, ...], tuple[np.ndarray, ...], tuple[tuple[int, int], ...]]:
    """Standard deviations of the engine's random terms: their names, K, and correlated pairs.

    A term with one column has one standard deviation, named as the term; one with several has
    one a column, "term: column", and correlations where its structure is unstructured.
    """
    names: list[str] = []
    pairs: list[tuple[int, int]] = []
    columns: list[tuple[RandomTerm, int, int]] = []
    crossed: list[tuple[RandomTerm, int, int]] = []
    for term in terms:
        q = term.design.shape[1]
        labels = term.labels or tuple(f"{j + 1}" for j in range(q))
        first = len(names)
        names += [term.name] if q == 1 else [f"{term.name}: {label}" for label in labels]
        columns += [(term, j, j) for j in range(q)]
        if term.structure == "unstructured":
            for i in range(q):
                pairs += [(first + i, first + j) for j in range(i + 1, q)]
                crossed += [(term, i, j) for j in range(i + 1, q)]
    stacks = []
    for batch in blocks.batches:
        own = []
        for term, i, j in (*columns, *crossed):
            z = term.design[batch]
            outer = z[:, :, None, i] * z[:, None, :, j]
            outer = outer if i == j else outer + outer.transpose(0, 2, 1)
            if term.levels is not None:
                level = term.levels[batch]
                outer = outer * (level[:, :, None] == level[:, None, :])
            own.append(outer)
        stacks.append(np.stack(own))
    return tuple(names), tuple(stacks), tuple(pairs)


def half_correlated(blocks: Blocks) -> list[np.ndarray]:
    """Heterogeneity of contrasts against a shared reference arm, for tau2 = 1.

    As `engine.terms.multi_arm_term`: variance 1, correlation one half (Higgins & Whitehead 1996).
    """
    stacks = []
    for batch in blocks.batches:
        count, size = batch.shape
        one = 0.5 * (np.eye(size) + np.ones((size, size)))
        stacks.append(np.broadcast_to(one, (1, count, size, size)))
    return stacks


def chosen_prior(prior: AnyPrior | str, outcome: str, measure: str, sd: float | None) -> AnyPrior:
    """A prior as given; "auto" is the empirical one for outcome and measure.

    Parameters
    ----------
    sd : float or None
        Of the outcome in the units of the effects, for measure "MD".

    Raises
    ------
    ValueError
        For another word, or where outcome and measure are not known.
    CannotEstimate
        If mean differences come without the size of a single arm, or no empirical prior is known
        for the measure.
    """
    if not isinstance(prior, str):
        return prior
    if prior != "auto":
        raise ValueError(f"unknown prior {prior!r}: use 'auto', or one of `priors`.")
    if not measure:
        raise ValueError(
            "prior='auto' needs to know outcome and measure, which Effects carry: else give "
            "priors.empirical(outcome, measure)."
        )
    if measure == "MD" and sd is None:
        raise CannotEstimate(
            "the prior for mean differences needs the outcome's standard deviation, and no arm's "
            "size is known",
            "give priors.empirical(outcome, 'MD', sd=...)",
        )
    if measure not in ("SMD", "MD", "OR"):
        raise CannotEstimate(
            f"no empirical prior of the heterogeneity is known for effects of measure {measure}",
            "give a prior of tau",
        )
    return empirical(SETTINGS.get(outcome, "general"), measure, sd=sd)


def implied_sd(table: pd.DataFrame) -> float | None:
    """The outcome's standard deviation within arms, as the variances of the contrasts imply it.

    Median over contrasts of `sqrt(vi / (1 / n_arm + 1 / n_ref))`; None if no sizes are known.
    """
    sizes = 1 / table["n_arm"].astype(float) + 1 / table["n_ref"].astype(float)
    implied = np.sqrt(table["vi"].astype(float) / sizes).dropna()
    return float(implied.median()) if len(implied) else None
