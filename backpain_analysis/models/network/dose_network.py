"""Dose-response network meta-analysis: a curve for every agent, from all trials together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.display import html_table
from backpain_analysis.effects.table import Effects, count_reasons
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Curve, Emax, named
from backpain_analysis.models.dose.result import (
    DoseEstimate,
    dose_of_optimum,
    dose_reaching,
    round_doses,
)
from backpain_analysis.models.network.dose_consistency import DoseConsistency, consistency
from backpain_analysis.models.network.dose_data import (
    DoseNetworkData,
    check_connected,
    dose_network_data,
)
from backpain_analysis.models.network.dose_shapes import (
    AgentCurves,
    Between,
    EmaxShape,
    ProportionalShape,
    separate,
    with_shape,
)
from backpain_analysis.models.network.estimation import Method, at_tau2
from backpain_analysis.models.network.exchangeable import ExchangeableFit, fit_exchangeable
from backpain_analysis.models.network.ranking import EqualDose
from backpain_analysis.models.results import Coefficients, quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class AgentCurve:
    """One agent's curve as `dose_search` reads it.

    Attributes
    ----------
    curve : Curve
    params, cov : Series, DataFrame
    df, level : float
    """

    curve: Curve
    params: pd.Series
    cov: pd.DataFrame
    df: float
    level: float

    def gradient(self, doses: np.ndarray, reference: float = 0.0) -> np.ndarray:
        """Derivatives of the mean effect by the parameters, shape (n_doses, k)."""
        linear = self.params.to_numpy()[: len(self.curve.terms)]
        base = self.curve.gradient(np.atleast_1d(float(reference)), linear)
        return self.curve.gradient(np.asarray(doses, dtype=float), linear) - base

    def mean(self, doses: np.ndarray, reference: float = 0.0) -> np.ndarray:
        """Mean effect of each dose against the reference dose, shape (n_doses,)."""
        linear = self.params.to_numpy()[: len(self.curve.terms)]
        base = self.curve.basis(np.atleast_1d(float(reference)))
        return (self.curve.basis(np.asarray(doses, dtype=float)) - base) @ linear

    def critical(self, rows: np.ndarray) -> np.ndarray:
        """Critical values, shape (n,)."""
        return np.full(len(rows), quantile(self.level, self.df))


@dataclass(frozen=True)
class DoseNetworkResult(Coefficients):
    """The dose-response curves of a network of agents.

    Attributes
    ----------
    params, cov
        Linear coefficients and shape of each agent in turn, named "agent: term". Agents that
        share a parameter repeat it, so the covariance may be singular; exchangeable agents have
        their best linear unbiased predictions and the covariance of their errors, at the
        estimated variances.
    data : DoseNetworkData
    curves : mapping of str to Curve
    shared : {None, "common", "exchangeable"}
    lower_is_better : bool
    tau2 : float
        Heterogeneity of contrasts between trials.
    q : float
        Cochran's Q of the curves (of separate ones where agents are exchangeable).
    between : Between or None
        Mean curve and covariance of exchangeable agents.
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
    ) -> pd.DataFrame:
        """Mean effects of an agent's doses, against a dose of the same or another agent.

        The prediction interval, of a new trial, adds tau2 to the variance and is t on `contrasts
        - parameters - 1` degrees of freedom (Higgins, Thompson & Spiegelhalter 2009,
        doi 10.1111/j.1467-985X.2008.00552.x); missing for "CE" and without such degrees.

        Parameters
        ----------
        agent : str
        doses : array_like, shape (n,), optional
            By default some round doses up to the agent's largest.
        reference_dose : float
        reference_agent : str, optional
            By default the agent itself; at dose zero all are the reference.

        Returns
        -------
        DataFrame
            `dose, estimate, se, ci_low, ci_high, pi_low, pi_high, extrapolated`: whether the
            dose, or the reference dose, lies beyond the largest that its agent was studied at.

        Raises
        ------
        ValueError
            For an unknown agent or a negative dose.
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
        reach = self._prediction_quantile() * np.sqrt(se**2 + np.where(same, 0.0, self.tau2))
        beyond = (doses > self.max_dose(agent)) | (reference_dose > self.max_dose(versus))
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

    def rank_at(self, dose: float) -> EqualDose:
        """Agents (and the reference) ranked at an equal dose: P-scores and rank probabilities.

        Agents not studied up to this dose are marked as extrapolated.

        Raises
        ------
        ValueError
            If the dose is not above zero.
        """
        if not dose > 0:
            raise ValueError(f"dose {dose:g}: at zero all agents are the reference.")
        rows = np.vstack([self.rows(agent, [dose]) for agent in self.agents])
        return EqualDose(
            dose=float(dose),
            params=pd.Series([float(self.mean(a, [dose])[0]) for a in self.agents], self.agents),
            cov=pd.DataFrame(rows @ self.cov.to_numpy() @ rows.T, self.agents, self.agents),
            reference=self.reference,
            extrapolated=tuple(a for a in self.agents if dose > self.max_dose(a)),
            lower_is_better=self.lower_is_better,
            level=self.level,
        )

    def consistency(self) -> DoseConsistency:
        """The curves against the network of separate doses: see `dose_consistency.consistency`."""
        return consistency(self)

    def heterogeneity(self) -> pd.Series:
        """`tau2, tau, q, df, p_value, i2`: the last is `(Q - df) / Q` in per cent."""
        df = len(self.data.network.y) - self._linear_rank()
        i2 = 100 * max(0.0, (self.q - df) / self.q) if self.q > 0 else 0.0
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
            raise ValueError(f"no agent {agent!r}: use one of {', '.join(self.agents)}.")

    def _linear_rank(self) -> int:
        """Rank of the model matrix: parameters the data can tell, with the shapes."""
        X = self.data.network.incidence() @ np.vstack(
            [
                self.rows(agent if dose > 0 else self.agents[0], [dose])
                for agent, dose in self.data.nodes.itertuples(index=False)
            ]
        )
        size = np.linalg.norm(X, axis=0)
        rank = int(np.linalg.matrix_rank(X[:, size > 0] / size[size > 0]))
        if self.shared != "common":
            return rank
        scale = np.sqrt(np.diag(self.cov))
        return min(rank, int(np.linalg.matrix_rank(self.cov / np.outer(scale, scale), tol=1e-8)))

    def _prediction_quantile(self) -> float:
        spare = len(self.data.network.y) - self._linear_rank() - 1
        return quantile(self.level, float(spare)) if self.method != "CE" and spare > 0 else np.nan

    def _title(self) -> str:
        curve = next(iter(self.curves.values())).name
        tied = {None: "", "common": ", one shape", "exchangeable": ", exchangeable"}[self.shared]
        return f"Dose network: {curve} in {self.dose_name}{tied}"

    def _note(self) -> str:
        size = f"{len(self.agents)} agents, {self.n_trials} trials, {self.n_arms} arms"
        return (
            f"{size}, {self.n_participants} participants in arms of known size; against "
            f"{self.reference}; {self.measure}, tau {self.tau:.3g}. {super()._note()}"
        )

    def _repr_html_(self) -> str:
        table = self.summary().rename_axis("coefficient").reset_index()
        return html_table(table, title=self._title(), note=self._note())


Shared = Literal["common", "exchangeable"] | None

METHODS = ("REML", "ML", "CE")


def dose_network(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    agent: str = "agent",
    dose: str = "dose",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    measure: Literal["MD", "SMD"] | None = None,
    curve: str | Curve = "linear",
    reference: str = "usual_care",
    shared: Shared = None,
    method: Literal["REML", "ML", "CE"] = "REML",
    lower_is_better: bool = True,
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> DoseNetworkResult:
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
    measure : {"MD", "SMD"}
        Of a table ("MD" by default). `Effects` have their own.
    curve : str or Curve
        "linear", "quadratic", "log", "rcs", "emax", or a curve without a shape of its own.
    reference : str
        The agent that stands at dose zero.
    shared : {None, "common", "exchangeable"}
        None: every agent has a curve of its own. "common": all curves have one shape, which each
        agent only stretches (`s_a g(d)`; for Emax one ED50 and a maximal effect each; a curve of
        one term, such as a line, has that shape anyway). "exchangeable": the agents' coefficients
        are a sample from a normal distribution, `N(mu, Omega)` with Omega by REML or ML, so that
        agents with little evidence lean on the others (for Emax one ED50 and exchangeable maximal
        effects). To give agents the very same curve, lump them.
    method : {"REML", "ML", "CE"}
        "CE" is the common-effect model.
    lower_is_better : bool
        Whether smaller outcomes are desirable, for rankings and the best dose.
    lump : mapping, optional
        New names of agents, such as {"aerobic_walking": "aerobic"}; see `effects.lumping`.
    level : float
        Of intervals.

    Returns
    -------
    DoseNetworkResult

    Raises
    ------
    ValueError
        For unusable data, agents that no trial connects with the reference, or too few doses for
        the curve.
    ConvergenceError
        If the likelihood has no maximum.
    """
    if isinstance(data, Effects) and measure not in (None, data.measure):
        raise ValueError(f"these effects are {data.measure}s: make them with measure={measure!r}.")
    shape = named(curve)
    _check_options(shape, shared, method, level)
    columns = {"trial": trial, "agent": agent, "dose": dose, "mean": mean, "sd": sd, "n": n}
    contrasts = dose_network_data(
        data, **columns, measure=measure or "MD", reference=reference, lump=lump
    )
    check_connected(contrasts)
    _check_doses(contrasts, shape, shared)
    shape = shape.prepare(contrasts.arms["dose"].to_numpy())
    found = _fitted(contrasts, shape, shared, method)
    names = [
        f"{name}: {term}"
        for name, own in zip(contrasts.agents, found.curves, strict=True)
        for term in (*own.terms, *own.shape_terms)
    ]
    return DoseNetworkResult(
        params=pd.Series(found.params, names),
        cov=pd.DataFrame(found.cov, names, names),
        df=np.inf,
        level=level,
        llf=float(found.llf),
        aic=float(-2 * found.llf + 2 * found.n_estimated),
        bic=float(-2 * found.llf + np.log(found.bic_rows) * found.n_estimated),
        method=method,
        data=contrasts,
        curves=dict(zip(contrasts.agents, found.curves, strict=True)),
        shared=shared,
        lower_is_better=lower_is_better,
        tau2=found.tau2,
        q=float(found.q),
        between=found.between,
    )


