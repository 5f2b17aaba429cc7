"""One question under other choices: curves compared and averaged, selected, and the multiverse."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from itertools import compress, product
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.display import html_table
from backpain_analysis.effects.assemble import from_evidence
from backpain_analysis.effects.choice import INACTIVE, Timepoint
from backpain_analysis.effects.derive import DERIVATIONS, SENSITIVITY_ONLY, USUAL
from backpain_analysis.effects.table import Effects, matrices_of
from backpain_analysis.engine.mixed import Fitting, together
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.dose import DOSE_MEASURES
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.dose import averaged
from backpain_analysis.models.dose.curves import Constant, Curve, FractionalPolynomial, named
from backpain_analysis.models.dose.fit import (
    Contrasts,
    Method,
    Options,
    contrasts_of,
    dose_response,
    fit_contrasts,
    fitting_contrasts,
)
from backpain_analysis.models.dose.result import DoseResponseResult
from backpain_analysis.models.dose.search import DoseEstimate, first_dose, round_doses
from backpain_analysis.models.results import Summary, quantile
from backpain_analysis.words import LOWER_IS_BETTER, as_benefit, benefit_sign

DEFAULT_CURVES = (
    "constant",
    *("step + linear", "step + rcs"),
    *("linear", "log", "quadratic", "rcs", "emax", "fp1"),
)
"""A constant effect, dose besides exercising at all, and curves through zero at no dose."""


READING = tuple(signature(contrasts_of).parameters)[1:]
"""Options of `dose_response` that say how the data are read."""


@dataclass(frozen=True, repr=False)
class CurveComparison:
    """What `compare_curves` found.

    Attributes
    ----------
    table : DataFrame
        A row a curve: `aic`, Akaike `weight`, mean effect at the typical dose (`effect, ci_low,
        ci_high`; see `DoseResponseResult.typical_dose`), `mcid_dose` where an MCID was given,
        likelihood-ratio test against the straight line where that is nested (`lrt, lrt_df,
        lrt_p`), and `note`: why a curve could not be fitted.
    results : mapping of DoseResponseResult
        The fits by name.
    """

    table: pd.DataFrame
    results: Mapping[str, DoseResponseResult] = field(repr=False)

    @property
    def weights(self) -> pd.Series:
        """Akaike weights of the curves that could be fitted, in the order of `results`."""
        return self.table["weight"].loc[list(self.results)]

    @property
    def weight_of_dose(self) -> float:
        """The weight of the curves in which the dose matters: all but the constant effect."""
        flat = [name for name, fit in self.results.items() if isinstance(fit.curve, Constant)]
        return 1.0 - float(self.weights[flat].sum())

    def predict(
        self,
        doses: ArrayLike | None = None,
        reference: float = 0.0,
        *,
        extrapolate: bool = False,
    ) -> pd.DataFrame:
        """Mean effect averaged over the curves by their weights.

        The standard error holds the uncertainty of the choice, `sum w sqrt(se^2 + (f - mean)^2)`
        (Buckland, Burnham & Augustin 1997, doi 10.2307/2533961).

        Returns
        -------
        DataFrame
            `dose, estimate, se, ci_low, ci_high`, and `extrapolated` where that is allowed.

        Raises
        ------
        CannotEstimate
            For doses that were not studied, unless `extrapolate` allows them.
        """
        fits = list(self.results.values())
        if doses is None:
            doses = round_doses(fits[0].max_dose)
            doses = doses[~np.any([fit.outside(doses) for fit in fits], axis=0)]
        doses = np.atleast_1d(np.asarray(doses, dtype=float))
        parts = [fit.predict(doses, reference, extrapolate=extrapolate) for fit in fits]
        weights = self.weights.to_numpy()[:, None]
        estimates = np.stack([part["estimate"] for part in parts])
        errors = np.stack([part["se"] for part in parts])
        mean = (weights * estimates).sum(axis=0)
        se = (weights * np.sqrt(errors**2 + (estimates - mean) ** 2)).sum(axis=0)
        df = np.min([fit.df_of(fit.gradient(doses, reference)) for fit in fits], axis=0)
        half = quantile(fits[0].level, pd.Series(df)).to_numpy() * se
        columns = {"dose": doses, "estimate": mean, "se": se}
        columns |= {"ci_low": mean - half, "ci_high": mean + half}
        if extrapolate:
            columns["extrapolated"] = np.any([part["extrapolated"] for part in parts], axis=0)
        return pd.DataFrame(columns)

    def effect_at(self, dose: float) -> tuple[float, float, float, float]:
        """The averaged effect of a dose, its interval and P value: see `averaged`."""
        return averaged.effect_at(list(self.results.values()), self.weights, dose)

    def dose_for(self, effect: float) -> DoseEstimate:
        """The lowest dose studied whose averaged effect reaches `effect`: see `averaged`."""
        return averaged.dose_reaching(list(self.results.values()), self.weights, effect)

    def optimum(self, *, best: str = "lowest", seed: int = 1) -> DoseEstimate:
        """The dose with the best averaged effect: see `averaged`.

        Raises
        ------
        CannotEstimate
            If no curve but the constant effect could be fitted.
        """
        fits = list(self.results.values())
        return averaged.dose_of_optimum(fits, self.weights, best=best, seed=seed)

    def __repr__(self) -> str:
        return f"<CurveComparison: {', '.join(map(str, self.table.index))}>"

    def __str__(self) -> str:
        return str(Summary(self.table))

    def _repr_html_(self) -> str:
        return html_table(self.table, title="Curves fitted to the same trials")


def compare_curves(
    data: Effects | pd.DataFrame,
    curves: Sequence[str | Curve] = DEFAULT_CURVES,
    *,
    mcid: float | None = None,
    method: Method = "REML",
    **options: Any,
) -> CurveComparison:
    """Fit each curve to the same trials and compare.

    Akaike weights: Burnham & Anderson 2002, section 2.9, from fits by maximum likelihood, as
    those by REML differ in their mean. The likelihood-ratio test counts the variance parameters a
    richer curve adds; they may lie at zero, where it is conservative (Self & Liang 1987, doi
    10.1080/01621459.1987.10478472).

    Parameters
    ----------
    data : Effects or DataFrame
        As of `dose_response`.
    curves : sequence of str or Curve
    mcid : float, optional
        Size of the minimal clinically important difference.
    method : {"REML", "ML", "CE"}
        Of the fits that effects and their averages are taken from.
    **options
        As of `dose_response`. With heterogeneity="contrasts" the curves differ in their mean
        only, so that weights do not pay for variances.

    Returns
    -------
    CurveComparison

    Raises
    ------
    CannotEstimate
        If none of the curves can be fitted.

    Examples
    --------
    >>> effects = (
    ...     bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
    ... )
    >>> bp.compare_curves(effects, ["linear", "log"], dose="sessions_per_week").table.round(
    ...     1
    ... )
              aic  weight  effect  ci_low  ci_high
    curve
    linear  115.0     0.0    -8.2   -12.1     -4.3
    log     108.2     1.0    -9.6   -13.6     -5.6
    """
    results: dict[str, DoseResponseResult] = {}
    by_ml: dict[str, DoseResponseResult] = {}
    notes: dict[str, str] = {}
    search: Method = "CE" if method == "CE" else "ML"
    step = options.pop("any_exercise", False)
    chosen = {own.name: own for own in (named(curve, any_exercise=step) for curve in curves)}
    reading = {name: options.pop(name) for name in READING if name in options}
    contrasts = contrasts_of(data, **reading)
    for name, curve in chosen.items():
        asked = Options(curve, contrasts.dose_name, method=search, **options)
        try:
            fitted = fit_contrasts(contrasts, asked)
            if method != search:
                settled = replace(asked, curve=fitted.curve, method=method)
                results[name] = fit_contrasts(contrasts, settled)
            by_ml[name] = fitted
        except CannotEstimate as fault:
            notes[name] = str(fault)
    if method == search:
        results = by_ml
    if not results:
        raise CannotEstimate("no curve can be fitted", next(iter(notes.values()), "none was given"))
    rows = [
        _row(results[name], by_ml[name], by_ml.get("linear"), mcid)
        if name in results
        else {"note": notes[name]}
        for name in chosen
    ]
    table = pd.DataFrame(rows, index=pd.Index(list(chosen), name="curve"))
    evidence = np.exp(-(table["aic"] - table["aic"].min()) / 2)
    table.insert(1, "weight", evidence / evidence.sum())
    if not notes:
        return CurveComparison(table, results)
    return CurveComparison(table.assign(note=table["note"].fillna("")), results)


def _row(
    result: DoseResponseResult,
    by_ml: DoseResponseResult,
    linear: DoseResponseResult | None,
    mcid: float | None,
) -> dict[str, Any]:
    estimate, _, half = result.effect_at(result.typical_dose)
    row: dict[str, Any] = {"aic": by_ml.aic, "effect": estimate}
    row |= {"ci_low": estimate - half, "ci_high": estimate + half}
    if mcid is not None:
        sign = benefit_sign(result.outcome)
        row["mcid_dose"] = (
            np.nan
            if isinstance(result.curve, Constant)
            else result.dose_for(sign * abs(mcid)).estimate
        )
    nested = linear is not None and by_ml is not linear and by_ml.curve.terms[0] == "dose"
    if linear is not None and nested and not by_ml.curve.shape_terms:
        ratio = max(0.0, 2 * (by_ml.llf - linear.llf))
        df = by_ml.engine.n_parameters - linear.engine.n_parameters
        row |= {"lrt": ratio, "lrt_df": df, "lrt_p": float(special.chdtrc(df, ratio))}
    return row


@dataclass(frozen=True)
class FPSelection:
    """What the closed test chose.

    Attributes
    ----------
    chosen : {"none", "linear", "fp1", "fp2"}
    result : DoseResponseResult or None
        The chosen fit, by maximum likelihood; None for "none".
    table : DataFrame
        A row a test of the second-degree polynomial against a simpler model: `against, deviance`
        (difference), `df, p_value`.
    """

    chosen: str
    result: DoseResponseResult | None = field(repr=False)
    table: pd.DataFrame = field(repr=False)

    def _repr_html_(self) -> str:
        return html_table(self.table, title=f"Closed test: {self.chosen}")


def select_fractional_polynomial(
    data: Effects | pd.DataFrame, *, alpha: float = 0.05, **options: Any
) -> FPSelection:
    """Choose a fractional polynomial by the closed test procedure.

    The best polynomial of degree 2 is tested against no effect, then against a straight line,
    then against the best of degree 1; the first model it does not clearly beat is chosen, and so
    the family-wise error is `alpha`. A power counts as a parameter. Source: Ambler & Royston 2001
    (doi 10.1080/00949650108812083); Royston & Sauerbrei 2008, section 4.10.

    Parameters
    ----------
    data : Effects or DataFrame
        As of `dose_response`.
    alpha : float
    **options
        As of `dose_response`, but for `curve` and `method`.

    Returns
    -------
    FPSelection

    Examples
    --------
    >>> effects = (
    ...     bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
    ... )
    >>> bp.select_fractional_polynomial(effects, dose="sessions_per_week").chosen
    'linear'
    """
    curves = {
        "linear": FractionalPolynomial(powers=(1.0,)),
        "fp1": FractionalPolynomial(degree=1),
        "fp2": FractionalPolynomial(degree=2),
    }
    fits = {
        name: dose_response(data, curve=curve, method="ML", **options)
        for name, curve in curves.items()
    }
    llf = {"none": _no_effect(fits["fp2"].effects), **{n: fit.llf for n, fit in fits.items()}}
    sizes = {"none": 0, **{name: _parameters(fit) for name, fit in fits.items()}}
    rows, chosen = [], "fp2"
    for simpler in ("none", "linear", "fp1"):
        deviance = max(0.0, 2 * (llf["fp2"] - llf[simpler]))
        df = sizes["fp2"] - sizes[simpler]
        p = float(special.chdtrc(df, deviance))
        rows.append({"against": simpler, "deviance": deviance, "df": df, "p_value": p})
        if p >= alpha:
            chosen = simpler
            break
    return FPSelection(chosen, fits.get(chosen), pd.DataFrame(rows))


def _parameters(fit: DoseResponseResult) -> int:
    return fit.engine.n_parameters + fit.curve.n_estimated


def _no_effect(effects: Effects) -> float:
    """Log-likelihood of contrasts that are all zero but for sampling error."""
    rows = effects.table.groupby("trial_id", sort=False).indices
    yi, llf = effects.table["yi"].to_numpy(dtype=float), 0.0
    for trial, V in zip(effects.trials, effects.covariance, strict=True):
        y = yi[rows[trial]]
        llf -= 0.5 * (y @ np.linalg.solve(V, y) + np.linalg.slogdet(2 * np.pi * V)[1])
    return float(llf)


CHOICES: dict[str, Mapping[str, Any]] = {
    "curve": {"line": "linear", "quadratic": "quadratic", "log": "log", "spline": "rcs"},
    "results": {"reported first": "best", "final values": "final", "changes": "change"},
    "correlation": {"0.3": 0.3, "0.5": 0.5, "0.7": 0.7},
    "reference": {
        "untreated or waiting": INACTIVE[:2],
        "+ usual care, advice": INACTIVE,
        "+ sham, passive": (*INACTIVE, "sham", "passive_modality"),
    },
    "trials": {"all but excluded": ("exclude",), "without cautions": ("exclude", "caution")},
    "derived": {
        "as usual": USUAL,
        "all but other trials' SDs": tuple(n for n in DERIVATIONS if n not in SENSITIVITY_ONLY),
    },
}
"""Choice -> option as a reader knows it -> value."""


def readings(
    choices: Mapping[str, Mapping[str, Any]] = CHOICES,
) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Each way to read the reports: what is chosen, and the options of `from_evidence`."""
    others = [choice for choice in choices if choice not in ("trials", "curve")]
    for names in product(*(choices[choice] for choice in others)):
        chosen = dict(zip(others, names, strict=True))
        value = {choice: choices[choice][name] for choice, name in chosen.items()}
        options = {"analysis": value["results"], "correlation": value["correlation"], "flags": ()}
        yield (
            chosen,
            options | {"inactive": value["reference"], "derive": value.get("derived", USUAL)},
        )


