"""Tables of participants' own data, of time courses, of what lasts and of responders."""

from __future__ import annotations

import math

import pandas as pd

from backpain_analysis.answers.sentences import not_without
from backpain_analysis.answers.tables.effects import MISSING, interval_text, p_value, rounded
from backpain_analysis.answers.telling import named
from backpain_analysis.display import Table, Told, table
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.pairwise.responders import TrialResponders
from backpain_analysis.models.people.responders import Responders
from backpain_analysis.models.time.course import TimeCourseResult
from backpain_analysis.models.time.durability import Durability
from backpain_analysis.words import effect_digits, number, readable


def models(found: pd.DataFrame, *, title: str) -> Table:
    """What `participants.report.side_by_side` found, a row a model."""
    rows = [
        {
            "Model": row.model,
            "Dropout taken as": row.assumes,
            "Difference [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high)
            if math.isfinite(row.estimate)
            else MISSING,
            "Note": row.note or MISSING,
        }
        for row in found.itertuples()
    ]
    return table(rows, title=title)


def interactions(found: pd.DataFrame, *, title: str) -> Table:
    """What `participants.report.moderators` found, within and across trials apart."""
    rows = [
        {
            "Moderator": readable(row.moderator),
            "Step": row.per if isinstance(row.per, str) else MISSING,
            "Compared": row.source if isinstance(row.source, str) else MISSING,
            "Change of the effect [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high),
            "P": p_value(row.p_value),
            "Note": row.note or MISSING,
        }
        for row in found.itertuples()
    ]
    return table(rows, title=title)


def truth(found: pd.DataFrame | None, *, title: str) -> Table | None:
    """What was put in and what was found; nothing for data without a truth."""
    if found is None:
        return None
    rows = [
        {
            "Week": f"{row.week:g}",
            "Minutes a week": f"{row.dose:g}",
            "Put in": rounded(row.truth),
            "Found [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high),
            "Held": "yes" if row.inside else "no",
        }
        for row in found.itertuples()
    ]
    return table(rows, title=title)


def time_effects(result: TimeCourseResult, *, title: str) -> Table:
    """The effect at usual follow-ups, with its intervals."""
    measure = result.effects.measure
    digits = effect_digits(measure)
    rows = [
        {
            "Weeks": row.weeks,
            f"{measure} [{result.level:.0%} CI]": interval_text(
                row.estimate, row.ci_low, row.ci_high, digits
            ),
            "Prediction interval": _between(row.pi_low, row.pi_high, digits),
        }
        for row in result.effect().itertuples()
    ]
    return table(rows, title=title)


def courses(
    found: pd.DataFrame, trials: Evidence, *, at: float, measure: str = "MD", title: str
) -> Table:
    """What `models.time.compare_courses` found in these trials, a row a choice.

    Weeks that rest on one trial are not told, but its name is.
    """
    digits = effect_digits(measure)
    rows = []
    for row in found.itertuples():
        half, limits = rounded(row.half_time), weeks_between(row.half_low, row.half_high)
        note = row.note
        if row.rests_on:
            half, limits, note = "not told", MISSING, named(not_without(row.rests_on), trials)[0]
        effect = interval_text(row.estimate, row.ci_low, row.ci_high, digits)
        rows.append(
            {
                "Choice": row.choice[:1].upper() + row.choice[1:],
                "AIC": rounded(row.aic),
                f"{measure} at week {at:g} [95% CI]": effect,
                "Weeks to half of the effect": half,
                "95% CI": limits,
                "Note": note,
            }
        )
    return table(rows, title=title)


def lasting(found: Durability, *, measure: str = "MD", title: str) -> Table:
    """The effect at the end of the programme and later, and its change a month."""
    digits = effect_digits(measure)
    heading = f"{measure} [{found.level:.0%} CI]"
    end = found.at_end.iloc[0]
    rows = [{"": "At the end of the programme", heading: _cell(end, digits), "Retained": "100%"}]
    for row in found.retained.to_dict("records"):
        share = MISSING
        if math.isfinite(row["retained"]):
            low, high = (number(100 * row[name], 0) for name in ("retained_low", "retained_high"))
            text = f"{number(100 * row['retained'], 0)}% [{low}, {high}]"
            limits = {"low": row["retained_low"], "high": row["retained_high"]}
            share = Told(text, estimate=row["retained"], **limits)
        text = interval_text(row["effect"], row["ci_low"], row["ci_high"], digits)
        when = f"{number(row['weeks'], 0)} weeks later"
        rows.append({"": when, heading: text, "Retained": share, "Note": row["note"]})
    for kind, row in found.change.iterrows():
        rows.append({"": f"Change a month, {kind}", heading: _cell(row, digits + 1)})
    return table(pd.DataFrame(rows, dtype=object).fillna(""), title=title)


def arm_responders(result: TrialResponders, *, title: str) -> Table:
    """Shares of responders with and without exercise, a row a contrast, and their mean."""
    rows = [
        {
            "Trial": row.label,
            "Without exercise": _percent(row.ref_share),
            "With exercise": _percent(row.share),
            "Participants": row.n_arm + row.n_ref,
        }
        for row in result.effects.table.itertuples()
    ]
    difference = 100 * result.summary().loc["difference", ["estimate", "ci_low", "ci_high"]]
    low, high = number(difference["ci_low"], 0), number(difference["ci_high"], 0)
    note = (
        f"All trials: {number(difference['estimate'], 0)} percentage points more with exercise "
        f"[{low}, {high}]. What is usual without exercise differs between acute and chronic pain, "
        "so no mean is given."
    )
    return table(rows, title=title, note=note)


def dose_responders(result: Responders, *, title: str) -> Table:
    """Shares of responders by dose, with risk differences and NNTs."""
    level = f"{result.level:.0%} CI"
    rows = []
    for row in result.summary().to_dict("records"):
        known = math.isfinite(row["difference"])
        share, low, high = (100 * row[name] for name in ("share", "ci_low", "ci_high"))
        gain, least, most = (100 * row[name] for name in ("difference", "low", "high"))
        rows.append(
            {
                "Dose": row["group"],
                "Responders": f"{row['responders']:.0f} of {row['n']:.0f}",
                f"Share, % [{level}]": interval_text(share, low, high, 0),
                f"Difference, points [{level}]": interval_text(gain, least, most, 0),
                "Number needed to treat": row["nnt"] if known else MISSING,
            }
        )
    return table(rows, title=title)


def weeks_between(low: float, high: float) -> str:
    """An interval of weeks; one-sided where the data set one limit only."""
    if math.isnan(low) or (low == 0 and math.isinf(high)):
        return MISSING
    text = f"{number(low)} to {number(high)}"
    if low == 0:
        text = f"at most {number(high)}"
    elif math.isinf(high):
        text = f"at least {number(low)}"
    return Told(text, low=low, high=high)


def _cell(row: pd.Series, digits: int) -> str:
    return interval_text(row["estimate"], row["ci_low"], row["ci_high"], digits)


def _between(low: float, high: float, digits: int) -> str:
    return Told(f"[{number(low, digits)}, {number(high, digits)}]", low=low, high=high)


def _percent(share: float) -> str:
    return Told(f"{number(100 * min(share, 1.0), 0)}%", value=share)