def _check_options(curve: Curve, shared: Shared, method: str, level: float) -> None:
    faults = []
    if shared not in (None, "common", "exchangeable"):
        faults.append(f"shared {shared!r} must be None, 'common' or 'exchangeable'")
    if method not in METHODS:
        faults.append(f"unknown method {method!r}: use one of {', '.join(METHODS)}")
    if not 0 < level < 1:
        faults.append(f"level {level} is not between 0 and 1")
    if shared == "exchangeable" and method == "CE":
        faults.append("shared='exchangeable' estimates variances: use method='REML' or 'ML'")
    if curve.shape_terms and not isinstance(curve, Emax):
        faults.append(f"a {curve.name} curve is not for networks: use 'emax' or 'rcs'")
    if faults:
        raise ValueError("; ".join(faults) + ".")


def _check_doses(data: DoseNetworkData, curve: Curve, shared: Shared) -> None:
    """Refuse curves that the distinct doses of an agent cannot carry."""
    if shared == "exchangeable" and len(data.agents) <= len(curve.terms):
        raise CannotEstimate(
            f"how the coefficients of a {curve.name} curve vary between agents takes more than "
            f"{len(curve.terms)}; the network has {', '.join(data.agents)}. Use shared=None, or a "
            "simpler curve"
        )
    if shared is not None:
        return
    wanted = len(curve.terms) + len(curve.shape_terms)
    few = {name: doses for name, doses in data.studied.items() if len(doses) < wanted}
    if few:
        listed = "; ".join(
            f"{name} ({', '.join(f'{dose:g}' for dose in doses)})" for name, doses in few.items()
        )
        raise CannotEstimate(
            f"a {curve.name} curve needs {wanted} different doses above 0 of every agent; fewer "
            f"have {listed}. Use a simpler curve, shared='common' or 'exchangeable', or lump "
            "agents"
        )


