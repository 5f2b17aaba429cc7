"""Dose-response meta-analysis in one stage or two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np
import pandas as pd

from backpain_analysis.effects.arms import from_arms_table
from backpain_analysis.effects.risks import RISK_MEASURES, Approach, relative_risks
from backpain_analysis.effects.table import Effects, refuse_evidence
from backpain_analysis.engine.likelihood import group
from backpain_analysis.engine.mixed import (
    Fitting,
    MixedFit,
    Sampling,
    alone,
    fitting,
    inverse_information,
    sampling,
    times_precision,
)
from backpain_analysis.engine.robust import RobustCovariance, robust_covariance
from backpain_analysis.engine.terms import RandomTerm, multi_arm_term
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.dose import DOSE_MEASURES
from backpain_analysis.models.dose.curves import Curve, named
from backpain_analysis.models.dose.result import DoseResponseResult
from backpain_analysis.models.pairwise.formulas import Moderators, moderators
from backpain_analysis.models.results import Df, check_choices
from backpain_analysis.words import DOSE_LABELS, plural

if TYPE_CHECKING:
    from backpain_analysis.models.bayes.model import AnyPrior
    from backpain_analysis.models.dose.posterior import CurvePosterior

Method = Literal["REML", "ML", "CE"]
Heterogeneity = Literal["curve", "contrasts"]
Test = Literal["t", "z", "CR2", "knapp-hartung"]
TESTS = ("t", "z", "CR2", "knapp-hartung")

EXACT = 1e-9
"""Weighted sum of squared residuals below which effects lie on the curve."""

SINGULAR = 1e-8
"""Smallest eigenvalue of a covariance of the trials' coefficients, over its largest, that counts
as above zero (both by correlation)."""


NO_TAU2 = partial(float, "nan")


@dataclass(frozen=True)
class Options:
    """How a curve is fitted, whatever the data: see `dose_response`.

    Raises
    ------
    ValueError
        For an unknown choice.
    """

    curve: Curve
    dose_name: str
    stages: int = 1
    method: Method = "REML"
    moderators: str | None = None
    test: str = "t"
    level: float = 0.95
    heterogeneity: Heterogeneity = "curve"

    def __post_init__(self) -> None:
        check_choices(
            self.level,
            test=(self.test, TESTS),
            stages=(self.stages, (1, 2)),
            heterogeneity=(self.heterogeneity, ("curve", "contrasts")),
        )
        if self.stages == 2 and self.heterogeneity != "curve":
            raise ValueError("heterogeneity must in two stages be 'curve'.")


@dataclass(frozen=True)
class Contrasts:
    """Effects with doses, and what fits of all curves to them share.

    Attributes
    ----------
    effects : Effects
        With `dose` and `ref_dose`.
    dose_name : str
    """

    effects: Effects
    dose_name: str

    @cached_property
    def yi(self) -> np.ndarray:
        return self.effects.table["yi"].to_numpy(dtype=float)

    @cached_property
    def trials(self) -> np.ndarray:
        """The trial of each row."""
        return self.effects.table["trial_id"].to_numpy()

    @cached_property
    def dose(self) -> np.ndarray:
        return _doses(self.effects.table, "dose")

    @cached_property
    def reference(self) -> np.ndarray:
        return _doses(self.effects.table, "ref_dose")

    @cached_property
    def arms(self) -> np.ndarray:
        return doses_of_arms(self.effects.table)

    @cached_property
    def n_distinct(self) -> int:
        """Distinct doses, or pairs of them."""
        return len(np.unique(np.concatenate([self.dose, self.reference]), axis=0))

    @cached_property
    def sampling(self) -> Sampling:
        return sampling(self.effects.covariance, group(self.trials))

    @cached_property
    def term(self) -> RandomTerm:
        """Of trials that differ by contrast."""
        return multi_arm_term(self.trials)

    @cached_property
    def without_moderators(self) -> Moderators:
        return moderators(None, self.effects.table)

    def design(self, formula: str | None) -> Moderators:
        """What the coefficients may depend on."""
        if formula is None:
            return self.without_moderators
        return moderators(formula, self.effects.table)

    def basis(self, curve: Curve) -> np.ndarray:
        """The curve's columns at each dose less those at its reference, shape (n, terms)."""
        return curve.basis(self.dose) - curve.basis(self.reference)


