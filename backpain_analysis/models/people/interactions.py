"""Whom exercise helps more: dose by moderator, within trials and across trials kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.engine.mixed import MixedFit
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.people.ancova import (
    TrialCurve,
    each_at_week,
    pool_curves,
    stage_one_table,
    stage_two_df,
    trial_curves,
)
from backpain_analysis.models.people.visits import CurveEffects, difference, dose_name_of, prepared
from backpain_analysis.models.results import WALD, check_choices, quantile, two_sided_p
from backpain_analysis.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WITHIN, ACROSS = "within trials", "across trials"


@dataclass(frozen=True, repr=False)
class ModeratorResult(CurveEffects):
    """How the effect of dose changes with a characteristic of participants.

    Coefficients of a term "dose" and a moderator "age" are "dose" (at the mean age of the trials),
    "dose:age within trials" and, where trials differ in it, "dose:age across trials".

    Attributes
    ----------
    moderator : str
    unit : str
        What one unit of the moderator is: its name, or its upper category.
    week : float
    centre : float
        Mean over trials of the moderator's trial means.
    trials : DataFrame
        Stage one: `trial_id, term, estimate, se, df, participants, moderator_mean`.
    left_out : DataFrame
        `trial_id, kind, reason` of trials that cannot contribute.
    across_note : str
        Why there is no across-trial interaction; empty where there is one.
    """

    moderator: str
    unit: str
    week: float
    centre: float
    trials: pd.DataFrame = field(repr=False)
    left_out: pd.DataFrame = field(repr=False)
    across_note: str
    df: pd.Series

    def predict(
        self, doses: ArrayLike | None = None, reference: float = 0.0, at: float = 0.0
    ) -> pd.DataFrame:
        """Effect of each dose for participants `at` units above the mean of their own trial.

        Only the within-trial interaction enters.

        Returns
        -------
        DataFrame
            `dose, estimate, se, ci_low, ci_high`.
        """
        terms = list(self.curve.terms)
        doses = [self.max_dose] if doses is None else doses
        rows = difference(self.curve, np.atleast_1d(doses).astype(float), reference)
        names = [*terms, *self._names(WITHIN)]
        return self._combined(np.hstack([rows, at * rows]), names).assign(
            dose=np.atleast_1d(doses).astype(float)
        )[["dose", "estimate", "se", "ci_low", "ci_high"]]

    def table(
        self, dose: float | None = None, *, reference: float = 0.0, per: float = 1.0
    ) -> pd.DataFrame:
        """Change in the effect of a dose with `per` units of the moderator, by source.

        Parameters
        ----------
        dose, reference : float
            By default the largest dose against none.
        per : float
            Units of the moderator, such as 10 years.

        Returns
        -------
        DataFrame
            `source, estimate, se, ci_low, ci_high, p_value, trials, free_of_ecological_bias`,
            a row each for within trials, across trials, and their difference (the ecological
            bias).
        """
        dose = self.max_dose if dose is None else dose
        basis = per * difference(self.curve, np.array([dose]), reference)
        within = self._names(WITHIN)
        parts = {WITHIN: (basis, within)}
        if not self.across_note:
            across = self._names(ACROSS)
            parts[ACROSS] = (basis, across)
            parts["across less within"] = (np.hstack([basis, -basis]), [*across, *within])
        frames = [
            self._combined(rows, names).assign(source=source)
            for source, (rows, names) in parts.items()
        ]
        found = pd.concat(frames, ignore_index=True)
        counts = self.trials.groupby("kind")["trial_id"].nunique()
        fewest = counts.min()
        trials = [counts.get(source, fewest) for source in found["source"]]
        columns = ["source", "estimate", "se", "ci_low", "ci_high", "p_value"]
        return found[columns].assign(
            trials=trials, free_of_ecological_bias=found["source"] == WITHIN
        )

    def step(self, per: float = 1.0) -> str:
        """What `per` units of the moderator are, in words."""
        if self.unit != self.moderator:
            return f"{self.unit} instead of the other category"
        word = "unit" if per == 1 else "units"
        return f"{per:g} {word} more of {self.moderator.replace('_', ' ')}"

    def sentence(self, dose: float | None = None, *, per: float = 1.0) -> str:
        """The within-trial interaction in words, and what the across-trial one is worth."""
        table = self.table(dose, per=per).set_index("source")
        dose = self.max_dose if dose is None else dose

        def change(source: str) -> str:
            row = table.loc[source]
            values = [number(row[name], 2) for name in ("estimate", "ci_low", "ci_high")]
            return f"{values[0]} ({self.level:.0%} CI {values[1]} to {values[2]})"

        text = (
            f"Between participants of the same trial, {self.step(per)} changes the effect of "
            f"{number(dose, 0)} {self.dose_name.replace('_', ' ')} by {change(WITHIN)}: "
            "this compares people within randomised trials and is free of ecological bias."
        )
        if self.across_note:
            return f"{text} There is no comparison across trials: {self.across_note}."
        return (
            f"{text} Between trials whose means differ as much, the effect differs by "
            f"{change(ACROSS)}: trials differ in other ways too, so this may be ecological bias "
            "and says nothing about single people."
        )

    def plot(self, **options: Any) -> Axes:
        """The trials' interactions and the pooled ones: see `figures.interactions`."""
        from backpain_analysis.figures.people_plots import interactions

        return interactions(self, **options)

    def _names(self, kind: str) -> list[str]:
        return [f"{term}:{self.unit} {kind}" for term in self.curve.terms]

    def _combined(self, rows: np.ndarray, names: list[str]) -> pd.DataFrame:
        """Combinations of coefficients; the smallest of their degrees of freedom counts."""
        cov = self.cov.loc[names, names].to_numpy()
        estimate = rows @ self.params[names].to_numpy()
        se = np.sqrt(np.einsum("ij,jk,ik->i", rows, cov, rows))
        used = np.abs(rows).sum(axis=0) > 0
        df = float(self.df[names][used].min()) if used.any() else np.inf
        half = quantile(self.level, df) * se
        columns = {"estimate": estimate, "se": se}
        columns |= {"ci_low": estimate - half, "ci_high": estimate + half}
        p = two_sided_p(estimate / np.where(se > 0, se, np.inf), df)
        return pd.DataFrame(columns | {"p_value": p})

    def _title(self) -> str:
        return f"{self.dose_name} by {self.moderator} at week {self.week:g}, {self.curve.name}"

    def _note(self) -> str:
        lost = f" No interaction across trials: {self.across_note}." * bool(self.across_note)
        return (
            f"{self._size()}{lost} The interaction within trials is free of ecological bias; "
            "the one across trials is not."
        )


