"""Relative risks by dose: contrasts with the covariance that a shared reference category gives.

Reports of cohorts and case-control studies print, by category of dose, a relative risk adjusted
for other things, its interval, cases and totals. The log relative risks of a study share their
reference category. Their covariance follows from the counts that would give the adjusted risks
crudely: by Greenland & Longnecker 1992 (doi 10.1093/oxfordjournals.aje.a116237) with the study's
margins kept, or by Hamling et al. 2008 (doi 10.1002/sim.3013) with the printed variances and two
ratios kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import scipy

from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.faults import as_frame, need_columns

Design = Literal["case-control", "person-time", "cumulative"]
Approach = Literal["greenland-longnecker", "hamling"]

DESIGNS = {
    "case-control": "case-control",
    "cc": "case-control",
    "person-time": "person-time",
    "ir": "person-time",
    "cumulative": "cumulative",
    "ci": "cumulative",
}
"""What a study may be called: cases and controls, cases over person-time, cases among people."""

RISK_MEASURES = ("RR", "OR", "HR", "IRR")


@dataclass(frozen=True)
class Categories:
    """One study: its categories, the reference first.

    Attributes
    ----------
    log_rr, variance : ndarray, shape (n,)
        Against the reference; zero for it.
    cases, total : ndarray, shape (n,)
        `total` is people (cases and controls; people at risk), or person-time.
    design : {"case-control", "person-time", "cumulative"}
    """

    log_rr: np.ndarray
    variance: np.ndarray
    cases: np.ndarray
    total: np.ndarray
    design: Design


def greenland_longnecker(study: Categories) -> tuple[np.ndarray, np.ndarray]:
    """Cases that give the adjusted risks with the study's margins, and the covariance.

    Person-time and people at risk: cases in proportion to `total * RR`. Case-control: the odds of
    the reference that keep all cases, each category's size kept. Correlations are those of the
    crude log risks of these counts; the printed variances stay.

    Returns
    -------
    cases : ndarray, shape (n,)
    covariance : ndarray, shape (n - 1, n - 1)

    Raises
    ------
    CannotEstimate
        If no such counts exist: more cases than people in a category.
    """
    total, all_cases = study.total, study.cases.sum()
    if study.design == "case-control":
        cases = _cases_at_odds(study.log_rr, total, all_cases)
    else:
        share = total * np.exp(study.log_rr)
        cases = all_cases * share / share.sum()
    own = 1 / cases
    if study.design == "case-control":
        own = own + 1 / (total - cases)
    elif study.design == "cumulative":
        own = own - 1 / total
    if (own <= 0).any():
        raise CannotEstimate("the adjusted risks ask for more cases than people in a category")
    crude = own[1:] + own[0]
    scale = np.sqrt(study.variance[1:] / crude)
    covariance = own[0] * np.outer(scale, scale)
    np.fill_diagonal(covariance, study.variance[1:])
    return cases, covariance


def _cases_at_odds(log_or: np.ndarray, total: np.ndarray, all_cases: float) -> np.ndarray:
    def surplus(log_odds: float) -> float:
        return float(np.sum(total * scipy.special.expit(log_odds + log_or)) - all_cases)

    found = scipy.optimize.brentq(surplus, -50, 50, xtol=1e-14, rtol=1e-14)
    return total * scipy.special.expit(found + log_or)


def hamling(study: Categories) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts with the printed risks and variances, and the two ratios of the study's own counts.

    The ratios are the reference's share of those without the outcome (or of people, or of
    person-time), and theirs to the cases. With the reference's counts chosen, risk and variance
    give those of every other category; the two ratios choose the reference's.

    Returns
    -------
    cases, total : ndarray, shape (n,)
    covariance : ndarray, shape (n - 1, n - 1)
        Off the diagonal the variance that the reference adds to each.

    Raises
    ------
    CannotEstimate
        If no counts give these risks, variances and ratios.
    """
    rr, variance = np.exp(study.log_rr[1:]), study.variance[1:]
    controls = study.design == "case-control"
    base = study.total - study.cases if controls else study.total
    share, ratio = base[0] / base.sum(), base.sum() / study.cases.sum()

    def counts(reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cases and bases of all categories from those of the reference."""
        first, below = np.exp(reference)
        if study.design == "case-control":
            own = variance - 1 / first - 1 / below
            cases, others = (1 + first / below * rr) / own, (1 + below / (first * rr)) / own
        elif study.design == "cumulative":
            cases = (1 - first / below * rr) / (variance - 1 / first + 1 / below)
            others = cases * below / (first * rr)
        else:
            cases = 1 / (variance - 1 / first)
            others = cases * below / (first * rr)
        return np.concatenate([[first], cases]), np.concatenate([[below], others])

    def misses(reference: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            cases, others = counts(reference)
            found = np.log([others[0] / others.sum(), others.sum() / cases.sum()])
        return np.where(np.isfinite(found), found - np.log([share, ratio]), 1e3)

    reference = _reference_counts(study, base, misses)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        cases, others = counts(reference)
    if not np.abs(misses(reference)).max() < 1e-8 or (cases <= 0).any() or (others <= 0).any():
        raise CannotEstimate("no counts give these risks, variances and ratios")
    shared = 1 / cases[0]
    if controls:
        shared += 1 / others[0]
    elif study.design == "cumulative":
        shared -= 1 / others[0]
    covariance = np.full((len(rr), len(rr)), shared)
    np.fill_diagonal(covariance, variance)
    return cases, others + cases if controls else others, covariance


def _reference_counts(
    study: Categories, base: np.ndarray, misses: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Logarithms of the reference's cases and base, from several starts."""
    best, least = np.log([study.cases[0], base[0]]), np.inf
    for size in (1.0, 0.8, 0.6, 1.5, 0.4, 3.0, 10.0):
        start = np.log([size * study.cases[0], size * base[0]])
        found = scipy.optimize.root(misses, start, tol=1e-14)
        miss = float(np.abs(misses(found.x)).max())
        if miss < least:
            best, least = found.x, miss
        if least < 1e-11:
            break
    return best


def relative_risks(
    data: pd.DataFrame,
    *,
    trial: str = "trial_id",
    dose: str = "dose",
    measure: Literal["RR", "OR", "HR", "IRR"] = "RR",
    cases: str = "cases",
    n: str = "n",
    person_time: str | None = None,
    type: str | None = None,
    approach: Approach = "greenland-longnecker",
    open_width: float = 1.0,
    outcome: str = "outcome",
) -> Effects:
    """Log relative risks of each category of dose against its study's reference category.

    The risks are those of the columns `log_rr` and `se`, or `rr`, `ci_low` and `ci_high` (95%).
    The reference is the row of a study whose risk is one and has no interval. Without these
    columns the risks are the crude ones of the counts, the reference is the first row of a study,
    and the covariance is that of the counts.

    Parameters
    ----------
    data : DataFrame
        A row a category; further columns are kept.
    trial, cases, n : str
        Columns: study, cases, people (cases and controls, people at risk; person-time in studies
        of that type).
    dose : str
        Column of the dose of a category; without it `dose_low` and `dose_high` give its bounds.
        A closed category stands at its middle. One without an upper bound reaches
        `open_width` times the width of the category below it beyond its lower bound, and stands at
        the middle of that; one without a lower bound begins at zero. That is an assumption: try
        an `open_width` of 0.5 and 2 as well.
    measure : {"RR", "OR", "HR", "IRR"}
    person_time : str, optional
        Column of person-time instead of `n`.
    type : str, optional
        Column of each study's type, or one type for all: "case-control" ("cc"), "person-time"
        ("ir") or "cumulative" ("ci"; people at risk). By default "person-time" where
        `person_time` is given, "case-control" for "OR", else "cumulative".
    approach : {"greenland-longnecker", "hamling"}
        How the covariance of adjusted risks is found.
    open_width : float
    outcome : str

    Returns
    -------
    Effects
        With `dose` and `ref_dose`.

    Raises
    ------
    ValueError
        For missing columns, unknown types, missing or impossible numbers; every study at fault is
        named.
    CannotEstimate
        If no counts give a study's adjusted risks.

    Examples
    --------
    >>> table = pd.DataFrame({
    ...     "trial_id": "a", "dose": [0, 1, 3], "cases": [50, 40, 20], "n": [500, 500, 400],
    ... })
    >>> relative_risks(table).table["yi"].round(3).tolist()
    [-0.223, -0.693]
    """
    if measure not in RISK_MEASURES or approach not in ("greenland-longnecker", "hamling"):
        raise ValueError(
            f"measure {measure!r} must be one of {', '.join(RISK_MEASURES)}, approach "
            f"{approach!r} 'greenland-longnecker' or 'hamling'."
        )
    data, total = as_frame(data), person_time or n
    bounds = dose not in data and {"dose_low", "dose_high"} <= {*data}
    wanted = (trial, cases, total, *(() if bounds else (dose,)))
    need_columns(wanted, data)
    default = "case-control" if measure == "OR" else "cumulative"
    kinds = _types(data, type or ("person-time" if person_time else default))
    rows, covariance, faults = [], [], []
    for name, part in data.assign(_kind=kinds).groupby(trial, sort=False):
        try:
            own = _ordered(part)
            study = _study(own, cases, total)
        except ValueError as fault:
            faults.append(f"study {name!r}: {fault}")
            continue
        doses = _middles(own, open_width) if bounds else own[dose].to_numpy(dtype=float)
        if not (doses >= 0).all():
            faults.append(f"study {name!r}: a dose is missing or negative.")
            continue
        try:
            covariance.append(_covariance(study, own, approach))
        except CannotEstimate as fault:
            advice = "leave the study out, or use the other approach"
            raise CannotEstimate(f"study {name!r}: {fault.reason}", advice) from fault
        rows.append(_contrasts(own, study, doses, str(name), covariance[-1]))
    if faults:
        raise ValueError("\n".join(faults))
    excluded = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
    table = pd.concat(rows, ignore_index=True)
    return Effects(table, tuple(covariance), excluded, outcome, measure)


def _types(data: pd.DataFrame, type: str) -> pd.Series:
    words = data[type] if type in data else pd.Series(type, data.index)
    unknown = sorted({str(word) for word in words if word not in DESIGNS})
    if unknown:
        raise ValueError(
            f"type {', '.join(map(repr, unknown))}: use a column, or one of {', '.join(DESIGNS)}."
        )
    return words.map(DESIGNS)


def _ordered(part: pd.DataFrame) -> pd.DataFrame:
    """The categories with `log_rr` and `se`, the reference first."""
    if len(part) < 2:
        raise ValueError("one category only: give the reference category too.")
    if "log_rr" not in part and "rr" not in part:
        return part
    if "log_rr" not in part:
        low, high = (part[name].to_numpy(dtype=float) for name in ("ci_low", "ci_high"))
        width = 2 * scipy.special.ndtri(0.975)
        part = part.assign(log_rr=np.log(part["rr"].astype(float)))
        part["se"] = np.log(high / low) / width
    se = part["se"].to_numpy(dtype=float)
    reference = (part["log_rr"] == 0) & ~(se > 0)
    if reference.sum() != 1:
        raise ValueError("the reference must be the one category of risk 1 without an interval.")
    if not ((se > 0) | reference).all() or part["log_rr"].isna().any():
        raise ValueError("a category has no risk, or no interval.")
    order = np.argsort(~reference.to_numpy(), kind="stable")
    return part.iloc[order]


def _study(own: pd.DataFrame, cases: str, total: str) -> Categories:
    events, people = (own[name].to_numpy(dtype=float) for name in (cases, total))
    design: Design = own["_kind"].iloc[0]
    if not ((events > 0).all() and (people > 0).all()):
        raise ValueError("cases and totals must be known and above zero in every category.")
    if design != "person-time" and (events >= people).any():
        raise ValueError("a category has more cases than people.")
    if "log_rr" in own:
        log_rr = own["log_rr"].to_numpy(dtype=float)
        variance = np.nan_to_num(own["se"].to_numpy(dtype=float)) ** 2
        return Categories(log_rr, variance, events, people, design)
    risk = events / (people - events if design == "case-control" else people)
    own_variance = 1 / events
    if design != "person-time":
        rest = people - events if design == "case-control" else people
        own_variance = own_variance + (1 if design == "case-control" else -1) / rest
    variance = own_variance + own_variance[0]
    variance[0] = 0.0
    return Categories(np.log(risk / risk[0]), variance, events, people, design)


def _covariance(study: Categories, own: pd.DataFrame, approach: Approach) -> np.ndarray:
    if approach == "hamling" and "log_rr" in own:
        return hamling(study)[2]
    return greenland_longnecker(study)[1]


def _middles(own: pd.DataFrame, open_width: float) -> np.ndarray:
    """The dose each category stands at, from its bounds."""
    low = own["dose_low"].astype(float).fillna(0.0).to_numpy()
    high = own["dose_high"].to_numpy(dtype=float, copy=True)
    for place in np.flatnonzero(np.isnan(high)):
        below = (low < low[place]) & np.isfinite(high)
        if below.any():
            nearest = np.flatnonzero(below)[np.argmax(low[below])]
            high[place] = low[place] + open_width * (high[nearest] - low[nearest])
    return (low + high) / 2


def _contrasts(
    own: pd.DataFrame, study: Categories, doses: np.ndarray, name: str, V: np.ndarray
) -> pd.DataFrame:
    people = np.full(len(own), np.nan) if study.design == "person-time" else study.total
    columns = {column: own[column].array[1:] for column in own if column != "_kind"}
    columns |= {
        "trial_id": name,
        "arm_id": [f"{name}:{place}" for place in range(1, len(own))],
        "ref_arm_id": f"{name}:0",
        "label": name,
        "yi": study.log_rr[1:],
        "vi": np.diag(V),
        "n_arm": people[1:],
        "n_ref": people[0],
        "dose": doses[1:],
        "ref_dose": doses[0],
    }
    return pd.DataFrame(columns)
