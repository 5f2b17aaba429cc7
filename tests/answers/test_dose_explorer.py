"""What is known at each dose: told, refused, or without a curve."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.answers import dose_explorer as explorer
from backpain_analysis.answers.certainty import Certainty
from backpain_analysis.answers.claim_parts import Context
from backpain_analysis.answers.claim_tests import _at_guideline
from backpain_analysis.answers.dose_explorer import (
    MEDIA_TYPE,
    Choice,
    Explored,
    Known,
    dose_explorer,
)
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.reporting import explorer as page
from tests.answers.test_dose_answer import said
from tests.figures.drawn import make_effects

WEEKLY = "minutes_per_week"
CURVE = object()


@pytest.fixture(scope="module")
def trials():
    return bp.load_evidence().filter(population=bp.BACK_PAIN)


@pytest.fixture(scope="module")
def found(trials):
    return dose_explorer(trials, ["pain_intensity"], [WEEKLY])


@pytest.fixture(scope="module")
def every(found):
    return found.chosen("pain_intensity", WEEKLY)


def effects(*doses):
    rows = [{"yi": -10.0, "vi": 4.0, WEEKLY: dose} for dose in doses]
    return make_effects(rows).with_dose(WEEKLY)


def explored(*known, doses=(60.0, 240.0), reason="", answer=CURVE):
    choice = Choice("pain_intensity", "", "", WEEKLY)
    return Explored(choice, effects(*doses), answer, reason, known)


def at(dose, estimate, low, high, trials=3):
    return Known(dose, estimate, low, high, -30.0, 10.0, trials, 120, Certainty("low"))


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (
            at(120.0, -12.04, -18.06, -6.0),
            "At 120 minutes per week, pain was 12.0 points of 100 lower than without exercise "
            "(95% CI 6.0 to 18.1 lower).",
        ),
        (
            at(120.0, 5.0, 1.0, 9.0),
            "At 120 minutes per week, pain was 5.0 points of 100 higher than without exercise "
            "(95% CI 1.0 to 9.0 higher).",
        ),
        (
            at(120.0, -5.0, -10.0, 0.0),
            "At 120 minutes per week, no clear difference in pain from no exercise: −5.0 points "
            "of 100 (95% CI −10.0 to 0.0).",
        ),
        (
            at(120.0, 1.0, 0.0, 2.0),
            "At 120 minutes per week, no clear difference in pain from no exercise: 1.0 points "
            "of 100 (95% CI 0.0 to 2.0).",
        ),
        (
            at(120.0, -5.0, -10.0, 0.1, trials=0),
            "No trial studied about 120 minutes per week, so nothing is told of it. The nearest "
            "are 60 and 240 minutes per week.",
        ),
    ],
)
def test_a_dose_is_told_in_words_or_refused(known, words):
    assert explored(known).at(120.0) == words


@pytest.mark.parametrize("dose", [45.0, 255.0])
@pytest.mark.parametrize(
    ("doses", "words"),
    [
        ((60.0, 240.0), "The doses studied reach from 60 to 240 minutes per week."),
        ((90.0, 90.0), "The only dose studied is 90 minutes per week."),
    ],
)
def test_doses_beyond_those_studied_are_refused(dose, doses, words):
    refused = f"No trial studied about {dose:g} minutes per week, so nothing is told of it. {words}"
    assert explored(doses=doses).at(dose) == refused


def test_without_a_curve_it_says_why():
    one = explored(doses=(60.0,), answer=None, reason="1 trials cannot")
    assert one.at(60.0) == "One trial has this, too few for a curve; what it found is shown."
    two = explored(answer=None, reason="all doses are equal")
    assert two.at(60.0) == (
        "2 trials carry no curve: all doses are equal. What each found is shown."
    )


def test_a_dose_between_the_steps_is_a_wrong_argument():
    with pytest.raises(ValueError, match=r"dose 61 cannot be chosen: use steps of 15\."):
        explored(at(60.0, -1.0, -2.0, -0.5)).at(61.0)


def test_the_curve_and_its_certainty_are_those_of_the_claims(trials, every):
    context = Context(trials)
    part = _at_guideline(context, "pain_intensity", "x", context.effects("pain_intensity"))
    known = next(each for each in every.doses if each.dose == 150.0)
    numbers = ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]
    assert_allclose(
        [getattr(known, name) for name in numbers], [getattr(part.body, name) for name in numbers]
    )
    assert (known.certainty.level, known.certainty.reasons) == (
        part.certainty.level,
        part.certainty.reasons,
    )


def test_trials_and_people_are_those_within_half_a_step(every):
    table = every.effects.table
    for known in every.doses:
        near = table[(table[["dose", "ref_dose"]] - known.dose).abs().le(30.0).any(axis=1)]
        arms = pd.concat(
            [
                near[["trial_id", "arm_id", "n_arm"]],
                near[["trial_id", "ref_arm_id", "n_ref"]].set_axis(
                    ["trial_id", "arm_id", "n_arm"], axis=1
                ),
            ]
        ).drop_duplicates(["trial_id", "arm_id"])
        assert (known.n_trials, known.n_participants) == (
            near["trial_id"].nunique(),
            arms["n_arm"].sum(),
        )


def test_doses_are_every_quarter_of_an_hour_and_both_ends(every):
    doses = [known.dose for known in every.doses]
    assert doses == [60.0, 75.0, 90.0, 105.0, 120.0, 135.0, 150.0]
    assert (every.studied[0], every.studied[-1]) == (60.0, 150.0)


def test_each_choice_has_its_own_trials(trials, found):
    yoga = found.chosen("pain_intensity", WEEKLY, exercise_type="yoga")
    direct = bp.dose_answer(
        trials.filter(exercise_type="yoga").effects("pain_intensity"), WEEKLY, mcid=15.0
    )
    assert (yoga.answer.n_trials, yoga.answer.verdict) == (direct.n_trials, direct.verdict)
    assert_allclose(yoga.answer.effect.estimate, direct.effect.estimate)
    chronic = found.chosen("pain_intensity", WEEKLY, population="chronic_nslbp")
    assert set(chronic.effects.table["population"]) == {"chronic_nslbp"}
    with pytest.raises(CannotEstimate, match="no trial of this choice"):
        found.chosen("pain_intensity", WEEKLY, exercise_type="aerobic_cycling")


def test_the_page_gets_the_numbers_as_they_are_shown(found, every):
    bundle = found._repr_mimebundle_()
    data = json.loads(json.dumps(bundle[MEDIA_TYPE], allow_nan=False))
    assert MEDIA_TYPE == page.MEDIA_TYPE
    (first,) = [
        each for each in data["explored"] if each["choice"] == ["pain_intensity", "", "", WEEKLY]
    ]
    for row, known in zip(first["rows"], every.doses, strict=True):
        assert row[:4] == [
            known.dose,
            *(round(x, 1) for x in (known.estimate, known.ci_low, known.ci_high)),
        ]
        assert data["reasons"][row[9]] == (known.certainty.reasons if known.n_trials else "")
    assert "</table>" in bundle["text/html"]
    exact = bundle["text/csv"].splitlines()
    assert len(exact) == 1 + sum(len(each.doses) for each in found.explored)
    assert any(repr(every.doses[0].estimate) in line for line in exact)


def test_a_missing_interval_is_no_number():
    known = at(60.0, -1.0, -2.0, -0.5)
    broken = Known(**{**known.__dict__, "pi_low": math.nan})
    from backpain_analysis.answers.dose_explorer import _data

    row = _data(explored(broken, answer=None, reason="x"), {})["rows"][0]
    assert row[4] is None and row[5] == 10.0


@pytest.mark.parametrize(
    ("estimate", "limits", "words"),
    [
        (
            -0.5,
            (-0.9, -0.1),
            "pain was 0.5 points of 100 lower than without exercise (95% CI 0.1 to",
        ),
        (0.5, (0.1, 0.9), "pain was 0.5 points of 100 higher than without exercise (95% CI 0.1 to"),
        (0.0, (0.1, 0.9), "pain was 0.0 points of 100 higher than"),
        (-0.5, (-0.9, 0.9), "no clear difference in pain from no exercise: −0.5 points of 100"),
    ],
)
def test_the_way_of_small_effects(estimate, limits, words):
    assert words in explored(at(120.0, estimate, *limits)).at(120.0)


@pytest.mark.parametrize("dose", [60.0, 240.0])
def test_both_ends_of_the_doses_studied_are_told(dose):
    assert explored(at(dose, -5.0, -9.0, -1.0)).at(dose).startswith(f"At {dose:g} minutes per week")


def test_the_nearest_doses_are_those_on_either_side():
    known = at(150.0, -5.0, -9.0, -1.0, trials=0)
    found = explored(known, doses=(60.0, 90.0, 180.0, 240.0))
    assert found.at(150.0).endswith("The nearest are 90 and 180 minutes per week.")
    assert found.studied.tolist() == [60.0, 90.0, 180.0, 240.0]


def test_one_of_a_dose_is_said_in_the_singular():
    choice = Choice("pain_intensity", "", "", "sessions_per_week")
    rows = [{"yi": -10.0, "vi": 4.0, "sessions_per_week": dose} for dose in (1.0, 2.0)]
    own = make_effects(rows).with_dose("sessions_per_week")
    found = Explored(choice, own, CURVE, "", (at(1.0, 1.0, -1.0, 3.0), at(2.0, 1.0, -1.0, 3.0)))
    assert found.at(1.0).startswith("At 1 session per week, ")
    assert found.at(2.0).startswith("At 2 sessions per week, ")


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (
            Choice("pain_intensity", "", "", WEEKLY),
            ("Pain", "All kinds", "All types", "Minutes per week"),
        ),
        (
            Choice("disability", "acute_lbp", "tai_chi_qigong", "odd_dose"),
            ("Disability", "Acute low back pain", "Tai chi / qigong", "Odd dose"),
        ),
    ],
)
def test_a_choice_in_words(choice, words):
    assert choice.words == words


def test_what_can_be_asked():
    assert explorer.DoseExplorer(()).answer() == (
        "No trial of exercise against none has a result at a known dose."
    )
    two = explorer.DoseExplorer((explored(), explored(answer=None, reason="x")))
    assert two.answer() == (
        "Choose an outcome, a population, a type of exercise and a dose: 2 trials of exercise "
        "against none have a result at a known dose, and 1 of 2 choices carry a curve. Doses that "
        "nobody studied are refused."
    )


def test_rows_are_those_of_all_kinds_with_a_curve():
    answer = said()
    whole = explored(at(60.0, -1.0, -2.0, -0.5), at(75.0, -1.0, -2.0, 0.5, trials=0), answer=answer)
    part = replace(whole, choice=replace(whole.choice, population="acute_lbp"))
    none = replace(whole, answer=None, doses=())
    found = explorer.DoseExplorer((whole, part, none))
    assert found.summary().to_dict("records") == [
        {
            **{"Outcome": "Pain", "Exercise": "All types", "Dose": "Minutes per week"},
            **{"Trials": 7, "Participants": 794, "Studied": "60 to 150", "Typical": 90.0},
            **{"Effect [95% CI]": "−12.0 [−18.0, −6.0]", "Does more do more?": "not shown"},
        }
    ]
    frame = found.to_frame()
    assert frame["told"].tolist() == [True, False] * 2
    assert frame["certainty"].tolist() == ["low", ""] * 2
    assert frame["population"].tolist() == ["All kinds"] * 2 + ["Acute low back pain"] * 2


def test_the_data_of_a_choice():
    """Numbers as shown; points of trials against none alone; one reason kept once."""
    graded = at(60.0, -1.04, -2.06, -0.5)
    own = make_effects(
        [
            {"yi": -10.126, "vi": 4.0, WEEKLY: 90.0},
            {"yi": -3.0, "vi": 4.0, WEEKLY: 60.0, f"ref_{WEEKLY}": 30.0},
        ]
    ).with_dose(WEEKLY)
    each = Explored(
        Choice("pain_intensity", "", "yoga", WEEKLY),
        own,
        said(),
        "",
        (graded, replace(graded, dose=75.0, n_trials=0, n_participants=0)),
    )
    reasons = {}
    data = explorer._data(each, reasons)
    assert data["choice"] == ["pain_intensity", "", "yoga", WEEKLY]
    assert data["rows"][0] == [60.0, -1.0, -2.1, -0.5, -30.0, 10.0, 3, 120, "low", 0]
    assert data["rows"][1] == [75.0, -1.0, -2.1, -0.5, -30.0, 10.0, 0, 0, "no evidence", 0]
    assert reasons == {"": 0}
    assert data["points"] == [[90.0, -10.13, 2.0, "Author 1"]]
    assert (data["verdict"], data["typical"], data["studied"]) == (
        "not shown",
        90.0,
        [30.0, 60.0, 90.0],
    )
    bare = explorer._data(replace(each, answer=None, reason="x", doses=()), {})
    assert (bare["verdict"], bare["typical"], bare["rows"]) == ("", 30.0, [])


@pytest.mark.parametrize(
    ("name", "largest", "scale"),
    [
        ("minutes_per_week", 150.0, ("Minutes per week", "minute per week", 15.0, 30.0, 195.0)),
        ("minutes_per_week", 240.0, ("Minutes per week", "minute per week", 15.0, 30.0, 300.0)),
        ("sessions_per_week", 3.0, ("Sessions per week", "session per week", 0.5, 0.5, 4.0)),
    ],
)
def test_a_scale_reaches_a_quarter_beyond_what_was_studied(name, largest, scale):
    found = explorer._scale(name, largest)
    assert tuple(found[key] for key in ("label", "one", "step", "about", "largest")) == scale


@pytest.mark.parametrize(("measure", "threshold", "digits"), [("MD", 15.0, 1), ("SMD", None, 2)])
def test_an_outcome_on_the_page(measure, threshold, digits):
    found = explorer._outcome("pain_intensity", measure)
    assert (found["mcid"], found["digits"], found["benefit"]) == (threshold, digits, -1)
    assert explorer._outcome("quality_of_life", "MD")["benefit"] == 1


@pytest.mark.parametrize(
    ("dose", "arms"),
    [(60.0, [True, False]), (120.0, [True, True]), (150.0, [True, True]), (29.9, [False, False])],
)
def test_a_dose_was_studied_within_half_a_step_above_none(dose, arms):
    """90 against none, 180 against 150: half a step is 30 minutes."""
    table = pd.DataFrame({"dose": [90.0, 180.0], "ref_dose": [0.0, 150.0]})
    expected = [arms[0] and abs(dose - 90) <= 30, arms[1]]
    assert explorer._about(table, dose, WEEKLY).tolist() == expected


@pytest.mark.parametrize(
    ("population", "exercise", "kept"),
    [
        ("", "", [True, True, False]),
        ("acute_lbp", "", [True, False, False]),
        ("", "pilates", [False, True, False]),
        ("acute_lbp", "pilates", [False, False, False]),
    ],
)
def test_which_contrasts_are_of_a_choice(population, exercise, kept):
    table = pd.DataFrame(
        {
            "population": ["acute_lbp", "chronic_nslbp", "acute_lbp"],
            "exercise_type": ["yoga", "pilates", "yoga"],
            WEEKLY: [60.0, 90.0, math.nan],
        }
    )
    choice = Choice("pain_intensity", population, exercise, WEEKLY)
    assert explorer._choices(table, [choice.dose_name])(choice).tolist() == kept


@pytest.mark.parametrize(
    ("lowest", "highest", "doses"),
    [
        (60.0, 90.0, [60.0, 75.0, 90.0]),
        (50.0, 100.0, [50.0, 60.0, 75.0, 90.0, 100.0]),
        (60.0, 60.0, [60.0]),
    ],
)
@pytest.mark.parametrize("direct", [(), ("a",)])
def test_what_is_known_along_a_curve(lowest, highest, doses, direct):
    """Without trials that compared doses the certainty is that of an indirect answer."""
    names = ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]

    def predict(asked):
        return pd.DataFrame({"dose": asked}).assign(**dict.fromkeys(names, -5.0))

    answer = said(
        lowest=lowest, highest=highest, direct=direct, result=SimpleNamespace(predict=predict)
    )
    known = list(explorer._along(answer, effects(60.0), {}))
    assert [each.dose for each in known] == doses
    assert [each.n_trials for each in known] == [int(abs(dose - 60) <= 30) for dose in doses]
    assert [each.n_participants for each in known] == [
        42 * int(abs(dose - 60) <= 30) for dose in doses
    ]
    told = "trials are compared with each other" in known[0].certainty.reasons
    assert ("indirect" in known[0].certainty.reasons or told) is (not direct)


def test_how_far_apart_the_doses_are_that_can_be_chosen():
    """A sixth of what people commonly do or finer, in numbers that people name."""
    assert explorer.FINE == {
        **{"sessions_per_week": 0.5, "minutes_per_session": 5.0, "minutes_per_week": 15.0},
        **{"duration_weeks": 1.0, "total_sessions": 2.0, "total_hours": 2.0},
        "met_minutes_per_week": 50.0,
    }
    assert explorer.NOBODY == "No trial studied about {dose}, so nothing is told of it."


def test_a_choice_without_trials_or_a_curve(monkeypatch):
    def refuse(*given, **options):
        raise CannotEstimate("too few")

    choice = Choice("pain_intensity", "", "", WEEKLY)
    own = make_effects([{"yi": -10.0, "vi": 4.0, WEEKLY: 60.0}])
    assert explorer._explored(choice, own, pd.Series([False]), {}) is None
    monkeypatch.setattr(explorer, "dose_answer", refuse)
    found = explorer._explored(choice, own, pd.Series([True]), {})
    assert (found.answer, found.reason, found.doses) == (None, "too few", ())


@pytest.mark.parametrize(("measure", "threshold"), [("MD", 15.0), ("SMD", None)])
def test_an_mcid_is_of_points_alone(measure, threshold, monkeypatch):
    asked = []
    monkeypatch.setattr(
        explorer, "dose_answer", lambda known, name, **options: asked.append(options) or said()
    )
    monkeypatch.setattr(explorer, "_along", lambda *given: [])
    own = replace(make_effects([{"yi": -10.0, "vi": 4.0, WEEKLY: 60.0}]), measure=measure)
    choice = Choice("pain_intensity", "", "", WEEKLY)
    assert explorer._explored(choice, own, pd.Series([True]), {}).answer is not None
    assert asked == [{"mcid": threshold, "shapes": False}]


def test_choices_are_named_all_first():
    whole = explored(answer=said())
    part = replace(
        whole, choice=replace(whole.choice, population="acute_lbp", exercise_type="yoga")
    )
    data = explorer.DoseExplorer((part, whole)).to_data()
    assert data["populations"] == [
        {"name": "", "label": "All kinds"},
        {"name": "acute_lbp", "label": "Acute low back pain"},
    ]
    assert data["types"] == [{"name": "", "label": "All types"}, {"name": "yoga", "label": "Yoga"}]
    assert [each["name"] for each in data["outcomes"]] == ["pain_intensity"]
    assert data["doses"][0]["largest"] == 300.0