def dose_by_moderator(
    data: Any,
    moderator: str,
    *,
    week: float,
    curve: str | Curve = "linear",
    adjust: Sequence[str] = ("baseline",),
    method: Literal["REML", "ML", "CE"] = "REML",
    test: Literal["t", "z"] = "t",
    level: float = 0.95,
    **columns: str,
) -> ModeratorResult:
    """Estimate how the effect of dose depends on a characteristic of participants.

    Within trials: in each trial the score at the week is regressed on the curve of dose, the
    moderator centred on the trial's mean, their products, baseline and covariates; the products'
    coefficients are pooled. Across trials: the trials' effects of dose are regressed on the trial
    means. The two are fitted apart, so that nothing of the second enters the first (Riley et al.
    2020, doi 10.1002/sim.8516; Fisher et al. 2017, doi 10.1136/bmj.j573); within a trial the
    coefficient of the products and the effect of dose in the regression without them are
    uncorrelated (the first rests on what the second leaves over), so no covariance is lost.

    Parameters
    ----------
    data : DataFrame, Participants or Imputations
        See `visits.as_visits` and `imputation.impute`.
    moderator : str
        A column with numbers, or with two categories ("baseline" is one of them).
    week : float
        Visit to analyse.
    curve : str or Curve
        One that is linear in its parameters.
    adjust : sequence of str
        Further columns of each trial's regression.
    method, test, level
        As in `ancova`.
    **columns : str
        Names of the columns, as of `visits.as_visits`.

    Returns
    -------
    ModeratorResult

    Raises
    ------
    ValueError
        For a moderator with more than two categories, or that varies within no trial that can
        estimate the curve; says why.

    Examples
    --------
    >>> people = bp.load_participants()
    >>> bp.dose_by_moderator(people, "age", week=12).params.round(3)
    dose                     -0.063
    dose:age within trials    0.000
    dose:age across trials   -0.003
    dtype: float64
    """
    check_choices(level, test=(test, WALD))
    covariates = [name for name in dict.fromkeys([*adjust, moderator]) if name != "baseline"]
    needed = list(dict.fromkeys([*adjust, moderator]))
    _, parts, excluded = each_at_week(data, covariates, week, needed, **columns)
    coded = [_coded(rows, moderator) for rows in parts]
    tables, unit = [table for table, _ in coded], coded[0][1]
    curve = prepared(curve, tables[0]["dose"].to_numpy())
    within, without = trial_curves(tables, curve, needed, by="centred")
    if not within:
        reasons = "; ".join(f"{trial}: {reason}" for trial, reason in without)
        raise CannotEstimate(f"no trial can tell {moderator} by dose apart", reasons)
    size = len(curve.terms)
    slopes = [_last(found, size) for found in within]
    main, unfitted = trial_curves(tables, curve, needed)
    means = tables[0].groupby("trial_id", sort=False)["moderator"].mean()
    means = means[[found.trial for found in main]]
    centre = float(means.mean())
    note = _why_not_across(means, float(tables[0]["moderator"].std()))
    inside = _pooled(slopes, curve.terms, None, method, test)
    effects = _pooled(main, curve.terms, None if note else means - centre, method, test)
    names = [*curve.terms, *(f"{term}:{unit} {WITHIN}" for term in curve.terms)]
    names += [f"{term}:{unit} {ACROSS}" for term in curve.terms if not note]
    beta, cov, df = _joined(effects, inside, size)
    kinds = {ACROSS: main, WITHIN: slopes}
    stage_one = [stage_one_table(found, curve.terms).assign(kind=k) for k, found in kinds.items()]
    lost = [(trial, WITHIN, reason) for trial, reason in without]
    lost += [(trial, ACROSS, reason) for trial, reason in unfitted]
    return ModeratorResult(
        params=pd.Series(beta, names),
        cov=pd.DataFrame(cov, names, names),
        df=pd.Series(df, names),
        level=level,
        llf=np.nan,
        aic=np.nan,
        bic=np.nan,
        method=method,
        curve=curve,
        dose_name=dose_name_of(data, columns),
        max_dose=float(tables[0]["dose"].max()),
        n_trials=len(main),
        n_participants=sum(found.participants for found in main),
        excluded=excluded,
        moderator=moderator,
        unit=unit,
        week=float(week),
        centre=centre,
        trials=pd.concat(stage_one, ignore_index=True).assign(
            moderator_mean=lambda t: t["trial_id"].map(means)
        ),
        left_out=pd.DataFrame(lost, columns=["trial_id", "kind", "reason"]),
        across_note=note,
    )


