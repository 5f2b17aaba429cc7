"""Questions about curves by type, answered also where hardly any trial is left."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.answers import dose_network as dose_answers
from backpain_analysis.answers import dose_network as dose_sentences
from backpain_analysis.answers.dose_network import TOGETHER, ByType
from tests.figures.drawn import make_effects
from tests.models.network.test_dose_effects import WEEK, row

NAMES = bp.lumping("types")
TYPES = {"yoga": -0.08, "pilates": -0.2, "aerobic_walking": -0.14}


def trials(noise=0.0, vi=1.0, doses=(60.0, 90.0, 120.0)):
    rng = np.random.default_rng(4)
    rows = [
        row(f"{kind} {dose:g}", "a", kind, dose, slope * dose + noise * rng.standard_normal(), vi)
        for kind, slope in TYPES.items()
        for dose in doses
    ]
    return make_effects(rows)


@pytest.fixture(scope="module")
def effects():
    return trials(noise=1.0)


def test_the_model_asked_for(effects):
    found = dose_answers.curves_by_type(effects, WEEK, lump=NAMES)
    assert (found.note, found.middle, found.result.shared) == ("", 90, "exchangeable")
    text = dose_sentences.by_type(found, names={"pilates": "Pilates"})
    assert text.startswith("9 trials (378 participants in arms of known size) connect 3 types")
    expected = "At 90 minutes per week, where 3 types were studied, the best estimate for pain is "
    assert f"{expected}that of pilates, −1" in text
    assert "is clearly better than 2 of the other 2, and its rank among 4 may be" in text
    assert "vary with a standard deviation of" in text


def test_simpler_models_where_the_trials_do_not_carry_it():
    few = trials(doses=(60.0,))
    found = dose_answers.curves_by_type(few, WEEK, lump=NAMES, curve="quadratic", shared=None)
    assert found.result.curves["yoga"].name == "linear"
    assert found.result.shared == "exchangeable"
    assert "a quadratic curve needs 2 different doses" in found.note.lower()
    assert "Simplified, because" in dose_sentences.by_type(found)


def test_no_trial_at_all():
    none = make_effects([row("t1", "a", "yoga", np.nan, -3.0)])
    found = dose_answers.curves_by_type(none, WEEK, lump=NAMES)
    assert found.result is None and np.isnan(found.middle)
    assert dose_sentences.by_type(found).startswith("The trials carry no curve for any type")
    assert dose_sentences.consistency(None).endswith("nothing to check.")
    assert dose_sentences.doses(None, 15).endswith("no dose to look for.")
    assert dose_answers.by_sharing(none, WEEK, lump=NAMES).empty
    assert dose_answers.by_lumping(none, WEEK)["best"].isna().all()
    beside = dose_answers.beside_published(none, WEEK)
    assert beside["estimate"].isna().all() and len(beside) == 9
    assert dose_sentences.published_in_words(beside).startswith("No type of the published network")
    doses = dose_answers.beside_published_doses(none)
    assert "carry no curve in MET-minutes" in dose_sentences.published_doses_in_words(doses)


def test_types_that_do_not_differ_are_not_ranked():
    same = make_effects([row(f"{k}", "a", k, 60.0, -6.0) for k in TYPES])
    found = dose_answers.curves_by_type(same, WEEK, lump=NAMES)
    text = dose_sentences.by_type(found)
    assert "vary no more than chance would have it" in text
    assert "at 60 minutes per week the effect on pain is −6.0 points of 100" in text
    assert "3 of 3 types rest on a single trial." in text


def test_by_sharing(effects):
    table = dose_answers.by_sharing(effects, WEEK, 100.0, lump=NAMES).set_index(
        ["sharing", "agent"]
    )
    own = bp.dose_response(effects.select(effects.table["treatment"] == "yoga", ""), dose=WEEK)
    assert_allclose(
        table.loc[("each its own", "yoga"), "estimate"], own.predict([100])["estimate"], rtol=0.02
    )
    one = table.loc[("one curve", TOGETHER), "estimate"]
    for kind in TYPES:
        each, tied = (
            table.loc[(sharing, kind), "estimate"] for sharing in ("each its own", "exchangeable")
        )
        assert abs(tied - one) <= abs(each - one)
    assert (table["trials"] == 9).all()


def test_by_sharing_stands_at_the_middle_dose_by_default():
    few = trials(doses=(60.0, 120.0))
    found = dose_answers.by_sharing(few, WEEK, lump=NAMES)
    one = found.set_index("agent").loc[TOGETHER]
    own = bp.dose_response(few, dose=WEEK)
    middle = dose_answers.curves_by_type(few, WEEK, lump=NAMES).middle
    assert one["estimate"] == pytest.approx(own.predict([middle])["estimate"].iloc[0], rel=0.02)


def test_by_lumping(effects):
    table = dose_answers.by_lumping(effects, WEEK, 100.0).set_index("lumping")
    assert table["agents"].to_dict() == {"types": 3, "families": 3, "broad": 3, "exercise": 1}
    assert table.loc["types", "best"] == "pilates"
    assert table.loc["broad", "best"] == "core_motor_control"
    renamed = dose_answers.by_lumping(effects, WEEK, 100.0, extra={"pilates": "yoga"})
    assert renamed["agents"].tolist() == [2, 2, 2, 1]


def test_beside_owen(effects):
    table = dose_answers.beside_published(effects, WEEK, 90.0).set_index("comparison")
    owen = bp.load_reference("published_meta_analyses")
    owen = owen[(owen["review"] == "Owen 2020") & (owen["outcome"] == "pain")]
    row_of = owen[owen["brief_exercise_type"] == "pilates"].iloc[0]
    ours = table.loc[row_of["exercise_type_or_comparison"]]
    assert (ours["published"], ours["agent"], ours["trials"]) == (row_of["estimate"], "pilates", 3)
    assert ours["estimate"] == pytest.approx(-18, abs=1)
    assert table["agent"].dropna().tolist() == ["pilates", "aerobic", "yoga"]
    assert "3 of the 9 types in Owen 2020" in dose_sentences.published_in_words(table)


def test_beside_liang(effects):
    mets = effects.table.assign(
        met_minutes_per_week=5 * effects.table[WEEK], ref_met_minutes_per_week=0.0
    )
    data = bp.Effects(mets, effects.covariance, effects.excluded, "pain_intensity", "SMD")
    table = dose_answers.beside_published_doses(data)
    assert table["dose"].tolist() == [520, 920]
    assert table["extrapolated"].tolist() == [False, True]
    lumped = bp.dose_response(data, dose="met_minutes_per_week").predict([520])
    assert_allclose(table["estimate"], [lumped["estimate"].iloc[0], np.nan], rtol=0.05)
    text = dose_sentences.published_doses_in_words(table)
    assert "on a straight line in MET-minutes per week" in text
    assert "best dose, 920, as none was studied beyond 600" in text
    assert "dose that reaches the MCID, 520 and no estimate" in text


STEPPED = {"any_exercise": True, "shared": "step"}


def made(effect, **options):
    """Three types at three doses, exact but for a little noise; two trials compare doses."""
    rng = np.random.default_rng(7)
    rows = [
        row(f"{kind} {dose:g}", "a", kind, dose, effect(k, dose) + 0.1 * rng.standard_normal(), 1.0)
        for k, kind in enumerate(TYPES)
        for dose in (60.0, 90.0, 120.0)
    ]
    return dose_answers.curves_by_type(make_effects(rows), WEEK, lump=NAMES, **options)


SAID = [
    (lambda k, d: -8 - 2.0 * k - 0.1 * d, "the dose matters (P < 0.001", True),
    (lambda k, d: -8 - 2.0 * k + 0.1 * d, "the dose matters (P < 0.001", True),
    (lambda k, d: -8 - 2.0 * k, "the dose is not shown to matter (P = ", False),
]


@pytest.mark.parametrize(("effect", "words", "matters"), SAID)
def test_does_dose_matter_among_those_who_exercise(effect, words, matters):
    found = made(effect, **STEPPED)
    text = dose_sentences.by_type(found)
    assert f"Among those who exercise {words}" in text
    assert "no trial compared different doses of one type" in text
    assert "points of 100 for 60 minutes per week more (95% CI" in text
    assert dose_sentences.dose_matters(found.result) is matters
    said = dose_sentences.doses(found.result, 15)
    assert ("no dose of a type is named" in said) is not matters


def test_curves_through_zero_do_not_say_whether_dose_matters():
    found = made(lambda k, d: -8.0 - k, shared="exchangeable")
    assert "Among those who exercise" not in dose_sentences.by_type(found)


def test_nothing_is_ranked_where_nothing_was_studied(effects):
    found = dose_answers.curves_by_type(effects, WEEK, lump=NAMES)
    for dose in (59.0, 121.0):
        text = dose_sentences.by_type(found, dose)
        assert f"No type was studied at {dose:g} minutes per week, so none is ranked there." in text
        assert dose_answers.by_sharing(effects, WEEK, dose, lump=NAMES).empty
        assert dose_answers.by_lumping(effects, WEEK, dose)["best"].isna().all()
        beside = dose_answers.beside_published(effects, WEEK, dose)
        assert beside["estimate"].isna().all()


def test_only_types_studied_at_a_dose_are_ranked_there():
    rows = [
        row(k, "a", k, d, -6.0 - i, 1.0)
        for i, (k, d) in enumerate(zip(TYPES, (60, 60, 200), strict=True))
    ]
    found = dose_answers.curves_by_type(make_effects(rows), WEEK, lump=NAMES, shared=None)
    assert found.middle == 60
    text = dose_sentences.by_type(found)
    assert "where 2 types were studied, the best estimate for pain is that of pilates" in text
    assert "The other 1 type had no trial around this dose." in text
    assert "only aerobic walking was studied" in dose_sentences.by_type(found, 200.0)


def test_doses_in_words(effects):
    result = dose_answers.curves_by_type(effects, WEEK, lump=NAMES, shared=None).result
    text = dose_sentences.doses(result, 15, {"pilates": "Pilates"})
    assert text.startswith("The mean curves of 2 of 3 types reach 15.0 points of 100")
    assert "pilates at 7" in text and "aerobic walking at 10" in text
    assert "No type is shown to reach" in dose_sentences.doses(result, 60)
    assert "No minimal important difference" in dose_sentences.doses(result, None)
    empty = pd.DataFrame(columns=["curve"])
    assert dose_sentences.published_doses_in_words(empty) == (
        "Liang 2024 gives no dose for this outcome."
    )


def test_consistency_in_words(effects):
    result = dose_answers.curves_by_type(effects, WEEK, lump=NAMES, shared=None).result
    text = dose_sentences.consistency(result)
    assert "do not clearly disagree" in text and "6 degrees of freedom" in text
    bent = trials()
    table = bent.table.assign(yi=np.where(bent.table[WEEK] == 90, 40.0, bent.table["yi"]))
    bent = bp.Effects(table, bent.covariance, bent.excluded, bent.outcome, "MD")
    options = {"lump": NAMES, "shared": None, "method": "CE"}
    assert "The curves disagree" in dose_sentences.consistency(
        dose_answers.curves_by_type(bent, WEEK, **options).result
    )
    single = make_effects([row(f"{k}", "a", k, 60.0, -6.0) for k in TYPES])
    result = dose_answers.curves_by_type(single, WEEK, **options).result
    assert "cannot show whether they fit" in dose_sentences.consistency(result)


def test_the_bundled_trials_are_read_honestly():
    """Six small trials carry three types; nothing is said to rank first without its doubt."""
    evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    effects = evidence.effects("pain_intensity", head_to_head=True)
    found = dose_answers.curves_by_type(effects, WEEK, lump=NAMES)
    assert isinstance(found, ByType) and found.result is not None
    text = dose_sentences.by_type(found)
    assert "on a single trial" in text and "95% CI" in text
    counted = pd.concat([found.result.counts()["agent"], pd.Series(found.result.agents)])
    assert set(found.result.agents) < set(counted)


# ours with its interval, the published one with its interval -> how many overlap, are smaller
BESIDE = [
    ((-1.0, -1.5, -0.5), (-1.2, -2.0, -0.5), 1, 1),
    ((-1.0, -1.5, -0.5), (-2.0, -2.5, -1.5), 1, 1),
    ((-1.0, -1.5, -0.5), (-2.0, -2.5, -1.6), 0, 1),
    ((-2.0, -2.5, -1.6), (-1.0, -1.5, -0.5), 0, 0),
    ((-1.0, -1.5, -0.5), (1.0, 0.5, 1.5), 0, 0),
    ((-2.0, -2.5, -1.5), (-1.0, -1.5, -0.5), 1, 0),
    ((-1.0, -1.5, -0.5), (-1.0, -1.5, -0.5), 1, 0),
]


@pytest.mark.parametrize(("ours", "theirs", "overlap", "smaller"), BESIDE)
def test_beside_owen_in_words(ours, theirs, overlap, smaller):
    names = ["estimate", "ci_low", "ci_high", "published", "published_low", "published_high"]
    table = pd.DataFrame([(*ours, *theirs), (*[np.nan] * 3, *theirs)], columns=names)
    assert dose_sentences.published_in_words(table) == (
        "1 of the 2 types in Owen 2020 can be set beside ours: the intervals overlap for "
        f"{overlap}, and our estimate is the smaller one for {smaller}. Its trials were pooled "
        "whatever their dose; ours stand at one dose."
    )


def test_beside_liang_in_words():
    table = pd.DataFrame(
        {"what": ["dose that reaches the MCID", "best dose"], "dose": [520.0, 920.0]}
    ).assign(
        published=-1.234,
        published_low=-1.567,
        published_high=-0.891,
        curve="linear",
        estimate=[-0.512, np.nan],
        ci_low=[-0.917, np.nan],
        ci_high=[-0.104, np.nan],
        largest=600.0,
        extrapolated=[False, True],
    )
    assert dose_sentences.published_doses_in_words(table) == (
        "Liang 2024 estimates −1.23 standard deviations (95% CI −1.57 to −0.89) for all exercise. "
        "All types together, on a straight line in MET-minutes per week, our trials give −0.51 "
        "(95% CI −0.92 to −0.10) at its dose that reaches the MCID, 520 and no estimate at its "
        "best dose, 920, as none was studied beyond 600."
    )


SPREADS = [
    (0.0, "MD", False),
    (0.049, "MD", False),
    (0.05, "MD", True),
    (0.0049, "SMD", False),
    (0.005, "SMD", True),
    (np.inf, "MD", True),
]


@pytest.mark.parametrize(("spread", "measure", "differ"), SPREADS)
def test_types_differ_where_the_shown_digits_do(spread, measure, differ, monkeypatch):
    monkeypatch.setattr(dose_answers, "_spread", lambda result, at: spread)
    assert dose_answers.types_differ(SimpleNamespace(measure=measure), 90.0) is differ
