"""Responders among participants, by dose."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from backpain_analysis.effects.responders import Response
from backpain_analysis.errors import CannotEstimate, ConvergenceError
from backpain_analysis.models.pairwise.responders import NNT, number_needed
from backpain_analysis.models.people.ancova import at_week, scaled
from backpain_analysis.models.people.visits import PERSON, as_visits, dose_name_of
from backpain_analysis.models.results import TableResult, check_choices, quantile, two_sided_p
from backpain_analysis.words import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def mantel_haenszel(rows: pd.DataFrame) -> pd.DataFrame:
    """Differences of each group from the first, pooled over trials by Mantel and Haenszel.

    With a of n1 responders in the group and c of n0 in the first, N = n1 + n0, in each trial:
    `RD = sum[w (a/n1 - c/n0)] / sum w`, `w = n1 n0/N`, and variance
    `sum[(a b n0^3 + c d n1^3)/(n1 n0 N^2)] / (sum w)^2`. Source: Greenland & Robins 1985
    (Biometrics 41:55-68) as in Deeks & Higgins 2010, Statistical algorithms in Review Manager 5.

    Parameters
    ----------
    rows : DataFrame
        `trial_id, group` (categorical), `responds`.

    Returns
    -------
    DataFrame
        `group, estimate, se`; trials without one of the two groups do not enter.

    Raises
    ------
    ValueError
        For a group that no trial has beside the first.
    """
    counts = rows.groupby(["trial_id", "group"], observed=False)["responds"].agg(["sum", "size"])
    yes, n = counts["sum"].unstack("group"), counts["size"].unstack("group")
    first, *others = rows["group"].cat.categories
    found = []
    for group in others:
        both = (n[group] > 0) & (n[first] > 0)
        if not both.any():
            raise CannotEstimate(
                f"no trial has both groups {group} and {first}", "regroup the doses"
            )
        a, n1, c, n0 = (
            part[both].to_numpy(dtype=float)
            for part in (yes[group], n[group], yes[first], n[first])
        )
        weight = n1 * n0 / (n1 + n0)
        estimate = np.sum(weight * (a / n1 - c / n0)) / weight.sum()
        part = a * (n1 - a) * n0**3 + c * (n0 - c) * n1**3
        variance = np.sum(part / (n1 * n0 * (n1 + n0) ** 2)) / weight.sum() ** 2
        found.append((str(group), float(estimate), float(np.sqrt(variance))))
    return pd.DataFrame(found, columns=["group", "estimate", "se"])


def standardised_differences(rows: pd.DataFrame, adjust: Sequence[str]) -> pd.DataFrame:
    """Differences of each group from the first, standardised over all participants.

    A logistic regression of responding on group, trial and covariates predicts everybody's risk
    as if all had been in one group, then in the other; the difference of the means is the risk
    difference, its standard error by the delta method from the sandwich covariance of the
    coefficients. Source: Kleinman & Norton 2009 (doi 10.1111/j.1475-6773.2008.00900.x).

    Parameters
    ----------
    rows : DataFrame
        `trial_id, group` (categorical), `responds` and the covariates.
    adjust : sequence of str

    Returns
    -------
    DataFrame
        `group, estimate, se`.

    Raises
    ------
    ConvergenceError
        Where a group, trial or covariate predicts the response perfectly.
    """
    groups = list(rows["group"].cat.categories)
    names = [*(["trial_id"] if rows["trial_id"].nunique() > 1 else []), *adjust]
    nuisance = scaled(rows.reset_index(drop=True), names)
    indicators = (rows["group"].to_numpy()[:, None] == np.array(groups[1:], dtype=object)) * 1.0
    model = _logistic(rows["responds"].to_numpy(dtype=float), np.hstack([indicators, nuisance]))
    means, slopes = [], []
    for place in range(len(groups)):
        as_if = np.zeros_like(indicators)
        if place:
            as_if[:, place - 1] = 1.0
        X = np.hstack([as_if, nuisance])
        risk = 1 / (1 + np.exp(-X @ model.params))
        means.append(risk.mean())
        slopes.append((X * (risk * (1 - risk))[:, None]).mean(axis=0))
    differences, gradient = np.array(means[1:]) - means[0], np.array(slopes[1:]) - slopes[0]
    se = np.sqrt(np.einsum("ij,jk,ik->i", gradient, model.cov_params(), gradient))
    return pd.DataFrame({"group": [str(g) for g in groups[1:]], "estimate": differences, "se": se})


def _logistic(y: np.ndarray, X: np.ndarray) -> Any:
    failed = ConvergenceError(
        "the logistic regression has no maximum: in some group or trial everybody or nobody "
        "responds, or a covariate repeats another. Adjust for less (adjust=()), or use fewer "
        "groups."
    )
    if np.linalg.matrix_rank(X) < X.shape[1]:
        raise failed
    from statsmodels.genmod.families import Binomial  # costs half a second: only when asked for
    from statsmodels.genmod.generalized_linear_model import GLM
    from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in (ConvergenceWarning, PerfectSeparationWarning):
            warnings.simplefilter("error", kind)
        try:
            model = GLM(y, X, family=Binomial()).fit(cov_type="HC0")
        except (ConvergenceWarning, PerfectSeparationWarning):
            raise failed from None
    if not model.converged or np.abs(model.params).max() > 20:
        raise failed
    return model


MOST_GROUPS = 8

Missing = Literal["observed", "nonresponse"]


@dataclass(frozen=True, repr=False)
class Responders(TableResult):
    """Shares of responders by dose, and their differences from the lowest dose.

    Attributes
    ----------
    shares : DataFrame
        `group, dose, n, responders, share, ci_low, ci_high`; `dose` is the mean in the group,
        intervals are Wilson's.
    differences : DataFrame
        `group, dose, estimate, se, ci_low, ci_high, p_value, nnt`: risk differences from the first
        group, above zero where more respond, and the number needed to treat as text.
    response : Response
    week : float
    dose_name : str
    adjust : tuple of str
    missing : str
    excluded : DataFrame
        `trial_id, participant_id, reason`.
    n_trials, n_participants : int
    level : float
    """

    shares: pd.DataFrame
    differences: pd.DataFrame
    response: Response = field(repr=False)
    week: float
    dose_name: str
    adjust: tuple[str, ...]
    missing: str
    excluded: pd.DataFrame = field(repr=False)
    n_trials: int
    n_participants: int
    level: float

    def nnt(self, group: str) -> NNT:
        """The number needed to treat of a group against the first.

        Raises
        ------
        ValueError
            For an unknown group.
        """
        found = self.differences[self.differences["group"] == group]
        if found.empty:
            known = ", ".join(self.differences["group"])
            raise ValueError(f"no group {group!r}; there are {known}.")
        return _nnt(found.iloc[0], self.level)

    def summary(self) -> pd.DataFrame:
        """A row a group: its share, the risk difference and the number needed to treat."""
        differences = self.differences.rename(
            columns={"estimate": "difference", "ci_low": "low", "ci_high": "high"}
        )
        columns = ["group", "difference", "low", "high", "nnt"]
        return self.shares.drop(columns="dose").merge(differences[columns], "left", on="group")

    def plot(self, **options: Any) -> Axes:
        """Shares by dose: see `figures.responders`."""
        from backpain_analysis.figures.responder_plots import responders as draw

        return draw(self, **options)

    def _title(self) -> str:
        return f"Responders at week {self.week:g}: improvement of {self.response.text}"

    def _note(self) -> str:
        how = f"standardised over {', '.join(self.adjust)}" if self.adjust else "Mantel-Haenszel"
        unseen = "left out" if self.missing == "observed" else "counted as non-responders"
        return (
            f"{self.n_participants} participants of {plural(self.n_trials, 'trial')}; risk "
            f"differences within trials ({how}); participants without a score {unseen}."
        )


def _refuse_beyond_scale(mcid: float | None, visits: pd.DataFrame) -> None:
    """An error for an improvement that the scale of `Participants.visits` has no room for."""
    low, high = visits.attrs.get("scale", (-np.inf, np.inf))
    if mcid is not None and mcid >= high - low:
        raise ValueError(
            f"mcid = {mcid:g}: the scores go from {low:g} to {high:g}. Give it in points of this "
            f"scale ({mcid:g} of 100 is {mcid * (high - low) / 100:g}), or put the scores on 0-100 "
            "with visits(scale='0-100')."
        )


def responders(
    data: Any,
    *,
    week: float,
    mcid: float | None = None,
    percent: float | None = None,
    groups: Sequence[float] | None = None,
    adjust: Sequence[str] = (),
    missing: Missing = "observed",
    lower_is_better: bool = True,
    level: float = 0.95,
    **columns: str,
) -> Responders:
    """Share of participants who respond, by dose, with risk differences and NNTs.

    Parameters
    ----------
    data : DataFrame or Participants
        See `participants.visits.as_visits`.
    week : float
        Visit at which the response is judged, against the participant's baseline.
    mcid : float, optional
        A response is an improvement of at least so many points;
    percent : float, optional
        or of at least so many per cent of the baseline score.
    groups : sequence of float, optional
        Upper edges that cut the doses into groups, such as (0, 90, 180): none, above 0 to 90,
        above 90 to 180. By default each dose is a group.
    adjust : sequence of str
        Covariates, "baseline" among them, of a logistic regression with trial as a factor, from
        which risks are standardised (see `differences.standardised_differences`). Without any,
        differences are Mantel and Haenszel's over trials.
    missing : {"observed", "nonresponse"}
        Participants without a score at `week` are left out, or count as non-responders. Those
        without a baseline or dose are always left out.
    lower_is_better : bool
    level : float
    **columns : str
        Names of the columns, as of `as_visits`.

    Returns
    -------
    Responders

    Raises
    ------
    ValueError
        For unusable data, an unclear response, more than eight doses without `groups`, or a
        single group.

    Examples
    --------
    >>> people = bp.load_participants()
    >>> found = bp.responders(people, week=12, mcid=15)
    >>> found.shares[["group", "n", "responders"]]
      group    n  responders
    0     0  117          23
    1    60  123          35
    2   120  124          66
    3   240  114          84
    """
    check_choices(level, missing=(missing, ("observed", "nonresponse")))
    response = Response(mcid, percent, lower_is_better)
    covariates = tuple(name for name in adjust if name != "baseline")
    visits = as_visits(data, covariates=covariates, **columns)
    _refuse_beyond_scale(mcid, visits)
    needed = tuple(dict.fromkeys(("baseline", *adjust)))
    rows, excluded = at_week(visits, week, needed)
    rows = rows.assign(responds=response.is_met(rows["baseline"], rows["value"]))
    if missing == "nonresponse":
        rows, excluded = _with_nonresponse(visits, rows, excluded, needed)
    rows = rows.assign(group=_grouped(rows["dose"], groups))
    rows["group"] = rows["group"].cat.remove_unused_categories()
    if len(rows["group"].cat.categories) < 2:
        raise CannotEstimate(
            "all participants are in one group of dose", "there is nothing to compare"
        )
    shares = _shares(rows, level)
    found = standardised_differences(rows, adjust) if adjust else mantel_haenszel(rows)
    return Responders(
        shares=shares,
        differences=_with_intervals(found, shares, level),
        response=response,
        week=float(week),
        dose_name=dose_name_of(data, columns),
        adjust=tuple(adjust),
        missing=missing,
        excluded=excluded,
        n_trials=rows["trial_id"].nunique(),
        n_participants=len(rows),
        level=level,
    )


def _with_nonresponse(
    visits: pd.DataFrame, rows: pd.DataFrame, excluded: pd.DataFrame, needed: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Those who only lack the score join the others as non-responders."""
    people = visits.drop_duplicates(PERSON)[[*PERSON, "dose", *needed]]
    lost = excluded[PERSON].merge(people, on=PERSON).dropna()
    joined = pd.concat([rows, lost.assign(responds=False)], ignore_index=True)
    present = pd.MultiIndex.from_frame(joined[PERSON])
    still = ~pd.MultiIndex.from_frame(excluded[PERSON]).isin(present)
    return joined, excluded[still].reset_index(drop=True)


