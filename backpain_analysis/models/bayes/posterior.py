"""Posteriors of linear meta-analytic models, without sampling.

Sources: Röver 2020 (doi 10.18637/jss.v093.i06) for the normal-normal model; Higgins, Thompson &
Spiegelhalter 2009 (doi 10.1111/j.1467-985X.2008.00552.x) for the effect in a new trial.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.display import html_table
from backpain_analysis.engine.integration import Distribution, Integral, NormalMixture
from backpain_analysis.engine.priors import Mixture, Prior, TauPrior, as_prior, half_normal
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.bayes.model import AnyPrior, BayesModel, parts_of
from backpain_analysis.models.results import Summary, checked_level
from backpain_analysis.words import benefit_sign, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class MixedMarginal(Distribution):
    """Several distributions averaged by weight."""

    def __init__(self, parts: Sequence[Distribution], weights: Sequence[float]) -> None:
        self.parts, self.weights = parts, weights

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return np.sum([w * d.cdf(x) for d, w in zip(self.parts, self.weights, strict=True)], axis=0)

    def pdf(self, x: np.ndarray) -> np.ndarray:
        return np.sum([w * d.pdf(x) for d, w in zip(self.parts, self.weights, strict=True)], axis=0)

    def ppf(self, p: np.ndarray) -> np.ndarray:
        ends = np.array([part.ppf(p) for part in self.parts])
        low, high = ends.min(axis=0), ends.max(axis=0)
        for _ in range(80):
            middle = (low + high) / 2
            less = self.cdf(middle) < p
            low, high = np.where(less, middle, low), np.where(less, high, middle)
        return (low + high) / 2


@dataclass(frozen=True, repr=False)
class Posterior:
    """A posterior distribution, exact but for its stated numerical error.

    Attributes
    ----------
    model : BayesModel
    parts : dict of str to Integral
        A part for each prior of a mixture; else one, named "".
    part_weights : dict of str to float
        Their posterior weights.
    prior : Prior, TauPrior or Mixture
    level : float
        Of the credible and prediction intervals.

    Examples
    --------
    >>> import backpain_analysis as bp
    >>> result = bp.pool([-24.0, -16.0], [20.0, 22.0], prior=bp.priors.half_normal(5))
    >>> round(result.estimate, 1), round(result.probability("< -15"), 2)
    (-20.1, 0.88)
    >>> result.conf_int().round(1).loc["estimate"].tolist()
    [-29.3, -10.8]
    """

    model: BayesModel = field(repr=False)
    parts: dict[str, Integral] = field(repr=False)
    part_weights: dict[str, float] = field(repr=False)
    prior: AnyPrior
    level: float

    @property
    def names(self) -> tuple[str, ...]:
        return self.model.names

    @property
    def outcome(self) -> str:
        return self.model.outcome

    @property
    def measure(self) -> str:
        return self.model.measure

    @property
    def benefit(self) -> int | None:
        """The sign of a benefit, -1 or 1; None where the outcome is not known."""
        return benefit_sign(self.outcome) if self.outcome else None

    @property
    def n_trials(self) -> int:
        return len(self.model.blocks.labels)

    @property
    def error(self) -> float:
        """Numerical error: how far off a probability may be."""
        return max(part.error for part in self.parts.values())

    @cached_property
    def _nodes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Weights, parameters, means and covariances of all parts."""
        weights = np.concatenate(
            [self.part_weights[name] * part.weights for name, part in self.parts.items()]
        )
        found = list(self.parts.values())
        if len(found) == 1:
            return weights, found[0].values, found[0].mean, found[0].cov
        return (
            weights,
            np.concatenate([part.values for part in found]),
            np.concatenate([part.mean for part in found]),
            np.concatenate([part.cov for part in found]),
        )

    @cached_property
    def _finite(self) -> tuple[bool, bool]:
        """Whether posterior means and standard deviations exist."""
        return self.model.moment_exists(self.prior, 1), self.model.moment_exists(self.prior, 2)

    def combination(self, x: ArrayLike, spread: ArrayLike | None = None) -> NormalMixture:
        """The posterior of `x'b`, or of that in a new trial.

        Parameters
        ----------
        x : array_like, shape (p,), or (G, p) where it depends on the shape of a curve
        spread : array_like, shape (m,) or (G, m), optional
            How much of each variance component a new trial adds; None: none.
        """
        weights, values, mean, cov = self._nodes
        rows = np.broadcast_to(np.asarray(x, dtype=float), mean.shape)
        variance = np.einsum("gi,gij,gj->g", rows, cov, rows)
        if spread is not None:
            components = self.model.components(values)
            added = np.broadcast_to(np.asarray(spread, dtype=float), components.shape)
            variance = variance + np.einsum("gm,gm->g", components, added)
        middle = np.einsum("gi,gi->g", mean, rows)
        return NormalMixture(weights, middle, np.sqrt(variance))

    @property
    def _axes(self) -> list[str]:
        return [axis.name for axis in next(iter(self.parts.values())).axes]

    def marginal(self, name: str | None = None, *, new: bool = False) -> Distribution:
        """The posterior of a parameter, or of a coefficient in a new trial.

        Parameters
        ----------
        name : str, optional
            Of a coefficient (the first if left out), of a standard deviation between trials
            ("tau"), a correlation, or the shape of a curve.
        new : bool

        Raises
        ------
        ValueError
            If the model has no such parameter.
        """
        name = self.names[0] if name is None else name
        if name in self._axes:
            column = self._axes.index(name)
            parts = [part.marginal(column) for part in self.parts.values()]
            if len(parts) == 1:
                return parts[0]
            return MixedMarginal(parts, list(self.part_weights.values()))
        if name not in self.names:
            known = ", ".join((*self.names, *self._axes))
            raise ValueError(f"no parameter {name!r}: use one of {known}.")
        x = np.eye(len(self.names))[self.names.index(name)]
        return self.combination(x, self._own_spread if new else None)

    @property
    def _own_spread(self) -> np.ndarray:
        """All heterogeneity of a single effect: every sd, no correlation."""
        return np.r_[np.ones(len(self.model.sds)), np.zeros(len(self.model.correlated))]

    @cached_property
    def params(self) -> pd.Series:
        """Posterior medians of the coefficients."""
        return pd.Series([self.marginal(name).median() for name in self.names], self.names)

    @property
    def means(self) -> pd.Series:
        """Posterior means; missing where they do not exist."""
        weights, _, mean, _ = self._nodes
        values = weights @ mean if self._finite[0] else np.full(len(self.names), np.nan)
        return pd.Series(values, self.names)

    @property
    def bse(self) -> pd.Series:
        """Posterior standard deviations; missing where they do not exist."""
        return pd.Series(np.sqrt(np.diag(self.cov_params())), self.names)

    def cov_params(self) -> pd.DataFrame:
        """Posterior covariance of the coefficients; missing where it does not exist."""
        weights, _, mean, cov = self._nodes
        if not self._finite[1]:
            return pd.DataFrame(np.nan, self.names, self.names)
        apart = mean - weights @ mean
        total = np.einsum("g,gij->ij", weights, cov) + (weights[:, None] * apart).T @ apart
        return pd.DataFrame(total, self.names, self.names)

    def conf_int(self, level: float | None = None, kind: str = "equal-tailed") -> pd.DataFrame:
        """Credible intervals, columns `ci_low` and `ci_high`.

        Parameters
        ----------
        level : float, optional
        kind : {"equal-tailed", "shortest"}
        """
        level = self.level if level is None else checked_level(level)
        rows = [self.marginal(name).interval(level, kind) for name in self.names]
        return pd.DataFrame(rows, self.names, ["ci_low", "ci_high"])

    @cached_property
    def tau(self) -> float:
        """Posterior median of the (first) standard deviation between trials."""
        return self.marginal(self.model.sds[0]).median()

    def tau_int(self, level: float | None = None, kind: str = "shortest") -> tuple[float, float]:
        """Credible interval of the (first) standard deviation between trials."""
        level = self.level if level is None else checked_level(level)
        return self.marginal(self.model.sds[0]).interval(level, kind)

    def between_trials(self) -> pd.DataFrame:
        """A row a standard deviation or shape: `median, ci_low, ci_high` (the shortest)."""
        rows = {}
        for name in self._axes:
            own = self.marginal(name)
            rows[name] = (own.median(), *own.interval(self.level, "shortest"))
        return pd.DataFrame.from_dict(rows, orient="index", columns=["median", "ci_low", "ci_high"])

    def at(
        self,
        rows: Sequence[np.ndarray] | np.ndarray,
        spread: Sequence[np.ndarray] | np.ndarray | None = None,
        level: float | None = None,
    ) -> pd.DataFrame:
        """Combinations of the coefficients, and what they are in new trials.

        Parameters
        ----------
        rows : sequence of ndarray
            Each as `x` of `combination`.
        spread : sequence of ndarray, optional
            Each as in `combination`; all heterogeneity if left out.
        level : float, optional

        Returns
        -------
        DataFrame
            `estimate` (median), `ci_low, ci_high, pi_low, pi_high` a row.
        """
        level = self.level if level is None else checked_level(level)
        shares = np.array([0.5, (1 - level) / 2, (1 + level) / 2])
        own = [self._own_spread] * len(rows) if spread is None else spread
        found = []
        for x, added in zip(rows, own, strict=True):
            if not np.any(x):
                found.append([0.0] * 5)
                continue
            middle = self.combination(x).ppf(shares)
            found.append([*middle, *self.combination(x, added).ppf(shares[1:])])
        return pd.DataFrame(found, columns=["estimate", "ci_low", "ci_high", "pi_low", "pi_high"])

    def density(self, name: str | None = None, *, new: bool = False) -> pd.DataFrame:
        """Posterior density over its central 99.8%, columns `x` and `density`."""
        own = self.marginal(name, new=new)
        low, high = own.ppf(np.array([0.001, 0.999]))
        x = np.linspace(low, high, 401)
        return pd.DataFrame({"x": x, "density": own.pdf(x)})

    def probability(self, than: str, name: str | None = None, *, new: bool = False) -> float:
        """Probability that a parameter lies on one side of a value.

        Parameters
        ----------
        than : str
            Such as "< -10" or "> 0".
        name : str, optional
            Of the parameter; the first coefficient if left out.
        new : bool
            Of the effect in a new trial, not of the mean effect.

        Raises
        ------
        ValueError
            If `than` is not of that form.
        """
        side, value = parsed(than)
        below = float(self.marginal(name, new=new).cdf(np.array([value]))[0])
        return below if side == "<" else 1 - below

    def shrinkage(self) -> pd.DataFrame:
        """The effect in each of the trials, in the light of the others.

        Returns
        -------
        DataFrame
            `label, yi, estimate` (mean), `sd, ci_low, ci_high` a row.

        Raises
        ------
        CannotEstimate
            Of agents that are exchangeable.
        """
        model, count = self.model, len(self.model.y)
        if model.shape is not None and model.shape.told is not None:
            raise CannotEstimate("effects in single trials are not told of exchangeable agents")
        weights, values, mean, cov = self._nodes
        psi = model.components(values)
        X, changes = model.designs(values)
        effects, variances = np.empty((len(weights), count)), np.empty((len(weights), count))
        for own, S, K in zip(model.blocks.batches, model.S, changes, strict=True):
            V = (psi[:, :, None, None, None] * K).sum(axis=1) + S
            SW = S @ np.linalg.inv(V)
            residual = model.y[own] - (X[:, own] @ mean[:, None, :, None])[..., 0]
            effects[:, own] = model.y[own] - np.einsum("gbij,gbj->gbi", SW, residual)
            carried = SW @ X[:, own]
            own_variance = np.diagonal(S - SW @ S, axis1=2, axis2=3)
            effect_variance = np.einsum("gbip,gpq,gbiq->gbi", carried, cov, carried)
            variances[:, own] = own_variance + effect_variance
        rows = []
        for i in range(count):
            theta = NormalMixture(weights, effects[:, i], np.sqrt(variances[:, i]))
            rows.append([theta.mean, theta.sd, *theta.interval(self.level, "equal-tailed")])
        table = pd.DataFrame(rows, columns=["estimate", "sd", "ci_low", "ci_high"])
        table.insert(0, "yi", model.y)
        labels = model.labels or [f"study {i + 1}" for i in range(count)]
        table.insert(0, "label", labels)
        return table

    def bayes_factor(self, hypothesis: str = "tau = 0") -> float:
        """How much better a hypothesis predicted the data than the model with this prior does.

        Parameters
        ----------
        hypothesis : str
            "tau = 0" (no heterogeneity), or a coefficient's name and a value, as "estimate = 0".

        Returns
        -------
        float
            Marginal likelihood under the hypothesis over that of the model; above 1 the data
            speak for the hypothesis.

        Raises
        ------
        CannotEstimate
            For an improper prior of what the hypothesis fixes: then the factor is arbitrary; for
            curves with a shape of their own.
        ValueError
            For a hypothesis of another form.
        """
        match = re.fullmatch(r"\s*(.+?)\s*=\s*(\S+)\s*", hypothesis)
        if match is None:
            raise ValueError(f"hypothesis {hypothesis!r} is none: write 'tau = 0'.")
        name, value = match[1], _number(match[2], hypothesis)
        whole = self.model.log_evidence(self.prior)
        if self.model.shape is not None:
            raise CannotEstimate("no Bayes factor of curves whose shape is not known")
        if name in self._axes:
            if value != 0 or len(self.model.sds) > 1:
                raise ValueError(f"hypothesis {hypothesis!r}: only 'tau = 0' of a single tau.")
            if not all(part.tau_of(name).proper for part, _ in parts_of(self.prior).values()):
                raise CannotEstimate(
                    "an improper prior of tau gives no Bayes factor", "use a proper one"
                )
            return float(np.exp(self.model.log_evidence(self.prior, without_tau=True) - whole))
        if name not in self.names:
            raise ValueError(f"no parameter {name!r}: use one of {', '.join(self.names)} or tau.")
        terms = []
        position = self.names.index(name)
        for part, weight in parts_of(self.prior).values():
            if part.earlier is not None:
                raise CannotEstimate("no Bayes factor of effects with earlier trials as prior")
            if part.effects_of(list(self.names))[1][position] == 0:
                raise CannotEstimate(
                    f"a flat prior of {name} gives no Bayes factor", "use a normal one"
                )
            rest = self.model.without(name, value)
            bare = replace(part, effects=_effects_without(part, name))
            terms.append(np.log(weight) + rest._integral(bare).log_evidence)
        return float(np.exp(np.logaddexp.reduce(terms) - whole))

    def sensitivity(
        self, priors: Mapping[str, AnyPrior] | None = None, than: str | None = None
    ) -> pd.DataFrame:
        """The same data under other priors.

        Parameters
        ----------
        priors : mapping of str to prior, optional
            If left out: the prior of tau half and twice as wide, and half-normal and half-Cauchy
            ones with the same median.
        than : str, optional
            As in `probability`.

        Returns
        -------
        DataFrame
            A row a prior, this one first: `prior, estimate, ci_low, ci_high, pi_low, pi_high, tau,
            tau_low, tau_high`, and `probability` if `than` is given; of the first coefficient.
        """
        chosen: dict[str, AnyPrior] = {"as chosen": self.prior}
        chosen.update(_alternatives(self.prior) if priors is None else priors)
        rows = {}
        for name, prior in chosen.items():
            own = self if prior is self.prior else posterior(self.model, prior, self.level)
            effect, new = own.marginal(), own.marginal(new=True)
            rows[name] = {
                "prior": str(prior),
                "estimate": effect.median(),
                **dict(zip(("ci_low", "ci_high"), own._central(effect), strict=True)),
                **dict(zip(("pi_low", "pi_high"), own._central(new), strict=True)),
                "tau": own.tau,
                **dict(zip(("tau_low", "tau_high"), own.tau_int(), strict=True)),
            }
            if than is not None:
                rows[name]["probability"] = own.probability(than)
        return pd.DataFrame.from_dict(rows, orient="index")

    def _central(self, own: Distribution) -> tuple[float, float]:
        return own.interval(self.level, "equal-tailed")

    def summary(self) -> Summary:
        """A row a coefficient: `estimate` (median), `mean, sd, ci_low, ci_high`."""
        return Summary(
            {"estimate": self.params, "mean": self.means, "sd": self.bse, **self.conf_int()}
        )

    def to_frame(self) -> pd.DataFrame:
        """The coefficients as a plain table, as in `summary`."""
        return pd.DataFrame(self.summary())

    def plot(self, **options: Any) -> Axes:
        """Posterior densities: see `figures.posterior`."""
        from backpain_analysis import figures

        return figures.posterior(self, **options)

    def __str__(self) -> str:
        return f"{self._title()}\n{self.summary()}\n{self._note()}"

    def __repr__(self) -> str:
        shown = plural(len(self.params), "coefficient")
        if len(self.params) == 1:
            low, high = self._central(self.marginal())
            shown = f"{self.params.iloc[0]:.4g} ({self.level:.0%} CrI {low:.4g} to {high:.4g})"
        return f"<{type(self).__name__}: {shown}, {plural(self.n_trials, 'trial')}>"

    def _title(self) -> str:
        return f"Posterior, {plural(self.n_trials, 'trial')}"

    def _note(self) -> str:
        found = dict.fromkeys(source for source in _sources(self.prior) if source)
        said = f" ({'; '.join(found)})" if found else ""
        return f"Prior: {self.prior}{said}. Numerical error below {max(self.error, 1e-9):.0e}."

    def _repr_html_(self) -> str:
        table = self.summary().rename_axis("coefficient").reset_index()
        return html_table(table, title=self._title(), note=self._note())