@overload
def dose_response(
    data: Effects | pd.DataFrame,
    *,
    curve: str | Curve = "linear",
    any_exercise: bool = False,
    trial: str = "trial_id",
    dose: str | Sequence[str] = "dose",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    cases: str = "cases",
    person_time: str | None = None,
    type: str | None = None,
    approach: Approach = "greenland-longnecker",
    measure: Literal["MD", "SMD", "d", "RR", "OR", "HR", "IRR"] | None = None,
    stages: Literal[1, 2] = 1,
    method: Method = "REML",
    heterogeneity: Heterogeneity = "curve",
    moderators: str | None = None,
    covariance: Sequence[np.ndarray] | None = None,
    test: Test = "t",
    level: float = 0.95,
    prior: None = None,
) -> DoseResponseResult: ...


@overload
def dose_response(
    data: Effects | pd.DataFrame,
    *,
    curve: str | Curve = "linear",
    any_exercise: bool = False,
    trial: str = "trial_id",
    dose: str | Sequence[str] = "dose",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    cases: str = "cases",
    person_time: str | None = None,
    type: str | None = None,
    approach: Approach = "greenland-longnecker",
    measure: Literal["MD", "SMD", "d", "RR", "OR", "HR", "IRR"] | None = None,
    heterogeneity: Heterogeneity = "curve",
    moderators: str | None = None,
    covariance: Sequence[np.ndarray] | None = None,
    level: float = 0.95,
    prior: AnyPrior | str,
) -> CurvePosterior: ...


