"""Key numbers: the one place that pages, claims and tables take the main results from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from backpain_analysis.answers.claim_parts import Context, Part
from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.evidence import Evidence, once_per_evidence
from backpain_analysis.evidence.scales import mcid
from backpain_analysis.models.pairwise.responders import NNT, nnt_from_md, responders_from_means
from backpain_analysis.models.results import TableResult
from backpain_analysis.words import (
    benefit_sign,
    number,
    outcome_words,
    plural,
    population_label,
)

MAIN = ("pain_intensity", "disability")

STANDARDISED = (
    "quality_of_life",
    "depression_anxiety",
    "trunk_strength",
    "trunk_endurance",
    "flexibility_rom",
    "balance_stability",
    "kinesiophobia",
)

CONTROLS = ("chronic_nslbp", "mixed_lbp", "recurrent_lbp", "subacute_lbp", "acute_lbp")
"""Whose improvement without exercise a number needed to treat assumes: the first with trials."""


@dataclass(frozen=True)
class Assumed:
    """What turns points into a number needed to treat.

    Attributes
    ----------
    control_share : float
        Share of people without exercise who improve by the MCID.
    n_trials : int
        That give it.
    sd : float
        Standard deviation within arms, points of 0-100.
    population : str
        Whose share it is.
    """

    control_share: float
    n_trials: int
    sd: float
    population: str = CONTROLS[0]


@dataclass(frozen=True, repr=False)
class KeyResults(TableResult):
    """All exercise against no exercise, outcome by outcome.

    Attributes
    ----------
    table : DataFrame
        A row an outcome with a usable result: `outcome, trials, participants, estimate, ci_low,
        ci_high, pi_low, pi_high, unit, certainty, verdict, share_of_mcid, nnt, nnt_low, nnt_high,
        nnt_text`; numbers needed to treat of pain and disability only.
    parts : dict
        By outcome, estimate, certainty and verdict, as the claims hold them.
    assumed : dict
        By outcome, what its number needed to treat assumes.

    Examples
    --------
    >>> found = bp.key_results(bp.load_evidence().filter(exercise_type="yoga"))
    >>> found.table[["outcome", "trials"]].head(2)
              outcome  trials
    0  pain_intensity       5
    1      disability       6
    """

    table: pd.DataFrame
    parts: dict[str, Part] = field(repr=False)
    assumed: dict[str, Assumed] = field(repr=False)

    def summary(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def sentence(self, outcome: str) -> str:
        """One outcome with its interval, trials, certainty, and number needed to treat."""
        part = self.parts[outcome]
        word = outcome_words(outcome)
        if part.body is None:
            return f"{word}: {part.reason}"
        text = (
            f"{word} {part.estimate_text} ({plural(part.body.n_trials, 'trial')}, "
            f"{part.certainty.level} certainty)"
        )
        if outcome not in self.assumed:
            return text
        row = self.table.set_index("outcome").loc[outcome]
        known = improved(self.assumed[outcome])
        return f"{text}; {row['nnt_text']} for an improvement by the MCID, where {known}"

    def _title(self) -> str:
        return "Exercise against no exercise"


def improved(assumed: Assumed) -> str:
    """Who improves without exercise, in words: "27% of people with chronic low back pain …"."""
    return (
        f"{number(100 * assumed.control_share, 0)}% of people with "
        f"{population_label(assumed.population).lower()} improve as much without exercise "
        f"(from {plural(assumed.n_trials, 'trial')})"
    )


def key_results(evidence: Evidence | Context) -> KeyResults:
    """The main results: pages and claims that speak of them take them from here.

    Each trial counts once (its arms combined), pooled by REML with Knapp & Hartung intervals from
    three trials on. Pain and disability in points of 0-100, other outcomes in standard deviations.
    Numbers needed to treat, for an improvement by the MCID, assume the share of people with chronic
    pain who improve as much without exercise.

    Parameters
    ----------
    evidence : Evidence
        Of the population to speak of.

    Returns
    -------
    KeyResults

    Examples
    --------
    >>> import backpain_analysis as bp
    >>> trials = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> print(bp.key_results(trials).sentence("quality_of_life"))
    quality of life 0.32 [−0.29 to 0.92] SD (2 trials, low certainty)
    """
    require(evidence, "Evidence", "Context")
    context = evidence if isinstance(evidence, Context) else Context(evidence)
    parts = {outcome: context.key(outcome, "MD") for outcome in MAIN}
    parts |= {outcome: context.key(outcome, "SMD") for outcome in STANDARDISED}
    given = {outcome: assumption(context, outcome) for outcome in MAIN}
    assumed = {
        outcome: found
        for outcome, found in given.items()
        if found is not None and parts[outcome].body is not None
    }
    rows = [
        _row(outcome, part, assumed.get(outcome))
        for outcome, part in parts.items()
        if part.body is not None
    ]
    return KeyResults(pd.DataFrame(rows, columns=COLUMNS), parts, assumed)


COLUMNS = (
    *("outcome", "trials", "participants", "estimate", "ci_low", "ci_high", "pi_low", "pi_high"),
    *("unit", "certainty", "verdict", "share_of_mcid", "nnt", "nnt_low", "nnt_high", "nnt_text"),
)


def _row(outcome: str, part: Part, assumed: Assumed | None) -> dict[str, object]:
    body = part.body
    assert body is not None
    return {
        "outcome": outcome,
        "trials": body.n_trials,
        "participants": body.n_participants,
        "estimate": body.estimate,
        "ci_low": body.ci_low,
        "ci_high": body.ci_high,
        "pi_low": body.pi_low,
        "pi_high": body.pi_high,
        "unit": part.unit,
        "certainty": part.certainty.level,
        "verdict": part.verdict,
        **needed(outcome, part, assumed),
    }


def needed(outcome: str, part: Part, assumed: Assumed | None) -> dict[str, object]:
    """Share of the MCID and number needed to treat of a result in points; empty for others."""
    threshold = mcid(outcome) if part.unit.startswith("points") else None
    if part.body is None or not threshold:
        return {}
    sign = benefit_sign(outcome)
    found: dict[str, object] = {"share_of_mcid": sign * part.body.estimate / threshold}
    if assumed:
        nnt = number_needed(part, sign, assumed)
        found |= {"nnt": nnt.estimate, "nnt_low": nnt.ci_low, "nnt_high": nnt.ci_high}
        found["nnt_text"] = nnt.text
    return found


def number_needed(part: Part, sign: int, assumed: Assumed) -> NNT:
    """The number needed to treat that a difference in points implies (see `nnt_from_md`)."""
    body = part.body
    assert body is not None
    low, high = sorted((sign * body.ci_low, sign * body.ci_high))
    return nnt_from_md(sign * body.estimate, low, high, assumed.sd, assumed.control_share)


def assumption(context: Context, outcome: str) -> Assumed | None:
    """Share of responders without exercise and SD within arms, None where no trial gives them.

    The share is that of one population: acute pain goes away in most people, chronic pain does not.
    """
    return _assumed(context.evidence, outcome)


@once_per_evidence
def _assumed(evidence: Evidence, outcome: str) -> Assumed | None:
    effects = Context(evidence).effects(outcome)
    spread = np.nan if effects is None else spread_within_arms(effects)
    if not np.isfinite(spread):
        return None
    for population in CONTROLS:
        own = evidence.filter(population=population)
        try:
            shares = responders_from_means(own, outcome)
        except CannotEstimate:
            continue
        return Assumed(shares.control_share, shares.n_trials, spread, population)
    return None


def spread_within_arms(effects: Effects) -> float:
    """Median over contrasts of the SD that their variance implies, `sqrt(v / (1/n_1 + 1/n_2))`.

    Source: Cochrane Handbook 6.5.2.3. Missing where no arm sizes are known.
    """
    table = effects.table.astype({"vi": float, "n_arm": float, "n_ref": float})
    total = 1 / table["n_arm"] + 1 / table["n_ref"]
    return float(np.sqrt(table["vi"] / total).median())