def _fitted(data: DoseNetworkData, curve: Curve, shared: Shared, method: Method) -> AgentCurves:
    if shared == "exchangeable":
        return _exchangeable(data, curve, method)
    if isinstance(curve, Emax) and not curve.values:
        own = np.arange(len(data.agents)) if shared is None else np.zeros(len(data.agents), int)
        return with_shape(EmaxShape(data, own), method)
    if shared == "common" and len(curve.terms) > 1:
        return with_shape(ProportionalShape.of(data, curve), method)
    return separate(data, curve, method)


def _exchangeable(data: DoseNetworkData, curve: Curve, method: Method) -> AgentCurves:
    count, free = len(data.agents), 0

    def fitted(candidate: Curve, reml: bool, fixed: np.ndarray | None = None) -> ExchangeableFit:
        Z = data.design([candidate] * count)
        return fit_exchangeable(data.network, Z, count, reml=reml, fixed=fixed)

    if isinstance(curve, Emax) and not curve.values:
        doses = np.concatenate(list(data.studied.values()))
        curve, free = curve.settle(lambda c: fitted(c, False).llf, doses), 1
    found = fitted(curve, method == "REML")
    size, p = len(curve.terms), len(found.mean)
    params, cov = found.effects, found.cov
    if curve.shape_terms:
        params, cov = _with_ed50(data, curve, found, partial(fitted, curve, method == "REML"))
    return AgentCurves(
        curves=(curve,) * count,
        params=params,
        cov=cov,
        llf=found.llf,
        tau2=found.tau2,
        q=_q(data, curve),
        n_estimated=p + found.n_variance_parameters + free,
        bic_rows=len(data.network.y) - p * (method == "REML"),
        between=Between(found.mean[:size], found.mean_cov[:size, :size], found.omega),
    )


def _with_ed50(
    data: DoseNetworkData, curve: Emax, found: ExchangeableFit, again: partial
) -> tuple[np.ndarray, np.ndarray]:
    """Maximal effect and ED50 of each agent, with the covariance of the linearised model."""
    heights = found.effects
    columns = [lambda doses, b=b: curve.gradient(doses, [b])[:, 1:] for b in heights]
    slope = data.spread(columns).sum(axis=1, keepdims=True)
    cov = again(fixed=slope).cov
    place = np.column_stack([np.arange(len(heights)), np.full(len(heights), len(heights))]).ravel()
    values = np.column_stack([heights, np.full(len(heights), curve.values[0])]).ravel()
    return values, cov[np.ix_(place, place)]


def _q(data: DoseNetworkData, curve: Curve) -> float:
    """Cochran's Q of separate curves, whatever of them the data can tell."""
    basis, size, _ = np.linalg.svd(data.design([curve] * len(data.agents)), full_matrices=False)
    return at_tau2(data.network, basis[:, size > 1e-10 * size.max()], 0.0).rss
