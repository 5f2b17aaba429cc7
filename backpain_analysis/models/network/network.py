"""Network meta-analysis, multi-arm trials exactly: means, events, or contrasts as printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd

from backpain_analysis.display import html_table
from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.mixed import MixedFit
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.network import diagnostics, inconsistency, ranking
from backpain_analysis.models.network.contrasts import NetworkData, check_connected
from backpain_analysis.models.network.data import Columns, name_of, network_data
from backpain_analysis.models.network.estimation import COMMON, METHODS, Method, estimate
from backpain_analysis.models.network.mantel_haenszel import by_design
from backpain_analysis.models.results import (
    Coefficients,
    Summary,
    check_choices,
    quantile,
    two_sided_p,
)
from backpain_analysis.words import benefit_sign, did_you_mean, effect_text, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from backpain_analysis.models.bayes.model import AnyPrior
    from backpain_analysis.models.network.posterior import NetworkPosterior


@dataclass(frozen=True, repr=False)
class NetworkResult(Coefficients):
    """A fitted network.

    Attributes
    ----------
    params, cov
        Effects against the reference treatment; of components in an additive model. Of ratios,
        logarithms.
    data : NetworkData
    loadings : DataFrame
        Treatments (rows) as sums of the parameters (columns); differences of rows are effects.
    reference : str
    lower_is_better : bool
    is_additive : bool
        Whether effects of components add up.
    tau2 : float
        Heterogeneity, common to all comparisons.
    engine, common : MixedFit
        The fit, and that of the common-effect model.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> effects = evidence.effects("pain_intensity", head_to_head=True)
    >>> network = bp.network(effects, reference="inactive", lump=bp.lumping("types"))
    >>> network.n_trials
    33
    >>> network.tau > 0
    True
    """

    data: NetworkData = field(repr=False)
    loadings: pd.DataFrame = field(repr=False)
    reference: str
    lower_is_better: bool
    is_additive: bool
    tau2: float
    engine: MixedFit = field(repr=False)
    common: MixedFit = field(repr=False)

    @property
    def treatments(self) -> list[str]:
        return list(self.data.treatments)

    @property
    def outcome(self) -> str:
        """Empty where it is not known."""
        return self.data.outcome

    @property
    def measure(self) -> str:
        return self.data.measure

    @property
    def benefit(self) -> int:
        """The sign of a benefit, -1 or 1."""
        return -1 if self.lower_is_better else 1

    @property
    def tau(self) -> float:
        return float(np.sqrt(self.tau2))

    @property
    def n_trials(self) -> int:
        return self.data.n_trials

    @property
    def n_participants(self) -> int:
        """In arms of known size."""
        return int(self.data.participants.sum())

    @property
    def excluded(self) -> pd.DataFrame:
        return self.data.excluded

    def effects(self, reference: object = None, *, exponentiate: bool = False) -> pd.DataFrame:
        """Every treatment against one, the best first.

        The prediction interval is that of a new trial: t on the degrees of freedom of Q (Higgins,
        Thompson & Spiegelhalter 2009, doi 10.1111/j.1467-985X.2008.00552.x, for one comparison);
        missing for a common effect and where no degree is left.

        Parameters
        ----------
        reference : str, optional
            By default the reference of the fit.
        exponentiate : bool
            Of ratios: the ratios themselves, not their logarithms (`se` stays that of these).

        Returns
        -------
        DataFrame
            Indexed by treatment: `estimate, se, ci_low, ci_high, p_value, pi_low, pi_high`,
            `trials` that compare the two directly, `participants` of the treatment.

        Raises
        ------
        ValueError
            If the reference is not in the network.
        """
        against = self.reference if reference is None else self._known(reference)
        table = self.differences()
        own = table[table["versus"] == against].drop(columns="versus").set_index("treatment")
        own["participants"] = self.data.participants.reindex(own.index)
        if exponentiate:
            if not self.data.is_ratio:
                raise ValueError(f"effects of measure {self.measure!r} are no ratios.")
            limits = ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]
            own[limits] = np.exp(own[limits])
        return own.sort_values("estimate", ascending=self.lower_is_better)

    def _known(self, treatment: object) -> str:
        """The name of a treatment of the network.

        Raises
        ------
        ValueError
        """
        name = name_of(treatment)
        if name not in self.data.treatments:
            hint = did_you_mean(name, self.treatments)
            raise ValueError(f"no treatment {name!r} in the network. {hint}")
        return name

    def differences(self) -> pd.DataFrame:
        """Every treatment against every other: `treatment, versus` and the columns of `effects`."""
        return self._differences.copy(deep=False)

    @cached_property
    def _differences(self) -> pd.DataFrame:
        estimate, se = self._pairs()
        half = quantile(self.level, self.df) * se
        spare = len(self.data.y) - len(self.params)
        reach = np.full(se.shape, np.nan)
        if self.method not in COMMON and spare > 0:
            reach = quantile(self.level, float(spare)) * np.sqrt(se**2 + self.tau2)
        size = len(self.treatments)
        first, second = np.nonzero(~np.eye(size, dtype=bool))
        names = np.array(self.treatments, dtype=object)
        at = (first, second)
        statistic = estimate[at] / np.where(se[at] > 0, se[at], np.nan)
        return pd.DataFrame(
            {
                "treatment": names[first],
                "versus": names[second],
                "estimate": estimate[at],
                "se": se[at],
                "ci_low": (estimate - half)[at],
                "ci_high": (estimate + half)[at],
                "p_value": two_sided_p(statistic, self.df),
                "pi_low": (estimate - reach)[at],
                "pi_high": (estimate + reach)[at],
                "trials": self._direct_trials()[at],
            }
        )

    def predict(self, treatment: object, versus: object = None) -> pd.Series:
        """One comparison with its confidence and prediction intervals: a row of `effects`."""
        name, table = self._known(treatment), self.effects(versus)
        if name not in table.index:
            raise ValueError(f"{name!r} cannot be compared with itself.")
        return table.loc[name]

    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Estimate and standard error of every treatment (row) against every other (column)."""
        loadings = self.loadings.to_numpy()
        level = loadings @ self.params.to_numpy()
        cov = loadings @ self.cov.to_numpy() @ loadings.T
        own = np.diag(cov)
        variance = own[:, None] + own[None, :] - 2 * cov
        return level[:, None] - level[None, :], np.sqrt(np.maximum(variance, 0.0))

    def _direct_trials(self) -> np.ndarray:
        """How many trials compare each pair of treatments directly."""
        arms = self.data.arms
        trial, _ = pd.factorize(arms["trial_id"])
        present = np.zeros((trial.max() + 1, len(self.treatments)), dtype=int)
        present[trial, arms["treatment"]] = 1
        if self.data.trials_in is None:
            return present.T @ present
        return present.T @ (present * self.data.trials_in[:, None])

    def league(self, digits: int | None = None) -> pd.DataFrame:
        """League table: the better-ranked treatment minus the other, the best first.

        Below the diagonal what the whole network says (column minus row), above it the direct
        evidence alone (row minus column; blank where no trial compares the two). Of ratios, the
        ratios.

        Parameters
        ----------
        digits : int, optional
            Decimals; by default one for points and percentage points, two for other measures.
        """
        order = list(self.p_scores().index)
        whole = self.differences().set_index(["treatment", "versus"])
        direct = self.direct().set_index(["treatment", "versus"])
        cells = pd.DataFrame("", index=order, columns=order)
        for i, row in enumerate(order):
            cells.loc[row, row] = row
            for column in order[i + 1 :]:
                cells.loc[column, row] = self._cell(whole.loc[(row, column)], digits)
                if (row, column) in direct.index:
                    cells.loc[row, column] = self._cell(direct.loc[(row, column)], digits)
        return cells

    def _cell(self, row: pd.Series, digits: int | None) -> str:
        middle, low, high = (
            effect_text(row[name], self.measure, digits)
            for name in ("estimate", "ci_low", "ci_high")
        )
        return f"{middle} ({low} to {high})"

    def p_scores(self) -> pd.Series:
        """P-scores, the best treatment first: see `ranking.p_scores`."""
        return ranking.p_scores(self)

    def best_set(self) -> list[str]:
        """The first-ranked treatment and those not distinguishable from it, the best first.

        A treatment is distinguishable where the interval of its difference from the first-ranked
        leaves out zero.
        """
        order = list(self.p_scores().index)
        versus = self.effects(order[0])
        alike = versus.index[(versus["ci_low"] <= 0) & (versus["ci_high"] >= 0)]
        return [name for name in order if name == order[0] or name in alike]

    def leave_one_out(self, treatment: object, versus: object = None) -> pd.DataFrame:
        """One comparison without each trial that has an arm of the treatment.

        Parameters
        ----------
        treatment : str
        versus : str, optional
            By default the reference.

        Returns
        -------
        DataFrame
            Indexed by the trial left out: `participants` of its arms, `estimate, ci_low, ci_high,
            tau` without it; missing where nothing connects the two any more.
        """
        name = self._known(treatment)
        against = self.reference if versus is None else self._known(versus)
        code = self.treatments.index(name)
        sizes = self.data.arm_sizes.groupby("trial_id")["participants"].sum(min_count=1)
        arms = self.data.arms
        rows = {}
        for trial in arms.loc[arms["treatment"] == code, "trial_id"].unique():
            rows[trial] = {"participants": sizes.get(trial, np.nan)}
            rows[trial] |= self._without(trial, name, against)
        columns = ["participants", "estimate", "ci_low", "ci_high", "tau"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("trial_id")

    def _without(self, trial: object, name: str, against: str) -> dict[str, float]:
        """The comparison by the other trials of the part of the network that holds both."""
        try:
            rest = self.data.without({trial})
            if not {name, against} <= set(rest.treatments):
                return {}
            part = rest.components()
            place = rest.treatments.index
            if part[place(name)] != part[place(against)]:
                return {}
            apart = {
                rest.trial[row] for row in np.flatnonzero(part[rest.treatment] != part[place(name)])
            }
            rest = rest.without(apart) if apart else rest
            loadings = _loadings(rest.treatments, against, None, ())
            names = list(loadings.columns)
            method: Any = self.method
            found = estimate(rest, rest.incidence() @ loadings.to_numpy(), method, names)
        except CannotEstimate:
            return {}
        value = float(found.model.beta[names.index(name)])
        se = float(np.sqrt(found.model.cov_beta[names.index(name), names.index(name)]))
        half = quantile(self.level, self.df) * se
        limits = {"ci_low": value - half, "ci_high": value + half}
        return {"estimate": value, **limits, "tau": float(np.sqrt(found.tau2))}

    def rank_probabilities(self, draws: int = 10_000, seed: int = 1) -> pd.DataFrame:
        """Probability of every rank of every treatment: see `ranking.rank_probabilities`."""
        return ranking.rank_probabilities(self, draws, seed)

    def ranking(self, draws: int = 10_000, seed: int = 1) -> pd.DataFrame:
        """P-score, SUCRA and mean rank with its interval: see `ranking.ranking`."""
        return ranking.ranking(self, draws, seed)

    def heterogeneity(self) -> pd.DataFrame:
        """tau2, I2 and Q with its parts: see `inconsistency.heterogeneity`."""
        return inconsistency.heterogeneity(self)

    def design_inconsistency(self) -> inconsistency.DesignInconsistency:
        """Test of design-by-treatment interaction: see `inconsistency.design_inconsistency`."""
        found = self._design_inconsistency
        return replace(found, designs=found.designs.copy(deep=False))

    @cached_property
    def _design_inconsistency(self) -> inconsistency.DesignInconsistency:
        return inconsistency.design_inconsistency(self)

    def direct(self) -> pd.DataFrame:
        """Direct evidence alone on each compared pair: see `inconsistency.direct`."""
        return inconsistency.direct(self)

    def node_split(self) -> inconsistency.NodeSplit:
        """Direct against indirect evidence on each pair: see `inconsistency.node_split`."""
        return inconsistency.node_split(self)

    def net_heat(self) -> inconsistency.NetHeat:
        """Which designs disagree with which: see `inconsistency.net_heat`."""
        return inconsistency.net_heat(self)

    def contribution(self) -> pd.DataFrame:
        """Share of each direct comparison in each estimate: see `diagnostics.contribution`."""
        return diagnostics.contribution(self)

    def comparison_adjusted_funnel(
        self, order: list[str] | None = None
    ) -> diagnostics.ComparisonAdjustedFunnel:
        """Small-study effects: see `diagnostics.comparison_adjusted_funnel`."""
        return diagnostics.comparison_adjusted_funnel(self, order)

    def plot(self, **options: Any) -> Axes:
        """Network graph: see `figures.network_graph`."""
        from backpain_analysis import figures

        return figures.network_graph(self, **options)

    def summary(self) -> Summary:
        """`effects` with the P-scores; of ratios, the ratios and the `se` of their logarithms."""
        table = self.effects(exponentiate=self.data.is_ratio)
        return Summary(table.assign(p_score=self.p_scores().reindex(table.index)))

    def _title(self) -> str:
        return f"Network of {len(self.treatments)} treatments in {plural(self.n_trials, 'trial')}"

    def _note(self) -> str:
        scale = self.measure
        if self.data.is_ratio:
            scale += f" (se: of log {self.measure})"
        return (
            f"Against {self.reference}; {scale}, {self.method}, tau {self.tau:.3g}; "
            f"{self.n_participants} participants in arms of known size."
        )

    def _repr_html_(self) -> str:
        return html_table(self.summary().reset_index(), title=self._title(), note=self._note())


@overload
def network(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    treatment: str = "treatment",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    se: str | None = None,
    ci: tuple[str, str] | None = None,
    events: str | None = None,
    yi: str | None = None,
    vi: str | None = None,
    treatment1: str = "treatment1",
    treatment2: str = "treatment2",
    shared_vi: str | None = None,
    measure: str | None = None,
    reference: str = "usual_care",
    method: Method = "REML",
    lower_is_better: bool | None = None,
    components: str | None = None,
    inactive: str | Sequence[str] | None = None,
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
    prior: None = None,
) -> NetworkResult: ...


@overload
def network(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    treatment: str = "treatment",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    se: str | None = None,
    ci: tuple[str, str] | None = None,
    events: str | None = None,
    yi: str | None = None,
    vi: str | None = None,
    treatment1: str = "treatment1",
    treatment2: str = "treatment2",
    shared_vi: str | None = None,
    measure: str | None = None,
    reference: str = "usual_care",
    lower_is_better: bool | None = None,
    components: str | None = None,
    inactive: str | Sequence[str] | None = None,
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
    prior: AnyPrior | str,
) -> NetworkPosterior: ...


def network(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    treatment: str = "treatment",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    se: str | None = None,
    ci: tuple[str, str] | None = None,
    events: str | None = None,
    yi: str | None = None,
    vi: str | None = None,
    treatment1: str = "treatment1",
    treatment2: str = "treatment2",
    shared_vi: str | None = None,
    measure: str | None = None,
    reference: str = "usual_care",
    method: Method = "REML",
    lower_is_better: bool | None = None,
    components: str | None = None,
    inactive: str | Sequence[str] | None = None,
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
    prior: AnyPrior | str | None = None,
) -> NetworkResult | NetworkPosterior:
    """Compare all treatments of a connected network by direct and indirect evidence.

    `y = B d + u + e`: contrasts of a trial against its first arm, `d` the effects against the
    reference treatment, the exact sampling covariance of a trial's contrasts, and heterogeneity
    tau2 common to all comparisons, with correlation one half between contrasts that share an arm
    (Lu & Ades 2004, doi 10.1002/sim.1875; Rücker 2012, doi 10.1002/jrsm.1058).

    Parameters
    ----------
    data : Effects or DataFrame
        A row an arm; or effects, with columns `treatment` and `ref_treatment` (see
        `effects.from_evidence` with `head_to_head`).
    trial, treatment, mean, sd, n : str
        Columns; arms of one treatment in a trial are combined.
    se, ci : str, (str, str), optional
        Columns of the standard error or the 95% interval of an arm's mean, used where its SD is
        missing; of a contrast, instead of `vi`.
    events : str, optional
        Column of the number of people with the event: the table holds arms with events.
    yi, vi, treatment1, treatment2, shared_vi : str, optional
        Columns of contrasts: effect of the first treatment minus that of the second (of ratios
        the logarithm), its variance. Of a trial with more than two arms give all pairs, or all
        contrasts against one arm and the variance of that arm's own mean.
    measure : str, optional
        Of means "MD" (the default), "SMD" (Hedges' g) or "d" (Cohen's d), standardised by the SD
        pooled over a trial's arms (Crippa & Orsini 2016, doi 10.1186/s12874-016-0189-0); of
        events "OR" (the default), "RR" or "RD"; of contrasts what they are. `Effects` have their
        own.
    reference : str
        The treatment that others are compared with.
    method : {"REML", "ML", "DL", "CE", "MH"}
        "DL" is the moment estimator for networks, `(Q - df) / tr(P K)`, with `K` the structure of
        the heterogeneity (Jackson, White & Riley 2012, doi 10.1002/sim.4350); "CE" the
        common-effect model; "MH" that of Mantel-Haenszel, for rare events (see
        `mantel_haenszel`).
    lower_is_better : bool, optional
        Whether smaller outcomes are desirable, for rankings. By default what is known of the
        outcome of `Effects`; of a table, yes.
    components : str, optional
        Separator of components in treatment names ("+"): effects of components then add up
        (Welton et al. 2009, doi 10.1093/aje/kwp014; Rücker, Petropoulou & Schwarzer 2020,
        doi 10.1002/bimj.201800167), and the network need not be connected.
    inactive : str or sequence of str, optional
        Components without an effect of their own, such as "placebo". The reference only names
        what effects are printed against; no result depends on it.
    lump : mapping, optional
        New names of treatments, such as {"aerobic_walking": "aerobic"}.
    level : float
        Of intervals.
    prior : Prior, TauPrior, Mixture or "auto", optional
        What is believed before the data (see `priors`): then the result is a posterior, and
        `method` does not count. "auto" is the empirical prior for outcome and measure.

    Returns
    -------
    NetworkResult, or NetworkPosterior with a prior

    Raises
    ------
    ValueError
        For unusable tables, columns, options.
    CannotEstimate
        For a reference that no trial has, a network in several parts, or effects that the
        contrasts cannot tell apart.

    Examples
    --------
    >>> table = pd.DataFrame({
    ...     "trial": ["a", "b", "c"], "treatment1": ["yoga", "yoga", "walking"],
    ...     "treatment2": ["advice", "walking", "advice"], "d": [-8.0, -3.0, -4.0], "se": 2.0})
    >>> result = network(table, trial="trial", yi="d", se="se", reference="advice", method="CE")
    >>> result.params.round(2).to_dict()
    {'walking': -4.33, 'yoga': -7.67}
    """
    if isinstance(data, Effects) and measure not in (None, data.measure):
        raise ValueError(f"these effects are {data.measure}s: make them with measure={measure!r}.")
    check_choices(level, method=(method, METHODS))
    columns = Columns(
        trial, treatment, mean, sd, n, se, ci, events, yi, vi, treatment1, treatment2, shared_vi
    )
    contrasts = network_data(data, columns, measure=measure, lump=lump)
    if lower_is_better is None:
        lower_is_better = not contrasts.outcome or benefit_sign(contrasts.outcome) < 0
    reference = name_of(reference)
    if reference not in contrasts.treatments:
        raise CannotEstimate(
            f"reference {reference!r} is not in the network",
            f"use one of {', '.join(contrasts.treatments)}",
        )
    if method == "MH":
        contrasts = by_design(contrasts)
    if components is None:
        if inactive is not None:
            raise ValueError("inactive components need components='+'.")
        check_connected(contrasts)
    silent = [inactive] if isinstance(inactive, str) else list(inactive or ())
    loadings = _loadings(contrasts.treatments, reference, components, silent)
    if components is not None:
        _check_told_apart(contrasts, loadings)
    if prior is not None:
        from backpain_analysis.models.bayes.model import chosen_prior, implied_sd
        from backpain_analysis.models.network.posterior import network_posterior

        spread = implied_sd(data.table) if isinstance(data, Effects) else None
        chosen = chosen_prior(prior, contrasts.outcome, contrasts.measure, spread)
        return network_posterior(contrasts, loadings, reference, lower_is_better, chosen, level)
    names = list(loadings.columns)
    found = estimate(contrasts, contrasts.incidence() @ loadings.to_numpy(), method, names)
    return NetworkResult(
        params=pd.Series(found.model.beta, names),
        cov=pd.DataFrame(found.model.cov_beta, names, names),
        df=np.inf,
        level=level,
        llf=float(found.model.llf),
        aic=float(found.model.aic),
        bic=float(found.model.bic),
        method=method,
        data=contrasts,
        loadings=loadings,
        reference=reference,
        lower_is_better=bool(lower_is_better),
        is_additive=components is not None,
        tau2=found.tau2,
        engine=found.model,
        common=found.common,
    )


def _loadings(
    treatments: tuple[str, ...], reference: str, components: str | None, inactive: Sequence[str]
) -> pd.DataFrame:
    """Treatments (rows) as sums of parameters (columns).

    Without components a parameter is the effect of a treatment against the reference.
    """
    if components is None:
        own = pd.DataFrame(np.eye(len(treatments)), list(treatments), list(treatments))
        return own.drop(columns=reference)
    parts = {name: [part.strip() for part in name.split(components)] for name in treatments}
    columns = sorted({part for own in parts.values() for part in own})
    unknown = [name for name in inactive if name not in columns]
    if unknown:
        raise ValueError(
            f"no component {', '.join(map(repr, unknown))}; they are {', '.join(columns)}."
        )
    table = pd.DataFrame(0.0, index=list(treatments), columns=columns)
    for name, components_of in parts.items():
        for part in components_of:
            table.loc[name, part] += 1.0
    return table.drop(columns=list(inactive))


def _check_told_apart(data: NetworkData, loadings: pd.DataFrame) -> None:
    """Refuse components whose effects no contrast tells apart.

    Raises
    ------
    CannotEstimate
        That names them.
    """
    X = data.incidence() @ loadings.to_numpy()
    values, vectors = np.linalg.eigh(X.T @ X)
    null = vectors[:, values <= 1e-10 * max(values.max(), 1e-300)]
    if not null.size:
        return
    loose = loadings.columns[np.abs(null).max(axis=1) > 1e-8]
    raise CannotEstimate(
        f"the trials do not tell the components {', '.join(loose)} apart",
        "name one that has no effect of its own (inactive=...), or leave components out",
    )
