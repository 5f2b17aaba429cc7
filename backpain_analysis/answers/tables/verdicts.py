"""Tables of moderators, certainty and claims."""

from __future__ import annotations

from typing import Any

import pandas as pd

from backpain_analysis.answers import published
from backpain_analysis.answers.bayes import share_text
from backpain_analysis.answers.certainty import DOMAINS, FEWEST_FOR_ASYMMETRY
from backpain_analysis.answers.claims import Claims
from backpain_analysis.answers.findings import Findings, published_pooled
from backpain_analysis.answers.key_results import MAIN, improved
from backpain_analysis.answers.moderation import Moderation
from backpain_analysis.answers.tables.effects import (
    MISSING,
    interval_text,
    p_value,
    pooled,
    probability,
    rounded,
    unbroken,
)
from backpain_analysis.answers.verdicts import VERDICTS
from backpain_analysis.display import Link, Table, Told, table
from backpain_analysis.words import (
    effect_digits,
    number,
    outcome_words,
    plural,
    population_label,
)

SIGNS = dict(zip(VERDICTS, "●◆■▼✕–", strict=True))
"""As in the figure of all claims."""


SPELLED_OUT = (
    "MCID: smallest difference that matters to patients (minimal clinically important difference). "
    "CI: confidence interval. SD: standard deviation."
)

PROBABILITY = (
    "Larger than the MCID: the probability that the effect is, on the side named, with what "
    "thousands of earlier meta-analyses say of how far trials differ (Rhodes et al. 2015); of "
    "standard deviations, larger than half of one. The interval of a single trial does not allow "
    "for that difference."
)


def moderators(found: Moderation, *, title: str) -> Table:
    """Every moderator with its coefficient, or why it has none."""
    digits = effect_digits(found.measure)
    rows = [
        {
            "Moderator": row.moderator,
            "Compared": row.how,
            "Trials": row.trials,
            f"Change, {found.measure} [95% CI]": interval_text(
                row.estimate, row.ci_low, row.ci_high, digits
            ),
            "P": p_value(row.p_value),
            "P (Holm)": p_value(row.p_holm),
            "Note": row.note or MISSING,
        }
        for row in found.table.itertuples()
    ]
    return table(rows, title=title)


def populations(found: Moderation, *, title: str) -> Table:
    """The effect in each population by itself."""
    results = {population_label(name): one for name, one in found.by_population().items()}
    return pooled(results, measure=found.measure, title=title)


def findings(found: Findings, *, title: str) -> Table:
    """The summary of findings."""
    rows = []
    for row in found.table.itertuples():
        points = str(row.unit).startswith("points")
        effect = interval_text(row.estimate, row.ci_low, row.ci_high, 1 if points else 2)
        share, needed = row.share_of_mcid, row.nnt_text
        marked = effect
        if isinstance(effect, Told) and not points:
            marked = effect.again(f"{effect} {row.unit}")
        rows.append(
            {
                "Result": _short(row.what),
                "Trials (people)": Told(
                    f"{row.trials} ({row.participants:,})",
                    trials=row.trials,
                    people=row.participants,
                )
                if row.trials
                else MISSING,
                "Effect [95% CI]": marked,
                "Share of the MCID": rounded(share, 2),
                "Larger than the MCID": probability(row.noticed),
                "NNT [95% CI]": MISSING
                if pd.isna(needed)
                else Told(_brief(needed), estimate=row.nnt, low=row.nnt_low, high=row.nnt_high),
                "Certainty": row.certainty,
            }
        )
    return table(rows, title=title, note=_assumptions(found))


def _short(what: str) -> str:
    """What was compared with no exercise."""
    text = what.replace(" against no exercise", "")
    return text[:1].upper() + text[1:]


def _assumptions(found: Findings) -> str:
    """What the NNTs take for granted."""
    given = [
        f"for {outcome_words(outcome)}, {improved(known)} and scores have a standard deviation of "
        f"{number(known.sd, 0)} points"
        for outcome, known in found.assumed.items()
    ]
    text = (
        f"Effects in points of 100, or standard deviations (SD). Dashes: not known. {PROBABILITY}"
    )
    if not given:
        return text
    return (
        f"{text} {SPELLED_OUT} NNTB: people who exercise for one more to improve by the MCID "
        "(NNTH: to fail to), by the normal approximation; its interval is that of the effect "
        "alone. Assumed: "
        f"{'; '.join(given)}."
    )


def _brief(needed: str) -> str:
    """A number needed to treat without the word CI, on one line if it is short."""
    text = needed.replace("95% CI ", "")
    return text if "∞" in text else unbroken(text)


