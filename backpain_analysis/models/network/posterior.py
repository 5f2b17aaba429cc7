"""Posteriors of networks: comparisons, their probabilities, and ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.integration import NormalMixture
from backpain_analysis.engine.likelihood import group, stack_covariance
from backpain_analysis.engine.priors import half_normal
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.bayes.model import (
    AGENTS,
    AnyPrior,
    BayesModel,
    Shape,
    chosen_prior,
    implied_sd,
)
from backpain_analysis.models.bayes.posterior import Posterior, parsed
from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.dose.posterior import shape_priors
from backpain_analysis.models.dose.search import round_doses
from backpain_analysis.models.dose.shaped import saturation
from backpain_analysis.models.network.contrasts import NetworkData
from backpain_analysis.models.network.data import name_of
from backpain_analysis.models.network.dose_data import DoseNetworkData
from backpain_analysis.models.network.estimation import structure
from backpain_analysis.models.results import checked_level


@dataclass(frozen=True, repr=False)
class NetworkPosterior(Posterior):
    """The posterior of a network.

    Attributes
    ----------
    loadings : DataFrame
        Treatments (rows) as sums of the parameters (columns).
    reference : str
    lower_is_better : bool
    """

    loadings: pd.DataFrame = field(repr=False, kw_only=True)
    reference: str = field(kw_only=True)
    lower_is_better: bool = field(kw_only=True)

    @property
    def treatments(self) -> list[str]:
        return list(self.loadings.index)

    @property
    def benefit(self) -> int:
        """The sign of a benefit, -1 or 1."""
        return -1 if self.lower_is_better else 1

    def _row(self, treatment: object, versus: object | None) -> np.ndarray:
        rows = []
        for one in (treatment, self.reference if versus is None else versus):
            name = name_of(one)
            if name not in self.loadings.index:
                known = ", ".join(self.treatments)
                raise ValueError(f"no treatment {name!r} in the network: use one of {known}.")
            rows.append(self.loadings.loc[name].to_numpy(dtype=float))
        return rows[0] - rows[1]

    def comparison(
        self, treatment: object, versus: object | None = None, *, new: bool = False
    ) -> NormalMixture:
        """The posterior of one effect against another (by default the reference)."""
        row = self._row(treatment, versus)
        return self.combination(row, self._own_spread if new else None)

    def effects(self, reference: object | None = None) -> pd.DataFrame:
        """Every treatment against one, the best first: the columns of `at`, by treatment."""
        against = self.reference if reference is None else name_of(reference)
        others = [name for name in self.treatments if name != against]
        table = self.at([self._row(name, against) for name in others]).set_axis(others)
        return table.sort_values("estimate", ascending=self.lower_is_better)

    def predict(self, treatment: object, versus: object | None = None) -> pd.Series:
        """One comparison with its credible and prediction intervals: a row of `effects`."""
        return self.at([self._row(treatment, versus)]).iloc[0].rename(name_of(treatment))

    def probability_of(
        self, than: str, treatment: object, versus: object | None = None, *, new: bool = False
    ) -> float:
        """Probability that one effect against another lies on one side of a value."""
        side, value = parsed(than)
        below = float(self.comparison(treatment, versus, new=new).cdf(np.array([value]))[0])
        return below if side == "<" else 1 - below

    def ranking(self) -> pd.DataFrame:
        """How sure each treatment is better than the others, the best first.

        Returns
        -------
        DataFrame
            `sucra`: the mean over the others of the probability to be better than each, which is
            the surface under the cumulative ranking curve (Salanti, Ades & Ioannidis 2011,
            doi 10.1016/j.jclinepi.2010.03.016; Rücker & Schwarzer 2015,
            doi 10.1186/s12874-015-0060-8).
        """
        names = self.treatments
        better = np.zeros((len(names), len(names)))
        side = "<" if self.lower_is_better else ">"
        for i, one in enumerate(names):
            for j in range(i):
                better[i, j] = self.probability_of(f"{side} 0", one, names[j])
                better[j, i] = 1 - better[i, j]
        table = pd.DataFrame({"sucra": better.sum(axis=1) / (len(names) - 1)}, index=names)
        return table.sort_values("sucra", ascending=False)


def network_posterior(
    data: NetworkData,
    loadings: pd.DataFrame,
    reference: str,
    lower_is_better: bool,
    prior: AnyPrior,
    level: float,
) -> NetworkPosterior:
    """The posterior of a network's parameters, heterogeneity common to all comparisons."""
    X = data.incidence() @ loadings.to_numpy()
    model = waiting_network(data, X, list(loadings.columns))
    parts, weights = model.integrals(prior)
    return NetworkPosterior(
        model,
        parts,
        weights,
        prior,
        checked_level(level),
        loadings=loadings,
        reference=reference,
        lower_is_better=lower_is_better,
    )


