"""What each claim asks of the trials: its parts, and the words and borders of each answer."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.answers import claim_tests
from backpain_analysis.answers.certainty import Body
from backpain_analysis.answers.claim_parts import judged, untestable
from backpain_analysis.answers.dose import Estimate
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.search import DoseEstimate
from tests.answers.test_claim_tests import Context, course
from tests.answers.test_dose_answer import said
from tests.figures.drawn import make_effects
from tests.made import made

PAIN, DISABILITY = BOTH = ("pain_intensity", "disability")


def asking():
    """A context that answers with what it was asked."""

    def compared(outcome, first, second="inactive", *, lump, words, rule="benefit"):
        return (outcome, first, second, lump, rule, *words)

    return Context(
        effects=lambda *given, **options: None,
        compared=compared,
        pooled=lambda effects, outcome, what: what,
        key=lambda outcome, measure: (outcome, measure),
    )


NONE = "no exercise"
CORE = "core and motor-control exercise"
COMPARED = [
    ("aerobic", [(PAIN, "aerobic", "inactive", "families", "benefit", "aerobic exercise", NONE)]),
    (
        "resistance",
        [
            (o, "resistance", "inactive", "families", "benefit", "resistance exercise", NONE)
            for o in BOTH
        ],
    ),
    (
        "core",
        [
            *(
                (o, "core_motor_control", "inactive", "families", "benefit", CORE, NONE)
                for o in BOTH
            ),
            *(
                (
                    o,
                    "core_motor_control",
                    "general_mixed",
                    "families",
                    "difference",
                    CORE,
                    "general exercise",
                )
                for o in BOTH
            ),
            f"{CORE} against no exercise, balance",
        ],
    ),
    (
        "low_impact",
        [
            (
                o,
                "low_impact_aerobic",
                "other_exercise",
                "impact",
                "difference",
                "low-impact aerobic exercise",
                "other exercise",
            )
            for o in BOTH
        ],
    ),
    ("strength", [("trunk_strength", "SMD"), ("trunk_endurance", "SMD")]),
    ("flexibility", [("flexibility_rom", "SMD")]),
    ("stability", [("balance_stability", "SMD")]),
    ("quality_of_life", [("quality_of_life", "SMD")]),
    ("mood", [("depression_anxiety", "SMD")]),
]


@pytest.mark.parametrize(("claim", "parts"), COMPARED)
def test_what_a_claim_compares(claim, parts):
    assert getattr(claim_tests, claim)(asking()) == parts


def test_stretching_of_either_kind():
    static, dynamic = claim_tests.static_or_dynamic(
        Context(
            effects=lambda *given, **options: None,
            of_network=lambda found, *asked: (found, *asked),
            compared=asking().compared,
        )
    )
    pair = ("stretching_dynamic", "stretching_static")
    words = ("dynamic stretching", "static stretching")
    assert static == (
        "no usable result",
        "flexibility_rom",
        *pair,
        "difference",
        f"{words[0]} against {words[1]}, flexibility",
    )
    assert dynamic == (PAIN, *pair, "types", "equivalence", *words)


def test_only_the_named_types_are_pooled():
    pooled = []
    rows = [
        {"yi": 0.0, "vi": 1.0, "exercise_type": kind}
        for kind in ("stretching_static", "motor_control", "core_stabilisation", "yoga")
    ]
    context = asking()
    context.effects = lambda *given, **options: make_effects(rows)
    context.pooled = lambda effects, outcome, what: pooled.append(
        effects.table["exercise_type"].tolist()
    )
    claim_tests.stretching(context)
    claim_tests.core(context)
    assert pooled == [["stretching_static"], ["motor_control", "core_stabilisation"]]


def test_types_done_properly(monkeypatch):
    monkeypatch.setattr(claim_tests, "moderator", lambda context, *asked: asked)
    parts = claim_tests.other_types(asking())
    assert [part.reason for part in parts[:2]] == ["no usable result"] * 2
    assert parts[0].what == "yoga, Pilates or resistance exercise against no exercise, pain"
    assert [part[1] for part in parts[2:8]] == ["yoga", "pilates", "resistance"] * 2
    assert parts[3][-2:] == ("Pilates", NONE)
    assert parts[8:] == [(o, "Supervised instead of unsupervised", "better") for o in BOTH]


SLOPES = [
    (Estimate(-4.0, -7.0, -1.0, 0.01), "more does more", None),
    (
        Estimate(-4.0, -7.0, -1.0, 0.01),
        "not shown",
        ("inconclusive", "a line is clear, but curves without a dose fit as well"),
    ),
    (
        Estimate(-4.0, -9.0, 1.0, 0.2),
        "not shown",
        ("inconclusive", "the interval includes no difference"),
    ),
    (None, "cannot be told", ("not tested in these trials", "too few doses")),
]


@pytest.mark.parametrize(("slope", "verdict", "expected"), SLOPES)
@pytest.mark.parametrize("direct", [(), ("a",)])
def test_more_minutes(slope, verdict, expected, direct):
    answer = said(
        outcome=DISABILITY, slope=slope, verdict=verdict, reason="too few doses", direct=direct
    )
    part = claim_tests._more_minutes(Context(dose=lambda outcome: answer))
    assert part.what == "60 more minutes per week among those who exercise, disability"
    assert expected is None or (part.verdict, part.reason) == expected
    assert slope is None or part.body.indirect == (
        () if direct else ("most doses are compared between trials, not within them",)
    )
    nothing = claim_tests._more_minutes(Context(dose=lambda outcome: "no trial"))
    assert (nothing.what, nothing.reason) == ("more minutes a week, disability", "no trial")


def texts(*outcomes, instruments=(), contrasts=()):
    table = pd.DataFrame({"outcome": list(outcomes), "instrument_text": None}, dtype=object)
    rest = pd.DataFrame({"outcome": "x", "instrument_text": list(instruments)}, dtype=object)
    other = pd.DataFrame({"outcome": list(contrasts), "instrument_text": None}, dtype=object)
    return Context(evidence=SimpleNamespace(outcomes=pd.concat([table, rest]), contrasts=other))


MEASURED = [
    (texts(), [False] * 5),
    (texts("Postural control"), [True, False, False, False, False]),
    (texts("beta-Endorphin"), [False, True, False, False, False]),
    (texts(instruments=["salivary CORTISOL"]), [False, False, True, False, False]),
    (texts(contrasts=["muscle perfusion"]), [False, False, False, True, False]),
    (texts("Blood flow"), [False, False, False, True, False]),
    (texts("IL-6"), [False, False, False, False, True]),
    (texts("il6"), [False, False, False, False, True]),
    (texts("CRP"), [False, False, False, False, True]),
    (texts("civil"), [False, False, False, False, False]),
    (texts("cytokines"), [False, False, False, False, True]),
]


@pytest.mark.parametrize(("context", "found"), MEASURED)
def test_outcomes_without_a_scale_are_looked_for_by_their_words(context, found):
    parts = [*claim_tests.posture(context), *claim_tests.mechanism(context)]
    words = ["posture", "endorphins", "cortisol", "blood flow", "inflammation"]
    assert [part.what for part in parts] == [f"exercise against no exercise, {w}" for w in words]
    assert [part.reason for part in parts] == [
        f"{word} is not harmonised" if there else f"no trial measured {word}"
        for word, there in zip(words, found, strict=True)
    ]


def hazards(*rows, populations=("chronic_nslbp", "chronic_nslbp")):
    """Trial, reference arm, outcome, measure, ratio and its limits; arm "n" had no exercise."""
    columns = [
        "trial_id",
        "ref_arm_id",
        "outcome",
        "effect_measure",
        "estimate",
        "ci_low",
        "ci_high",
    ]
    trials = pd.DataFrame(
        {"trial_id": ["a", "b"], "n_randomised": [100.0, np.nan], "population": list(populations)}
    )
    arms = pd.DataFrame(
        [("a", "n", "none"), ("b", "n", "none"), ("a", "y", "yoga"), ("b", "y", "yoga")],
        columns=["trial_id", "arm_id", "exercise_type"],
    )
    contrasts = pd.DataFrame(list(rows), columns=columns)
    evidence = SimpleNamespace(contrasts=contrasts, arms=arms, trials=trials)

    def body(result, trials, people):
        return Body(
            result.estimate,
            result.ci_low,
            result.ci_high,
            n_trials=len(set(trials)),
            n_participants=people,
        )

    return Context(evidence=evidence, body=body)


ONE = ("a", "n", "recurrence", "hr", 0.5, 0.25, 1.0)


def test_hazard_ratios_against_no_exercise():
    """One trial, once and twice: se = log 4 / 3.92; of two that correlate by a half, 3/4 of it."""
    se = np.log(4) / (2 * 1.959964)
    part = claim_tests._hazard(hazards(ONE))
    assert_allclose(part.body.estimate, np.log(0.5))
    assert_allclose(part.body.ci_high - part.body.ci_low, 2 * 1.959964 * se, rtol=1e-6)
    assert part.body.n_participants == 100 and part.body.indirect == ()
    assert_allclose(part.body.mcid, -np.log(0.75))
    twice = claim_tests._hazard(hazards(ONE, ONE))
    assert_allclose(
        twice.body.ci_high - twice.body.ci_low, 2 * 1.959964 * se * np.sqrt(0.75), rtol=1e-6
    )
    assert twice.body.n_trials == 1


@pytest.mark.parametrize(
    "row",
    [
        ("a", "y", *ONE[2:]),
        (*ONE[:2], "pain_intensity", *ONE[3:]),
        (*ONE[:3], "or", *ONE[4:]),
        (*ONE[:5], None, 1.0),
    ],
)
def test_what_is_no_hazard_ratio_against_no_exercise(row):
    part = claim_tests._hazard(hazards(row))
    assert part.what == "exercise against no exercise, hazard of a new episode"
    assert part.reason == "no trial with a hazard ratio and its interval"


def test_hazards_of_other_people_say_so():
    part = claim_tests._hazard(hazards(ONE, populations=("healthy", "healthy")))
    assert part.reason.endswith("(1 trial of people without pain)")


@pytest.mark.parametrize(
    ("populations", "words"),
    [
        (["chronic_nslbp"], ()),
        (["healthy", "healthy"], ("2 trials of people without pain",)),
        (["neck_pain", "healthy"], ("1 trial of people without pain", "1 trial of neck pain")),
        (["fibromyalgia"], ("1 trial of fibromyalgia",)),
    ],
)
def test_whom_else_trials_are_of(populations, words):
    assert claim_tests.others(pd.Series(populations)) == words


def test_thresholds_after_a_programme_and_a_bout(monkeypatch):
    """One result a trial, against a control alone; what nobody measured is told apart."""
    names = ["trial_id", "setting", "comparison", "yi_kpa", "vi_kpa", "n"]
    rows = [
        ("a", claim_tests.PROGRAMME, claim_tests.CONTROL, 50.0, 100.0, 40),
        ("a", claim_tests.PROGRAMME, claim_tests.CONTROL, 90.0, 100.0, 40),
        ("b", claim_tests.PROGRAMME, "before", 90.0, 100.0, 40),
        ("b", claim_tests.PROGRAMME, claim_tests.CONTROL, np.nan, np.nan, 40),
    ]
    changes = pd.DataFrame(rows, columns=names)
    monkeypatch.setattr(claim_tests, "sensitivity_changes", lambda evidence: (changes, None))
    context = hazards(populations=("neck_pain", "healthy"))
    context.evidence.outcomes = pd.DataFrame({"outcome": ["temporal_summation"]})
    programme, bout, summation, modulation = claim_tests.sensitivity(context)
    assert programme.body.estimate == 50.0 and programme.body.n_participants == 40
    assert programme.reason.endswith("(1 trial of neck pain)")
    assert programme.verdict == "supported, size uncertain or small"
    assert bout.reason == "no trial with a usable result"
    assert (summation.what, summation.reason) == (
        "exercise against no exercise, temporal summation",
        "no usable result",
    )
    assert modulation.reason == "no trial measured it"
    context.evidence.outcomes = pd.DataFrame({"outcome": ["x"]})
    context.evidence.contrasts = pd.DataFrame({"outcome": ["conditioned_pain_modulation"]})
    *_, modulation = claim_tests.sensitivity(context)
    assert modulation.reason == "no usable result"


@pytest.mark.parametrize(
    ("doses", "verdict", "reason"),
    [
        (["150-300 min/week", "at least 150 min/week"], "supported", "2 of 2 guidelines on file"),
        (["150-300 min/week", "90 min/week"], "inconclusive", "1 of 2 guidelines on file say so"),
        (["daily", "some"], "not tested in these trials", "no guideline on file names"),
        (["90-150 min/week", "daily"], "evidence against", "none of 1 guidelines on file says so"),
    ],
)
def test_what_guidelines_print(doses, verdict, reason, monkeypatch):
    table = pd.DataFrame({"recommendation": "moderate-intensity exercise", "dose": doses})
    other = pd.DataFrame({"recommendation": ["vigorous"], "dose": ["75 min/week"]})
    monkeypatch.setattr(claim_tests, "load_reference", lambda name: pd.concat([table, other]))
    part = claim_tests._recommended()
    assert part.what == "150 minutes a week of moderate exercise, as guidelines print it"
    assert part.verdict == verdict and part.reason.startswith(reason)
    assert part.certainty.level == "not graded"


def reach(estimate, reached=True):
    return DoseEstimate(estimate, 60.0, 150.0, -15.0, 0.0, 150.0, reached, False, "")


UNKNOWN = "at which dose the MCID is reached these trials do not say"
AT_GUIDELINE = [
    ({"highest": 150.0}, (), UNKNOWN),
    ({"highest": 149.4}, ("no trial went beyond 149 minutes a week",), UNKNOWN),
    ({"mcid_dose": reach(95.4)}, (), "the MCID is first reached at 95 minutes"),
    ({"mcid_dose": reach(95.4, False)}, (), UNKNOWN),
    ({"direct": ()}, ("most doses are compared between trials, not within them",), UNKNOWN),
]


@pytest.mark.parametrize(("changes", "indirect", "words"), AT_GUIDELINE)
def test_the_week_of_guidelines(changes, indirect, words):
    names = ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]
    asked = []

    def predict(doses):
        asked.extend(doses)
        return pd.DataFrame([(-20.0, -24.0, -16.0, -30.0, -10.0)], columns=names)

    answer = said(result=SimpleNamespace(predict=predict), **changes)
    context = Context(dose=lambda outcome: answer)
    part = claim_tests._at_guideline(context, PAIN, "x", SimpleNamespace(measure="MD"))
    assert asked == [150.0]
    assert part.reason == f"an effect of at least the MCID; {words}"
    assert part.body.indirect == indirect
    untold = claim_tests._at_guideline(Context(dose=lambda outcome: "why"), PAIN, "x", None)
    assert untold.reason == "why"


def test_three_sessions_against_one(monkeypatch):
    """Twice the effect of a session more."""
    fitted = SimpleNamespace(
        params=pd.Series({"sessions": -1.0}),
        conf_int=lambda: pd.DataFrame({"ci_low": [-3.0], "ci_high": [1.0]}, index=["sessions"]),
        data=pd.DataFrame({"trial_id": ["t1"]}),
    )
    monkeypatch.setattr(claim_tests, "spread_model", lambda effects: fitted)
    effects = make_effects([{"yi": 0.0, "vi": 1.0}] * 2)
    part = claim_tests._per_session(Context(), PAIN, "x", effects)
    assert (part.body.estimate, part.body.ci_low, part.body.ci_high) == (-2.0, -6.0, 2.0)
    assert (part.body.n_trials, part.body.n_participants) == (1, 42)
    assert part.verdict == "supported"


def test_questions_that_cannot_be_asked():
    def refuse(*given):
        raise CannotEstimate("too few trials")

    there = Context(effects=lambda outcome: "effects")
    part = claim_tests._fitted(there, PAIN, "words", refuse)
    assert (part.what, part.reason) == ("words, pain", "too few trials")
    nothing = Context(effects=lambda outcome: None)
    assert claim_tests._fitted(nothing, PAIN, "words", refuse).reason == "no usable result"
    what = [part.what for part in claim_tests.spread(nothing)]
    assert what == [
        f"the same weekly minutes in three sessions instead of one, {word}"
        for word in ("pain", "disability")
    ]
    assert [part.what for part in claim_tests.guideline(nothing)][1:] == [
        "150 minutes a week against none, pain",
        "150 minutes a week against none, disability",
    ]


def test_time_that_no_trial_tells(monkeypatch):
    def refuse(*given):
        raise CannotEstimate("no follow-up")

    monkeypatch.setattr(claim_tests, "effects_over_time", refuse)
    parts = claim_tests.time_to_effect(Context(evidence=None))
    assert [part.reason for part in parts] == ["no follow-up"] * 4
    assert [part.what for part in parts[:2]] == [
        "weeks until 90% of the effect, pain",
        "change in the 6 months after the programme, pain",
    ]


def test_a_wait_is_asked_of_ninety_per_cent():
    asked = course()
    asked.weeks_to = lambda fraction: SimpleNamespace(
        estimate=fraction, ci_low=0.0, ci_high=np.inf, note=""
    )
    part = claim_tests._wait(asked, "x", {"n_trials": 2, "n_participants": 9})
    assert part.body.estimate == 0.9


def test_a_change_of_no_trial_says_why():
    def refuse():
        raise CannotEstimate("no follow-up after the programme")

    asked = course()
    asked.durability = refuse
    part = claim_tests._change(asked, "x", PAIN, {})
    assert part.reason == "no follow-up after the programme"
    few = claim_tests._change(course(repeated=0), "x", PAIN, {})
    assert few.reason == "0 trials measured more than once"


def test_neck_beside_back_pain(monkeypatch):
    """Back pain -5 and -5, neck pain -9 and -9: four points more for the neck."""
    kinds = ["chronic_nslbp", "acute_lbp", "neck_pain", "neck_pain", "healthy"]
    rows = [
        {"yi": -9.0 if kind == "neck_pain" else -5.0, "vi": 1.0, "population": kind}
        for kind in kinds
    ]
    effects = make_effects(rows)
    kept = made("Effects", table=effects.table, measure="MD")
    whole = SimpleNamespace(
        table=effects.table,
        select=effects.select,
        against_inactive=lambda: SimpleNamespace(one_per_trial=lambda: kept),
    )
    pooled = lambda own, outcome, what: (own.n_trials, what)  # noqa: E731
    first, second = claim_tests.neck(Context(effects=lambda outcome: whole, pooled=pooled))
    assert first == (2, "exercise against no exercise, pain, neck pain")
    assert second.what == "neck against back pain, effect on pain"
    assert_allclose(second.body.estimate, -4.0)
    assert (second.body.n_trials, second.body.n_participants) == (4, 168)
    assert second.body.indirect == ("compared between trials",)

    def refuse(*given):
        raise CannotEstimate("too few")

    monkeypatch.setattr(claim_tests, "meta_regression", refuse)
    part = claim_tests._difference_of_populations(Context(), effects.table, "x", "MD")
    assert part == untestable("x", "too few")


def test_a_part_without_a_body_is_judged_by_nobody():
    body = Body(-20.0, -24.0, -16.0, n_trials=2, n_participants=900)
    assert claim_tests._with_people(judged("x", body, "kPa", -1)).reason.count("(") == 0
