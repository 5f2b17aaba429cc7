"""Networks of events: who responds, is lost, or is harmed, as far as reports count them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.answers.network import Names, called, effect_words
from backpain_analysis.effects.choice import treatment_of
from backpain_analysis.effects.treatments import lumping
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.network.data import network_components
from backpain_analysis.models.network.network import NetworkResult, network
from backpain_analysis.words import number, plural

WORDS = {
    "responders": "responders",
    "dropout": "people lost",
    "adverse_events": "people with adverse events",
}
"""What is counted, as a sentence calls it."""

ARMS = ["trial_id", "treatment", "events", "n"]


def counted_arms(evidence: Evidence, outcome: str) -> pd.DataFrame:
    """Arms whose report counts the people with an event, at its first count.

    Parameters
    ----------
    evidence : Evidence
    outcome : str
        "responders", "dropout", "adverse_events", or another that is counted.

    Returns
    -------
    DataFrame
        `trial_id, treatment, events, n`; of parallel trials that count it in two arms or more.
    """
    table = evidence.outcomes
    rows = table[(table["outcome"] == outcome) & table["events"].notna() & table["n"].notna()]
    rows = rows.sort_values("timepoint_weeks", kind="stable").drop_duplicates(
        ["trial_id", "arm_id"]
    )
    return _arms(evidence, rows[["trial_id", "arm_id", "events", "n"]])


def lost_arms(evidence: Evidence) -> pd.DataFrame:
    """Arms with the people randomised and those not measured after treatment.

    Of an arm with several outcomes the one most people were measured in counts.

    Returns
    -------
    DataFrame
        As `counted_arms`; `events` are those not measured.
    """
    table = evidence.outcomes
    post = table[(table["timepoint_label"] == "post") & table["n"].notna()]
    measured = post.groupby(["trial_id", "arm_id"])["n"].max().rename("measured").reset_index()
    rows = evidence.arms[["trial_id", "arm_id", "n_randomised"]].merge(measured)
    rows = rows[rows["n_randomised"].notna() & (rows["measured"] <= rows["n_randomised"])]
    events = rows["n_randomised"].astype(float) - rows["measured"].astype(float)
    rows = rows.assign(events=events, n=rows["n_randomised"])
    return _arms(evidence, rows[["trial_id", "arm_id", "events", "n"]])


def _arms(evidence: Evidence, rows: pd.DataFrame) -> pd.DataFrame:
    arms = evidence.arms.set_index(["trial_id", "arm_id"])
    parallel = evidence.trials.loc[evidence.trials["design"] == "parallel", "trial_id"]
    rows = rows[rows["trial_id"].isin(parallel)].reset_index(drop=True)
    given = arms.loc[list(zip(rows["trial_id"], rows["arm_id"], strict=True))]
    rows["treatment"] = [treatment_of(arm) for arm in given.to_dict("records")]
    several = rows.groupby("trial_id")["arm_id"].transform("nunique") > 1
    return rows.loc[several, ARMS].astype({"events": float, "n": float}).reset_index(drop=True)


def events(
    evidence: Evidence,
    outcome: str,
    *,
    lump: Mapping[str, str] | None = None,
    reference: str = "inactive",
    measure: str = "OR",
    names: Names = None,
) -> Answer:
    """What the trials' events say of treatments, as a network.

    By Mantel and Haenszel, which needs no correction of empty cells, and by inverse variance with
    heterogeneity, side by side. Where no report counts people lost, they are those randomised but
    not measured after treatment.

    Parameters
    ----------
    evidence : Evidence
    outcome : {"responders", "dropout", "adverse_events"}
    lump, reference
        Of the network.
    measure : {"OR", "RR", "RD"}
    names : mapping, optional
        Treatments as a reader calls them.

    Returns
    -------
    Answer
        Table: `treatment, trials, events, people`, `estimate, ci_low, ci_high` by Mantel-Haenszel,
        and the same with `iv_` before them by inverse variance, on the scale of the model; empty
        where the reports carry no network.

    Raises
    ------
    ValueError
        For an outcome that is not one of events.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> print(events(evidence, "responders"))
    No report that was read counts responders in two arms or more: they make no network.
    """
    if outcome not in WORDS:
        raise ValueError(f"events are of {', '.join(map(repr, WORDS))}: not {outcome!r}.")
    lump = lumping("types") if lump is None else lump
    arms, told = counted_arms(evidence, outcome), "count"
    if arms.empty and outcome == "dropout":
        arms, told = lost_arms(evidence), "lost"
    if arms.empty:
        return Answer(
            f"No report that was read counts {WORDS[outcome]} in two arms or more: they make no "
            "network.",
            pd.DataFrame(),
        )
    text = _counted(arms, outcome, told, measure)
    try:
        found = _networks(arms, lump, reference, measure)
    except CannotEstimate as fault:
        return Answer(f"{text} They make no network: {fault.reason}.", pd.DataFrame())
    return Answer(f"{text} {_compared(found, outcome, names)}", _table(found))


def _counted(arms: pd.DataFrame, outcome: str, told: str, measure: str) -> str:
    trials, people = arms["trial_id"].nunique(), arms["n"].sum()
    some, words = arms["events"].sum(), WORDS[outcome]
    one = trials == 1
    share = f"{number(some, 0)} of {number(people, 0)} ({number(100 * some / people, 0)}%)"
    if told == "lost":
        text = (
            f"No report counts dropout, but {plural(trials, 'trial')} print{'s' * one} for each "
            "arm how many people were randomised and how many were measured after treatment: "
            f"{share} were not."
        )
    else:
        text = f"{plural(trials, 'trial')} count{'s' * one} {words} by arm: {share}."
    silent = int((arms.groupby("trial_id")["events"].sum() == 0).sum())
    if silent and measure != "RD":
        nobody = "nobody was missing" if told == "lost" else "it happened to nobody"
        of = number(silent, 0) if silent < trials else "all"
        where = "There" if one else f"In {of} of them"
        text += f" {where} {nobody}, which says nothing of ratios"
        text += "; some may have filled in what was missing." if told == "lost" else "."
    return text


def _networks(
    arms: pd.DataFrame, lump: Mapping[str, str], reference: str, measure: str
) -> dict[str, NetworkResult]:
    """The part of the network around the reference, by both methods.

    Raises
    ------
    CannotEstimate
    """
    options: dict[str, Any] = {"events": "events", "measure": measure, "lump": lump}
    parts = network_components(arms, **options)
    around = parts.loc[parts["treatment"] == reference, "component"]
    if around.empty:
        raise CannotEstimate(f"no trial with events has {called(reference)}")
    inside = set(parts.loc[parts["component"] == around.iloc[0], "treatment"])
    own = arms[arms["treatment"].replace(dict(lump)).isin(inside)]
    own = own[own.groupby("trial_id")["treatment"].transform("size") > 1]
    options |= {"reference": reference, "lower_is_better": True}
    found, fault = {}, None
    for method in ("MH", "REML"):
        try:
            found[method] = network(own, method=method, **options)
        except CannotEstimate as own_fault:
            fault = own_fault
    if fault is not None and not found:
        raise fault
    return found


def _compared(found: dict[str, NetworkResult], outcome: str, names: Names) -> str:
    by = "Mantel–Haenszel" if "MH" in found else "inverse variance"
    result = found.get("MH") or found["REML"]
    effects = result.effects()
    clear = effects[(effects["ci_low"] > 0) | (effects["ci_high"] < 0)]
    trials = result.n_trials if result.data.trials_in is None else int(result.data.trials_in.sum())
    text = (
        f"{plural(trials, 'trial')} compare{'s' * (trials == 1)} {len(result.treatments)} "
        f"treatments. By {by}, "
    )
    against = called(result.reference, names)
    if clear.empty:
        return f"{text}none has clearly more or fewer {WORDS[outcome]} than {against}."
    listed = "; ".join(
        f"{'more' if row['estimate'] > 0 else 'fewer'} with {called(str(name), names)} "
        f"({effect_words(result, row)})"
        for name, row in clear.iterrows()
    )
    return f"{text}{WORDS[outcome]} are clearly, against {against}: {listed}."


COLUMNS = ["estimate", "ci_low", "ci_high"]


def _table(found: dict[str, NetworkResult]) -> pd.DataFrame:
    data = (found.get("REML") or found["MH"]).data
    assert data.events is not None
    arms = data.events.groupby("treatment")
    rows = pd.DataFrame(
        {
            "trials": arms["trial_id"].nunique(),
            "events": arms["events"].sum(),
            "people": arms["n"].sum(),
        }
    )
    rows.index = pd.Index([data.treatments[code] for code in rows.index], name="treatment")
    for method, prefix in (("MH", ""), ("REML", "iv_")):
        own = found[method].effects()[COLUMNS] if method in found else pd.DataFrame(columns=COLUMNS)
        rows = rows.join(own.astype(float).add_prefix(prefix))
    first = "iv_estimate" if "REML" in found else "estimate"
    return rows.sort_values(first, na_position="last").reset_index()