def dose_response(
    data: Effects | pd.DataFrame,
    *,
    curve: str | Curve = "linear",
    any_exercise: bool = False,
    trial: str = "trial_id",
    dose: str | Sequence[str] = "dose",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    cases: str = "cases",
    person_time: str | None = None,
    type: str | None = None,
    approach: Approach = "greenland-longnecker",
    measure: Literal["MD", "SMD", "d", "RR", "OR", "HR", "IRR"] | None = None,
    stages: Literal[1, 2] = 1,
    method: Method = "REML",
    heterogeneity: Heterogeneity = "curve",
    moderators: str | None = None,
    covariance: Sequence[np.ndarray] | None = None,
    test: Test = "t",
    level: float = 0.95,
    prior: AnyPrior | str | None = None,
) -> DoseResponseResult | CurvePosterior:
    """Fit a dose-response curve to all trials.

    One stage: `y = (f(d) - f(d0)) (b + u) + e`, with the known covariance of a trial's contrasts
    and `u ~ N(0, Psi)` (Crippa et al. 2019, doi 10.1177/0962280218773122). Two stages: a curve
    a trial by generalised least squares, then a multivariate meta-analysis of the coefficients
    (Orsini et al. 2012, doi 10.1093/aje/kwr265; differences in means: Crippa & Orsini 2016,
    doi 10.1186/s12874-016-0189-0). Curves that are not linear in all their parameters (Emax,
    Hill, estimated breaks) are fitted by profile likelihood over those, random effects on the
    linear coefficients.

    Parameters
    ----------
    data : Effects or DataFrame
        Effects, or a table of arms whose first row a trial is the reference arm (see
        `effects.arms.from_arms_table`).
    curve : str or Curve
        A name of `models.dose.curves.CURVES`, "step + " and such a name, or a curve. "constant"
        is the same effect at every dose.
    any_exercise : bool
        Add a step at the first dose above zero: the effect of exercising at all. The curve then
        says what dose adds around a typical dose, the median of the arms that exercise; see
        `curves.AnyExercise` and `DoseResponseResult.test_dose`.
    dose : str or sequence of two str
        Dose measure of `Effects`, or column of the table; two for a surface.
    trial, mean, sd, n : str
        Columns of the table.
    cases, person_time, type, approach : optional
        Of a table of relative risks by category of dose: see `effects.risks.relative_risks`.
    measure : {"MD", "SMD", "d", "RR", "OR", "HR", "IRR"}
        Of a table ("MD" by default; "SMD" is Hedges' g, "d" Cohen's d). The last four take the
        table for one of relative risks; the model is that of their logarithms. `Effects` have
        their own.
    stages : {1, 2}
    method : {"REML", "ML", "CE"}
        "CE" is the common-effect model.
    heterogeneity : {"curve", "contrasts"}
        How trials differ: in all coefficients of the curve (covariance Psi), or each contrast by
        an amount of its own (variance tau2, correlation one half between contrasts that share
        their reference arm: Higgins & Whitehead 1996), as in a network. The second takes one
        parameter whatever the curve, so that few trials carry it and curves differ in their mean
        only.
    moderators : str, optional
        Formula over columns of the contrasts, such as "exercise_type": the coefficients of the
        curve may differ with them.
    covariance : sequence of ndarray, optional
        Of the contrasts of each trial of a table, over the computed one.
    test : {"t", "z", "CR2", "knapp-hartung"}
        "t" uses (trials - coefficients) degrees of freedom: it covers 93-98% in simulations of 10
        to 50 trials, erring to the safe side. "CR2" is the bias-reduced covariance clustered by
        trial with Satterthwaite degrees of freedom of each dose: 93-96%, where the model holds
        (see benchmarks/README.md); of curves with shape parameters that of the linearised model,
        and of effects that lie on the curve, which leave it nothing to go by, "t". "knapp-hartung"
        scales the covariance by the mean square of the weighted residuals, with t on as many
        degrees as "t" (Knapp & Hartung 2003, doi 10.1002/sim.1482). "CE" is always "z".
    level : float
    prior : Prior, TauPrior, Mixture or "auto", optional
        What is believed before the data (see `priors`): then the result is the posterior of a
        one-stage curve of one dose, linear in its parameters or Emax, and `method` and `test` do
        not count. Priors of tau are of the effect of a typical contrast, whatever the curve.

    Returns
    -------
    DoseResponseResult, or CurvePosterior with a prior

    Raises
    ------
    ValueError
        For unusable data.
    CannotEstimate
        If trials or distinct doses are too few for the curve, or do not tell how it varies between
        trials: other variances fit exactly as well, with other standard errors.
    ConvergenceError
        If the likelihood has no maximum.

    Examples
    --------
    >>> effects = (
    ...     bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
    ... )
    >>> bp.dose_response(effects, dose="sessions_per_week").params.round(2)
    dose   -8.21
    dtype: float64
    """
    contrasts = contrasts_of(
        data,
        trial=trial,
        dose=dose,
        mean=mean,
        sd=sd,
        n=n,
        cases=cases,
        person_time=person_time,
        type=type,
        approach=approach,
        measure=measure,
        covariance=covariance,
    )
    name, chosen = contrasts.dose_name, named(curve, any_exercise=any_exercise)
    options = Options(chosen, name, stages, method, moderators, test, level, heterogeneity)
    if prior is None:
        return fit_contrasts(contrasts, options)
    if stages != 1:
        raise ValueError("with a prior, curves are fitted in one stage.")
    from backpain_analysis.models.dose.posterior import curve_posterior

    ready = chosen.prepare(contrasts.arms)
    return curve_posterior(contrasts.effects, ready, moderators, heterogeneity, name, prior, level)


def contrasts_of(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    dose: str | Sequence[str] = "dose",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    cases: str = "cases",
    person_time: str | None = None,
    type: str | None = None,
    approach: Approach = "greenland-longnecker",
    measure: Literal["MD", "SMD", "d", "RR", "OR", "HR", "IRR"] | None = None,
    covariance: Sequence[np.ndarray] | None = None,
) -> Contrasts:
    """Effects with their doses, from what `dose_response` takes."""
    refuse_evidence(data)
    if isinstance(data, Effects):
        return Contrasts(*_effects_with_dose(data, dose, measure, covariance))
    if measure in RISK_MEASURES:
        if covariance is not None or not isinstance(dose, str):
            raise ValueError("relative risks take one dose, and carry their own covariance.")
        effects = relative_risks(
            data,
            trial=trial,
            dose=dose,
            measure=cast(Any, measure),
            cases=cases,
            n=n,
            person_time=person_time,
            type=type,
            approach=approach,
        )
        return Contrasts(effects, dose)
    effects = from_arms_table(
        data,
        trial=trial,
        dose=dose,
        mean=mean,
        sd=sd,
        n=n,
        measure=measure or "MD",
        covariance=covariance,
    )
    return Contrasts(effects, dose if isinstance(dose, str) else " and ".join(dose))


