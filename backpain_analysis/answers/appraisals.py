"""Risk of bias as published appraisals judge it: by domain, by trial, and where it is unknown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import pandas as pd

from backpain_analysis.evidence.evidence import Evidence

LOW, UNCLEAR, HIGH, UNKNOWN = RISKS = ("low", "unclear", "high", "unknown")

DOMAIN_WORDS = {
    "sequence_generation": "Random sequence",
    "allocation_concealment": "Concealed allocation",
    "blinding_participants": "Blind participants",
    "blinding_personnel": "Blind personnel",
    "blinding_assessors": "Blind assessors",
    "incomplete_outcome_data": "Complete outcomes",
    "analysed_as_allocated": "Analysed as allocated",
    "selective_reporting": "All outcomes reported",
}

KEY_DOMAINS = frozenset(DOMAIN_WORDS) - {
    *("blinding_participants", "blinding_personnel", "blinding_assessors")
}
"""Domains that decide on a trial: nobody can be blind to exercise, so blinding is only shown."""

MUST_BE_LOW = ("sequence_generation", "allocation_concealment")

GOOD_PEDRO = 6
"""Points of 10 from which a trial counts as of good quality (Maher et al. 2003)."""

POOR_PEDRO = 4
"""Points of 10 below which a trial counts as of poor quality (Foley et al. 2003)."""

PEDRO = re.compile(r"PEDro\s+(\d+)\s*/\s*10", re.IGNORECASE)

OVERALL = {"good": LOW, "fair": UNCLEAR, "poor": HIGH}
"""What one word of a tool (JBI, AHRQ) says."""


def trial_risk(appraisals: pd.DataFrame) -> dict[str, str]:
    """Risk of bias of each appraised trial: "low", "unclear" or "high".

    By domains (RoB 1): high if a key domain is high; low if the random sequence and the
    concealment are low and no key domain is worse; else unclear (Cochrane Handbook 5.1, 8.7,
    summary within a study). Without domains, by PEDro (6 or more of 10 low, below 4 high) or by
    the one word of another tool. A trial without an appraisal is absent: its risk is unknown.
    """
    first: dict[str, tuple[str, str]] = {}
    domains: dict[str, dict[str, str]] = {}
    columns = (appraisals[name] for name in ("trial_id", "domain", "judgement"))
    for trial, domain, judgement in zip(*columns, strict=True):
        first.setdefault(str(trial), (domain, judgement))
        if domain in DOMAIN_WORDS:
            domains.setdefault(str(trial), {})[domain] = judgement
    return {
        trial: _of_domains(domains[trial]) if trial in domains else _of_score(*score)
        for trial, score in first.items()
    }


def risk_of(evidence: Evidence) -> dict[str, str]:
    """Risk of bias of each trial that anybody appraised: see `trial_risk`.

    A trial without rows of appraisals is judged by a PEDro score in `rob_or_pedro`, if it has one.
    """
    trials = evidence.trials
    scores = trials["rob_or_pedro"].astype("string").str.extract(PEDRO, expand=False)
    known = scores.notna()
    pairs = zip(trials.loc[known, "trial_id"], scores[known], strict=True)
    by_score = {str(trial): _of_pedro(int(points)) for trial, points in pairs}
    return by_score | trial_risk(evidence.appraisals)


def good_trials(evidence: Evidence) -> dict[str, bool]:
    """Whether each appraised trial is at low risk of bias."""
    return {trial: risk == LOW for trial, risk in risk_of(evidence).items()}


def _of_domains(judged: dict[str, str]) -> str:
    key = [judgement for domain, judgement in judged.items() if domain in KEY_DOMAINS]
    if HIGH in key:
        return HIGH
    sound = all(judged.get(domain) == LOW for domain in MUST_BE_LOW)
    return LOW if sound and UNCLEAR not in key else UNCLEAR


def _of_score(tool: str, judgement: str) -> str:
    if tool == "total":
        return _of_pedro(int(judgement))
    return OVERALL.get(str(judgement), UNCLEAR)


def _of_pedro(points: int) -> str:
    return LOW if points >= GOOD_PEDRO else HIGH if points < POOR_PEDRO else UNCLEAR


def risk_counts(risk: dict[str, str], trials: Iterable[object]) -> dict[str, int]:
    """How many of these trials are at each risk, as `certainty.Body` takes it."""
    counts = Counter(risk.get(str(trial), UNKNOWN) for trial in set(trials))
    return {f"{name}_risk": counts[name] for name in (LOW, UNCLEAR, HIGH)}


def traffic_light(evidence: Evidence) -> pd.DataFrame:
    """Every trial by domain: `trial_id`, a column a domain, `overall`; unknown said as such."""
    rows = evidence.appraisals
    risk = risk_of(evidence)
    by_domain = rows[rows["domain"].isin(DOMAIN_WORDS)].pivot_table(
        index="trial_id", columns="domain", values="judgement", aggfunc="first"
    )
    trials = evidence.trials["trial_id"].astype(str)
    table = by_domain.reindex(index=trials, columns=list(DOMAIN_WORDS))
    table = table.astype(object).where(table.notna(), UNKNOWN)
    table["overall"] = [risk.get(trial, UNKNOWN) for trial in trials]
    return table.rename_axis(columns=None).reset_index()


def by_domain(evidence: Evidence) -> pd.DataFrame:
    """How many trials are at each risk, a row a domain and one overall: `domain`, then `RISKS`."""
    table = traffic_light(evidence)
    rows = [
        {"domain": name} | {risk: int((table[name] == risk).sum()) for risk in RISKS}
        for name in (*DOMAIN_WORDS, "overall")
    ]
    return pd.DataFrame(rows)
