"""The rules of certainty, as truth tables: a body of evidence to steps and exact words."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from backpain_analysis.answers.certainty import DOMAINS, Body, certainty

SOUND = Body(
    estimate=-20.0,
    ci_low=-24.0,
    ci_high=-16.0,
    n_trials=12,
    n_participants=1200,
    low_risk=7,
    unclear_risk=1,
    high_risk=1,
    i2=20.0,
    pi_low=-25.0,
    pi_high=-15.5,
    mcid=15.0,
    asymmetry_p=0.6,
)

AS_ASKED = {
    "risk of bias": (0, "7 of 9 appraised trials at low risk"),
    "inconsistency": (0, "I² 20%; the prediction interval crosses no other threshold"),
    "indirectness": (0, "the question as asked"),
    "imprecision": (0, "no threshold crossed; 1,200 participants"),
    "small-study effects": (0, "none shown (Egger's test, P = 0.60)"),
    "incoherence": (0, "direct or indirect evidence only"),
}


def judged(body):
    return {domain: (steps, why) for domain, steps, why in certainty(body).judgements}


def test_sound_trials_are_of_high_certainty():
    found = certainty(SOUND)
    assert (found.level, found.downgrades, found.reasons) == ("high", (), "")
    assert judged(SOUND) == AS_ASKED
    assert tuple(AS_ASKED) == DOMAINS


DOMAIN = [
    # risk of bias
    (dict(low_risk=4, unclear_risk=4, high_risk=0), "risk of bias", 0, "4 of 8 appraised trials"),
    (dict(low_risk=4, unclear_risk=4, high_risk=1), "risk of bias", 1, "4 of 9 appraised trials"),
    (dict(low_risk=0, unclear_risk=0, high_risk=6), "risk of bias", 1, "0 of 6 appraised trials"),
    (
        dict(n_trials=1, low_risk=1, unclear_risk=0, high_risk=0),
        "risk of bias",
        0,
        "1 of 1 appraised trial at low risk",
    ),
    # inconsistency: thresholds of the prediction interval beyond those of the interval
    (dict(pi_high=-14.0), "inconsistency", 1, "also includes the MCID"),
    (dict(pi_high=15.0), "inconsistency", 1, "also includes the MCID"),
    (dict(pi_high=15.1), "inconsistency", 2, "also includes the MCID both ways"),
    (dict(mcid=None, pi_high=0.1), "inconsistency", 1, "also includes no effect"),
    (dict(mcid=None, pi_high=0.0), "inconsistency", 0, "crosses no other threshold"),
    (dict(pi_low=nan, i2=49.9), "inconsistency", 0, "I² 50%"),
    (dict(pi_high=nan, i2=50.0), "inconsistency", 1, "I² 50%"),
    (dict(pi_low=nan, i2=nan), "inconsistency", 0, "I² not known"),
    (
        dict(n_trials=1, low_risk=1, unclear_risk=0, high_risk=0, i2=99.0, pi_high=40.0),
        "inconsistency",
        0,
        "one trial: agreement cannot be judged",
    ),
    # indirectness
    (dict(indirect=("other people", "far")), "indirectness", 1, "other people, far"),
    # imprecision
    (dict(ci_high=-15.0), "imprecision", 0, "no threshold crossed; 1,200 participants"),
    (dict(ci_high=-14.9), "imprecision", 1, "the interval includes the MCID; 1,200 participants"),
    (dict(ci_high=15.1), "imprecision", 2, "the interval includes the MCID both ways; 1,200"),
    (dict(mcid=None, ci_high=0.1), "imprecision", 1, "the interval includes no effect; 1,200"),
    (dict(n_participants=400), "imprecision", 0, "no threshold crossed; 400 participants"),
    (dict(n_participants=399), "imprecision", 1, "399 participants, fewer than 400"),
    (dict(n_participants=200), "imprecision", 1, "200 participants, fewer than 400"),
    (dict(n_participants=199), "imprecision", 2, "199 participants, fewer than 400"),
    (dict(n_participants=199, ci_high=-14.0), "imprecision", 2, "includes the MCID; 199"),
    (dict(n_participants=0), "imprecision", 1, "no threshold crossed; the reports print no arm"),
    (dict(n_participants=0, ci_high=16.0), "imprecision", 2, "both ways; the reports print no"),
    # small-study effects
    (dict(asymmetry_p=0.099), "small-study effects", 1, "(Egger's test, P = 0.099)"),
    (dict(asymmetry_p=0.10), "small-study effects", 0, "none shown (Egger's test, P = 0.10)"),
    (dict(asymmetry_p=nan), "small-study effects", 0, "not tested"),
    (
        dict(n_trials=9, asymmetry_p=0.001),
        "small-study effects",
        0,
        "fewer than 10 trials cannot show them",
    ),
    # incoherence
    (dict(incoherence_p=0.099), "incoherence", 1, "direct against indirect evidence P = 0.099"),
    (dict(incoherence_p=0.10), "incoherence", 0, "direct against indirect evidence P = 0.10"),
]


@pytest.mark.parametrize(("change", "domain", "steps", "words"), DOMAIN)
def test_each_domain_with_its_steps_and_numbers(change, domain, steps, words):
    body = replace(SOUND, **change)
    found = judged(body)
    assert found[domain][0] == steps
    assert words in found[domain][1]
    total = sum(taken for taken, _ in found.values())
    assert certainty(body).level == ("high", "moderate", "low", "very low")[min(total, 3)]


def test_both_signs_are_judged_alike():
    for change, _, _, _ in DOMAIN:
        body = replace(SOUND, **change)
        turned = replace(
            body,
            estimate=-body.estimate,
            ci_low=-body.ci_high,
            ci_high=-body.ci_low,
            pi_low=-body.pi_high,
            pi_high=-body.pi_low,
        )
        assert certainty(turned) == certainty(body)


def test_unknown_risk_of_bias_is_no_step_but_never_high():
    unknown = replace(SOUND, low_risk=5, unclear_risk=0, high_risk=0)
    assert judged(unknown)["risk of bias"] == (0, "unknown for 7 of 12 trials: at most moderate")
    assert (certainty(unknown).level, certainty(unknown).downgrades) == ("moderate", ())
    assert certainty(replace(unknown, low_risk=6)).level == "high"
    assert certainty(replace(unknown, ci_high=-14.0)).level == "moderate"
    assert certainty(replace(unknown, ci_high=-14.0, asymmetry_p=0.01)).level == "low"


TARGETS = [
    ((-20.0, 15.0), "an effect of at least the MCID"),
    ((15.0, 15.0), "an effect of at least the MCID"),
    ((-14.9, 15.0), "an effect smaller than the MCID"),
    ((-20.0, None), "an effect that is not zero"),
]


@pytest.mark.parametrize(("given", "target"), TARGETS)
def test_the_target_is_stated(given, target):
    assert certainty(replace(SOUND, estimate=given[0], mcid=given[1])).target == target


def test_faults_add_up_to_very_low_and_no_further():
    found = certainty(
        replace(SOUND, low_risk=0, unclear_risk=9, n_participants=30, indirect=("other people",))
    )
    assert found.level == "very low"
    assert found.reasons == (
        "risk of bias −1: 0 of 10 appraised trials at low risk; indirectness −1: other people; "
        "imprecision −2: no threshold crossed; 30 participants, fewer than 400"
    )
    assert list(found.table()["steps"]) == [1, 0, 1, 2, 0, 0]


def test_nothing_is_no_evidence():
    for nothing in (replace(SOUND, n_trials=0), replace(SOUND, estimate=nan)):
        found = certainty(nothing)
        assert (found.level, found.judgements, found.target) == ("no evidence", (), "")
