"""Tables of moderators, findings, certainty and claims: made-up results to the words of cells."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.answers import tables
from backpain_analysis.answers.certainty import DOMAINS
from backpain_analysis.answers.key_results import Assumed
from backpain_analysis.answers.tables import verdicts
from tests.made import rows_of


@pytest.mark.parametrize(
    ("measure", "note", "cells"),
    [
        ("MD", "", ["−1.3 [−2.5, 0.0]", "0.050", "0.300", "–"]),
        ("SMD", "2 trials", ["−1.26 [−2.50, 0.00]", "0.050", "0.300", "2 trials"]),
    ],
)
def test_moderators(measure, note, cells):
    names = ["moderator", "how", "trials", "estimate", "ci_low", "ci_high", "p_value", "p_holm"]
    rows = [("Age", "10 years older", 9, -1.26, -2.5, 0.0, 0.05, 0.3, note)]
    found = SimpleNamespace(table=pd.DataFrame(rows, columns=[*names, "note"]), measure=measure)
    head, row = rows_of(tables.moderators(found, title="T"))
    assert head[3] == f"Change, {measure} [95% CI]"
    assert row == ["Age", "10 years older", "9", *cells]


def test_populations_are_pooled_effects():
    result = SimpleNamespace(
        **{"n_trials": 4, "n_participants": 90, "level": 0.95, "i2": 0.0, "tau2": 0.0},
        **{"estimate": -0.3, "ci_low": -0.5, "ci_high": -0.1, "p_value": 0.01},
        **{"pi_low": math.nan, "pi_high": math.nan},
    )
    found = SimpleNamespace(by_population=lambda: {"acute_lbp": result}, measure="SMD")
    head, row, _ = rows_of(tables.populations(found, title="T"))
    assert head[3] == "SMD [95% CI]"
    assert row[0] == "Acute low back pain" and row[3] == "−0.30 [−0.50, −0.10]"


FINDING = {
    **{"what": "yoga against no exercise, pain", "trials": 3, "participants": 1200},
    **{"unit": "points of 100", "estimate": -9.04, "ci_low": -12.0, "ci_high": -6.0},
    **{"share_of_mcid": 0.603, "noticed": 0.02, "certainty": "low"},
    **{"nnt_text": "NNTB 5 (95% CI 4 to 8)", "nnt": 5.0, "nnt_low": 4.0, "nnt_high": 8.0},
}
FINDINGS = [
    (
        {},
        ["Yoga, pain", "3 (1,200)", "−9.0 [−12.0, −6.0]", "0.60", "2%", "NNTB 5 (4 to 8)", "low"],
    ),
    ({"unit": "SD", "estimate": -0.504}, {2: "−0.50 [−12.00, −6.00] SD"}),
    ({"unit": "SD", "estimate": math.nan}, {2: "–"}),
    ({"trials": 0}, {1: "–"}),
    (
        {"nnt_text": np.nan, "noticed": math.nan, "share_of_mcid": math.nan},
        {3: "–", 4: "–", 5: "–"},
    ),
    ({"nnt_text": "NNTB 9 (95% CI 4 to ∞ to NNTH 7)"}, {5: "NNTB 9 (4 to ∞ to NNTH 7)"}),
]


@pytest.mark.parametrize(("given", "cells"), FINDINGS)
def test_a_finding_in_cells(given, cells):
    found = SimpleNamespace(table=pd.DataFrame([FINDING | given]), assumed={})
    _, row, note = rows_of(tables.findings(found, title="T"))
    assert not isinstance(cells, list) or row == cells
    assert not isinstance(cells, dict) or {place: row[place] for place in cells} == cells
    assert note[0].startswith("Effects in points of 100, or standard deviations (SD). Dashes: ")
    assert "Assumed" not in note[0]


def test_a_number_needed_to_treat_breaks_only_where_it_is_long():
    assert verdicts._brief("NNTB 5 (95% CI 4 to 8)") == "NNTB 5 (4 to 8)".replace(
        " ", "\N{NO-BREAK SPACE}"
    )
    assert verdicts._brief("NNTB 9 (95% CI 4 to ∞ to NNTH 7)") == "NNTB 9 (4 to ∞ to NNTH 7)"


def test_what_numbers_needed_to_treat_take_for_granted():
    assumed = {"pain_intensity": Assumed(0.27, 4, 21.6), "disability": Assumed(0.3, 1, 15.0)}
    found = SimpleNamespace(table=pd.DataFrame([FINDING]), assumed=assumed)
    note = rows_of(tables.findings(found, title="T"))[-1][0]
    assert (
        "Assumed: for pain, 27% of people with chronic low back pain improve as much without "
        "exercise (from 4 trials) and scores have a standard deviation of 22 points; for "
        "disability, 30% of"
    ) in note
    assert "more to improve by the MCID (NNTH: to fail to)" in note


def test_downgrades_by_domain():
    table = pd.DataFrame([FINDING, FINDING | {"what": "nothing", "trials": 0}])
    steps = dict.fromkeys(DOMAINS, 0) | {"imprecision": 1, "small-study effects": 2}
    taken = [(FINDING["what"], domain, step, f"{domain} reason") for domain, step in steps.items()]
    downgrades = pd.DataFrame(taken, columns=["what", "domain", "steps", "reason"])
    head, row, note = rows_of(
        tables.downgrades(SimpleNamespace(table=table, downgrades=downgrades), title="T")
    )
    domains = ["Risk of bias", "Inconsistency", "Indirectness", "Imprecision"]
    assert head == ["Result", "Certainty", *domains, "Small-study effects; incoherence"]
    assert row[:3] == ["Yoga, pain", "low", "0: risk of bias reason"]
    assert row[5] == "−1: imprecision reason"
    assert row[6] == "−2: small-study effects reason; 0: incoherence reason"
    assert (
        "certainty is at most moderate. Small-study effects are tested from 10 trials on" in note[0]
    )


CLAIM = {
    **{"claim_id": "C01", "claim": "Yoga helps", "verdict": "supported", "certainty": "low"},
    **{"estimate": "−9.0 points of 100", "noticed": 0.93, "reason": "3 trials"},
    **{"agreement": "agree", "notebook": "02"},
}


@pytest.mark.parametrize(
    ("given", "decides"),
    [
        ({}, ["−9.0", "larger than the MCID: 93%", "3 trials"]),
        ({"noticed": math.nan}, ["−9.0", "3 trials"]),
        ({"estimate": "", "noticed": math.nan}, ["3 trials"]),
        (
            {"estimate": "−0.5 SD", "noticed": 0.004},
            ["−0.5 SD", "larger than the MCID: below 1%", "3 trials"],
        ),
    ],
)
def test_what_decides_on_a_claim(given, decides):
    found = SimpleNamespace(table=pd.DataFrame([CLAIM | given]))
    _, row, note = rows_of(tables.claims(found, title="T"))
    assert row[:4] == ["C01", "Yoga helps", "● supported", "low"]
    assert row[4] == "; ".join(decides)
    assert row[5:] == ["agree", "02"]
    assert note[0].startswith("Points of 100 unless another unit is given. MCID: smallest ")


PART = {
    **{"claim_id": "C01", "primary": True, "what": "yoga, pain", "trials": 3, "text": "−9.0"},
    **{"estimate": -9.0, "ci_low": -12.0, "ci_high": -6.0, "noticed": 0.5},
    **{"verdict": "evidence against", "reason": "a reason", "certainty": "low"},
    **{"target": "an effect that is not zero", "downgrades": "bias; few"},
}
PARTS = [
    (
        {},
        [
            *("C01 decides", "Yoga, pain (3 trials)", "−9.0", "50%"),
            *("✕ evidence against: a reason", "low: an effect that is not zero", "bias; few"),
        ],
    ),
    ({"primary": False, "trials": 1}, {0: "C01", 1: "Yoga, pain (1 trial)"}),
    ({"trials": 0, "text": "", "noticed": math.nan}, {1: "Yoga, pain", 2: "–", 3: "–"}),
    ({"target": "", "downgrades": ""}, {5: "low", 6: "–"}),
]


@pytest.mark.parametrize(("given", "cells"), PARTS)
def test_a_part_of_a_claim_in_cells(given, cells):
    found = SimpleNamespace(parts=pd.DataFrame([PART | given]))
    _, row, note = rows_of(tables.claim_parts(found, title="T"))
    cells = dict(enumerate(cells)) if isinstance(cells, list) else cells
    assert {place: row[place] for place in cells} == cells
    assert note[0].startswith("MCID: smallest ")


PRINTED = {
    **{"review_id": "owen2020", "design": "NMA", "source_url": "https://doi.org/10.1/x"},
    **{"comparison": "yoga", "outcome": "pain", "estimate": -0.5, "ci_low": -0.9, "ci_high": -0.1},
    **{"measure": "SMD", "certainty_as_reported": "low", "direction_for_claim": "supports"},
}


@pytest.mark.parametrize(
    ("given", "cells"),
    [
        ({}, {0: "C01", 1: "owen2020 (NMA)", 4: "−0.50 [−0.90 to −0.10] SD", 5: "low"}),
        ({"estimate": np.nan, "certainty_as_reported": np.nan}, {4: "–", 5: "–", 6: "supports"}),
    ],
)
def test_published_answers(given, cells, monkeypatch):
    many = pd.DataFrame([PRINTED | given] * (verdicts.published.SHOWN + 1))
    monkeypatch.setattr(verdicts.published, "published_answers", lambda claim: many)
    found = SimpleNamespace(table=pd.DataFrame([CLAIM]))
    _, *rows, note = rows_of(tables.published_answers(found, title="T"))
    assert len(rows) == verdicts.published.SHOWN
    assert {place: rows[0][place] for place in cells} == cells
    assert note[0].startswith("Signs as printed: conventions differ")