def waiting_network(data: NetworkData, X: np.ndarray, names: Sequence[str]) -> BayesModel:
    """Contrasts of a network and a model matrix, before the prior."""
    blocks = group(data.trial)
    K = [stack[None] for stack in structure(data, blocks.batches)]
    return BayesModel(
        y=data.y,
        X=X,
        names=tuple(names),
        S=tuple(stack_covariance(data.covariance, blocks)),
        K=tuple(K),
        blocks=blocks,
        labels=tuple(map(str, data.trial)),
        outcome=data.outcome,
        measure=data.measure,
    )


@dataclass(frozen=True, repr=False)
class DoseNetworkPosterior(Posterior):
    """The posterior of the dose-response curves of a network.

    Attributes
    ----------
    data : DoseNetworkData
    curves : dict of str to Curve
        Of each agent; of Emax and Hill curves without their shape, which are parameters.
    shape_of : dict of str to tuple of int
        Which shape parameters are those of an agent's curve.
    lower_is_better : bool
    """

    data: DoseNetworkData = field(repr=False, kw_only=True)
    curves: Mapping[str, Curve] = field(repr=False, kw_only=True)
    shape_of: Mapping[str, tuple[int, ...]] = field(repr=False, kw_only=True)
    lower_is_better: bool = field(kw_only=True)

    @property
    def agents(self) -> list[str]:
        return list(self.data.agents)

    @property
    def benefit(self) -> int:
        """The sign of a benefit, -1 or 1."""
        return -1 if self.lower_is_better else 1

    def _rows(self, agent: str, doses: np.ndarray) -> list[np.ndarray]:
        """Rows of the effects of doses: (p,) each, or (G, p) where they depend on an ED50."""
        if agent not in self.curves:
            raise ValueError(f"no agent {agent!r}: use one of {', '.join(self.agents)}.")
        start = sum(len(self.curves[name].terms) for name in self.agents[: self._place(agent)])
        own = slice(start, start + len(self.curves[agent].terms))
        curve = self.curves[agent]
        places = self.shape_of[agent]
        if not places:
            rows = np.zeros((len(doses), len(self.names)))
            rows[:, own] = curve.basis(doses)
            return list(rows)
        assert self.model.shape is not None
        shapes = self._nodes[1][:, -len(self.model.shape.names) :].T[list(places)]
        found = []
        for dose in doses:
            row = np.zeros((shapes.shape[1], len(self.names)))
            row[:, own.start] = saturation(np.array(dose), *shapes)
            found.append(row)
        return found

    def _place(self, agent: str) -> int:
        return self.agents.index(agent)

    def predict(
        self,
        agent: str,
        doses: ArrayLike | None = None,
        reference_dose: float = 0.0,
        reference_agent: str | None = None,
    ) -> pd.DataFrame:
        """Effects of an agent's doses, against a dose of the same or another agent.

        Returns
        -------
        DataFrame
            `dose` and the columns of `at`.

        Raises
        ------
        CannotEstimate
            For a dose beyond those that its agent was studied at.
        """
        largest = float(self.data.studied[agent].max()) if agent in self.curves else 0.0
        doses = round_doses(largest) if doses is None else doses
        wanted = np.atleast_1d(np.asarray(doses, dtype=float))
        versus = agent if reference_agent is None else reference_agent
        against = self._rows(versus, np.array([float(reference_dose)]))[0]
        rows = [row - against for row in self._rows(agent, wanted)]
        for name, asked in ((agent, wanted.max()), (versus, reference_dose)):
            limit = float(self.data.studied[name].max())
            if asked > limit * (1 + 1e-9):
                raise CannotEstimate(
                    f"{name} was studied up to {limit:g} {self.data.dose_name}",
                    "ask for a smaller dose",
                )
        table = self.at(rows)
        table.insert(0, "dose", wanted)
        return table

    def probability_at(self, than: str, agent: str, dose: float, *, new: bool = False) -> float:
        """Probability that the effect of a dose against none lies on one side of a value."""
        side, value = parsed(than)
        row = self._rows(agent, np.array([float(dose)]))[0]
        own = self.combination(row, self._own_spread if new else None)
        below = float(own.cdf(np.array([value]))[0])
        return below if side == "<" else 1 - below


