"""Summary of findings: each main result with its certainty, as in GRADE tables."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from backpain_analysis.answers.appraisals import (
    DOMAIN_WORDS,
    HIGH,
    RISKS,
    UNCLEAR,
    UNKNOWN,
    risk_of,
    traffic_light,
)
from backpain_analysis.answers.certainty import LEVELS, NO_EVIDENCE
from backpain_analysis.answers.claim_parts import Context, Part, each_trial_once
from backpain_analysis.answers.key_results import MAIN, STANDARDISED, Assumed, key_results, needed
from backpain_analysis.datasets.bundled import load_reference
from backpain_analysis.effects.assemble import effects_if_measured
from backpain_analysis.errors import require
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.pairwise.pooling import PoolResult
from backpain_analysis.models.results import TableResult
from backpain_analysis.words import number, outcome_words, plural

TYPES = ("aerobic", "resistance", "core_motor_control", "pilates", "yoga", "stretching")

SAME_SCALE = ("MD on 0-100", "WMD on 0-100")

COLUMNS = (
    *("what", "outcome", "trials", "participants", "estimate", "ci_low", "ci_high", "unit"),
    *("share_of_mcid", "noticed", "nnt", "nnt_low", "nnt_high", "nnt_text", "certainty"),
)


@dataclass(frozen=True, repr=False)
class Findings(TableResult):
    """A summary-of-findings table.

    Attributes
    ----------
    table : DataFrame
        `what, outcome, trials, participants, estimate, ci_low, ci_high, unit, share_of_mcid,
        noticed, nnt, nnt_low, nnt_high, nnt_text, certainty`: a row a result; missing numbers where
        there is no evidence. `noticed`: the probability of a benefit larger than the MCID (of
        standard deviations, than half of one), see `Part`. NNTs: see `models.responders.nnt`.
    downgrades : DataFrame
        `what, domain, steps, reason`: how each domain was judged, with its numbers.
    assumed : dict
        By outcome, what its NNTs assume; without outcomes for which no trial says it.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(
    ...     trial_id=["saper2013", "teut2016", "sherman2011"]
    ... )
    >>> findings = bp.summary_of_findings(evidence)
    >>> findings.table.shape[0] > 0
    True
    """

    table: pd.DataFrame
    downgrades: pd.DataFrame
    assumed: dict[str, Assumed]

    def summary(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def _title(self) -> str:
        return "Summary of findings"


def summary_of_findings(evidence: Evidence) -> Findings:
    """Grade the main results: all exercise and each type against no exercise.

    All exercise by pairwise meta-analysis, types by the network; certainty by the rules of
    `answers.certainty`; NNTs for an improvement by the MCID, at the share of people who improve so
    much without exercise (see `responders_from_means`).

    Parameters
    ----------
    evidence : Evidence
        Of the population to speak of.

    Returns
    -------
    Findings

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(
    ...     trial_id=["saper2013", "teut2016", "sherman2011"]
    ... )
    >>> bp.summary_of_findings(evidence).table.shape[0] > 0
    True
    """
    require(evidence, "Evidence")
    context = Context(evidence)
    key = key_results(context)
    found: list[tuple[str, Part]] = []
    for outcome in MAIN:
        found.append((outcome, key.parts[outcome]))
        for name in TYPES:
            words = (name.replace("_", " and ", 1).replace("_", " "), "no exercise")
            part = context.compared(outcome, name, lump="families", words=words)
            found.append((outcome, part))
    found += [(outcome, key.parts[outcome]) for outcome in STANDARDISED]
    downgrades = [
        {"what": part.what, "domain": domain, "steps": steps, "reason": reason}
        for _, part in found
        for domain, steps, reason in part.certainty.judgements
    ]
    assumed = key.assumed
    rows = [_row(outcome, part, assumed.get(outcome)) for outcome, part in found]
    return Findings(
        pd.DataFrame(rows, columns=COLUMNS),
        pd.DataFrame(downgrades, columns=["what", "domain", "steps", "reason"]),
        assumed,
    )


def _row(outcome: str, part: Part, assumed: Assumed | None) -> dict[str, object]:
    body = part.body
    row = {"what": part.what, "outcome": outcome, "trials": 0, "participants": 0}
    row |= {"unit": part.unit, "certainty": part.certainty.level}
    if body is None:
        return row
    row |= {"trials": body.n_trials, "participants": body.n_participants}
    row |= {"estimate": body.estimate, "ci_low": body.ci_low, "ci_high": body.ci_high}
    row["noticed"] = part.noticed
    return row | needed(outcome, part, assumed)


def by_risk(evidence: Evidence, outcome: str) -> dict[str, PoolResult]:
    """Exercise against no exercise by appraised risk of bias, and without trials in doubt.

    Returns
    -------
    dict
        "All trials"; "Low risk of bias" and so on; then without the trials at high or unclear risk
        in one domain, and without those flagged for caution. Only those that have trials, and take
        some away; empty without any.
    """
    effects = effects_if_measured(evidence, outcome).against_inactive()
    if not len(effects):
        return {}
    trials = effects.table["trial_id"].astype(str)
    judged = risk_of(evidence)
    risk = trials.map(lambda trial: judged.get(trial, UNKNOWN))
    parts = {"All trials": effects}
    for name in RISKS:
        own = effects.select(risk == name, "another risk of bias")
        parts[f"{name.capitalize()} risk of bias"] = own
    lights = traffic_light(evidence).set_index("trial_id")
    for domain, words in DOMAIN_WORDS.items():
        doubt = trials.map(lights[domain]).isin([HIGH, UNCLEAR])
        if doubt.any():
            label = f"Without high or unclear risk: {words[0].lower()}{words[1:]}"
            parts[label] = effects.select(~doubt, "in doubt")
    flags = evidence.trials.set_index(evidence.trials["trial_id"].astype(str))["flag"]
    caution = trials.map(flags) == "caution"
    if caution.any():
        parts["Without trials flagged for caution"] = effects.select(~caution, "flagged")
    return {label: each_trial_once(part) for label, part in parts.items() if len(part)}


def published_pooled(outcome: str, estimate: float, ci_low: float, ci_high: float) -> pd.DataFrame:
    """Published estimates of all exercise on 0-100 beside ours.

    Returns
    -------
    DataFrame
        `review, comparison, trials, estimate, ci_low, ci_high, overlap, inside`: whether the
        intervals overlap, and whether theirs holds our estimate.
    """
    table = load_reference("published_meta_analyses")
    word = {"pain_intensity": "pain"}.get(outcome, outcome)
    comparison = table["exercise_type_or_comparison"].astype(str)
    chosen = table[
        (table["outcome"] == word)
        & table["measure"].isin(SAME_SCALE)
        & comparison.str.startswith("exercise")
        & table[["estimate", "ci_low", "ci_high"]].notna().all(axis=1)
    ]
    theirs = chosen.rename(
        columns={"exercise_type_or_comparison": "comparison", "k_trials": "trials"}
    )
    names = ["review", "comparison", "trials", "estimate", "ci_low", "ci_high"]
    theirs = theirs[names].reset_index(drop=True)
    low, high = theirs["ci_low"].astype(float), theirs["ci_high"].astype(float)
    return theirs.assign(
        overlap=(low <= ci_high) & (high >= ci_low),
        inside=(low <= estimate) & (high >= estimate),
    )


def answer(found: Findings) -> str:
    """How certain the main results are, in a sentence."""
    table = found.table
    counts = table["certainty"].value_counts()
    words = [f"{level} for {counts[level]}" for level in reversed(LEVELS) if level in counts]
    without = counts.get(NO_EVIDENCE, 0)
    if without:
        words.append(f"not known for {without} without evidence")
    lines = []
    for outcome in MAIN:
        row = table[(table["outcome"] == outcome)].iloc[0]
        if not row["trials"]:
            lines.append(f"no usable trial of {outcome_words(outcome)}")
            continue
        lines.append(
            f"{outcome_words(outcome)} {number(row['estimate'])} points of 100 "
            f"(95% CI {number(row['ci_low'])} to {number(row['ci_high'])}; "
            f"{plural(row['trials'], 'trial')}; {row['certainty']} certainty)"
        )
    return (
        f"Exercise against no exercise: {'; '.join(lines)}. Of {len(table)} main results, "
        f"certainty is {', '.join(words)}."
    )