def _effects_without(part: Prior, name: str) -> Any:
    if isinstance(part.effects, Mapping):
        return {key: belief for key, belief in part.effects.items() if key != name}
    return part.effects


def _number(text: str, whole: str) -> float:
    plain = text.replace("−", "-")
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", plain):
        raise ValueError(f"{whole!r} holds no number where one is needed.")
    return float(plain)


def parsed(than: str) -> tuple[str, float]:
    """The side ("<" or ">") and the value of a comparison such as "< -10".

    Raises
    ------
    ValueError
        If it is none.
    """
    match = re.fullmatch(r"\s*([<>])=?\s*(\S+)\s*", than)
    if match is None:
        raise ValueError(f"{than!r} is no comparison: write '< -10' or '> 0'.")
    return match[1], _number(match[2], than)


def _sources(prior: AnyPrior) -> list[str]:
    """Where the numbers of empirical priors come from."""
    taus = [part.tau for part, _ in parts_of(prior).values()]
    return [
        own.source for tau in taus for own in ([tau] if isinstance(tau, TauPrior) else tau.values())
    ]


def _alternatives(prior: AnyPrior) -> dict[str, AnyPrior]:
    """Priors of tau to compare with a given one; effects as they are."""
    if isinstance(prior, Mixture):
        return {f"only {name}": part for name, part in prior.parts.items()}
    part = as_prior(prior)
    if not isinstance(part.tau, TauPrior) or not part.tau.proper:
        return {}
    tau, middle = part.tau, part.tau.median
    others = {"half as wide": tau.rescaled(0.5), "twice as wide": tau.rescaled(2.0)}
    others["half-normal, same median"] = half_normal(middle / half_normal(1.0).median)
    others["half-Cauchy, same median"] = TauPrior("half-t", middle, df=1)
    return {
        name: replace(part, tau=other) for name, other in others.items() if str(other) != str(tau)
    }


