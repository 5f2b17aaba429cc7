"""Priors: on the heterogeneity tau, on the effects, mixtures of them, and earlier trials.

Priors of tau by family (Röver 2020, doi 10.18637/jss.v093.i06, gives their use) and the
predictive distributions that were found in thousands of meta-analyses of the Cochrane Database:
Rhodes, Turner & Higgins 2015 (doi 10.1016/j.jclinepi.2014.08.012) for standardised mean
differences, Turner et al. 2015 (doi 10.1002/sim.6381) and Turner et al. 2012
(doi 10.1093/ije/dys041) for log odds ratios. Of the papers themselves only the abstracts were at
hand. Every number was compared with transcriptions of their tables in public packages that were
made apart from each other, and equals them all: Rhodes (table 3) in bayesmeta, rnmamod and CINeMA;
Turner 2015 (table IV) in bayesmeta and rnmamod; Turner 2012 in gemtc and CINeMA. Besides, the
papers' models add up a part for the outcome and one for the comparison, and the numbers do, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.errors import require

__all__ = [
    "RHODES",
    "SETTINGS",
    "TURNER_2012",
    "TURNER_2015",
    "Earlier",
    "Mixture",
    "Normal",
    "Prior",
    "TauPrior",
    "as_prior",
    "earlier",
    "empirical",
    "half_cauchy",
    "half_normal",
    "half_t",
    "log_normal",
    "log_t",
    "mixture",
    "normal",
    "uniform",
]


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True)
class TauPrior:
    """A prior density of the heterogeneity tau, on (0, `upper`).

    Attributes
    ----------
    family : {"half-t", "half-normal", "uniform", "log-t", "log-normal"}
    scale : float
        Of tau; for the log families the scale of log(tau2).
    location : float
        Of log(tau2); log families only.
    df : float
        Of the t families.
    source : str
        Where the numbers come from.

    Examples
    --------
    >>> prior = bp.priors.half_normal(5)
    >>> print(f"{prior.median:.2f}")
    3.37
    >>> print(prior.rescaled(0.1))
    half-normal(0.5)
    """

    family: str
    scale: float = 1.0
    location: float = 0.0
    df: float = np.inf
    source: str = ""

    @property
    def is_log(self) -> bool:
        return self.family.startswith("log")

    @property
    def upper(self) -> float:
        """Where the prior ends."""
        return self.scale if self.family == "uniform" else np.inf

    @property
    def proper(self) -> bool:
        """Whether its mass is finite."""
        return not (self.family == "uniform" and np.isinf(self.scale))

    @property
    def tail(self) -> float:
        """The power with which the density falls: 2 for half-Cauchy, infinite for half-normal."""
        if self.family == "uniform":
            return np.inf if self.proper else 0.0
        if self.is_log:
            return np.inf if np.isinf(self.df) else 1.0
        return self.df + 1

    @property
    def median(self) -> float:
        """Median of tau; infinite where the prior is improper."""
        if self.is_log:
            return float(np.exp(self.location / 2))
        if self.family == "uniform":
            return self.scale / 2
        quarter = special.ndtri(0.75) if np.isinf(self.df) else special.stdtrit(self.df, 0.75)
        return float(self.scale * quarter)

    def log_density(self, tau: np.ndarray) -> np.ndarray:
        """Log of the density at `tau` above 0; of the improper uniform prior 0 throughout."""
        if self.family == "uniform":
            return np.full(np.shape(tau), -np.log(self.scale) if self.proper else 0.0)
        if self.is_log:
            z = (2 * np.log(tau) - self.location) / self.scale
            return _log_t(z, self.df) + np.log(2 / (tau * self.scale))
        return _log_t(tau / self.scale, self.df) + np.log(2 / self.scale)

    def rescaled(self, factor: float) -> TauPrior:
        """The prior of `factor` times tau: effects in other units, or a wider prior."""
        if self.is_log:
            location = self.location + 2 * float(np.log(factor))
            return TauPrior(self.family, self.scale, location, self.df, self.source)
        return TauPrior(self.family, self.scale * factor, 0.0, self.df, self.source)

    def __str__(self) -> str:
        if self.is_log:
            t = "" if np.isinf(self.df) else f", {self.df:g} df"
            return f"{self.family}({self.location:.3g}, {self.scale:.3g}{t}) on tau²"
        if not self.proper:
            return "uniform on tau"
        if self.family == "half-t" and self.df == 1:
            return f"half-Cauchy({self.scale:.3g})"
        t = f", {self.df:g} df" if self.family == "half-t" else ""
        return f"{self.family}({self.scale:.3g}{t})"


def _log_t(z: np.ndarray, df: float) -> np.ndarray:
    if np.isinf(df):
        return -0.5 * (z**2 + np.log(2 * np.pi))
    constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - 0.5 * np.log(df * np.pi)
    return constant - (df + 1) / 2 * np.log1p(z**2 / df)


def _above_zero(name: str, value: float) -> float:
    if not (value > 0 and np.isfinite(value)):
        raise ValueError(f"{name} {value} must be a finite number above 0.")
    return float(value)


def half_normal(scale: float) -> TauPrior:
    """Half-normal prior of tau; `scale` is in the units of the effects.

    Examples
    --------
    >>> print(bp.priors.half_normal(0.5))
    half-normal(0.5)
    """
    return TauPrior("half-normal", _above_zero("scale", scale))


def half_cauchy(scale: float) -> TauPrior:
    """Half-Cauchy prior of tau (Gelman 2006, doi 10.1214/06-BA117A).

    Examples
    --------
    >>> prior = bp.priors.half_cauchy(5)
    >>> print(f"{prior}, median {prior.median:g}")
    half-Cauchy(5), median 5
    """
    return half_t(scale, 1)


def half_t(scale: float, df: float) -> TauPrior:
    """Half-t prior of tau on `df` degrees of freedom (Gelman 2006, doi 10.1214/06-BA117A).

    Examples
    --------
    >>> print(bp.priors.half_t(5, df=3))
    half-t(5, 3 df)
    """
    return TauPrior("half-t", _above_zero("scale", scale), df=_above_zero("df", df))


def uniform(upper: float = np.inf) -> TauPrior:
    """Uniform prior of tau on (0, `upper`); without an end it is improper, and asks for trials.

    Examples
    --------
    >>> print(bp.priors.uniform(20))
    uniform(20)
    >>> bp.priors.uniform().proper
    False
    """
    if not upper > 0:
        raise ValueError(f"upper {upper} must be above 0.")
    return TauPrior("uniform", float(upper))


def log_normal(location: float, scale: float) -> TauPrior:
    """Log-normal prior of tau2: log(tau2) ~ N(location, scale squared).

    Examples
    --------
    >>> print(bp.priors.log_normal(-2.05, 1.71))
    log-normal(-2.05, 1.71) on tau²
    """
    return TauPrior("log-normal", _above_zero("scale", scale), float(location))


def log_t(location: float, scale: float, df: float = 5) -> TauPrior:
    """Log-t prior of tau2: (log(tau2) - location) / scale ~ t on `df` degrees of freedom.

    Examples
    --------
    >>> print(bp.priors.log_t(-3.02, 2.27))
    log-t(-3.02, 2.27, 5 df) on tau²
    """
    return TauPrior("log-t", _above_zero("scale", scale), float(location), _above_zero("df", df))


RHODES = {
    "obstetric": (-3.99, 2.11),
    "resource_use": (-2.41, 2.57),
    "internal_structure": (-2.29, 2.32),
    "physical_health": (-3.02, 2.27),
    "adverse_events": (-3.02, 2.27),
    "pain": (-3.02, 2.27),
    "quality_of_life_or_functioning": (-3.02, 2.27),
    "signs_symptoms": (-2.86, 2.33),
    "biological_markers": (-3.27, 2.66),
    "subjective": (-2.62, 2.41),
    "general": (-3.44, 2.59),
}
"""Location and scale of log(tau2) ~ t on 5 df of standardised mean differences, by outcome.