def multiverse(
    evidence: Evidence,
    outcome: str,
    *,
    dose: str,
    at: float,
    measure: Literal["MD", "SMD"] = "MD",
    timepoint: Timepoint = "post",
    mcid: float | None = None,
    choices: Mapping[str, Mapping[str, Any]] = CHOICES,
) -> pd.DataFrame:
    """Fit the dose-response curve under every combination of choices.

    Source: Steegen et al. 2016 (doi 10.1177/1745691616658637) for multiverse analysis.

    Parameters
    ----------
    evidence : Evidence
    outcome, dose, measure, timepoint
        As of `effects.from_evidence` and `dose_response`.
    at : float
        Dose whose effect is compared.
    mcid : float, optional
        Adds the dose that first reaches it.
    choices : mapping
        See `CHOICES`; names must be those. Values of "derived" are the `derive` of
        `effects.from_evidence`; without it `effects.derive.USUAL`.

    Returns
    -------
    DataFrame
        A row a combination: its choices, `n_trials, estimate, ci_low, ci_high, mcid_dose, note`
        (`note` says why a combination could not be fitted), sorted by estimate.

    Raises
    ------
    ValueError
        As `effects.from_evidence`, and for an unknown dose.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> care = ("no_treatment", "waitlist", "usual_care", "education_advice")
    >>> choices = {
    ...     "curve": {"line": "linear", "log": "log"},
    ...     "results": {"reported first": "best"},
    ...     "correlation": {"0.5": 0.5},
    ...     "reference": {"inactive": care},
    ...     "trials": {"all but excluded": ("exclude",)},
    ... }
    >>> found = bp.multiverse(
    ...     evidence, "pain_intensity", dose="sessions_per_week", at=2, choices=choices
    ... )
    >>> found[["curve", "n_trials", "estimate"]].round(1)
      curve  n_trials  estimate
    0  line        12     -16.4
    1   log        12     -15.2
    """
    require(evidence, "Evidence")
    if dose not in DOSE_MEASURES:
        raise ValueError(f"unknown dose {dose!r}: use one of {', '.join(DOSE_MEASURES)}.")
    target = None if mcid is None else as_benefit(mcid, outcome in LOWER_IS_BETTER)
    flagless = {
        name: frozenset(evidence.without_flags(*flags).trials["trial_id"])
        for name, flags in choices["trials"].items()
    }
    curves = {name: Options(named(curve), dose) for name, curve in choices["curve"].items()}
    data: dict[Hashable, Contrasts] = {}
    rows = {}
    for chosen, reading in readings(choices):
        whole = from_evidence(evidence, outcome, measure=measure, timepoint=timepoint, **reading)
        told = _Told.of(whole, dose)
        for trials, kept in flagless.items():
            rows_kept = told.rows(kept)
            numbers = told.numbers(rows_kept)
            if numbers not in data:
                entered = whole.select(rows_kept, None).with_dose(dose)
                data[numbers] = Contrasts(entered, dose)
            for curve in curves:
                own = {**chosen, "trials": trials, "curve": curve}
                rows[tuple(own[choice] for choice in choices)] = own, numbers
    asked = {
        (numbers, curve): _fitting(contrasts, options, at, target)
        for numbers, contrasts in data.items()
        for curve, options in curves.items()
    }
    found = dict(zip(asked, together(asked.values()), strict=True))
    ordered = []
    for names in product(*(choices[choice] for choice in choices)):
        own, numbers = rows[names]
        ordered.append({choice: own[choice] for choice in choices} | found[numbers, own["curve"]])
    return pd.DataFrame(ordered).sort_values("estimate", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class _Told:
    """What a curve of a dose depends on, of effects: trials, `yi` and both doses, covariance."""

    trials: list[str]
    values: np.ndarray
    covariance: Sequence[np.ndarray]

    @classmethod
    def of(cls, effects: Effects, dose: str) -> _Told:
        columns = [effects.table[name] for name in ("yi", dose, f"ref_{dose}")]
        values = np.array([column.to_numpy(dtype=float) for column in columns])
        return cls(effects.table["trial_id"].to_list(), values, effects.covariance)

    def rows(self, trials: Collection[str]) -> np.ndarray:
        """Which rows of these trials have two doses that are known and differ."""
        _, dose, reference = self.values
        inside = np.array([trial in trials for trial in self.trials], dtype=bool)
        return inside & ~np.isnan(dose) & ~np.isnan(reference) & (dose != reference)

    def numbers(self, rows: np.ndarray) -> Hashable:
        """All that enters of some rows: many choices come to the same."""
        parts = (matrix.tobytes() for matrix in matrices_of(self.covariance, rows))
        return (*compress(self.trials, rows), self.values[:, rows].tobytes(), *parts)


def _fitting(
    contrasts: Contrasts, options: Options, at: float, target: float | None
) -> Fitting[dict[str, Any]]:
    row: dict[str, Any] = {"n_trials": 0, "estimate": np.nan, "ci_low": np.nan, "ci_high": np.nan}
    row |= {"mcid_dose": np.nan, "note": ""}
    try:
        result = yield from fitting_contrasts(contrasts, options)
        result.allowed(at)
        estimate, _, half = result.effect_at(at)
        row |= {"estimate": estimate, "ci_low": estimate - half, "ci_high": estimate + half}
    except CannotEstimate as fault:
        return row | {"note": f"{fault.reason}."}
    row["n_trials"] = result.n_trials
    if target is not None:
        row["mcid_dose"] = first_dose(
            result, target, result.min_dose, result.max_dose, result.reference_dose
        )
    return row