def posterior(model: BayesModel, prior: AnyPrior, level: float = 0.95) -> Posterior:
    """What the data of a model and a prior say together."""
    parts, weights = model.integrals(prior)
    return Posterior(model, parts, weights, prior, checked_level(level))


@dataclass(frozen=True, repr=False)
class PooledPosterior(Posterior):
    """A pooled effect with a prior: read as `PoolResult`, and as any `Posterior`."""

    n_participants: int | None = None
    unsized_arms: int = 0

    @property
    def estimate(self) -> float:
        """Posterior median."""
        return float(self.params.iloc[0])

    @cached_property
    def _interval(self) -> tuple[float, float]:
        return self._central(self.marginal())

    @cached_property
    def _prediction(self) -> tuple[float, float]:
        return self._central(self.marginal(new=True))

    @property
    def ci_low(self) -> float:
        return self._interval[0]

    @property
    def ci_high(self) -> float:
        return self._interval[1]

    @property
    def pi_low(self) -> float:
        """Of the prediction interval, where the effect of a new trial is expected."""
        return self._prediction[0]

    @property
    def pi_high(self) -> float:
        return self._prediction[1]

    def predict(self, level: float | None = None) -> pd.DataFrame:
        """One row: the mean effect and the effect in a new trial, with their intervals."""
        return self.at(np.ones((1, 1)), level=level)

    @property
    def tau2(self) -> float:
        """Posterior median of tau2."""
        return self.tau**2

    @cached_property
    def table(self) -> pd.DataFrame:
        """`label, yi, vi, weight` (per cent, on average over the posterior) a contrast."""
        model = self.model
        weights, values, _, cov = self._nodes
        vi, share = np.empty(len(model.y)), np.empty(len(model.y))
        psi = model.components(values)
        for own, S, K in zip(model.blocks.batches, model.S, model.K, strict=True):
            V = np.einsum("gm,mbij->gbij", psi, K) + S
            rows = np.linalg.inv(V).sum(axis=3) * cov[:, 0, 0][:, None, None]
            share[own] = np.einsum("g,gbi->bi", weights, rows)
            vi[own] = np.diagonal(S, axis1=1, axis2=2)
        columns = {"label": model.labels, "yi": model.y, "vi": vi}
        return pd.DataFrame({**columns, "weight": 100 * share / share.sum()})

    def summary(self) -> Summary:
        """One row: `estimate` (median), intervals, `tau` with its shortest one, `mean, sd`."""
        low, high = self.tau_int()
        columns = "estimate ci_low ci_high pi_low pi_high tau".split()
        row = {name: getattr(self, name) for name in columns}
        row |= {"tau_low": low, "tau_high": high}
        row |= {"mean": self.means.iloc[0], "sd": self.bse.iloc[0]}
        return Summary(pd.DataFrame([row], ["estimate"]))


