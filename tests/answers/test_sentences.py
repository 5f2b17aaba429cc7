"""Results in words."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.answers import sentences
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.models.dose.curves import CURVES
from backpain_analysis.models.dose.fit import dose_response
from backpain_analysis.models.dose.search import DoseEstimate
from backpain_analysis.models.pairwise.pooling import pool
from backpain_analysis.models.time.course import TimeEstimate
from backpain_analysis.models.time.durability import Durability
from backpain_analysis.words import dose_with_unit
from tests.figures.drawn import make_effects
from tests.made import made

CLEAR = pool([-12.0, -11.0, -13.0, -12.0], [1.0, 1.0, 1.0, 1.0], test="z")
NULL = pool([-2.0, 2.0, -1.0, 1.0], [1.0, 1.0, 1.0, 1.0], test="z")


def dose(**fields) -> DoseEstimate:
    base = {
        "estimate": 94.9,
        "ci_low": 45.4,
        "ci_high": 120.2,
        "effect": -15.0,
        "low": 0.0,
        "high": 150.0,
        "reached": True,
        "at_edge": False,
        "note": "",
    }
    return DoseEstimate(**{**base, **fields})


def test_a_clear_effect_has_direction_size_interval_and_mcid():
    """Mean -12, standard error 1/2: interval 11.0 to 13.0; 12/15 = 0.80 of the MCID."""
    text = sentences.pooled(CLEAR, "pain_intensity", mcid=15)
    assert "In 4 trials, pain was 12.0 points of 100 lower with exercise than with no" in text
    assert "(95% CI 11.0 to 13.0 lower)" in text
    assert "0.80 of the smallest difference that matters to patients (MCID), 15" in text


def test_a_null_result_says_so():
    text = sentences.pooled(NULL, "disability", mcid=10)
    assert text.startswith("In 4 trials, no clear difference in disability between exercise and")
    assert "0.0 points of 100" in text
    assert "MCID" not in text


def test_participants_one_trial_and_smds():
    one = replace(pool([-0.5], [0.01], test="z"), n_participants=1234)
    text = sentences.pooled(one, "disability", "SMD", mcid=10)
    assert text.startswith("In 1 trial (1,234 participants), disability was 0.50 standard dev")
    assert "prediction" not in text
    assert "MCID" not in text


def test_doses_reached_open_ended_and_not_reached():
    text = sentences.dose_to_reach(dose(), "minutes_per_week", -15)
    assert text == (
        "The mean curve first reaches 15.0 points of 100 at 95 minutes per week "
        "(95% interval from 45 to 120)."
    )
    text = sentences.dose_to_reach(dose(ci_high=np.nan), "minutes_per_week", -15)
    assert "without an upper limit up to the largest dose, 150" in text
    text = sentences.dose_to_reach(
        dose(reached=False, estimate=np.nan, note="the reason"), "sessions_per_week", -15
    )
    assert text == "An effect of 15.0 points of 100 is not shown at any dose: the reason."


def test_an_optimum_at_the_edge_is_not_sold_as_one():
    text = sentences.best_dose(dose(note="at the edge of the data (150)"), "minutes_per_week")
    assert text.endswith("; at the edge of the data (150).")


@pytest.mark.parametrize(
    ("value", "text"), [(-1234.56, "−1,234.6"), (-0.04, "0.0"), (0.05, "0.1"), (12.0, "12.0")]
)
def test_numbers(value, text):
    assert sentences.number(value) == text


def test_p_values():
    assert [sentences.p_text(p) for p in (0.0004, 0.0123, 0.43)] == [
        "P < 0.001",
        "P = 0.012",
        "P = 0.43",
    ]


def test_the_evidence_in_a_sentence():
    text = sentences.evidence(load_evidence())
    assert text.startswith("180 trials from 1988 to 2026, with ")
    assert "risk of bias is known for 56 trials." in text


FROM = [
    (("backpain-trials", False), "The trials were found by searching exercise family by family, "),
    (("mine", False), "These are your own trials: how they were found and read is not recorded he"),
    (("backpain-trials", True), "These trials are made up: nobody in them exists."),
]


@pytest.mark.parametrize(("given", "words"), FROM)
def test_where_the_trials_are_from(given, words):
    data = made("Evidence", name=given[0], synthetic=given[1])
    assert sentences.where_from(data).startswith(words)


SHARE = " That is 0.80 of the smallest difference that matters to patients (MCID), 15 points."

# estimate, low, high, measure, mcid -> exact words
POOLED = [
    (
        (-12.0, -13.0, -11.0, "MD", 15.0),
        "In 4 trials, pain was 12.0 points of 100 lower with exercise than with no exercise (95% "
        f"CI 11.0 to 13.0 lower).{SHARE}",
    ),
    (
        (12.0, 11.0, 13.0, "MD", 15.0),
        "In 4 trials, pain was 12.0 points of 100 higher with exercise than with no exercise (95% "
        f"CI 11.0 to 13.0 higher).{SHARE}",
    ),
    (
        (-0.5, -0.9, -0.1, "SMD", 15.0),
        "In 4 trials, pain was 0.50 standard deviations lower with exercise than with no exercise "
        "(95% CI 0.10 to 0.90 lower).",
    ),
    (
        (0.5, 0.1, 0.9, "SMD", None),
        "In 4 trials, pain was 0.50 standard deviations higher with exercise than with no exercise "
        "(95% CI 0.10 to 0.90 higher).",
    ),
    (
        (-5.0, -10.0, 0.0, "MD", 15.0),
        "In 4 trials, no clear difference in pain between exercise and no exercise: −5.0 points of "
        "100 (95% CI −10.0 to 0.0).",
    ),
    (
        (5.0, 0.0, 10.0, "MD", None),
        "In 4 trials, no clear difference in pain between exercise and no exercise: 5.0 points of "
        "100 (95% CI 0.0 to 10.0).",
    ),
]


@pytest.mark.parametrize(("given", "words"), POOLED)
def test_pooled_in_words(given, words):
    estimate, low, high, measure, mcid = given
    result = replace(CLEAR, estimate=estimate, ci_low=low, ci_high=high, pi_low=np.nan)
    assert sentences.pooled(result, "pain_intensity", measure, mcid=mcid) == words


ALIKE = [-8.0, -8.1, -8.2], [9.0, 12.0, 10.0]
SURE = (
    " The trials agree more than their errors let expect; by these errors alone the effect is "
    "−8.1 points of 100 (95% CI −11.7 to −4.5)."
)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (pool(*ALIKE), SURE),
        (pool(*ALIKE, test="adhoc"), ""),
        (pool(*ALIKE, test="t"), ""),
        (pool(*ALIKE, test="z"), ""),
        (pool([-8.0, -8.0, -8.0], ALIKE[1]), ""),
        (pool([-8.0, -2.0, -14.0], ALIKE[1]), ""),
    ],
)
def test_an_interval_surer_than_the_errors_is_told_with_them(result, words):
    """By hand: weights 1/9, 1/12, 1/10, mean -8.09623, standard error 1.84289."""
    assert sentences.caution(result, "MD") == words
    assert ("agree more" in sentences.pooled(result, "pain_intensity")) == bool(words)
    assert result.surer_than_errors == bool(words)


def test_the_prediction_interval_is_of_random_effects_only():
    spread = replace(CLEAR, pi_low=-20.0, pi_high=-4.0)
    said = "In a new trial the effect is expected between −20.0 and −4.0 (prediction interval)."
    assert sentences.pooled(spread, "pain_intensity").endswith(said)
    assert "new trial" not in sentences.pooled(replace(spread, method="CE"), "pain_intensity")


SIZES = [
    ((1, 0, 0), "1 trial"),
    ((2, 1, 0), "2 trials (1 participants)"),
    ((3, 1234, 0), "3 trials (1,234 participants)"),
    ((3, 50, 1), "3 trials (50 participants and 1 arm of unknown size)"),
    ((3, 50, 2), "3 trials (50 participants and 2 arms of unknown size)"),
]


@pytest.mark.parametrize(("given", "words"), SIZES)
def test_size_of_the_evidence(given, words):
    names = ("n_trials", "n_participants", "unsized_arms")
    assert sentences.size_words(SimpleNamespace(**dict(zip(names, given, strict=True)))) == words


MCID = [
    (
        (-12.0, 15.0),
        SHARE,
    ),
    (
        (12.0, 15.0),
        SHARE,
    ),
    (
        (30.0, 10.0),
        " That is 3.00 of the smallest difference that matters to patients (MCID), 10 points.",
    ),
    ((30.0, None), ""),
]


@pytest.mark.parametrize(("given", "words"), MCID)
def test_share_of_the_mcid(given, words):
    assert sentences.share_of_mcid(*given) == words


BEST = [
    (
        {},
        "MD",
        "The best mean effect, −15.0 points of 100, is at 95 minutes per week (95% interval from "
        "45 to 120).",
    ),
    (
        {"note": "why"},
        "MD",
        "The best mean effect, −15.0 points of 100, is at 95 minutes per week (95% interval from "
        "45 to 120); why.",
    ),
    (
        {"effect": 0.5, "high": 19.9, "estimate": 9.0, "ci_low": 4.0, "ci_high": 12.0},
        "SMD",
        "The best mean effect, 0.50 standard deviations, is at 9.0 minutes per week (95% interval "
        "from 4.0 to 12.0).",
    ),
]


@pytest.mark.parametrize(("fields", "measure", "words"), BEST)
def test_best_dose_in_words(fields, measure, words):
    assert sentences.best_dose(dose(**fields), "minutes_per_week", measure=measure) == words


INF = np.inf

LIMITS = [
    ((np.nan, np.nan), "not available"),
    ((0.0, INF), "any time"),
    ((0.0, 9.0), "at most 9.0"),
    ((3.0, INF), "at least 3.0"),
    ((3.0, 9.0), "3.0 to 9.0"),
]


@pytest.mark.parametrize(("given", "words"), LIMITS)
def test_limits_of_a_time(given, words):
    assert sentences._limits(TimeEstimate(0.5, 5.0, *given, "")) == words


SPEED = [
    (
        ((5.0, 2.0, 9.0, ""), (20.0, 8.0, INF, "")),
        "Half of the largest effect was there after 5.0 weeks (95% CI 2.0 to 9.0), 90% of it after "
        "20.0 (at least 8.0).",
    ),
    (
        ((5.0, 0.0, 9.0, "few weeks"), (20.0, 0.0, INF, "")),
        "Half of the largest effect was there after 5.0 weeks (95% CI at most 9.0), 90% of it "
        "after 20.0 (any time); few weeks.",
    ),
    (
        ((np.nan, np.nan, np.nan, "no early visit"), (np.nan, np.nan, np.nan, "")),
        "How fast the effect came the data do not give: no early visit.",
    ),
    (
        ((np.nan, 0.0, INF, "no early visit"), (np.nan, np.nan, np.nan, "")),
        "How fast the effect came the data do not give: no early visit.",
    ),
    (
        ((np.nan, 0.0, 6.0, "no early visit"), (np.nan, np.nan, np.nan, "")),
        "How fast the effect came the data do not give: no early visit; half of it was there after "
        "at most 6.0 weeks (95% limit).",
    ),
    (
        ((np.nan, 2.0, INF, "no early visit"), (np.nan, np.nan, np.nan, "")),
        "How fast the effect came the data do not give: no early visit; half of it was there after "
        "at least 2.0 weeks (95% limit).",
    ),
]


def course(half, most, last=60.0, rests_on=()):
    times = {0.5: TimeEstimate(0.5, *half), 0.9: TimeEstimate(0.9, *most)}

    def effect(weeks):
        table = pd.DataFrame({"weeks": weeks})
        return table.assign(estimate=-table["weeks"], ci_low=-90.0, ci_high=-0.5)

    return made(
        "TimeCourseResult",
        first_week=2.0,
        last_week=last,
        level=0.95,
        effect=effect,
        weeks_to=times.__getitem__,
        rests_on=rests_on,
        effects=SimpleNamespace(measure="MD", n_trials=5, n_participants=0, unsized_arms=0),
    )


@pytest.mark.parametrize(("times", "words"), SPEED)
def test_speed_in_words(times, words):
    assert sentences.speed(course(*times)) == words


@pytest.mark.parametrize(
    ("trials", "needed"), [(("one",), "one"), (("one", "other"), "one or other")]
)
def test_a_speed_that_rests_on_a_trial_names_it(trials, needed):
    assert sentences.speed(course(*SPEED[0][0], rests_on=trials)) == (
        f"How fast the effect came is not told: not estimable without {needed}."
    )


@pytest.mark.parametrize(
    ("half", "rests_on", "told"),
    [
        ((6.0, 2.0, 14.0), (), [0.5, 0.9]),
        ((6.0, 0.0, 14.0), (), [0.5, 0.9]),
        ((6.0, 2.0, INF), (), [0.5, 0.9]),
        ((6.0, np.nan, np.nan), (), [0.5, 0.9]),
        ((np.nan, 0.0, 14.0), (), [0.5]),
        ((np.nan, 2.0, INF), (), [0.5]),
        ((np.nan, 0.5, INF), (), [0.5]),
        ((np.nan, 0.0, INF), (), []),
        ((np.nan, np.nan, np.nan), (), []),
        ((6.0, 2.0, 14.0), ("one",), []),
        ((6.0, 2.0, INF), ("one", "other"), []),
    ],
)
def test_the_weeks_that_are_told_are_those_of_the_sentence(half, rests_on, told):
    result = course((*half, "why"), (*(3 * np.array(half)), "why"), rests_on=rests_on)
    found = sentences.weeks_told(result)
    assert found == {share: result.weeks_to(share) for share in told}
    words = sentences.speed(result)
    assert ("not told" in words) == bool(rests_on)
    assert ("alf of" in words or "half of it" in words) == (0.5 in told)
    assert ("90% of it" in words) == (0.9 in told)


def test_a_time_course_in_words():
    text = sentences.time_course(course(*SPEED[0][0]), "pain_intensity")
    assert text.startswith(
        "In 5 trials, the effect of exercise on pain, in points of 100, was −4.0 at week 4 (95% CI "
        "−90.0 to −0.5), −12.0 at week 12 (95% CI −90.0 to −0.5), −26.0 at week 26 (95% CI −90.0 "
        "to −0.5) and −52.0 at week 52 (95% CI −90.0 to −0.5). Half of"
    )
    early = sentences.time_course(course(*SPEED[0][0], last=3.0), "disability")
    assert "disability, in points of 100, was −3.0 at week 3 (95% CI −90.0 to −0.5). Half" in early


# change a month with its limits, effect at the end, row of the change
LASTS = [
    ((0.5, 0.1, 0.9), -9.0, "shrank"),
    ((-0.5, -0.9, -0.1), -9.0, "grew"),
    ((0.5, 0.1, 0.9), 9.0, "grew"),
    ((-0.5, -0.9, -0.1), 9.0, "shrank"),
    ((0.5, 0.0, 0.9), -9.0, "did not clearly change"),
    ((-0.5, -0.9, 0.0), -9.0, "did not clearly change"),
]


def lasting(change, end, kind="within trials", retained=(), repeated=("one", "other")):
    row = pd.DataFrame([(*change, 0.03)], columns=["estimate", "ci_low", "ci_high", "p_value"])
    columns = ["weeks", "retained", "retained_low", "retained_high", "note"]
    return Durability(
        at_end=pd.DataFrame({"estimate": [end]}),
        change=row.set_axis([kind]),
        retained=pd.DataFrame(list(retained), columns=columns),
        n_trials=6,
        n_repeated=len(repeated),
        n_participants=90,
        last_week=40.0,
        level=0.95,
        repeated=repeated,
    )


@pytest.mark.parametrize(("change", "end", "verb"), LASTS)
def test_what_became_of_the_effect(change, end, verb):
    shown = " to ".join(f"{limit:.2f}".replace("-", "−") for limit in change[1:])
    estimate = f"{change[0]:.2f}".replace("-", "−")
    assert sentences.durability(lasting(change, end)) == (
        f"After the end of the programme the effect {verb}: {estimate} points of 100 a month (95% "
        f"CI {shown}, P = 0.030; within the 2 trials that measured more than once)."
    )


@pytest.mark.parametrize(("repeated", "who"), [(("one",), "only one"), ((), "no trial")])
def test_what_lasts_is_not_told_of_one_trial(repeated, who):
    found = lasting((0.5, 0.1, 0.9), -9.0, "all trials", repeated=repeated)
    assert sentences.durability(found) == (
        f"Whether the effect lasts after the end of the programme is not told: {who} measured more "
        "than once after it. Between the 6 trials it differs by 0.50 points of 100 a month of "
        "follow-up (95% CI 0.10 to 0.90), which may be the trials, not the time."
    )


def test_what_is_kept_or_cannot_be_told():
    kept = [(26.0, 0.8, 0.5, 1.1, ""), (52.0, 0.7, np.nan, np.nan, "the interval is endless")]
    text = sentences.durability(lasting((0.5, 0.1, 0.9), -9.0, "all trials", kept))
    assert "; over 6 trials, 2 measured more than once)." in text
    assert text.endswith(
        "26 weeks after the end 80% of it remained (95% CI 50 to 110%). What share of the effect "
        "remains 52 weeks after the end cannot be told: the interval is endless."
    )


RESPONDERS = [
    (
        (0.19, -0.11, 0.49),
        "19 percentage points more people with exercise than without (95% CI −",
    ),
    ((-0.19, -0.49, 0.11), "19 percentage points fewer people with exercise than without (95% CI "),
    ((0.0, -0.1, 0.1), "0 percentage points more people with exercise than without (95% CI −10 to"),
]


@pytest.mark.parametrize(("difference", "words"), RESPONDERS)
def test_responders_of_trials_one_population_at_a_time(difference, words):
    effects = SimpleNamespace(
        n_trials=3,
        n_participants=90,
        unsized_arms=0,
        table=pd.DataFrame(
            {"trial_id": ["a", "b", "c"], "population": ["chronic_nslbp"] * 2 + ["acute_lbp"]}
        ),
    )
    row = pd.DataFrame([difference], columns=["estimate", "ci_low", "ci_high"])
    result = made(
        "TrialResponders",
        effects=effects,
        summary=lambda: row.set_axis(["difference"]),
        difference=made("PoolResult", level=0.95, surer_than_errors=False),
        outcome="pain_intensity",
        response=SimpleNamespace(text="15 points or more"),
        shares=pd.DataFrame(
            {
                "trial_id": ["a", "a", "b", "c"],
                "is_reference": [True, False, True, True],
                "share": [0.2, 0.9, 0.4, 0.87],
            }
        ),
    )
    text = sentences.trial_responders(result)
    assert text.startswith(f"In 3 trials (90 participants), {words}")
    assert text.endswith(
        "improved in pain by 15 points or more, by the normal approximation. Without exercise it "
        "was 87% in 1 trial of acute low back pain and 30% in 2 trials of chronic low back pain."
    )
    result.difference = pool([0.05, 0.051, 0.052], [0.01, 0.01, 0.01])
    assert (
        "by the normal approximation. The trials agree more than their errors let expect; by these "
        "errors alone the effect is 5.1 percentage points (95% CI −6.2 to 16.4). Without exercise"
    ) in sentences.trial_responders(result)


@pytest.fixture(scope="module")
def effects():
    """Ten two-arm trials around -20 d / (60 + d), so that every curve can be fitted."""
    doses = (15.0, 30.0, 45.0, 60.0, 90.0, 120.0, 150.0, 180.0, 240.0, 300.0)
    rows = [
        {"yi": -20 * d / (60 + d) + 0.2 * (-1) ** k, "vi": 0.25, "minutes_per_week": d}
        for k, d in enumerate(doses)
    ]
    return make_effects(rows)


@pytest.mark.parametrize("name", sorted(set(CURVES) - {"surface", "piecewise"}))
@pytest.mark.parametrize("step", [False, True])
def test_every_curve_has_its_sentence(effects, name, step):
    if step and name in ("emax", "hill", "fp2"):
        name = "linear"
    curve = dose_response(
        effects, dose="minutes_per_week", curve=name, any_exercise=step, method="CE"
    )
    text = sentences.dose_response(curve, mcid=10)
    assert text.startswith("In 10 trials (420 participants), ")
    assert sentences.curve_words(name) in text or name == "constant"
    if name == "constant":
        assert text.endswith("The effect is taken to be the same at every dose.")
    elif step:
        assert "exercise of any dose makes a difference to pain (P < 0.001)" in text
        assert "Among those who exercise, dose matters (a step and a " in text
    else:
        assert "exercise against none and more against less taken together" in text
        assert "first reaches 10.0 points of 100 at" in text
        assert "first reaches" not in sentences.dose_response(curve)


def test_a_step_whose_dose_does_not_matter_names_no_dose():
    """Slope -90/15750, standard error 1/sqrt(15750): z = 0.717."""
    rows = [
        {"yi": -12.0 + (-1) ** k, "vi": 1.0, "minutes_per_week": 30.0 * (k + 1)} for k in range(6)
    ]
    curve = dose_response(
        make_effects(rows), dose="minutes_per_week", any_exercise=True, method="CE"
    )
    assert sentences.dose_response(curve, mcid=10).endswith(
        "Among those who exercise, dose is not shown to matter (a step and a straight line, "
        "P = 0.47; 0 trials randomised people to different doses), so no dose is named as enough, "
        "or as best."
    )


@pytest.mark.parametrize(
    ("value", "name", "largest", "text"),
    [
        (1.0, "sessions_per_week", 3.0, "1 session per week"),
        (1.125, "sessions_per_week", 3.0, "1.1 sessions per week"),
        (1.0, "duration_weeks", 12.0, "1 week of exercise"),
        (90.4, "minutes_per_week", 150.0, "90 minutes per week"),
        (12.0, "total_hours", 30.0, "12 hours in total"),
        (2.0, "grams", 3.0, "2 grams"),
    ],
)
def test_doses_with_their_units(value, name, largest, text):
    assert dose_with_unit(value, name, largest) == text
