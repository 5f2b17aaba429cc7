"""Dose-response network meta-analysis: a curve for every agent, from all trials together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.effects.table import Effects, count_reasons
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.bayes.model import AnyPrior
from backpain_analysis.models.dose.curves import Curve, has_step, named
from backpain_analysis.models.dose.search import (
    AgentCurve,
    DoseEstimate,
    dose_of_optimum,
    dose_reaching,
    round_doses,
)
from backpain_analysis.models.network.data import name_of
from backpain_analysis.models.network.dose_consistency import (
    DoseConsistency,
    DoseNodeSplit,
    consistency,
    node_split,
)
from backpain_analysis.models.network.dose_data import (
    Comparators,
    DoseNetworkData,
    check_connected,
    dose_network_data,
)
from backpain_analysis.models.network.dose_fit import (
    TIED,
    Shared,
    check_doses,
    check_options,
    curves_by_agent,
    fitted_curves,
    height_of,
    powers_wanted,
)
from backpain_analysis.models.network.dose_shapes import AgentCurves, Between, separate
from backpain_analysis.models.network.estimation import Method
from backpain_analysis.models.network.posterior import DoseNetworkPosterior, dose_network_posterior
from backpain_analysis.models.network.ranking import EqualDose
from backpain_analysis.models.results import Coefficients, checked_level, quantile, wald_test
from backpain_analysis.words import LOWER_IS_BETTER, did_you_mean, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class DoseNetworkResult(Coefficients):
    """The dose-response curves of a network of agents.

    Attributes
    ----------
    params, cov
        Linear coefficients and shape of each agent in turn, named "agent: term", then the effects
        of comparators without a dose, by their names. Agents that share a parameter repeat it, so
        the covariance may be singular; exchangeable agents have
        their best linear unbiased predictions and the covariance of their errors, at the
        estimated variances.
    data : DoseNetworkData
    curves : mapping of str to Curve
    shared : {None, "common", "exchangeable", "step"}
    lower_is_better : bool
    tau2 : float
        Heterogeneity of contrasts between trials.
    q : float
        Cochran's Q of the curves (of separate ones where agents are exchangeable).
    between : Between or None
        Mean curve and covariance of exchangeable agents.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> effects = evidence.effects("pain_intensity", head_to_head=True)
    >>> agents = bp.connected_agents(
    ...     effects,
    ...     dose="sessions_per_week",
    ...     reference="inactive",
    ...     lump=bp.lumping("types"),
    ... )
    >>> fit = bp.dose_network(
    ...     agents, dose="sessions_per_week", reference="inactive", lump=bp.lumping("types")
    ... )
    >>> fit.n_trials
    20
    """

    data: DoseNetworkData = field(repr=False)
    curves: Mapping[str, Curve] = field(repr=False)
    shared: str | None
    lower_is_better: bool
    tau2: float
    q: float
    between: Between | None = field(repr=False, default=None)

    @property
    def agents(self) -> list[str]:
        return list(self.data.agents)

    @property
    def comparators(self) -> list[str]:
        """Treatments without a dose, each with an effect of its own."""
        return list(self.data.comparators)

    @property
    def benefit(self) -> int:
        """The sign of a benefit, -1 or 1."""
        return -1 if self.lower_is_better else 1

    @property
    def reference(self) -> str:
        return self.data.reference

    @property
    def dose_name(self) -> str:
        return self.data.dose_name

    @property
    def outcome(self) -> str:
        return self.data.outcome

    @property
    def measure(self) -> str:
        return self.data.network.measure

    @property
    def tau(self) -> float:
        return float(np.sqrt(self.tau2))

    @property
    def n_trials(self) -> int:
        return self.data.network.n_trials

    @property
    def n_arms(self) -> int:
        """Arms; those of one agent and dose in a trial count as one."""
        return len(self.data.arms)

    @property
    def n_participants(self) -> int:
        """In arms of known size."""
        return int(self.data.network.participants.sum())

    @property
    def excluded(self) -> pd.DataFrame:
        """`trial_id, arm_id, reason` of what did not enter."""
        return self.data.network.excluded

    def excluded_counts(self) -> pd.DataFrame:
        """How many arms (and trials) were left out for which reason."""
        return count_reasons(self.excluded)

    def counts(self) -> pd.DataFrame:
        """Trials, arms, participants and doses of each agent: see `DoseNetworkData.counts`."""
        return self.data.counts()

    def max_dose(self, agent: str) -> float:
        """The largest dose the agent was studied at."""
        self._check_agent(agent)
        return float(self.data.studied[agent][-1])

    def min_dose(self, agent: str) -> float:
        """The smallest dose above zero the agent was studied at."""
        self._check_agent(agent)
        return float(self.data.studied[agent][0])

    def studied_at(self, dose: float) -> list[str]:
        """The agents whose studied doses reach from below to above a dose."""
        near = 1e-9 * abs(dose)
        return [
            agent
            for agent in self.agents
            if self.min_dose(agent) - near <= dose <= self.max_dose(agent) + near
        ]

    def curve_of(self, agent: str) -> AgentCurve:
        """An agent's curve with its own parameters.

        Raises
        ------
        ValueError
            For an unknown agent.
        """
        own = self._own(agent)
        cov = self.cov.iloc[own, own]
        return AgentCurve(
            self.curves[agent], self.params.iloc[own], cov, float(self.df), self.level
        )

    def rows(self, agent: str, doses: ArrayLike) -> np.ndarray:
        """Derivatives of the agent's mean effects by all parameters, shape (n, k)."""
        doses = np.atleast_1d(np.asarray(doses, dtype=float))
        rows = np.zeros((len(doses), len(self.params)))
        rows[:, self._own(agent)] = self.curve_of(agent).gradient(doses)
        return rows

    def mean(self, agent: str, doses: ArrayLike) -> np.ndarray:
        """The agent's mean effects against the reference, shape (n,)."""
        return self.curve_of(agent).mean(np.atleast_1d(np.asarray(doses, dtype=float)))

    def predict(
        self,
        agent: str,
        doses: ArrayLike | None = None,
        reference_dose: float = 0.0,
        reference_agent: str | None = None,
        *,
        extrapolate: bool = False,
    ) -> pd.DataFrame:
        """Mean effects of an agent's doses, against a dose of the same or another agent.

        The prediction interval, of a new trial, adds tau2 to the variance and is t on the degrees
        of freedom of Q (Higgins, Thompson & Spiegelhalter 2009,
        doi 10.1111/j.1467-985X.2008.00552.x); missing for "CE" and without such degrees.

        Parameters
        ----------
        agent : str
        doses : array_like, shape (n,), optional
            By default some round doses up to the agent's largest.
        reference_dose : float
        reference_agent : str, optional
            By default the agent itself; at dose zero all are the reference.
        extrapolate : bool
            Allow doses beyond the largest that their agent was studied at, where the estimate is
            the shape we chose.

        Returns
        -------
        DataFrame
            `dose, estimate, se, ci_low, ci_high, pi_low, pi_high, extrapolated`: whether the
            dose, or the reference dose, lies beyond the largest that its agent was studied at.

        Raises
        ------
        ValueError
            For an unknown agent or a negative dose.
        CannotEstimate
            For a dose beyond those studied, unless `extrapolate`.
        """
        doses = round_doses(self.max_dose(agent)) if doses is None else doses
        doses = np.atleast_1d(np.asarray(doses, dtype=float))
        if not (np.all(doses >= 0) and reference_dose >= 0):
            raise ValueError("doses start at 0: a dose to predict at is negative or missing.")
        versus = agent if reference_agent is None else reference_agent
        rows = self.rows(agent, doses) - self.rows(versus, [reference_dose])
        estimate = self.mean(agent, doses) - self.mean(versus, [reference_dose])
        variance = np.einsum("ij,jk,ik->i", rows, self.cov.to_numpy(), rows)
        se = np.sqrt(np.maximum(variance, 0.0))
        same = (doses == reference_dose) & ((agent == versus) | (doses == 0))
        half = quantile(self.level, self.df) * se
        reach = self._prediction_quantile * np.sqrt(se**2 + np.where(same, 0.0, self.tau2))
        beyond = self._beyond(agent, doses) | self._beyond(versus, np.array([reference_dose]))
        if beyond.any() and not extrapolate:
            far = agent if self._beyond(agent, doses).any() else versus
            raise CannotEstimate(
                f"{far} was studied up to {self.max_dose(far):g} {self.dose_name}",
                "ask for a smaller dose; extrapolate=True goes beyond, and marks it",
            )
        return pd.DataFrame(
            {
                "dose": doses,
                "estimate": estimate,
                "se": se,
                "ci_low": estimate - half,
                "ci_high": estimate + half,
                "pi_low": estimate - reach,
                "pi_high": estimate + reach,
                "extrapolated": beyond,
            }
        )

    def optimum(
        self, agent: str, low: float = 0.0, high: float | None = None, *, seed: int = 1
    ) -> DoseEstimate:
        """The agent's best dose up to its largest studied: see `dose_search.dose_of_optimum`."""
        high = self.max_dose(agent) if high is None else high
        best = "lowest" if self.lower_is_better else "highest"
        return dose_of_optimum(self.curve_of(agent), low, high, best=best, seed=seed)

    def dose_for(
        self, agent: str, effect: float, low: float = 0.0, high: float | None = None
    ) -> DoseEstimate:
        """The agent's lowest dose that reaches an effect: see `dose_search.dose_reaching`."""
        high = self.max_dose(agent) if high is None else high
        return dose_reaching(self.curve_of(agent), effect, low, high, 0.0)

    def rank_at(self, dose: float, *, extrapolate: bool = False) -> EqualDose:
        """Agents (and the reference) ranked at an equal dose: P-scores and rank probabilities.

        Parameters
        ----------
        dose : float
        extrapolate : bool
            Rank also the agents that were not studied at this dose, and mark them; else only
            those whose studied doses reach from below it to above it.

        Raises
        ------
        ValueError
            If the dose is not above zero.
        CannotEstimate
            If no agent was studied at it.
        """
        if not dose > 0:
            raise ValueError(f"dose {dose:g}: at zero all agents are the reference.")
        studied = self.studied_at(dose)
        ranked = self.agents if extrapolate else studied
        if not ranked:
            raise CannotEstimate(
                f"no type was studied at {dose:g} {self.dose_name}", "see counts() for the doses"
            )
        rows = np.vstack([self.rows(agent, [dose]) for agent in ranked])
        return EqualDose(
            dose=float(dose),
            params=pd.Series([float(self.mean(a, [dose])[0]) for a in ranked], ranked),
            cov=pd.DataFrame(rows @ self.cov.to_numpy() @ rows.T, ranked, ranked),
            reference=self.reference,
            extrapolated=tuple(a for a in ranked if a not in studied),
            left_out=tuple(a for a in self.agents if a not in ranked),
            lower_is_better=self.lower_is_better,
            level=self.level,
        )

    def consistency(self) -> DoseConsistency:
        """The curves against the network of separate doses: see `dose_consistency.consistency`."""
        return consistency(self)

    def node_split(self) -> DoseNodeSplit:
        """Direct evidence on pairs of agents against the curves: see `dose_consistency`."""
        return node_split(self)

    def comparators_table(self) -> pd.DataFrame:
        """Effects of the comparators without a dose against the reference.

        Returns
        -------
        DataFrame
            Indexed by comparator: `estimate, se, ci_low, ci_high, p_value`.
        """
        return pd.DataFrame(self.summary()).loc[self.comparators]

    def test_dose(self) -> pd.Series:
        """Among those who exercise, does the dose matter?

        Joint Wald test that all coefficients but the steps are zero; the curves must have a step
        (`any_exercise`). The agents' own where they differ, of exchangeable agents their mean,
        else the shared ones.

        Returns
        -------
        Series
            `statistic, df_num, df_denom, p_value, trials`: trials that compared different doses
            of one agent, the direct evidence.

        Raises
        ------
        CannotEstimate
            If the curves have no step, so that dose cannot be told from exercising at all.
        """
        if not all(has_step(curve) for curve in self.curves.values()):
            raise CannotEstimate(
                "curves through zero do not tell the dose from exercising at all",
                "fit them with any_exercise=True",
            )
        if self.between is not None and self.shared == "exchangeable":
            found = wald_test(self.between.mean[1:], self.between.mean_cov[1:, 1:], np.inf)
        else:
            agents = self.agents[:1] if self.shared == "step" else self.agents
            places = [k for a in agents for k in range(self._own(a).start + 1, self._own(a).stop)]
            estimate = self.params.to_numpy()[places]
            found = wald_test(estimate, self.cov.to_numpy()[np.ix_(places, places)], np.inf)
        arms = self.data.arms[self.data.arms["dose"] > 0]
        varied = arms.groupby(["trial_id", "agent"])["dose"].nunique()
        found["trials"] = int((varied > 1).groupby("trial_id").any().sum())
        return found

    def heterogeneity(self) -> pd.Series:
        """`tau2, tau, q, df, p_value, i2`: the last is `(Q - df) / Q` in per cent."""
        df = len(self.data.network.y) - self._linear_rank()
        i2 = 100 * max(0.0, (self.q - df) / self.q) if self.q > 0 and df > 0 else np.nan
        p = float(special.chdtrc(df, self.q)) if df > 0 else np.nan
        values = {"tau2": self.tau2, "tau": self.tau, "q": self.q, "df": df, "p_value": p}
        return pd.Series({**values, "i2": i2})

    def plot(self, **options: Any) -> Axes:
        """All curves on one pair of axes: see `figures.dose_network`."""
        from backpain_analysis.figures.dose_network_plot import dose_network

        return dose_network(self, **options)

    def _own(self, agent: str) -> slice:
        """Positions of an agent's parameters."""
        self._check_agent(agent)
        sizes = {name: len(c.terms) + len(c.shape_terms) for name, c in self.curves.items()}
        first = sum(sizes[name] for name in self.agents[: self.agents.index(agent)])
        return slice(first, first + sizes[agent])

    def _check_agent(self, agent: str) -> None:
        if agent not in self.curves:
            raise ValueError(f"no agent {agent!r}. {did_you_mean(agent, self.agents)}")

    def _beyond(self, agent: str, doses: np.ndarray) -> np.ndarray:
        largest = self.max_dose(agent)
        return doses > largest * (1 + 1e-9)

    def rows_of_nodes(self) -> np.ndarray:
        """Derivatives of every node's effect against the reference, shape (n_nodes, k)."""
        rows = np.zeros((len(self.data.nodes), len(self.params)))
        for place, (agent, dose) in enumerate(self.data.nodes.itertuples(index=False)):
            if dose > 0:
                rows[place] = self.rows(agent, [dose])[0]
            elif agent in self.data.comparators:
                rows[place, self._comparator(agent)] = 1.0
        return rows

    def effects_of_nodes(self) -> np.ndarray:
        """Effect of every node against the reference, shape (n_nodes,)."""
        effects = np.zeros(len(self.data.nodes))
        for place, (agent, dose) in enumerate(self.data.nodes.itertuples(index=False)):
            if dose > 0:
                effects[place] = self.mean(agent, [dose])[0]
            elif agent in self.data.comparators:
                effects[place] = self.params.iloc[self._comparator(agent)]
        return effects

    def _comparator(self, name: str) -> int:
        return len(self.params) - len(self.comparators) + self.comparators.index(name)

    def _linear_rank(self) -> int:
        """Rank of the model matrix: parameters the data can tell, with the shapes."""
        X = self.data.network.incidence() @ self.rows_of_nodes()
        size = np.linalg.norm(X, axis=0)
        rank = int(np.linalg.matrix_rank(X[:, size > 0] / size[size > 0]))
        if self.shared not in ("common", "step"):
            return rank
        scale = np.sqrt(np.diag(self.cov))
        return min(rank, int(np.linalg.matrix_rank(self.cov / np.outer(scale, scale), tol=1e-8)))

    @cached_property
    def _prediction_quantile(self) -> float:
        spare = len(self.data.network.y) - self._linear_rank()
        return quantile(self.level, float(spare)) if self.method != "CE" and spare > 0 else np.nan

    def _title(self) -> str:
        names = dict.fromkeys(own.name for own in self.curves.values())
        curve = " and ".join(names)
        tied = TIED[self.shared]
        return f"Dose network: {curve} in {self.dose_name}{tied}"

    def _note(self) -> str:
        size = f"{len(self.agents)} agents, {plural(self.n_trials, 'trial')}, {self.n_arms} arms"
        return (
            f"{size}, {self.n_participants} participants in arms of known size; against "
            f"{self.reference}; {self.measure}, tau {self.tau:.3g}. {super()._note()}"
        )