Comparisons with a non-pharmacological intervention, medical areas other than cancer and
respiratory disease; "general" is over all settings (Rhodes et al. 2015). Mental health is left
out: its location is printed as -3.85, but the paper's model adds up, and its other numbers say
-2.85.
"""

TURNER_2015 = {
    "mortality": ((-4.17, 1.55), (-3.50, 1.26)),
    "obstetric": ((-3.74, 1.91), (-3.08, 1.68)),
    "morbidity": ((-3.93, 1.91), (-3.27, 1.68)),
    "resource_use": ((-2.56, 1.91), (-1.90, 1.68)),
    "withdrawals": ((-3.21, 1.91), (-2.55, 1.68)),
    "internal_structure": ((-2.93, 1.92), (-2.26, 1.68)),
    "physical_health": ((-2.51, 1.72), (-1.85, 1.46)),
    "adverse_events": ((-2.10, 1.71), (-1.43, 1.45)),
    "signs_symptoms": ((-2.28, 1.71), (-1.61, 1.45)),
    "pain": ((-2.05, 1.71), (-1.38, 1.45)),
    "quality_of_life_or_functioning": ((-2.77, 1.73), (-2.10, 1.47)),
    "mental_health": ((-2.34, 1.72), (-1.67, 1.47)),
    "biological_markers": ((-1.99, 1.71), (-1.33, 1.45)),
    "subjective": ((-2.92, 1.71), (-2.26, 1.45)),
    "general": ((-2.56, 1.74), (-2.56, 1.74)),
}
"""Mean and SD of log(tau2) of log odds ratios: non-drug treatment against placebo or control,
and against another non-drug treatment (Turner et al. 2015)."""

TURNER_2012 = {
    "mortality": (-3.93, 1.51),
    "semi-objective": (-2.89, 1.91),
    "subjective": (-2.01, 1.64),
}
"""Mean and SD of log(tau2) of log odds ratios with a non-drug treatment (Turner et al. 2012)."""

SETTINGS = {
    "pain_intensity": "pain",
    "disability": "quality_of_life_or_functioning",
    "quality_of_life": "quality_of_life_or_functioning",
    "pressure_pain_threshold": "subjective",
    "temporal_summation": "subjective",
    "conditioned_pain_modulation": "subjective",
    "kinesiophobia": "subjective",
    "pain_catastrophising": "subjective",
    "self_efficacy": "subjective",
    "trunk_strength": "physical_health",
    "trunk_endurance": "physical_health",
    "flexibility_rom": "physical_health",
    "balance_stability": "physical_health",
    "recurrence": "signs_symptoms",
}
"""Which setting of the empirical priors an outcome belongs to; any other is "general"."""


def empirical(
    outcome: str = "general",
    measure: str = "SMD",
    *,
    comparison: str = "control",
    edition: int = 2015,
    sd: float | None = None,
) -> TauPrior:
    """The heterogeneity found in earlier meta-analyses of such outcomes.

    Parameters
    ----------
    outcome : str
        An outcome of this library ("pain_intensity") or a setting of the papers ("pain").
    measure : {"SMD", "MD", "OR"}
        SMD: Rhodes et al. 2015; MD: the same times `sd`, the outcome's standard deviation in the
        units of the effects; OR (log odds ratio): Turner et al.
    comparison : {"control", "active"}
        Of exercise with no, sham or usual care, or with another non-drug treatment; OR only.
    edition : {2015, 2012}
        Of Turner et al.; that of 2012 knows "mortality", "semi-objective", "subjective".

    Raises
    ------
    ValueError
        For a word that the papers do not know, or a missing `sd`.

    Examples
    --------
    >>> print(bp.priors.empirical("pain_intensity"))
    log-t(-3.02, 2.27, 5 df) on tau²
    """
    setting = SETTINGS.get(outcome, outcome)
    if measure in ("SMD", "MD"):
        location, scale = _setting(RHODES, setting)
        source = f"Rhodes et al. 2015, {setting.replace('_', ' ')}"
        prior = TauPrior("log-t", scale, location, 5, source)
        if measure == "SMD":
            return prior
        if sd is None:
            raise ValueError("measure 'MD' needs sd, the outcome's standard deviation.")
        return prior.rescaled(_above_zero("sd", sd))
    if measure != "OR":
        raise ValueError(f"no empirical prior for measure {measure!r}: use SMD, MD or OR.")
    if comparison not in ("control", "active"):
        raise ValueError(f"unknown comparison {comparison!r}: use 'control' or 'active'.")
    if edition == 2012:
        location, scale = _setting(TURNER_2012, setting)
    elif edition == 2015:
        location, scale = _setting(TURNER_2015, setting)[comparison == "active"]
    else:
        raise ValueError(f"unknown edition {edition}: use 2015 or 2012.")
    source = f"Turner et al. {edition}, {setting.replace('_', ' ')}"
    return TauPrior("log-normal", scale, location, source=source)


def _setting(table: Mapping[str, Any], setting: str) -> Any:
    if setting not in table:
        raise ValueError(f"unknown setting {setting!r}: use one of {', '.join(table)}.")
    return table[setting]


@dataclass(frozen=True)
class Normal:
    """A normal prior of an effect: mean and standard deviation, in the units of the effects.

    Examples
    --------
    >>> bp.priors.normal(0, 15)
    Normal(mean=0.0, sd=15.0)
    """

    mean: float
    sd: float

    def __str__(self) -> str:
        return f"normal({self.mean:g}, {self.sd:g})"


def normal(mean: float, sd: float) -> Normal:
    """A normal prior of an effect, in its units.

    Examples
    --------
    >>> print(bp.priors.normal(0, 15))
    normal(0, 15)
    """
    return Normal(float(mean), _above_zero("sd", sd))


@dataclass(frozen=True)
class Earlier:
    """Earlier trials, or trials of other people, that count with a weight of 0 to 1.

    Examples
    --------
    >>> bp.priors.earlier([-8.0, -12.0], [9.0, 16.0], weight=0.5).weight
    0.5
    """

    yi: np.ndarray
    vi: np.ndarray
    weight: float

    def __str__(self) -> str:
        return f"{len(self.yi)} earlier trials, weight {self.weight:g}"


def earlier(yi: ArrayLike, vi: ArrayLike, weight: float) -> Earlier:
    """A power prior (Ibrahim & Chen 2000, doi 10.1214/ss/1009212673).

    The likelihood of the earlier trials under the same effect and heterogeneity, to the power
    `weight`: 0 leaves them out, 1 pools them with the new ones. For pooling.

    Parameters
    ----------
    yi, vi : array_like, shape (k,)
        Effect sizes and sampling variances of the earlier trials, independent of the new ones.
    weight : float

    Raises
    ------
    ValueError
        If the weight lies outside 0 to 1, or there are not as many known effects as variances.

    Examples
    --------
    >>> before = bp.priors.earlier([-8.0, -12.0], [9.0, 16.0], weight=0.5)
    >>> prior = bp.priors.Prior(bp.priors.half_normal(5), earlier=before)
    >>> print(prior)
    half-normal(5), 2 earlier trials, weight 0.5
    >>> alone = bp.pool([-3.0, -6.0], [9.0, 12.0], prior=bp.priors.half_normal(5))
    >>> bp.pool([-3.0, -6.0], [9.0, 12.0], prior=prior).estimate < alone.estimate
    True
    """
    y, v = np.asarray(yi, dtype=float).ravel(), np.asarray(vi, dtype=float).ravel()
    if not 0 <= weight <= 1:
        raise ValueError(f"weight {weight} must lie between 0 and 1.")
    if len(y) == 0 or len(y) != len(v):
        raise ValueError(f"{len(y)} earlier effect sizes but {len(v)} variances: give as many.")
    if not (np.isfinite(y).all() and np.isfinite(v).all() and (v > 0).all()):
        raise ValueError("earlier effect sizes must be known, and their variances above 0.")
    return Earlier(y, v, float(weight))


@dataclass(frozen=True)
class Prior:
    """What is believed before the data.

    Attributes
    ----------
    tau : TauPrior or mapping of str to TauPrior
        Of the heterogeneity; by name of the standard deviation where a model has several.
    effects : Normal or mapping of str to Normal, optional
        Of all coefficients, or of those named; flat for the others.
    earlier : Earlier, optional
    shape : TauPrior or mapping of str to TauPrior, optional
        Of what a curve is not linear in, by name if it is more than the ED50, in units of dose.

    Examples
    --------
    >>> print(bp.priors.Prior(bp.priors.half_normal(0.5), effects=bp.priors.normal(0, 2)))
    half-normal(0.5), effects normal(0, 2)
    """

    tau: TauPrior | Mapping[str, TauPrior]
    effects: Normal | Mapping[str, Normal] | None = None
    earlier: Earlier | None = None
    shape: TauPrior | Mapping[str, TauPrior] | None = None

    def tau_of(self, name: str) -> TauPrior:
        """The prior of one standard deviation."""
        if isinstance(self.tau, TauPrior):
            return self.tau
        if name not in self.tau:
            raise ValueError(f"the prior names no {name!r}: {', '.join(self.tau)}.")
        return self.tau[name]

    def effects_of(self, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Means and precisions of the coefficients `names`; precision 0 is flat.

        Raises
        ------
        ValueError
            If it names a coefficient that the model does not have.
        """
        mean, precision = np.zeros(len(names)), np.zeros(len(names))
        if self.effects is None:
            return mean, precision
        by_name = self.effects
        if isinstance(by_name, Normal):
            by_name = dict.fromkeys(names, by_name)
        unknown = [name for name in by_name if name not in names]
        if unknown:
            raise ValueError(f"no coefficient {unknown[0]!r}: the model has {', '.join(names)}.")
        for name, belief in by_name.items():
            mean[names.index(name)] = belief.mean
            precision[names.index(name)] = belief.sd**-2
        return mean, precision

    def __str__(self) -> str:
        if isinstance(self.tau, TauPrior):
            text = str(self.tau)
        else:
            text = ", ".join(f"{name} {prior}" for name, prior in self.tau.items())
        if isinstance(self.effects, Normal):
            text += f", effects {self.effects}"
        elif self.effects:
            text += "".join(f", {name} {belief}" for name, belief in self.effects.items())
        if isinstance(self.shape, TauPrior):
            text += f", shape {self.shape}"
        elif self.shape:
            text += "".join(f", {name} {own}" for name, own in self.shape.items())
        return text if self.earlier is None else f"{text}, {self.earlier}"


