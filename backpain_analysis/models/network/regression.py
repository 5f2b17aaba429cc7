"""Networks whose effects vary with something: a covariate, a class of treatments, weeks.

All three are the network with further columns or a further random effect: `y = B d + ... + u + e`
with B the incidence of the contrasts and u the network's heterogeneity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.faults import as_frame, need_columns
from backpain_analysis.models.dose.curves import Curve, named
from backpain_analysis.models.network.contrasts import NetworkData, check_connected
from backpain_analysis.models.network.data import Columns, name_of, network_data, shown
from backpain_analysis.models.network.estimation import estimate
from backpain_analysis.models.network.exchangeable import fit_exchangeable
from backpain_analysis.models.results import (
    Coefficients,
    check_choices,
    checked_level,
    quantile,
    wald_test,
)

Interaction = Literal["common", "independent", "exchangeable"]
INTERACTIONS = ("common", "independent", "exchangeable")

METHODS = ("REML", "ML")


@dataclass(frozen=True, repr=False)
class NetworkRegression(Coefficients):
    """Effects of treatments that vary with a covariate.

    Attributes
    ----------
    params, cov
        Effects against the reference at the mean of the covariate, then the interactions: one
        "covariate", or "treatment: covariate" each. Exchangeable ones are best linear unbiased
        predictions with the covariance of their errors.
    data : NetworkData
    reference, covariate, interaction : str
    centre : float
        The trials' mean of the covariate.
    observed : (float, float)
        Its range.
    tau2, tau2_without : float
        Heterogeneity with and without the covariate.
    between : float
        Variance of exchangeable interactions; missing for others.
    mean : float
        Their mean; missing for others.
    groups : tuple of str
        The two words of a covariate of words, which count as 0 and 1.
    """

    data: NetworkData = field(repr=False)
    reference: str
    covariate: str
    interaction: str
    centre: float
    observed: tuple[float, float]
    tau2: float
    tau2_without: float
    between: float = np.nan
    mean: float = np.nan
    groups: tuple[str, ...] = ()

    @property
    def treatments(self) -> list[str]:
        return list(self.data.treatments)

    def effects(self, at: float | str | None = None) -> pd.DataFrame:
        """Every treatment against the reference where the covariate has a value.

        Parameters
        ----------
        at : float or str, optional
            By default its mean; of subgroups the word of one.

        Returns
        -------
        DataFrame
            Indexed by treatment: `estimate, se, ci_low, ci_high`.

        Raises
        ------
        ValueError
            For a word that is no subgroup's.
        CannotEstimate
            For a value outside those observed.
        """
        value = self.centre if at is None else self._value(at)
        low, high = self.observed
        if not low <= value <= high:
            raise CannotEstimate(
                f"{self.covariate} was observed from {low:g} to {high:g}, not at {value:g}"
            )
        names = [name for name in self.treatments if name != self.reference]
        rows = np.zeros((len(names), len(self.params)))
        rows[:, : len(names)] = np.eye(len(names))
        if self.interaction == "common":
            rows[:, len(names)] = value - self.centre
        else:
            rows[:, len(names) :] = np.eye(len(names)) * (value - self.centre)
        estimate = rows @ self.params.to_numpy()
        se = np.sqrt(np.einsum("ij,jk,ik->i", rows, self.cov.to_numpy(), rows))
        half = quantile(self.level, self.df) * se
        columns = {"estimate": estimate, "se": se}
        columns |= {"ci_low": estimate - half, "ci_high": estimate + half}
        return pd.DataFrame(columns, index=pd.Index(names, name="treatment"))

    def _value(self, at: float | str) -> float:
        if not isinstance(at, str):
            return float(at)
        if at not in self.groups:
            known = ", ".join(map(repr, self.groups)) or "none: give a number"
            raise ValueError(f"no subgroup {at!r} of {self.covariate}: they are {known}.")
        return float(self.groups.index(at))

    def test_interaction(self) -> pd.Series:
        """Joint Wald test that no effect varies with the covariate.

        Returns
        -------
        Series
            `statistic, df_num, df_denom, p_value`.

        Raises
        ------
        CannotEstimate
            For exchangeable interactions, which are predictions.
        """
        if self.interaction == "exchangeable":
            raise CannotEstimate(
                "exchangeable interactions are predictions, not parameters",
                "test interaction='common' or 'independent'",
            )
        first = len(self.treatments) - 1
        cov = self.cov.to_numpy()[first:, first:]
        return wald_test(self.params.to_numpy()[first:], cov, np.inf)


def network_regression(
    data: Effects | pd.DataFrame,
    covariate: str,
    *,
    interaction: Interaction = "common",
    measure: str | None = None,
    reference: str = "usual_care",
    method: Literal["REML", "ML"] = "REML",
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
    **columns: Any,
) -> NetworkRegression:
    """Network meta-regression on a covariate of trials; subgroups are a covariate of two words.

    `d_t(x) = d_t + b_t (x - mean x)` against the reference: "common" one b for all treatments
    against the reference (none among themselves), "independent" one each, "exchangeable"
    `b_t ~ N(b, s2)`. Source: Cooper et al. 2009 (doi 10.1002/sim.3594); Dias et al. 2013
    (doi 10.1177/0272989X13485157). It compares trials, which were not randomised to the covariate.

    Parameters
    ----------
    data : Effects or DataFrame
        As for `network`.
    covariate : str
        A column, one value a trial: baseline pain, year, or "high" and "low" for its risk of bias.
        Of two words the first in the alphabet is 0 and the other 1, and names the interaction.
    interaction : {"common", "independent", "exchangeable"}
    measure, reference, method, lump, level, **columns
        As for `network`.

    Raises
    ------
    ValueError
        For a covariate that is missing or varies within a trial.
    CannotEstimate
        If the trials cannot tell the interactions.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN, year=(1988, 2026))
    >>> effects = evidence.effects("pain_intensity", head_to_head=True)
    >>> found = bp.network_regression(
    ...     effects, "year", reference="inactive", lump=bp.lumping("types")
    ... )
    >>> found.params.index[-1]
    'year'
    """
    check_choices(level, method=(method, METHODS), interaction=(interaction, INTERACTIONS))
    network, own = _read(data, Columns(**columns), measure, lump, reference)
    by_trial, groups = _covariate(data, own, covariate)
    x = pd.Series(network.trial).map(by_trial).to_numpy(dtype=float)
    values = by_trial.reindex(pd.unique(network.trial)).to_numpy(dtype=float)
    if np.ptp(values) == 0:
        same = groups[int(values[0])] if groups else f"{values[0]:g}"
        raise CannotEstimate(f"{covariate} is {same} in every trial")
    term = f"{covariate}={groups[1]}" if groups else covariate
    centre = float(values.mean())
    names = [name for name in network.treatments if name != name_of(reference)]
    B = np.delete(network.incidence(), network.treatments.index(name_of(reference)), axis=1)
    moved = B * (x - centre)[:, None]
    without = estimate(network, B, method, names).tau2
    more: dict[str, float] = {}
    if interaction == "exchangeable":
        if len(names) < 3:
            raise CannotEstimate("how interactions vary takes three treatments or more")
        found = fit_exchangeable(network, moved, len(names), reml=method == "REML", fixed=B)
        order = np.concatenate([len(names) + np.arange(len(names)), np.arange(len(names))])
        params, cov = found.effects[order], found.cov[np.ix_(order, order)]
        llf, tau2, count = found.llf, found.tau2, len(found.mean) + found.n_variance_parameters
        more = {"between": float(found.omega[0, 0]), "mean": float(found.mean[0])}
        terms = [f"{name}: {term}" for name in names]
    else:
        common = interaction == "common"
        terms = [term] if common else [f"{name}: {term}" for name in names]
        extra = moved.sum(axis=1, keepdims=True) if common else moved
        fitted = estimate(network, np.hstack([B, extra]), method, [*names, *terms])
        params, cov, llf = fitted.model.beta, fitted.model.cov_beta, fitted.model.llf
        tau2, count = fitted.tau2, fitted.model.n_parameters
    rows = len(network.y) - (len(params) if method == "REML" else 0)
    return NetworkRegression(
        params=pd.Series(params, [*names, *terms]),
        cov=pd.DataFrame(cov, [*names, *terms], [*names, *terms]),
        df=np.inf,
        level=level,
        llf=float(llf),
        aic=float(-2 * llf + 2 * count),
        bic=float(-2 * llf + np.log(max(rows, 1)) * count),
        method=method,
        data=network,
        reference=name_of(reference),
        covariate=covariate,
        interaction=interaction,
        centre=centre,
        observed=(float(values.min()), float(values.max())),
        tau2=tau2,
        tau2_without=without,
        groups=groups,
        **more,
    )


@dataclass(frozen=True, repr=False)
class ClassNetwork(Coefficients):
    """Treatments within classes.

    Attributes
    ----------
    params, cov
        Effects of treatments against the reference: best linear unbiased predictions and the
        covariance of their errors.
    data : NetworkData
    reference : str
    classes : mapping of treatment to class
    means : DataFrame
        Indexed by class: `estimate, se, ci_low, ci_high` of its mean.
    tau2, within : float
        Heterogeneity between trials; variance of treatments within a class.
    """

    data: NetworkData = field(repr=False)
    reference: str
    classes: Mapping[str, str] = field(repr=False)
    means: pd.DataFrame = field(repr=False)
    tau2: float
    within: float


def network_classes(
    data: Effects | pd.DataFrame,
    classes: Mapping[str, str],
    *,
    measure: str | None = None,
    reference: str = "usual_care",
    method: Literal["REML", "ML"] = "REML",
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
    **columns: Any,
) -> ClassNetwork:
    """Types of exercise within families, as a random effect: `d_t ~ N(m_class(t), s2)`.

    Types with few trials lean on their family. Source: Owen et al. 2015
    (doi 10.1016/j.jclinepi.2014.10.010), here by REML or ML.

    Parameters
    ----------
    data, measure, reference, method, lump, level, **columns
        As for `network`.
    classes : mapping
        Of every treatment but the reference to its class; one that is not named is a class of its
        own.

    Raises
    ------
    ValueError
        For a class of a treatment that is not in the network.
    CannotEstimate
        If no class has two treatments.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> effects = evidence.effects("pain_intensity", head_to_head=True)
    >>> found = bp.network_classes(
    ...     effects, bp.lumping("families"), reference="inactive", lump=bp.lumping("types")
    ... )
    >>> type(found).__name__
    'ClassNetwork'
    """
    check_choices(level, method=(method, METHODS))
    network, _ = _read(data, Columns(**columns), measure, lump, reference)
    names = [name for name in network.treatments if name != name_of(reference)]
    given = {name_of(name): str(own) for name, own in classes.items()}
    own = [given.get(name, name) for name in names]
    labels, codes = np.unique(own, return_inverse=True)
    if len(labels) == len(names):
        raise CannotEstimate("no class has two treatments of the network")
    B = np.delete(network.incidence(), network.treatments.index(name_of(reference)), axis=1)
    found = fit_exchangeable(network, B, len(names), reml=method == "REML", classes=codes)
    se = np.sqrt(np.diag(found.mean_cov))
    half = quantile(level, np.inf) * se
    means = pd.DataFrame(
        {
            "estimate": found.mean,
            "se": se,
            "ci_low": found.mean - half,
            "ci_high": found.mean + half,
        },
        index=pd.Index(labels, name="class"),
    )
    count = len(found.mean) + found.n_variance_parameters
    rows = len(network.y) - (len(found.mean) if method == "REML" else 0)
    return ClassNetwork(
        params=pd.Series(found.effects, names),
        cov=pd.DataFrame(found.cov, names, names),
        df=np.inf,
        level=level,
        llf=float(found.llf),
        aic=float(-2 * found.llf + 2 * count),
        bic=float(-2 * found.llf + np.log(max(rows, 1)) * count),
        method=method,
        data=network,
        reference=name_of(reference),
        classes=dict(zip(names, own, strict=True)),
        means=means,
        tau2=found.tau2,
        within=float(found.omega[0, 0]),
    )


def _read(
    data: Effects | pd.DataFrame,
    columns: Columns,
    measure: str | None,
    lump: Mapping[str, str] | None,
    reference: str,
) -> tuple[NetworkData, Columns]:
    network = network_data(data, columns, measure=measure, lump=lump)
    if name_of(reference) not in network.treatments:
        raise CannotEstimate(
            f"reference {name_of(reference)!r} is not in the network",
            f"use one of {', '.join(network.treatments)}",
        )
    check_connected(network)
    return network, columns


def _covariate(
    data: Effects | pd.DataFrame, columns: Columns, name: str
) -> tuple[pd.Series, tuple[str, ...]]:
    """The covariate by trial, and of words the two that count as 0 and 1.

    Raises
    ------
    ValueError
        If it is missing, or varies within a trial: all trials at once; for more than two words.
    """
    table = data.table if isinstance(data, Effects) else as_frame(data)
    trial = "trial_id" if isinstance(data, Effects) else columns.trial
    need_columns([name], table)
    values = pd.to_numeric(table[name], errors="coerce").astype(float)
    groups: tuple[str, ...] = ()
    if values.isna().all() and table[name].notna().any():
        groups = tuple(sorted(table[name].dropna().astype(str).unique()))
        if len(groups) > 2:
            raise ValueError(
                f"{name} has {len(groups)} words ({', '.join(groups)}): compare two subgroups at a "
                "time."
            )
        values = table[name].map({word: float(k) for k, word in enumerate(groups)}).astype(float)
    grouped = values.groupby(table[trial].array, sort=False)
    missing = grouped.apply(lambda own: own.isna().any())
    varied = grouped.nunique() > 1
    faults = [f"trial {shown(t)}: {name} is missing; leave it out" for t in missing[missing].index]
    faults += [
        f"trial {shown(t)}: {name} is not the same in all rows" for t in varied[varied].index
    ]
    if faults:
        raise ValueError("\n".join(faults))
    return grouped.first(), groups


@dataclass(frozen=True, repr=False)
class NetworkCourse(Coefficients):
    """Effects of treatments over the weeks.

    Attributes
    ----------
    params, cov
        Coefficients "treatment: term" of each treatment's course against the reference.
    treatments : tuple of str
    reference : str
    curve : Curve
    studied : mapping of treatment to (float, float)
        First and last week at which it was measured.
    tau2 : float
        Heterogeneity of contrasts, constant over the weeks of a trial.
    lower_is_better : bool
    """

    treatments: tuple[str, ...]
    reference: str
    curve: Curve = field(repr=False)
    studied: Mapping[str, tuple[float, float]] = field(repr=False)
    tau2: float
    lower_is_better: bool

    def effects(self, weeks: float) -> pd.DataFrame:
        """The treatments measured around a week, against the reference, the best first.

        Returns
        -------
        DataFrame
            Indexed by treatment: `estimate, se, ci_low, ci_high`; those not studied so early or
            so late are left out.

        Raises
        ------
        CannotEstimate
            If none was.
        """
        inside = [
            name
            for name in self.treatments
            if self.studied[name][0] - 1e-9 <= weeks <= self.studied[name][1] + 1e-9
        ]
        if not inside:
            raise CannotEstimate(f"no treatment was measured around week {weeks:g}")
        size = len(self.curve.terms)
        basis = self.curve.basis(np.array([float(weeks)]))[0]
        rows = np.zeros((len(inside), len(self.params)))
        for place, name in enumerate(inside):
            first = self.treatments.index(name) * size
            rows[place, first : first + size] = basis
        estimate = rows @ self.params.to_numpy()
        se = np.sqrt(np.einsum("ij,jk,ik->i", rows, self.cov.to_numpy(), rows))
        half = quantile(self.level, self.df) * se
        table = pd.DataFrame(
            {"estimate": estimate, "se": se, "ci_low": estimate - half, "ci_high": estimate + half},
            index=pd.Index(inside, name="treatment"),
        )
        return table.sort_values("estimate", ascending=self.lower_is_better)


def network_course(
    effects: Effects,
    *,
    curve: str | Curve = "constant",
    reference: str = "inactive",
    method: Literal["REML", "ML", "CE"] = "REML",
    lower_is_better: bool = True,
    lump: Mapping[str, str] | None = None,
    treatment: str = "treatment",
    level: float = 0.95,
) -> NetworkCourse:
    """Effects of types at given weeks from all visits of all trials.

    `y = f_t(weeks) - f_s(weeks) + u + e`: every treatment has a course against the reference, e the
    sampling covariance of a trial's contrasts over its visits (see `effects_over_time`), u the
    network's heterogeneity, the same at all visits of a trial. What MBNMAtime does (Pedder et al.
    2019, doi 10.1002/jrsm.1351), by REML.

    Parameters
    ----------
    effects : Effects
        Of `effects_over_time`, a row a contrast and visit, with `weeks`.
    curve : str or Curve
        Of the weeks: "constant", "step + linear" (a level and a slope), "step + log", or through
        zero at week 0: "linear", "log", "emax" with a given shape.
    reference, method, lower_is_better, lump, treatment, level
        As for `network`.

    Raises
    ------
    ValueError
        For effects without `weeks`, or a curve whose shape would have to be found.
    CannotEstimate
        If treatments are not connected, or the visits do not carry the curve.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> course = bp.effects_over_time(evidence, "pain_intensity")
    >>> found = bp.network_course(course, lump=bp.lumping("types"))
    >>> type(found).__name__
    'NetworkCourse'
    """
    require(effects, "Effects")
    table = effects.table
    if "weeks" not in table:
        raise ValueError("these effects have no column 'weeks': make them with effects_over_time.")
    shape = named(curve)
    if shape.shape_terms and not shape.shape:
        raise ValueError(f"the curve {shape.name} must have its shape given.")
    level = checked_level(level)
    visits = network_data(_one_visit(effects), Columns(treatment=treatment), lump=lump)
    check_connected(visits)
    if name_of(reference) not in visits.treatments:
        raise CannotEstimate(f"reference {name_of(reference)!r} is not in the network")
    names = [name for name in visits.treatments if name != name_of(reference)]
    full, weeks = _all_visits(effects, visits, treatment, lump)
    shape = shape.prepare(np.append(0.0, weeks))
    basis = shape.basis(weeks)
    measured = {name: weeks[_has(full, name)] for name in names}
    few = [name for name, own in measured.items() if len(np.unique(own)) < len(shape.terms)]
    if few:
        raise CannotEstimate(
            f"{', '.join(few)} were measured at too few different weeks for a {shape.name} course",
            "use curve='constant', or lump types",
        )
    B = np.delete(full.incidence(), full.treatments.index(name_of(reference)), axis=1)
    X = (B[:, :, None] * basis[:, None, :]).reshape(len(weeks), -1)
    columns = [f"{name}: {term}" for name in names for term in shape.terms]
    found = estimate(full, X, method, columns)
    studied = {name: (float(own.min()), float(own.max())) for name, own in measured.items()}
    return NetworkCourse(
        params=pd.Series(found.model.beta, columns),
        cov=pd.DataFrame(found.model.cov_beta, columns, columns),
        df=np.inf,
        level=level,
        llf=float(found.model.llf),
        aic=float(found.model.aic),
        bic=float(found.model.bic),
        method=method,
        treatments=tuple(names),
        reference=name_of(reference),
        curve=shape,
        studied=studied,
        tau2=found.tau2,
        lower_is_better=lower_is_better,
    )


def _has(data: NetworkData, name: str) -> np.ndarray:
    """Which contrasts have an arm of a treatment."""
    code = data.treatments.index(name)
    return (data.treatment == code) | (data.versus == code)


def _one_visit(effects: Effects) -> Effects:
    """The first visit of each contrast, for what the network is made of."""
    table = effects.table
    keys = [name for name in ("trial_id", "arm_id", "ref_arm_id") if name in table]
    return effects.select(~table.duplicated(keys), "a later visit")


def _all_visits(
    effects: Effects, visits: NetworkData, treatment: str, lump: Mapping[str, str] | None
) -> tuple[NetworkData, np.ndarray]:
    """Contrasts of all visits, those of two arms of one treatment left out, and their weeks."""
    renamed = {name_of(old): name_of(new) for old, new in dict(lump or {}).items()}
    table = effects.table
    of, against = (
        table[f"{side}{treatment}"].map(name_of).replace(renamed) for side in ("", "ref_")
    )
    place = {name: code for code, name in enumerate(visits.treatments)}
    keep = (of != against) & of.isin(place) & against.isin(place)
    kept = effects.select(keep, "both arms belong to one treatment")
    data = NetworkData(
        treatments=visits.treatments,
        trial=kept.table["trial_id"].to_numpy(dtype=object),
        treatment=of[keep].map(place).to_numpy(),
        versus=against[keep].map(place).to_numpy(),
        y=kept.table["yi"].to_numpy(dtype=float),
        covariance=tuple(np.asarray(V, dtype=float) for V in kept.covariance),
        arm_sizes=visits.arm_sizes,
        excluded=kept.excluded,
        measure=effects.measure,
        outcome=effects.outcome,
    )
    return data, kept.table["weeks"].to_numpy(dtype=float)