@overload
def dose_network(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    agent: str = "agent",
    dose: str = "dose",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    measure: Literal["MD", "SMD", "d"] | None = None,
    curve: str | Curve | Mapping[str, str | Curve] = "linear",
    any_exercise: bool = False,
    reference: str = "usual_care",
    comparators: Comparators = None,
    shared: Shared = None,
    method: Literal["REML", "ML", "CE"] = "REML",
    lower_is_better: bool | None = None,
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
    prior: None = None,
) -> DoseNetworkResult: ...
@overload
def dose_network(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    agent: str = "agent",
    dose: str = "dose",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    measure: Literal["MD", "SMD", "d"] | None = None,
    curve: str | Curve | Mapping[str, str | Curve] = "linear",
    any_exercise: bool = False,
    reference: str = "usual_care",
    comparators: Comparators = None,
    shared: Shared = None,
    method: Literal["REML", "ML", "CE"] = "REML",
    lower_is_better: bool | None = None,
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
    prior: AnyPrior | str,
) -> DoseNetworkPosterior: ...
def dose_network(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    agent: str = "agent",
    dose: str = "dose",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    measure: Literal["MD", "SMD", "d"] | None = None,
    curve: str | Curve | Mapping[str, str | Curve] = "linear",
    any_exercise: bool = False,
    reference: str = "usual_care",
    comparators: Comparators = None,
    shared: Shared = None,
    method: Literal["REML", "ML", "CE"] = "REML",
    lower_is_better: bool | None = None,
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
    prior: AnyPrior | str | None = None,
) -> DoseNetworkResult | DoseNetworkPosterior:
    """Estimate the dose-response curves of several agents jointly, by direct and indirect evidence.

    `y = f_a(d) - f_b(e) + u + e`: contrasts of a trial between agent a at dose d and agent b at
    dose e, curves that are zero at dose zero (where all agents are the reference), the exact
    sampling covariance of a trial's contrasts, and heterogeneity tau2 with correlation one half
    between contrasts that share an arm. Sources: Mawdsley et al. 2016 (doi 10.1002/psp4.12091);
    Pedder et al. 2021 (doi 10.1177/0272989X20983315).

    Parameters
    ----------
    data : Effects or DataFrame
        A row an arm; or effects (see `effects.from_evidence` with `head_to_head`), of which the
        arms without a known dose, and those that neither have a dose nor are the reference,
        are left out and listed.
    trial, agent, dose, mean, sd, n : str
        Columns. Of `Effects`: `dose` is one of `DOSE_MEASURES`, and the agent is the treatment
        unless named otherwise.
    measure : {"MD", "SMD", "d"}
        Of a table ("MD" by default; "SMD" is Hedges' g, "d" Cohen's d). `Effects` have their own.
    curve : str, Curve, or mapping of agents to these
        "linear", "quadratic", "log", "rcs", "fp1", "fp2", "emax", "hill", "constant", or a curve
        without a shape of its own. A mapping gives each agent a curve of its own kind ("*" for
        all others), without shapes to be found.
    any_exercise : bool
        Add a step at the first dose above zero: what exercising at all does, apart from the dose.
    reference : str
        The agent that stands at dose zero.
    comparators : sequence of str, or "all", optional
        Treatments without a dose (education, manual therapy) that stand as nodes of their own,
        with an effect each; so trials that compare with them inform the curves. By default their
        arms are left out.
    shared : {None, "common", "exchangeable", "step"}
        None: every agent has a curve of its own. "common": all curves have one shape, which each
        agent only stretches (`s_a g(d)`; for Emax one ED50 and a maximal effect each; a curve of
        one term, such as a line, has that shape anyway). "exchangeable": the agents' coefficients
        are a sample from a normal distribution, `N(mu, Omega)` with Omega by REML or ML, so that
        agents with little evidence lean on the others (for Emax one ED50 and exchangeable maximal
        effects). "step": curves with a step, whose steps are exchangeable between agents while
        what dose adds is one curve for all. To give agents the very same curve, lump them.
    method : {"REML", "ML", "CE"}
        "CE" is the common-effect model.
    lower_is_better : bool, optional
        Whether smaller outcomes are desirable, for rankings and the best dose. By default what is
        known of the outcome of `Effects`; of a table, yes.
    lump : mapping, optional
        New names of agents, such as {"aerobic_walking": "aerobic"}; see `effects.lumping`.
    level : float
        Of intervals.
    prior : Prior, TauPrior, Mixture or "auto", optional
        What is believed before the data (see `priors`): then the result is a posterior and `method`
        does not count. Of agents with curves of their own, exchangeable ones or steps (standard
        deviations "agents: term", with priors by name in `Prior.tau`), and "emax" and "hill" with
        any of shared=None (a shape each), "common" or "exchangeable" (one shape).

    Returns
    -------
    DoseNetworkResult, or DoseNetworkPosterior with a prior

    Raises
    ------
    ValueError
        For unusable tables, columns, options.
    CannotEstimate
        For agents that no trial connects with the reference, too few doses for the curve, or a
        likelihood without a maximum.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> effects = evidence.effects("pain_intensity", head_to_head=True)
    >>> lump = bp.lumping("types")
    >>> agents = bp.connected_agents(
    ...     effects, dose="sessions_per_week", reference="inactive", lump=lump
    ... )
    >>> bp.dose_network(
    ...     agents, dose="sessions_per_week", reference="inactive", lump=lump
    ... ).params.round(1).head(3)
    aerobic_running: dose       -5.1
    aquatic: dose               -6.8
    core_stabilisation: dose   -10.8
    dtype: float64
    """
    if isinstance(data, Effects) and measure not in (None, data.measure):
        raise ValueError(f"these effects are {data.measure}s: make them with measure={measure!r}.")
    by_agent = curve if isinstance(curve, Mapping) else {"*": curve}
    shapes = {a: named(own, any_exercise=any_exercise) for a, own in by_agent.items()}
    level = checked_level(level)
    check_options(shapes, isinstance(curve, Mapping), shared, method)
    reference = name_of(reference)
    columns = {"trial": trial, "agent": agent, "dose": dose, "mean": mean, "sd": sd, "n": n}
    contrasts = dose_network_data(
        data,
        **columns,
        measure=measure or "MD",
        reference=reference,
        lump=lump,
        comparators=comparators,
    )
    if lower_is_better is None:
        lower_is_better = contrasts.outcome == "outcome" or contrasts.outcome in LOWER_IS_BETTER
    check_connected(contrasts)
    if not contrasts.agents:
        raise CannotEstimate("no agent has a dose above zero", "use network()")
    doses = contrasts.arms["dose"].dropna().to_numpy()
    if isinstance(curve, Mapping):
        curves = curves_by_agent(contrasts, shapes, doses)
        if prior is not None:
            return dose_network_posterior(
                data, contrasts, curves, shared, lower_is_better, prior, level
            )
        found = separate(contrasts, curves, method)
        return _result(contrasts, found, shared, method, level, lower_is_better)
    shape = shapes["*"]
    check_doses(contrasts, shape, shared)
    shape = shape.prepare(doses)
    if prior is not None:
        own = [shape] * len(contrasts.agents)
        return dose_network_posterior(data, contrasts, own, shared, lower_is_better, prior, level)
    if powers_wanted(shape):
        by_ml: Method = "CE" if method == "CE" else "ML"
        shape = shape.settle(lambda c: height_of(contrasts, c, shared, by_ml), doses)
    found = fitted_curves(contrasts, shape, shared, method)
    return _result(contrasts, found, shared, method, level, lower_is_better)


def _result(
    contrasts: DoseNetworkData,
    found: AgentCurves,
    shared: Shared,
    method: Method,
    level: float,
    lower_is_better: bool,
) -> DoseNetworkResult:
    names = [
        f"{name}: {term}"
        for name, own in zip(contrasts.agents, found.curves, strict=True)
        for term in (*own.terms, *own.shape_terms)
    ]
    names += contrasts.comparators
    return DoseNetworkResult(
        params=pd.Series(found.params, names),
        cov=pd.DataFrame(found.cov, names, names),
        df=np.inf,
        level=level,
        llf=float(found.llf),
        aic=float(-2 * found.llf + 2 * found.n_estimated),
        bic=float(-2 * found.llf + np.log(max(found.bic_rows, 1)) * found.n_estimated),
        method=method,
        data=contrasts,
        curves=dict(zip(contrasts.agents, found.curves, strict=True)),
        shared=shared,
        lower_is_better=lower_is_better,
        tau2=found.tau2,
        q=float(found.q),
        between=found.between,
    )