@dataclass(frozen=True)
class Mixture:
    """Several named priors, each with its weight before the data: see `mixture`.

    Examples
    --------
    >>> half = bp.priors.half_normal
    >>> bp.priors.mixture({"calm": half(2), "wild": half(20)}).weights
    {'calm': 0.5, 'wild': 0.5}
    """

    parts: Mapping[str, Prior]
    weights: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        shares = (f"{self.weights[name]:.0%} {name}: {p}" for name, p in self.parts.items())
        return "; ".join(shares)


def mixture(
    parts: Mapping[str, Prior | TauPrior], weights: Mapping[str, float] | None = None
) -> Mixture:
    """A robust mixture of priors, such as a sceptical and an enthusiastic one.

    The data change the weights: each part's posterior counts by its weight times its marginal
    likelihood (Schmidli et al. 2014, doi 10.1111/biom.12242).

    Parameters
    ----------
    parts : mapping of str to Prior
    weights : mapping of str to float, optional
        Equal if left out; they are scaled to sum to one.

    Raises
    ------
    ValueError
        If names differ, a weight is not above 0, or parts cannot be weighed against each other
        (improper tau, or flat effects in only some of them).

    Examples
    --------
    >>> half, normal, Prior = bp.priors.half_normal, bp.priors.normal, bp.priors.Prior
    >>> sceptical, hopeful = Prior(half(5), normal(0, 5)), Prior(half(5), normal(-15, 5))
    >>> parts = {"sceptical": sceptical, "hopeful": hopeful}
    >>> print(bp.priors.mixture(parts, {"sceptical": 3, "hopeful": 1}))
    75% sceptical: half-normal(5), effects normal(0, 5);
    25% hopeful: half-normal(5), effects normal(-15, 5)
    """
    require(parts, "dict", "Mapping")
    if len(parts) < 2:
        raise ValueError("a mixture needs at least two priors.")
    named = {name: as_prior(part) for name, part in parts.items()}
    weights = dict.fromkeys(named, 1.0) if weights is None else dict(weights)
    if set(weights) != set(named):
        raise ValueError(f"weights name {', '.join(weights)} but parts {', '.join(named)}.")
    if any(not weight > 0 for weight in weights.values()):
        raise ValueError("the weights of a mixture must be above 0.")
    for name, part in named.items():
        taus = [part.tau] if isinstance(part.tau, TauPrior) else list(part.tau.values())
        if not all(tau.proper for tau in taus):
            raise ValueError(f"part {name!r} has an improper prior of tau: it cannot be weighed.")
    flat = {_flat(part) for part in named.values()}
    if len(flat) > 1:
        raise ValueError("parts with flat and with normal effects cannot be weighed: choose one.")
    total = sum(weights.values())
    return Mixture(named, {name: weights[name] / total for name in named})


def _flat(part: Prior) -> frozenset[str] | str:
    if part.effects is None:
        return "all"
    return "none" if isinstance(part.effects, Normal) else frozenset(part.effects)


def as_prior(prior: Prior | TauPrior) -> Prior:
    """A prior of tau alone leaves the effects flat.

    Examples
    --------
    >>> bp.priors.as_prior(bp.priors.half_normal(5)).effects is None
    True
    """
    require(prior, "Prior", "TauPrior")
    return Prior(prior) if isinstance(prior, TauPrior) else prior