def dose_network_posterior(
    given: Effects | pd.DataFrame,
    data: DoseNetworkData,
    curves: Sequence[Curve],
    shared: str | None,
    lower_is_better: bool,
    prior: AnyPrior | str,
    level: float,
) -> DoseNetworkPosterior:
    """The posterior of a dose network.

    Curves are one an agent. Emax and Hill curves have their shape integrated over beside tau
    (Mawdsley et al. 2016, doi 10.1002/psp4.12091): one for all agents where they share anything,
    else one each. Exchangeable agents have coefficients `N(mu, sd^2)`, a mean and a standard
    deviation a term, independent of each other, as MBNMAdose has them (Pedder et al. 2021,
    doi 10.1177/0272989X20983315); with shared="step" only the step has a deviation.

    Raises
    ------
    ValueError
        For curves of one unknown shape that is not Emax or Hill.
    """
    shaped = any(curve.shape_terms and not curve.shape for curve in curves)
    if shared == "common" and not shaped:
        raise ValueError(
            "with a prior, shared='common' is for 'emax' and 'hill': stretching any other curve "
            "is not linear in its coefficients. Use None, 'exchangeable' or 'step'."
        )
    names = [
        f"{agent}: {term}"
        for agent, curve in zip(data.agents, curves, strict=True)
        for term in curve.terms
    ]
    groups = len(curves) if shaped and shared is None else 1
    shape_of = _shapes(data.agents, curves, groups) if shaped else dict.fromkeys(data.agents, ())
    agents = _columns(data, curves, shape_of)
    tied = None
    if shared in ("exchangeable", "step"):
        tied = _Exchangeable(data, curves, shaped, only_step=shared == "step")
    means = [] if tied is None else [f"mean: {term}" for term in tied.terms]
    spreads = [] if tied is None else [f"{AGENTS}{term}" for term in tied.varying]
    largest = max(float(doses.max()) for doses in data.studied.values())
    own = shape_priors(curves[0], largest) * groups if shaped else ()
    start = np.array([[largest / 2, 1.0][: len(curves[0].shape_terms)] * groups if shaped else []])
    if tied is not None:
        start = np.hstack([np.ones((1, len(spreads))), start])
    beside = data.beside()

    def X_at(values: np.ndarray) -> np.ndarray:
        columns = agents(values[:, len(spreads) :])
        if tied is not None:
            columns = tied.spread(columns, values[:, : len(spreads)])
        every = np.broadcast_to(beside, (len(values), *beside.shape))
        return np.concatenate([columns, every], axis=2)

    model = waiting_network(data.network, X_at(start)[0], [*names, *means, *data.comparators])
    model = replace(model, outcome=data.outcome)
    if shaped or tied is not None:
        K = tuple(stack[None] for stack in model.K)
        shape_names = _names_of_shapes(data.agents, curves[0], groups) if shaped else ()
        shape = Shape(
            (*spreads, *shape_names),
            (*[half_normal(1.0)] * len(spreads), *own),
            lambda values: (X_at(values), K),
            standard=tuple(names) if tied else (),
            told=tied.told(len(data.comparators)) if tied else None,
        )
        model = replace(model, shape=shape)
    sd = implied_sd(given.table) if isinstance(given, Effects) else None
    chosen = chosen_prior(prior, model.outcome, model.measure, sd)
    parts, weights = model.integrals(chosen)
    moved = {agent: tuple(len(spreads) + k for k in own) for agent, own in shape_of.items()}
    return DoseNetworkPosterior(
        model,
        parts,
        weights,
        chosen,
        checked_level(level),
        data=data,
        curves=dict(zip(data.agents, curves, strict=True)),
        shape_of=moved,
        lower_is_better=lower_is_better,
    )