def _grouped(dose: pd.Series, edges: Sequence[float] | None) -> pd.Series:
    if edges is None:
        doses = np.unique(dose)
        if len(doses) > MOST_GROUPS:
            raise ValueError(
                f"{len(doses)} different doses: give groups=, their upper edges, such as "
                f"(0, {np.median(doses):g}, {doses[-1]:g})."
            )
        labels = [f"{value:g}" for value in doses]
        return pd.Series(pd.Categorical.from_codes(np.searchsorted(doses, dose), labels))
    edges = sorted(float(edge) for edge in edges)
    if dose.max() > edges[-1]:
        raise ValueError(f"groups end at {edges[-1]:g}, below the largest dose, {dose.max():g}.")
    names = [f"above {low:g} to {high:g}" for low, high in pairwise(edges)]
    names.insert(0, f"up to {edges[0]:g}" if edges[0] else "0")
    return pd.cut(dose, [-np.inf, *edges], labels=names)


def _shares(rows: pd.DataFrame, level: float) -> pd.DataFrame:
    """Counts and Wilson's intervals (Wilson 1927, doi 10.1080/01621459.1927.10502953)."""
    from statsmodels.stats.proportion import proportion_confint

    by = rows.groupby("group", observed=True)
    counts = by.agg(dose=("dose", "mean"), n=("responds", "size"), responders=("responds", "sum"))
    table = counts.reset_index().astype({"group": str})
    low, high = proportion_confint(table["responders"], table["n"], 1 - level, method="wilson")
    share = table["responders"] / table["n"]
    return table.assign(share=share, ci_low=low, ci_high=high)


def _with_intervals(found: pd.DataFrame, shares: pd.DataFrame, level: float) -> pd.DataFrame:
    """Normal intervals and tests of risk differences, cut at -1 and 1; and NNTs."""
    half = quantile(level, np.inf) * found["se"]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (found["estimate"] / found["se"]).to_numpy()
    table = found.merge(shares[["group", "dose"]], on="group").assign(
        ci_low=np.maximum(found["estimate"] - half, -1),
        ci_high=np.minimum(found["estimate"] + half, 1),
        p_value=two_sided_p(z, np.inf),
    )
    table["nnt"] = [_nnt(row, level).text for _, row in table.iterrows()]
    names = ["group", "dose", "estimate", "se", "ci_low", "ci_high", "p_value", "nnt"]
    return table[names]


def _nnt(row: pd.Series, level: float) -> NNT:
    return number_needed(row["estimate"], row["ci_low"], row["ci_high"], level)
