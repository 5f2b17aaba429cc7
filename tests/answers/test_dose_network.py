"""Questions about curves by type, answered also where hardly any trial is left."""

from __future__ import annotations

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
    assert "At 90 minutes per week, the best effect on pain is that of pilates, −1" in text
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
        met_minutes_per_week=2 * effects.table[WEEK], ref_met_minutes_per_week=0.0
    )
    data = bp.Effects(mets, effects.covariance, effects.excluded, "pain_intensity", "SMD")
    table = dose_answers.beside_published_doses(data)
    assert table["dose"].tolist() == [520, 920]
    assert table["extrapolated"].tolist() == [True, True]
    lumped = bp.dose_response(data, dose="met_minutes_per_week").predict([520, 920])
    assert_allclose(table["estimate"], lumped["estimate"], rtol=0.05)
    text = dose_sentences.published_doses_in_words(table)
    assert "on a straight line in MET-minutes per week" in text
    assert "520 and" in text and "beyond the doses studied" in text


def test_doses_in_words(effects):
    result = dose_answers.curves_by_type(effects, WEEK, lump=NAMES, shared=None).result
    text = dose_sentences.doses(result, 15, {"pilates": "Pilates"})
    assert text.startswith("The mean curves of 2 of 3 types reach 15.0 points of 100")
    assert "pilates at 7" in text and "aerobic walking at 10" in text
    assert "No type is shown to reach" in dose_sentences.doses(result, 60)
    assert "No minimal important difference" in dose_sentences.doses(result, None)


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