def _names_of_shapes(agents: Sequence[str], curve: Curve, groups: int) -> tuple[str, ...]:
    if groups == 1:
        return tuple(curve.shape_terms)
    return tuple(f"{agent}: {term}" for agent in agents for term in curve.shape_terms)


def _shapes(
    agents: Sequence[str], curves: Sequence[Curve], groups: int
) -> dict[str, tuple[int, ...]]:
    size = len(curves[0].shape_terms)
    first = [size * place if groups > 1 else 0 for place in range(len(agents))]
    return {a: tuple(range(k, k + size)) for a, k in zip(agents, first, strict=True)}


def _columns(
    data: DoseNetworkData, curves: Sequence[Curve], shape_of: Mapping[str, tuple[int, ...]]
) -> Callable[[np.ndarray], np.ndarray]:
    """From values of the shapes (G, s) to the columns of the agents' curves, (G, n, p)."""
    if not any(shape_of.values()):
        fixed = data.design(curves)
        return lambda values: np.broadcast_to(fixed, (len(values), *fixed.shape))
    doses = data.nodes["dose"].fillna(0.0).to_numpy(dtype=float)
    inside = [(data.nodes["agent"] == agent).to_numpy() for agent in data.agents]

    def made(values: np.ndarray) -> np.ndarray:
        at = np.zeros((len(values), len(doses), len(inside)))
        for place, (agent, own) in enumerate(zip(data.agents, inside, strict=True)):
            shapes = values[:, list(shape_of[agent])].T[..., None]
            at[:, own, place] = saturation(doses[own], *shapes)
        return at[:, data.network.treatment] - at[:, data.network.versus]

    return made


class _Exchangeable:
    """Agents' coefficients as a mean, and deviations in units of a standard deviation a term.

    The standard deviation of a term is that of its effect at the doses studied (their root mean
    square), so that its prior is in the units of the effects; of Emax curves that of the maximal
    effect. With `only_step` it is zero for all terms but the first.
    """

    def __init__(
        self, data: DoseNetworkData, curves: Sequence[Curve], shaped: bool, *, only_step: bool
    ) -> None:
        if any(curve.terms != curves[0].terms for curve in curves):
            raise ValueError("exchangeable agents have curves of one kind.")
        self.terms = curves[0].terms
        self.varying = self.terms[:1] if only_step else self.terms
        self.count = len(curves)
        studied = np.concatenate([data.studied[agent] for agent in data.agents])
        size = np.ones((1, len(self.terms))) if shaped else curves[0].basis(studied)
        self.unit = 1 / np.sqrt((size**2).mean(axis=0))

    def _units(self, sds: np.ndarray) -> np.ndarray:
        """Standard deviations of all coefficients, shape (G, q), from those that vary."""
        every = np.zeros((len(sds), len(self.terms)))
        every[:, : len(self.varying)] = sds[:, : len(self.varying)]
        return every * self.unit

    def spread(self, columns: np.ndarray, sds: np.ndarray) -> np.ndarray:
        """Columns of the deviations, then of the means."""
        apart = columns.reshape(*columns.shape[:2], self.count, len(self.terms))
        deviations = apart * self._units(sds)[:, None, None, :]
        return np.concatenate([deviations.reshape(columns.shape), apart.sum(axis=2)], axis=2)

    def told(self, others: int) -> Callable[[np.ndarray], np.ndarray]:
        """Agents' own coefficients, the means, and the rest as it is."""
        q = len(self.terms)
        size = self.count * q

        def turn(values: np.ndarray) -> np.ndarray:
            matrix = np.tile(np.eye(size + q + others), (len(values), 1, 1))
            own = np.tile(self._units(values), (1, self.count))
            matrix[:, np.arange(size), np.arange(size)] = own
            matrix[:, np.arange(size), size + np.arange(size) % q] = 1.0
            return matrix

        return turn