def downgrades(found: Findings, *, title: str) -> Table:
    """A row a result with evidence: its certainty, and what each domain took from it."""
    known = found.table[found.table["trials"] > 0]
    steps = {(row.what, row.domain): row for row in found.downgrades.itertuples()}
    rows = []
    for row in known.itertuples():
        judged = {domain: _taken(steps[(row.what, domain)]) for domain in DOMAINS}
        last = f"{judged.pop('small-study effects')};\n{judged.pop('incoherence')}"
        cells = {"Result": _short(row.what), "Certainty": row.certainty}
        cells |= {domain.capitalize(): text for domain, text in judged.items()}
        rows.append(cells | {"Small-study effects; incoherence": last})
    note = (
        "Steps down from high, with the numbers behind them. Where more than half of the trials "
        "have no appraisal, certainty is at most moderate. Small-study effects are tested from "
        f"{FEWEST_FOR_ASYMMETRY} trials on, incoherence where a network has direct and indirect "
        f"evidence. {SPELLED_OUT}"
    )
    return table(rows, title=title, note=note)


def _taken(judged: Any) -> str:
    steps = f"−{judged.steps}" if judged.steps else "0"
    return f"{steps}: {judged.reason}"


def published_effects(found: Findings, *, title: str) -> Table:
    """Published estimates of all exercise beside ours, by outcome."""
    rows = []
    known = found.table[found.table["trials"] > 0].drop_duplicates("outcome")
    for _, ours in known[known["outcome"].isin(MAIN)].iterrows():
        outcome = ours["outcome"]
        numbers = float(ours["estimate"]), float(ours["ci_low"]), float(ours["ci_high"])
        word = ours["what"].split(", ")[-1]
        line = {"Outcome": word, "Review": "This report", "Trials": ours["trials"]}
        rows.append(line | {"MD [95% CI]": interval_text(*numbers), "Intervals overlap": MISSING})
        for row in published_pooled(outcome, *numbers).itertuples():
            rows.append(
                {
                    "Outcome": word,
                    "Review": f"{row.review}: {row.comparison}",
                    "Trials": MISSING if pd.isna(row.trials) else int(row.trials),
                    "MD [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high),
                    "Intervals overlap": "yes" if row.overlap else "no",
                }
            )
    return table(rows, title=title)


def claims(found: Claims, *, title: str) -> Table:
    """A row a claim: verdict, certainty, the estimate that decides, published answers beside it."""
    rows = [
        {
            "Id": row.claim_id,
            "Claim": row.claim,
            "Verdict": _signed(row.verdict),
            "Certainty": row.certainty,
            "Estimate [95% CI] that decides": ";\n".join(
                filter(
                    None,
                    [
                        unbroken(row.estimate.removesuffix(" points of 100")),
                        _noticed(row.noticed),
                        row.reason,
                    ],
                )
            ),
            "Published answers": row.agreement,
            "Notebook": row.notebook,
        }
        for row in found.table.itertuples()
    ]
    note = f"Points of 100 unless another unit is given. {SPELLED_OUT} {PROBABILITY}"
    return table(rows, title=title, note=note)


def _noticed(probability: float) -> str:
    return "" if pd.isna(probability) else f"larger than the MCID: {share_text(probability)}"


def _signed(verdict: str) -> str:
    return unbroken(f"{SIGNS[verdict]} ") + verdict


def claim_parts(found: Claims, *, title: str) -> Table:
    """Every part of every claim, the one that decides first named; what lowered its certainty."""
    rows = [
        {
            "Id": row.claim_id + " decides" * row.primary,
            "Part": f"{row.what[:1].upper()}{row.what[1:]}"
            + (f" ({plural(row.trials, 'trial')})" if row.trials else ""),
            "Estimate [95% CI]": Told(
                row.text, estimate=row.estimate, low=row.ci_low, high=row.ci_high
            )
            if row.text
            else MISSING,
            "Larger than the MCID": probability(row.noticed),
            "Verdict, and why": f"{_signed(row.verdict)}: {row.reason}",
            "Certainty, and of what": f"{row.certainty}: {row.target}"
            if row.target
            else row.certainty,
            "Lowered by": row.downgrades.replace("; ", ";\n") or MISSING,
        }
        for row in found.parts.itertuples()
    ]
    return table(rows, title=title, note=f"{SPELLED_OUT} {PROBABILITY}")


def published_answers(found: Claims, *, title: str) -> Table:
    """The strongest published answers to each claim, with the address each was read at."""
    rows = [
        {
            "Id": claim_id,
            "Report": Link(f"{row.review_id} ({row.design})", row.source_url),
            "Compared": row.comparison,
            "Outcome": row.outcome,
            "Estimate [CI], as printed": printed(row) or MISSING,
            "Certainty, as printed": MISSING
            if pd.isna(row.certainty_as_reported)
            else row.certainty_as_reported,
            "Bearing on the claim": row.direction_for_claim,
        }
        for claim_id in found.table["claim_id"]
        for row in published.published_answers(claim_id).head(published.SHOWN).itertuples()
    ]
    note = "Signs as printed: conventions differ between reports. The bearing is our judgement."
    return table(rows, title=title, note=note)


def printed(row: Any) -> str:
    """A published estimate as its report prints it."""
    return published.estimate_text(row._asdict())
