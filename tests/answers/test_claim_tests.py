"""How claims are tested, on made-up trials: words and numbers of each part."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.answers import claim_tests
from backpain_analysis.answers.certainty import Body
from backpain_analysis.answers.claim_parts import judged, smallest_that_matters, untestable
from backpain_analysis.answers.moderation import Moderation
from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.time.course import TimeEstimate

NAN = np.nan


class Context:
    """What parts ask of a context, without trials."""

    def __init__(self, **found):
        self.__dict__ |= found

    def size(self, trials, participants):
        return {"n_trials": len(set(trials)), "n_participants": participants}


def course(weeks=(18.0, 1.1, 63.1), change=(-1.0, -2.0, 0.5), note="", rests_on=(), repeated=2):
    table = pd.DataFrame({"trial_id": ["a", "b", "b"]})
    row = pd.DataFrame([change], columns=["estimate", "ci_low", "ci_high"], index=["all trials"])

    def durability():
        if change is None:
            raise CannotEstimate("no follow-up after the programme")
        return SimpleNamespace(monthly=row.iloc[-1], is_told=repeated > 1, n_repeated=repeated)

    return SimpleNamespace(
        effects=SimpleNamespace(table=table, measure="MD"),
        n_participants=900,
        weeks_to=lambda fraction: TimeEstimate(fraction, *weeks, note),
        durability=durability,
        rests_on=rests_on,
    )


SIZE = {"n_trials": 2, "n_participants": 900}

WAITS = [
    ((18.0, 4.1, 63.1), "supported", "it takes more than 4 weeks"),
    ((2.0, 1.0, 4.0), "evidence against", "most of it is there within 4 weeks"),
    ((5.7, 0.5, 16.0), "inconclusive", "4 weeks are in the interval"),
    ((NAN, NAN, NAN), "not tested in these trials", "no early visit"),
]


@pytest.mark.parametrize(("weeks", "verdict", "reason"), WAITS)
def test_patience_is_four_weeks(weeks, verdict, reason):
    part = claim_tests._wait(course(weeks, note="no early visit"), "weeks", SIZE)
    assert (part.verdict, part.reason) == (verdict, reason)
    if part.body is not None:
        assert part.certainty.target == "more or less than 4 weeks"
        assert part.trials == ("a", "b")


def test_a_wait_or_a_change_that_rests_on_one_trial_is_not_tested():
    part = claim_tests._wait(course(rests_on=("a", "b")), "weeks", SIZE)
    assert part.reason == "not estimable without a or b"
    part = claim_tests._change(course(repeated=1), "change", "pain_intensity", SIZE)
    assert part.reason == "1 trial measured more than once"


CHANGES = [
    ((-1.0, -2.0, 0.5), "supported", "−6.0 [−12.0 to 3.0] points of 100"),
    ((-1.0, -2.5, 0.5), "inconclusive", "−6.0 [−15.0 to 3.0] points of 100"),
    ((4.0, 3.0, 5.0), "evidence against", "24.0 [18.0 to 30.0] points of 100"),
]


@pytest.mark.parametrize(("change", "verdict", "text"), CHANGES)
def test_the_change_is_of_half_a_year(change, verdict, text):
    """Six months of a change a month, against an MCID of 15."""
    part = claim_tests._change(course(change=change), "change", "pain_intensity", SIZE)
    assert (part.verdict, part.estimate_text) == (verdict, text)


def moderation(estimate=5.0, low=1.0, high=9.0, p=0.01, holm=0.02, note=""):
    columns = ["moderator", "estimate", "ci_low", "ci_high", "p_value", "p_holm", "note"]
    table = pd.DataFrame(
        [
            ("Mean age, per 10 years", estimate, low, high, p, holm, note),
            ("Year", 1.0, -1.0, 3.0, 0.4, 0.8, ""),
        ],
        columns=columns,
    )
    effects = Effects(pd.DataFrame(), (), pd.DataFrame(), "pain_intensity", "MD")
    names = {"Mean age, per 10 years": frozenset(["a", "b", "c"])}
    sizes = pd.Series({"a": 100.0, "b": 200.0, "d": 999.0})
    return Moderation(table, effects, names, sizes)


DIRECTIONS = [
    ("worse", 1, "supported, size uncertain or small"),
    ("better", 1, "evidence against"),
    ("either", 1, "supported, size uncertain or small"),
    ("worse", -1, "evidence against"),
    ("better", -1, "supported, size uncertain or small"),
    ("either", -1, "supported, size uncertain or small"),
]


@pytest.mark.parametrize(("direction", "sign", "verdict"), DIRECTIONS)
def test_a_moderator_is_judged_in_the_direction_of_the_claim(direction, sign, verdict):
    limits = sorted((sign * 1.0, sign * 9.0))
    found = moderation(sign * 5.0, *limits)
    context = Context(moderation=lambda outcome: found)
    part = claim_tests.moderator(context, "pain_intensity", "Mean age, per 10 years", direction)
    assert part.what == "mean age, per 10 years, effect on pain"
    assert part.verdict == verdict and "after adjustment for 2" in part.reason
    assert (part.body.n_trials, part.body.n_participants) == (3, 300)
    assert part.trials == ("a", "b", "c")


NOTES = [
    ("", ("compared between trials, which differ in much else",)),
    ("0 trials compare them directly", ("compared between trials, which differ in much else",)),
    ("2 trials compare them directly", ()),
]


@pytest.mark.parametrize(("note", "indirect"), NOTES)
def test_a_moderator_that_no_trial_compares_is_indirect(note, indirect):
    context = Context(moderation=lambda outcome: moderation(note=note))
    part = claim_tests.moderator(context, "pain_intensity", "Mean age, per 10 years", "worse")
    assert part.body.indirect == indirect


def test_a_moderator_that_could_not_be_asked_says_why():
    found = moderation(estimate=NAN, note="reported by 1 trial, too few")
    context = Context(moderation=lambda outcome: found)
    part = claim_tests.moderator(context, "pain_intensity", "Mean age, per 10 years", "worse")
    assert (part.verdict, part.reason) == (
        "not tested in these trials",
        "reported by 1 trial, too few",
    )


def people(*rows):
    """Trials with their population, and shares of people with a recurrence by arm."""
    shares = pd.DataFrame(list(rows), columns=["trial_id", "arm_id", "mean"])
    arms = shares[["trial_id", "arm_id"]].drop_duplicates()
    kinds = ["none" if arm.startswith("none") else "yoga" for arm in arms["arm_id"]]
    evidence = SimpleNamespace(
        outcomes=shares.assign(outcome="recurrence"), arms=arms.assign(exercise_type=kinds)
    )
    return Context(evidence=evidence, name=lambda trial: f"Trial {trial}")


SHARES = [
    ((), "no trial prints it"),
    ((("a", "yoga", 30.0),), "no trial prints it"),
    ((("a", "yoga", 30.0), ("a", "pilates", 20.0)), "no trial prints it"),
    (
        (("a", "none", 84.0), ("a", "yoga", 30.0)),
        "Trial a 30% against 84%; without arm sizes there is no interval",
    ),
    (
        (("a", "yoga", 30.0), ("a", "none", 84.0), ("b", "yoga", 8.3), ("b", "none", 33.3)),
        "Trial a 30% against 84%, Trial b 8% against 33%; without arm sizes there is no interval",
    ),
    (
        (("a", "yoga", 30.0), ("a", "none", 84.0), ("a", "yoga", 35.0), ("a", "none", 75.0)),
        "Trial a 30% against 84%; without arm sizes there is no interval",
    ),
]


@pytest.mark.parametrize(("rows", "reason"), SHARES)
def test_shares_without_arm_sizes_are_told_and_not_judged(rows, reason):
    part = claim_tests._shares(people(*rows))
    assert (part.verdict, part.reason) == ("not tested in these trials", reason)


def test_who_else_the_trials_are_of_stands_in_the_sentence():
    body = Body(5.0, 1.0, 9.0, n_trials=2, n_participants=900, indirect=("2 trials of neck pain",))
    part = claim_tests._with_people(judged("x", body, "kPa", 1))
    assert part.reason == "an effect, but which size matters is not known (2 trials of neck pain)"
    plain = judged("x", Body(5.0, 1.0, 9.0, n_trials=2, n_participants=900), "kPa", 1)
    assert claim_tests._with_people(plain) is plain
    nothing = untestable("x", "why")
    assert claim_tests._with_people(nothing) is nothing


RUNNING = [
    ((-25.0, -5.0), "evidence against", "running lowered pain"),
    ((16.0, 30.0), "supported", "an effect of at least the MCID"),
    ((-9.0, 5.0), "no worthwhile effect", "an effect as large as the MCID is ruled out"),
]


@pytest.mark.parametrize(("limits", "verdict", "reason"), RUNNING)
def test_running_is_asked_about_harm(limits, verdict, reason):
    body = Body(sum(limits) / 2, *limits, n_trials=1, n_participants=40, mcid=15.0)

    def pooled(effects, outcome, what, benefit):
        assert (effects, outcome) == (None, "pain_intensity")
        return judged(what, body, "points of 100", benefit)

    found = moderation()
    found.table.loc[0, "moderator"] = "Running instead of low-impact aerobic"
    names = {"Running instead of low-impact aerobic": frozenset(["a"])}
    context = Context(
        effects=lambda outcome: None,
        pooled=pooled,
        moderation=lambda outcome: Moderation(found.table, found.effects, names, found.sizes),
    )
    part, other = claim_tests.high_impact(context)
    assert (part.verdict, part.reason) == (verdict, reason)
    assert other.verdict == "supported, size uncertain or small"


THRESHOLDS = [
    (("pain_intensity", "MD"), 15.0),
    (("disability", "MD"), 10.0),
    (("quality_of_life", "MD"), None),
    (("quality_of_life", "SMD"), 0.5),
    (("recurrence", "HR"), -np.log(0.75)),
    (("recurrence", "RR"), -np.log(0.75)),
    (("recurrence", "RD"), None),
]


@pytest.mark.parametrize(("given", "size"), THRESHOLDS)
def test_the_smallest_difference_that_matters(given, size):
    assert smallest_that_matters(*given) == (None if size is None else pytest.approx(size))


def test_nobody_measured_what_cannot_be_found():
    neck = claim_tests.neck(Context(effects=lambda outcome: None))
    assert [part.reason for part in neck] == ["no usable trial of neck pain"] * 2
    assert [part.what for part in neck] == [
        "exercise against no exercise, pain, neck pain",
        "neck against back pain, effect on pain",
    ]
    lifestyle = claim_tests.lifestyle(Context())
    assert {part.reason for part in lifestyle} == {
        "reports of trials do not relate them to the effect; that needs participants' own data"
    }


PAIN, DISABILITY = "pain_intensity", "disability"
AGE, BASELINE = "Mean age, per 10 years", "Baseline, per 10 points"

ASKED = [
    ("intensity", [(o, "Higher intensity instead of lower", "worse") for o in (PAIN, DISABILITY)]),
    (
        "combined",
        [(o, "With a co-intervention instead of alone", "better") for o in (PAIN, DISABILITY)],
    ),
    ("people", [(o, name, "either") for o, name in ((PAIN, AGE), (DISABILITY, AGE))]),
    ("acute", [(PAIN, "Acute instead of chronic", "worse")]),
]


@pytest.mark.parametrize(("claim", "asked"), ASKED)
def test_which_way_a_claim_on_a_moderator_points(claim, asked, monkeypatch):
    monkeypatch.setattr(claim_tests, "moderator", lambda context, *question: question)
    if claim == "people":
        asked = [*asked, (PAIN, BASELINE, "either")]
    assert getattr(claim_tests, claim)(None) == asked


def test_what_parts_are_called():
    context = Context(
        effects=lambda *asked: None,
        compared=lambda outcome, *treatments, words, **options: (outcome, *words),
        pooled=lambda effects, outcome, what: what,
    )
    assert claim_tests.stretching(context) == [
        (PAIN, "stretching", "no exercise"),
        "stretching against no exercise, flexibility",
    ]
    shares = claim_tests._shares(people())
    assert shares.what == "exercise against no exercise, share of people with a new episode"