def _effects_with_dose(
    effects: Effects,
    dose: str | Sequence[str],
    measure: str | None,
    covariance: Sequence[np.ndarray] | None,
) -> tuple[Effects, str]:
    if measure not in (None, effects.measure):
        raise ValueError(
            f"these effects are {effects.measure}s: make them with measure={measure!r}."
        )
    if covariance is not None:
        raise ValueError("Effects carry their own covariance: leave it out.")
    if not isinstance(dose, str):
        first, second = dose
        both = effects.with_dose(second)
        table = both.table.rename(columns={"dose": "dose_2", "ref_dose": "ref_dose_2"})
        return replace(both, table=table).with_dose(first), " and ".join(dose)
    if dose == "dose" and "dose" in effects.table:
        return effects, dose
    if dose == "dose":
        raise ValueError(f"say which dose: one of {', '.join(DOSE_MEASURES)}.")
    return effects.with_dose(dose), dose


def fit_effects(
    effects: Effects, options: Options, *, test: str | None = None
) -> DoseResponseResult:
    """Fit the curve to effects that have `dose` and `ref_dose`; with another test where given."""
    if test is not None:
        options = replace(options, test=test)
    return fit_contrasts(Contrasts(effects, options.dose_name), options)


def fit_contrasts(contrasts: Contrasts, options: Options) -> DoseResponseResult:
    """Fit the curve."""
    return alone(fitting_contrasts(contrasts, options))


def fitting_contrasts(contrasts: Contrasts, options: Options) -> Fitting[DoseResponseResult]:
    """Fit the curve, beside others: see `engine.mixed.together`."""
    _check_size(contrasts, options)
    run = _one_stage if options.stages == 1 else _two_stage
    by_ml = replace(options, method="CE" if options.method == "CE" else "ML")
    curve = options.curve.prepare(contrasts.arms)
    curve = curve.settle(lambda c: alone(run(contrasts, c, by_ml))[0].llf, contrasts.arms)
    model, entered, design = yield from run(contrasts, curve, options)
    if not model.told:
        raise CannotEstimate(
            f"{plural(entered.n_trials, 'trial')} cannot tell how the curve {curve.name!r} varies "
            "between trials: other variances fit exactly as well, with other standard errors",
            "use a simpler curve, heterogeneity='contrasts' or method='CE'",
        )
    psi, tau2_of = _between(model, contrasts, curve, options)
    cov, df, robust = _inference(model, entered, curve, options.stages, design, options.test)
    found, terms = curve.n_estimated, _labels(*curve.terms)
    return DoseResponseResult(
        params=pd.Series([*model.beta, *curve.shape], cov.index),
        cov=cov,
        df=df,
        level=options.level,
        llf=float(model.llf),
        aic=float(model.aic + 2 * found),
        bic=float(model.bic + found * (model.bic + 2 * model.llf) / model.n_parameters),
        method=options.method,
        curve=curve,
        tau2_of=tau2_of,
        heterogeneity=options.heterogeneity,
        psi=pd.DataFrame(psi, terms, terms),
        effects=entered,
        dose_name=options.dose_name,
        stages=options.stages,
        moderators=design,
        engine=model,
        refit=partial(fit_effects, options=options),
        robust=robust,
    )


def _labels(*names: str) -> pd.Index:
    """An index of its own."""
    return _index(names).view()


@lru_cache(maxsize=64)
def _index(names: tuple[str, ...]) -> pd.Index:
    return pd.Index(names)


def retested(fitted: DoseResponseResult, test: Test) -> DoseResponseResult:
    """The same fit with the covariance and degrees of freedom of another test."""
    cov, df, robust = _inference(
        fitted.engine, fitted.effects, fitted.curve, fitted.stages, fitted.moderators, test
    )
    refit = partial(fitted.refit, test=test)
    return replace(fitted, cov=cov, df=df, robust=robust, refit=refit)


