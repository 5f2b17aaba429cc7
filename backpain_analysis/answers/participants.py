"""What a report on participants says and shows: the answer, models side by side, the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.datasets.participants import load_truth
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.participants import Participants
from backpain_analysis.models.people.ancova import TwoStageResult, ancova
from backpain_analysis.models.people.clda import clda
from backpain_analysis.models.people.gee import gee
from backpain_analysis.models.people.imputation import Imputations
from backpain_analysis.models.people.interactions import dose_by_moderator
from backpain_analysis.models.people.longitudinal import longitudinal
from backpain_analysis.words import number, p_text, plural

STEPS = {"age": 10.0, "baseline": 10.0, "pain_duration_months": 12.0, "sitting_hours": 1.0}
"""Units of a moderator that a coefficient is read in."""

MODERATORS = ("age", "baseline", "pain_duration_months", "sitting_hours", "sex", "smoker")


def answer(result: TwoStageResult, dose: float, week: float, *, synthetic: bool) -> str:
    """The effect of a dose at a week in a sentence; says so where nobody in the data exists."""
    row = result.predict([dose]).iloc[0]
    clear = row["ci_low"] * row["ci_high"] > 0
    verb = "differs" if clear else "does not clearly differ"
    people = f"{number(result.n_participants, 0)} participants"
    text = (
        f"In {plural(result.n_trials, 'trial')} ({people}), the score at week {week:g} {verb} "
        f"between {number(dose, 0)} minutes a week and none, adjusted for baseline: "
        f"{number(row['estimate'])} points (95% CI {number(row['ci_low'])} to "
        f"{number(row['ci_high'])})."
    )
    return f"Synthetic data: nobody in them exists. {text}" if synthetic else text


def side_by_side(
    data: pd.DataFrame, dose: float, week: float, curve: str, *, imputed: Imputations
) -> pd.DataFrame:
    """The same effect by four models and with imputed data.

    Parameters
    ----------
    data : DataFrame
        From `Participants.visits`.
    dose, week : float
    curve : str
    imputed : Imputations
        Of these data.

    Returns
    -------
    DataFrame
        `model, assumes, estimate, se, ci_low, ci_high, note`; missing with a note where a model
        cannot be fitted.
    """
    models = {
        "ANCOVA a trial, then pooled": (
            "complete cases at the visit",
            lambda: ancova(data, week=week, curve=curve).predict([dose]),
        ),
        "the same, imputed": (
            "missing at random",
            lambda: ancova(imputed, week=week, curve=curve).predict([dose]),
        ),
        "one mixed model, slopes": (
            "missing at random; a curve in time",
            lambda: longitudinal(data, curve=curve, time="log").predict([dose], [week]),
        ),
        "constrained longitudinal": (
            "missing at random; free means",
            lambda: clda(data, curve=curve).predict([dose], week=week),
        ),
        "GEE, marginal": (
            "missing completely at random",
            lambda: gee(data, curve=curve).predict([dose], week=week),
        ),
    }
    rows = []
    for name, (assumes, run) in models.items():
        row = {"model": name, "assumes": assumes, "note": ""}
        try:
            found = run().iloc[0]
            row |= {key: found[key] for key in ("estimate", "se", "ci_low", "ci_high")}
        except CannotEstimate as fault:
            row["note"] = fault.reason
        rows.append(row)
    columns = ["model", "assumes", "estimate", "se", "ci_low", "ci_high", "note"]
    return pd.DataFrame(rows, columns=columns)


def moderators(visits: pd.DataFrame, dose: float, week: float, curve: str) -> pd.DataFrame:
    """How the effect of a dose changes with each moderator, within and across trials.

    Returns
    -------
    DataFrame
        `moderator, per, source, estimate, ci_low, ci_high, p_value, note`.
    """
    if "smoking" in visits:
        known = visits["smoking"].map({"current": "yes", "former": "no", "never": "no"})
        visits = visits.assign(smoker=known)
    rows = []
    for name in MODERATORS:
        if name not in visits or visits[name].notna().sum() == 0:
            rows.append({"moderator": name, "note": "not recorded"})
            continue
        per = STEPS.get(name, 1.0)
        usable = visits.dropna(subset=[name])
        try:
            found = dose_by_moderator(usable, name, week=week, curve=curve)
        except CannotEstimate as fault:
            rows.append({"moderator": name, "note": fault.reason})
            continue
        table = found.table(dose, per=per)
        rows += [
            {"moderator": name, "per": found.step(per), "note": "", **row}
            for row in table.to_dict("records")
            if row["source"] != "across less within"
        ]
    columns = ["moderator", "per", "source", "estimate", "ci_low", "ci_high", "p_value", "note"]
    return pd.DataFrame(rows, columns=columns)


def truth_of(data: Participants, folder: str, weeks: list[float]) -> pd.DataFrame | None:
    """What was put into synthetic data, beside what constrained longitudinal analysis finds.

    Returns
    -------
    DataFrame or None
        `week, dose, truth, estimate, ci_low, ci_high, inside`; None for data without a truth.
    """
    home = Path(folder) if folder else data_dir() / "participants"
    if not data.synthetic or not (home / "truth.json").is_file():
        return None
    truth, _ = load_truth(home)
    doses = sorted(set(truth.doses) - {0.0})
    result = clda(data, curve="quadratic")
    frames = [result.predict(doses, week=week).assign(week=week) for week in weeks]
    found = pd.concat(frames, ignore_index=True)
    expected = [float(truth.effect(row.dose, row.week)) for row in found.itertuples()]
    table = found[["week", "dose", "estimate", "ci_low", "ci_high"]].copy()
    table.insert(2, "truth", expected)
    inside = (table["ci_low"] <= table["truth"]) & (table["truth"] <= table["ci_high"])
    return table.assign(inside=inside)


def what_they_are(data: Participants) -> str:
    """Whether these participants exist."""
    if not data.synthetic:
        return f"These are the participants of {data.name}."
    return (
        "These participants are made up: they say nothing of back pain, but show that the methods "
        "find what was put in. Put the folder of your own trial or clinic into `participants`."
    )


def truth_sentence(table: pd.DataFrame | None) -> str:
    """How much of the truth the intervals hold."""
    if table is None:
        return "What is true of real participants nobody knows: this check needs made-up ones."
    held, size = int(table["inside"].sum()), len(table)
    return (
        f"{held} of {size} intervals hold the value that was put in; they share participants, so "
        "they hold it, or miss it, together."
    )


def retention_sentence(visits: pd.DataFrame, week: float) -> str:
    """How many are left at a week, and whether those lost had more pain before."""
    first = visits[visits["week"] <= 0].drop_duplicates(["trial_id", "participant_id"])
    later = visits[(visits["week"] == week) & visits["value"].notna()]
    keys = ["trial_id", "participant_id"]
    stayed = first.merge(later[keys].drop_duplicates(), on=keys, how="left", indicator=True)
    inside = stayed["_merge"] == "both"
    lost = stayed.loc[~inside, "value"].mean()
    kept = stayed.loc[inside, "value"].mean()
    share = 1 - inside.mean()
    if not np.isfinite(lost):
        return f"Every participant has a score at week {week:g}."
    return (
        f"At week {week:g}, {share:.0%} of {number(len(stayed), 0)} participants have no score; at "
        f"baseline they averaged {number(lost)} points, those who stayed {number(kept)}."
    )


def interactions_sentence(table: pd.DataFrame) -> str:
    """How many moderators change the effect, within trials."""
    within = table[table["source"] == "within trials"]
    if within.empty:
        return "No moderator could be asked."
    best = within.sort_values("p_value").iloc[0]
    clear = int((within["p_value"] < 0.05).sum())
    return (
        f"Of {len(within)} moderators asked within trials, {clear} have P < 0.05 taken alone "
        f"(smallest: {best['moderator'].replace('_', ' ')}, {p_text(best['p_value'])})."
    )
