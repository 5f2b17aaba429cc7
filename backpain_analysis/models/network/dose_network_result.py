"""What a dose network says: a curve for every agent, and how agents compare at equal doses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.display import html_table
from backpain_analysis.effects.table import count_reasons
from backpain_analysis.models.curves import Curve
from backpain_analysis.models.dose_result import round_doses
from backpain_analysis.models.dose_search import DoseEstimate, dose_of_optimum, dose_reaching
from backpain_analysis.models.network.agent_curves import Between
from backpain_analysis.models.network.dose_consistency import DoseConsistency, consistency
from backpain_analysis.models.network.dose_data import DoseNetworkData
from backpain_analysis.models.network.dose_ranking import EqualDose
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
        from backpain_analysis.figures.dose_network import dose_network

        return dose_network(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        names = "reference dose_name measure shared method level llf aic bic tau2 q"
        sizes = "n_trials n_arms n_participants"
        return {
            "params": self.params.to_dict(),
            "cov_params": self.cov.to_numpy().tolist(),
            **{name: getattr(self, name) for name in f"{names} {sizes}".split()},
            "agents": self.counts().to_dict(orient="records"),
            "excluded": self.excluded.to_dict(orient="records"),
        }

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