def _inference(
    model: MixedFit, effects: Effects, curve: Curve, stages: int, design: Moderators, test: str
) -> tuple[pd.DataFrame, Df, RobustCovariance | None]:
    """Covariance and degrees of freedom of the coefficients by a test: see `dose_response`."""
    names = _labels(*design.coefficient_names(curve.terms), *curve.shape_terms)
    cov = _covariance(model, effects, curve, stages, design)
    df: Df = float(max(effects.n_trials - len(names), 1))
    robust = None
    if model.method == "CE" or test == "z":
        df = np.inf
    elif test == "knapp-hartung":
        cov = cov * model.rss / max(model.n_rows - len(names), 1)
    elif test == "CR2" and model.rss > EXACT:
        robust = _clustered(model, effects, curve, stages)
        cov, df = robust.cov, pd.Series(robust.df(np.eye(len(names))), names)
    return pd.DataFrame(cov, names, names), df, robust


def _between(
    model: MixedFit, contrasts: Contrasts, curve: Curve, options: Options
) -> tuple[np.ndarray, Callable[[], float]]:
    """Psi, and what gives tau2 where the spread of new trials is that of contrasts.

    Of a singular Psi some dose has no variance between trials, so that a prediction band would
    collapse there; the band then takes the tau2 of the same curve with heterogeneity "contrasts".
    """
    size = len(curve.terms)
    if not model.psi:
        return np.zeros((size, size)), NO_TAU2
    if options.heterogeneity == "contrasts":
        return np.zeros((size, size)), partial(_tau2, model)
    psi = model.psi[0]
    spread = np.sqrt(np.diag(psi))
    if size == 1 or not spread.any():
        return psi, NO_TAU2
    if spread.all():
        values = np.linalg.eigvalsh(psi / np.outer(spread, spread))
        if values[0] > SINGULAR * values[-1]:
            return psi, NO_TAU2
    by_contrast = replace(options, stages=1, heterogeneity="contrasts")
    return psi, partial(_tau2_by_contrast, contrasts, curve, by_contrast)


def _tau2(model: MixedFit) -> float:
    """Variance of contrasts, of a model by `multi_arm_term`."""
    return float(2 * model.psi[0][0, 0])


def _tau2_by_contrast(contrasts: Contrasts, curve: Curve, options: Options) -> float:
    return _tau2(alone(_one_stage(contrasts, curve, options))[0])


def doses_of_arms(table: pd.DataFrame) -> np.ndarray:
    """The dose of every arm of the contrasts, a reference arm once, shape (n_arms,) or (n_arms, 2).

    An arm that stands at several doses (measured at several times) counts once at each.
    """
    trials = table["trial_id"].to_numpy()
    ends: dict[tuple[object, ...], None] = {}
    for prefix in ("", "ref_"):
        doses = np.atleast_2d(_doses(table, f"{prefix}dose").T)
        ends |= dict.fromkeys(zip(trials, table[f"{prefix}arm_id"].to_numpy(), *doses, strict=True))
    found = np.array([own for _, _, *own in ends], dtype=float)
    return found if found.shape[1] > 1 else found[:, 0]


def _doses(table: pd.DataFrame, name: str) -> np.ndarray:
    """Doses of the contrasts: shape (n,), or (n, 2) where there is a second one."""
    if f"{name}_2" in table:
        return table[[name, f"{name}_2"]].to_numpy(dtype=float)
    return table[name].to_numpy(dtype=float)


def _check_size(contrasts: Contrasts, options: Options) -> None:
    """Enough distinct doses, and trials; common-effect models make do with contrasts."""
    curve, effects = options.curve, contrasts.effects
    wanted = len(curve.terms) + len(curve.shape_terms)
    distinct = contrasts.n_distinct
    units = len(effects) if options.method == "CE" else effects.n_trials
    if units <= wanted or distinct <= wanted:
        raise CannotEstimate(
            f"{plural(effects.n_trials, 'trial')} with {plural(distinct, 'distinct dose')} of "
            f"{DOSE_LABELS.get(options.dose_name, options.dose_name)} cannot carry the curve "
            f"{curve.name!r}, of {plural(wanted, 'term')}",
            "use a simpler curve, another dose measure, or fewer filters",
        )