def _coded(rows: pd.DataFrame, moderator: str) -> tuple[pd.DataFrame, str]:
    """Rows with the numeric `moderator` and `centred` on the trial's mean; what a unit is."""
    values, unit = rows[moderator], moderator
    if not pd.api.types.is_numeric_dtype(values):
        levels = sorted(values.unique())
        if len(levels) != 2:
            raise ValueError(
                f"{moderator} has {len(levels)} categories ({', '.join(map(str, levels))}): a "
                "moderator is a number or has two categories."
            )
        values, unit = values == levels[1], f"{moderator} ({levels[1]})"
    values = values.astype(float)
    centred = values - values.groupby(rows["trial_id"]).transform("mean")
    return rows.assign(moderator=values, centred=centred), unit


def _last(found: TrialCurve, size: int) -> TrialCurve:
    """The coefficients of the products only."""
    return TrialCurve(
        found.trial,
        found.estimate[size:],
        found.cov[size:, size:],
        found.df,
        found.participants,
    )


def _why_not_across(means: pd.Series, sd: float) -> str:
    if len(means) < 3:
        return f"{len(means)} trial{'s' if len(means) > 1 else ''} only"
    if np.ptp(means) <= 1e-9 * sd:
        return "all trials have the same mean"
    return ""


def _pooled(
    curves: list[TrialCurve],
    terms: Sequence[str],
    means: pd.Series | None,
    method: str,
    test: str,
) -> tuple[MixedFit, float]:
    method = "CE" if len(curves) == 1 else method
    weights = None if means is None else np.column_stack([np.ones(len(means)), means])
    model = pool_curves(curves, terms, weights=weights, method=method)
    return model, stage_two_df(curves, len(model.beta), method, test)


def _joined(
    effects: tuple[MixedFit, float], inside: tuple[MixedFit, float], size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, covariance and degrees of freedom: effect, within, across."""
    (outer, outer_df), (inner, inner_df) = effects, inside
    beta = np.concatenate([outer.beta[:size], inner.beta, outer.beta[size:]])
    cov = np.zeros((len(beta), len(beta)))
    of_inner = np.arange(size, 2 * size)
    of_outer = np.setdiff1d(np.arange(len(beta)), of_inner)
    cov[np.ix_(of_outer, of_outer)] = outer.cov_beta
    cov[np.ix_(of_inner, of_inner)] = inner.cov_beta
    df = np.full(len(beta), outer_df)
    df[of_inner] = inner_df
    return beta, cov, df
