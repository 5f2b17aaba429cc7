"""Linear mixed models that wait for a prior: pooling and whatever else the engine fits.

The posterior of the standard deviations is integrated by `engine.integration`; given them the
effects are normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from backpain_analysis.engine.integration import (
    Axis,
    Conditional,
    Integral,
    ManyVariances,
    OneVariance,
    integrate,
)
from backpain_analysis.engine.likelihood import Blocks, group, singletons, stack_covariance
from backpain_analysis.engine.mixed import typical_sd
from backpain_analysis.engine.priors import Earlier, Mixture, Prior, TauPrior, as_prior, empirical
from backpain_analysis.errors import CannotEstimate

AnyPrior = Prior | TauPrior | Mixture


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
        Pairs of `sds` that have a correlation, which is uniform on (-1, 1) a priori.
    labels : tuple of str
        Of the rows.
    outcome, measure : str
        Where they are known.
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
        """The model in which one coefficient is known."""
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

    def _integral(self, part: Prior, power: np.ndarray | None = None) -> Integral:
        priors = [part.tau_of(name) for name in self.sds]
        _check_rank(self.X, part.effects_of(list(self.names))[1], self.names)
        if len(self.sds) == 1:
            return self._integral_of_one(part, priors[0], power)
        if not all(prior.proper for prior in priors):
            raise CannotEstimate(
                "a uniform prior without an end is for one heterogeneity only",
                "give each standard deviation a proper prior, such as half-normal",
            )
        mean, precision = part.effects_of(list(self.names))
        many = ManyVariances(self.y, self.X, self.S, self.K, self.blocks, mean, precision)

        def log_joint(values: np.ndarray) -> tuple[np.ndarray, Conditional]:
            conditional = many(self.components(values))
            height = conditional.log_likelihood
            for j, prior in enumerate(priors):
                height = height + prior.log_density(values[:, j])
            return height, conditional

        axes = [
            Axis(
                name, prior.upper, centre=0.0 if np.isfinite(prior.upper) else np.log(prior.median)
            )
            for name, prior in zip(self.sds, priors, strict=True)
        ]
        axes += [Axis(f"correlation {i} {j}", 1.0, -1.0) for i, j in self.correlated]
        return integrate(log_joint, axes)

    def _integral_of_one(self, part: Prior, prior: TauPrior, power: np.ndarray | None) -> Integral:
        one = self._likelihood(part, power)
        if not (prior.proper or prior.tail + one.tail > 1):
            needed = int(np.ceil(2 - prior.tail - one.tail))
            count = len(self.blocks.labels)
            raise CannotEstimate(
                f"with a uniform prior without an end, the posterior of {count} "
                f"trial{'s' * (count != 1)} is improper",
                f"add {needed} more, or use a proper prior, such as half-normal",
            )

        def log_joint(values: np.ndarray) -> tuple[np.ndarray, Conditional]:
            tau = values[:, 0]
            conditional = one(tau**2)
            return conditional.log_likelihood + prior.log_density(tau), conditional

        start = 0.0
        if np.isinf(prior.upper):
            start = float(np.log(min(prior.median, typical_sd(list(self.S)))))
        return integrate(log_joint, [Axis(self.sds[0], prior.upper, centre=start)])

    def components(self, values: np.ndarray) -> np.ndarray:
        """Weights of `K` at parameters (G, d): squared sds, then covariances."""
        count = len(self.sds)
        squares = values[:, :count] ** 2
        crossed = [
            values[:, count + k] * values[:, i] * values[:, j]
            for k, (i, j) in enumerate(self.correlated)
        ]
        return np.column_stack([squares, *crossed]) if crossed else squares

    def moment_exists(self, prior: AnyPrior, order: int) -> bool:
        """Whether the posterior mean of tau to the power `order` is finite."""
        for part, _ in parts_of(prior).values():
            for j, name in enumerate(self.sds):
                alone = replace(self, sds=(name,), K=tuple(stack[j : j + 1] for stack in self.K))
                enough = part.tau_of(name).tail + alone._likelihood(part).tail - order
                if not (enough > 1 or (enough == 1 and part.tau_of(name).is_log)):
                    return False
        return True


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
        If mean differences come without the size of a single arm.
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
    return empirical(outcome or "general", measure, sd=sd)


def implied_sd(table: pd.DataFrame) -> float | None:
    """The outcome's standard deviation within arms, as the variances of the contrasts imply it.

    Median over contrasts of `sqrt(vi / (1 / n_arm + 1 / n_ref))`; None if no sizes are known.
    """
    sizes = 1 / table["n_arm"].astype(float) + 1 / table["n_ref"].astype(float)
    implied = np.sqrt(table["vi"].astype(float) / sizes).dropna()
    return float(implied.median()) if len(implied) else None
