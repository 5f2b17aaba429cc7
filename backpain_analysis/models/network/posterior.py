"""Posteriors of networks: comparisons, their probabilities, and ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.integration import NormalMixture
from backpain_analysis.engine.likelihood import group, stack_covariance
from backpain_analysis.engine.priors import TauPrior, half_normal
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.bayes.model import (
    AnyPrior,
    BayesModel,
    Shape,
    chosen_prior,
    implied_sd,
)
from backpain_analysis.models.bayes.posterior import Posterior, parsed
from backpain_analysis.models.dose.curves import Curve, Emax
from backpain_analysis.models.dose.search import round_doses
from backpain_analysis.models.network.contrasts import NetworkData
from backpain_analysis.models.network.data import name_of
from backpain_analysis.models.network.dose_data import DoseNetworkData
from backpain_analysis.models.network.estimation import structure
from backpain_analysis.models.results import checked_level


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class DoseNetworkPosterior(Posterior):
    """The posterior of the dose-response curves of a network.

    Attributes
    ----------
    data : DoseNetworkData
    curves : dict of str to Curve
        Of each agent; of "emax" without its ED50, which is a parameter common to all.
    lower_is_better : bool
    """

    data: DoseNetworkData = field(repr=False, kw_only=True)
    curves: Mapping[str, Curve] = field(repr=False, kw_only=True)
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
        if self.model.shape is None:
            rows = np.zeros((len(doses), len(self.names)))
            rows[:, own] = curve.basis(doses)
            return list(rows)
        shapes = self._nodes[1][:, -1]
        found = []
        for dose in doses:
            row = np.zeros((len(shapes), len(self.names)))
            row[:, own.start] = dose / (dose + shapes)
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

    Linear-in-parameter curves are one an agent; Emax curves share their ED50, on which the model
    is integrated beside tau (Mawdsley et al. 2016, doi 10.1002/psp4.12091).

    Raises
    ------
    ValueError
        For curves with another shape to be found, or agents that share something else.
    """
    names = [
        f"{agent}: {term}"
        for agent, curve in zip(data.agents, curves, strict=True)
        for term in curve.terms
    ]
    beside = data.beside()
    shaped = [curve for curve in curves if curve.shape_terms and not curve.shape]
    start: Sequence[Curve] = curves
    common = shared == "common" and all(isinstance(curve, Emax) for curve in curves)
    if shared is not None and not common:
        raise ValueError(
            f"with a prior, shared={shared!r} is not to be had: use None, or curve='emax' with "
            "shared='common'."
        )
    if shaped and not common:
        raise ValueError(
            "with a prior, curves are linear in their parameters, or 'emax' with shared='common'."
        )
    if shaped:
        largest = max(float(doses.max()) for doses in data.studied.values())
        start = [Emax((largest / 2,)) for _ in curves]
    X = np.hstack([data.design(start), beside])
    model = waiting_network(data.network, X, [*names, *data.comparators])
    model = replace(model, outcome=data.outcome)
    if shaped:
        model = replace(model, shape=_common_ed50(data, model, beside, half_normal(largest)))
    sd = implied_sd(given.table) if isinstance(given, Effects) else None
    chosen = chosen_prior(prior, model.outcome, model.measure, sd)
    parts, weights = model.integrals(chosen)
    return DoseNetworkPosterior(
        model,
        parts,
        weights,
        chosen,
        checked_level(level),
        data=data,
        curves=dict(zip(data.agents, curves, strict=True)),
        lower_is_better=lower_is_better,
    )


def _common_ed50(
    data: DoseNetworkData, model: BayesModel, beside: np.ndarray, prior: TauPrior
) -> Shape:
    count = len(data.agents)

    def at(value: float) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        return np.hstack([data.design([Emax((value,))] * count), beside]), model.K

    return Shape("ED50", prior, at)