Run = Fitting[tuple[MixedFit, Effects, Moderators]]


def _one_stage(contrasts: Contrasts, curve: Curve, options: Options) -> Run:
    basis = contrasts.basis(curve)
    design = contrasts.design(options.moderators)
    by_contrast = options.heterogeneity == "contrasts"
    model = yield from fitting(
        contrasts.yi,
        design.products(basis),
        contrasts.sampling,
        terms=[contrasts.term if by_contrast else RandomTerm(basis, name="trial")],
        method=options.method,
        names=design.coefficient_names(curve.terms),
    )
    return model, contrasts.effects, design


def _two_stage(contrasts: Contrasts, curve: Curve, options: Options) -> Run:
    """Trials with fewer contrasts than the curve has terms cannot give a curve of their own."""
    effects, size = contrasts.effects, len(curve.terms)
    counts = effects.table.groupby("trial_id")["trial_id"].transform("size").to_numpy()
    entered = effects.select(
        counts >= size, f"fewer than {size + 1} arms, too few for a curve of its own (two stages)"
    )
    kept = counts >= size
    basis, yi = contrasts.basis(curve)[kept], contrasts.yi[kept]
    rows = entered.table.groupby("trial_id", sort=False).indices
    estimates, covariances = [], []
    for trial, V in zip(entered.trials, entered.covariance, strict=True):
        own = rows[trial]
        weighted = np.linalg.solve(V, basis[own])
        information = basis[own].T @ weighted
        if np.linalg.cond(information) > 1e14:
            raise CannotEstimate(
                f"trial {trial!r} has too few distinct doses for a {curve.name} curve of its own",
                "use one stage, or leave it out",
            )
        covariances.append(np.linalg.inv(information))
        estimates.append(covariances[-1] @ (weighted.T @ yi[own]))
    first = [rows[trial][0] for trial in entered.trials]
    design = moderators(options.moderators, entered.table)
    weights = design.matrix[first]
    n_trials = len(estimates)
    X = np.vstack([np.kron(weight, np.eye(size)) for weight in weights])
    model = yield from fitting(
        np.concatenate(estimates),
        X,
        covariances,
        blocks=[trial for trial in entered.trials for _ in range(size)],
        terms=[RandomTerm(np.tile(np.eye(size), (n_trials, 1)), name="trial")],
        method=options.method,
        names=design.coefficient_names(curve.terms),
    )
    return model, entered, design


def _clustered(model: MixedFit, effects: Effects, curve: Curve, stages: int) -> RobustCovariance:
    """The covariance CR2 by trial; with shape parameters that of the linearised model."""
    if curve.shape_terms:
        J, cov = _linearised(model, effects, curve)
        beta = np.append(model.beta, curve.shape)
        left = model.y - model.X @ model.beta
        model = replace(model, X=J, y=J @ beta + left, beta=beta, cov_beta=cov)
    labels = effects.table["trial_id"].to_numpy()
    if stages == 2:
        labels = np.repeat(np.array(effects.trials, dtype=object), len(curve.terms))
    return robust_covariance(model, labels, "CR2")


def _covariance(
    model: MixedFit, effects: Effects, curve: Curve, stages: int, design: Moderators
) -> np.ndarray:
    """Covariance of the coefficients; with shape parameters that of the linearised model."""
    if not curve.shape_terms:
        return model.cov_beta
    if stages == 2 or design.size > 1:
        raise ValueError(f"the curve {curve.name} is fitted in one stage and without moderators.")
    return _linearised(model, effects, curve)[1]


def _linearised(model: MixedFit, effects: Effects, curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives J of the mean by all parameters, and `(J'V^-1 J)^-1` (Bates & Watts 1988)."""
    dose, reference = _doses(effects.table, "dose"), _doses(effects.table, "ref_dose")
    J = curve.gradient(dose, model.beta) - curve.gradient(reference, model.beta)
    cov = inverse_information(
        J,
        times_precision(model, J),
        f"the data do not tell the parameters of a {curve.name} curve apart",
        "use a simpler curve",
    )
    return J, cov