def pooled(model: BayesModel, prior: AnyPrior, level: float = 0.95) -> PooledPosterior:
    """The posterior of a single mean."""
    parts, weights = model.integrals(prior)
    return PooledPosterior(model, parts, weights, prior, checked_level(level))


@dataclass(frozen=True, repr=False)
class RegressionPosterior(Posterior):
    """The posterior of a regression.

    Attributes
    ----------
    design : callable
        From new data to rows of the model matrix.
    dropped : tuple
        Index labels of rows left out because a variable of the model was missing.
    """

    design: Callable[[pd.DataFrame], np.ndarray] = field(repr=False, kw_only=True)
    dropped: tuple = field(kw_only=True, default=())

    def predict(self, new_data: pd.DataFrame, level: float | None = None) -> pd.DataFrame:
        """Mean effects and those of new trials, at values of the moderators.

        Returns
        -------
        DataFrame
            `estimate` (median), `ci_low, ci_high, pi_low, pi_high` on the index of `new_data`.
        """
        return self.at(self.design(new_data), level=level).set_index(new_data.index)


def regression(
    model: BayesModel,
    prior: AnyPrior,
    level: float,
    design: Callable[[pd.DataFrame], np.ndarray],
    dropped: tuple = (),
) -> RegressionPosterior:
    """The posterior of a model whose rows come from new data by `design`."""
    parts, weights = model.integrals(prior)
    return RegressionPosterior(
        model, parts, weights, prior, checked_level(level), design=design, dropped=dropped
    )
