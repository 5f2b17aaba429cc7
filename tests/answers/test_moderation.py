"""Moderators, one at a time."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import moderation as module
from backpain_analysis.answers.moderation import holm, moderation, slope
from backpain_analysis.effects.table import Effects
from backpain_analysis.effects.treatments import lumping, with_supervision
from tests.figures.drawn import make_effects

THREE = ["sherman2011", "tankha2024", "miyamoto2013"]


@pytest.fixture(scope="module")
def trials():
    return bp.load_evidence().filter(population=bp.BACK_PAIN)


@pytest.fixture(scope="module")
def found(trials):
    return moderation(trials, "pain_intensity")


def test_holm_by_hand():
    """Three known: 3 x 0.01; 2 x 0.03 = 0.06; then 0.04, which may not be below 0.06."""
    adjusted = holm(pd.Series([0.01, 0.04, np.nan, 0.03]))
    assert adjusted[[0, 1, 3]].tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(adjusted[2])
    assert holm(pd.Series([np.nan, np.nan])).isna().all()


def test_slope_of_a_straight_line():
    table = pd.DataFrame({"yi": [2.0, 5.0, 8.0, 14.0], "vi": 1e-4, "x": [0.0, 1.0, 2.0, 4.0]})
    assert slope(table)["estimate"] == pytest.approx(3.0)
    assert slope(table)["trials"] == 4


def test_slope_says_why_it_cannot_be_had():
    table = pd.DataFrame({"yi": [1.0, 2.0, 3.0, 4.0], "vi": 1.0, "x": [1.0, np.nan, 2.0, np.nan]})
    assert slope(table) == {"trials": 2, "note": "reported by 2 trials, too few"}
    assert slope(table.assign(x=7.0))["note"] == "the same in all trials"


def row(found, start):
    return found.table[found.table["moderator"].str.startswith(start)].iloc[0]


def test_age_is_a_meta_regression(trials, found):
    single = trials.effects("pain_intensity").against_inactive().one_per_trial()
    ages = trials.trials.set_index("trial_id")["mean_age"].astype(float)
    table = single.table.assign(age=single.table["trial_id"].map(ages)).dropna(subset=["age"])
    fitted = bp.meta_regression("yi ~ age", table)
    age = row(found, "Mean age")
    assert age["estimate"] == pytest.approx(10 * fitted.params["age"])
    assert (age["ci_low"], age["ci_high"]) == pytest.approx(
        tuple(10 * fitted.conf_int().loc["age"])
    )
    assert age["trials"] == len(table)


def test_supervision_is_a_network(trials, found):
    effects = trials.effects("pain_intensity", head_to_head=True)
    known = with_supervision(effects, trials.arms)
    part = bp.connected_part(known, "supervised", treatment="setting")
    result = bp.network(part, treatment="setting", reference="unsupervised")
    expected = result.predict("supervised", "unsupervised")
    asked = row(found, "Supervised")
    assert asked["estimate"] == pytest.approx(expected["estimate"])
    assert asked["p_value"] == pytest.approx(expected["p_value"])
    assert asked["note"].startswith(f"{int(expected['trials'])} trial")


def test_impact_turned_round_changes_sign(trials, found):
    effects = trials.effects("pain_intensity", head_to_head=True)
    lump = lumping("impact")
    part = bp.connected_part(effects, "inactive", lump=lump)
    result = bp.network(part, reference="high_impact_aerobic", lump=lump)
    other = result.predict("low_impact_aerobic", "high_impact_aerobic")["estimate"]
    assert row(found, "Running")["estimate"] == pytest.approx(-other)


def test_all_are_adjusted_together(found):
    known = found.table.dropna(subset=["p_value"])
    assert (known["p_holm"] >= known["p_value"]).all()
    smallest = known["p_value"].idxmin()
    expected = min(1, len(known) * known.loc[smallest, "p_value"])
    assert known.loc[smallest, "p_holm"] == pytest.approx(expected)


def test_populations_are_pooled_apart(trials, found):
    acute = trials.filter(population="acute_lbp").effects("pain_intensity").against_inactive()
    assert found.by_population()["acute_lbp"].estimate == pytest.approx(
        bp.pool(acute.one_per_trial()).estimate
    )


def test_baseline_is_a_mean_over_arms():
    """Bloedt 2015 printed 55.6 and 52.1 of 100; Bello 2017 6.7 and 6.4 of 10."""
    evidence = bp.load_evidence().filter(trial_id=["blodt2015", "bello2017"])
    start = module.baseline(evidence, "pain_intensity")
    assert start["blodt2015"] == pytest.approx((55.6 + 52.1) / 2)
    assert start["bello2017"] == pytest.approx(65.5)


@pytest.mark.parametrize("kept", [THREE, ["andersen2014"], ["manniche1988"]])
def test_few_trials_or_none_give_reasons(kept):
    """Three trials; none of back pain; one that measured no pain."""
    evidence = bp.load_evidence().filter(trial_id=kept).filter(population=bp.BACK_PAIN)
    few = moderation(evidence, "pain_intensity")
    unknown = few.table[few.table["estimate"].isna()]
    assert len(few.table) == 12
    assert len(unknown) >= 11
    assert (unknown["note"].str.len() > 5).all()
    assert "nan" not in module.answer(few)
    assert len(few.by_population()) == (kept == THREE)


def test_an_outcome_that_no_evidence_has_is_an_error(trials):
    with pytest.raises(ValueError, match="no 'pains'"):
        moderation(trials, "pains")


def test_answer_counts_what_stands():
    table = pd.DataFrame(
        {
            "moderator": ["Mean age, per 10 years", "Size", "Year"],
            "p_value": [0.001, 0.04, np.nan],
            "p_holm": [0.002, 0.08, np.nan],
        }
    )
    text = module.answer(module.Moderation(table, None))
    assert text.startswith("Of 3 moderators, 2 could be asked; 2 reach P < 0.05")
    assert "1 after adjustment for asking 2 (mean age)" in text
    nothing = module.Moderation(table.assign(p_value=np.nan), None)
    assert module.answer(nothing).startswith("The trials are too few")


STANDS = [
    (
        [0.001, 0.9],
        [0.002, 0.9],
        "1 reach P < 0.05 taken alone and 1 after adjustment for asking 2 (mean age)",
    ),
    ([0.04, 0.9], [0.08, 0.9], "1 reach P < 0.05 taken alone and 0 after adjustment for asking 2"),
    (
        [0.05, 0.05],
        [0.05, 0.05],
        "0 reach P < 0.05 taken alone and 0 after adjustment for asking 2",
    ),
]


@pytest.mark.parametrize(("raw", "adjusted", "words"), STANDS)
def test_what_stands_after_adjustment(raw, adjusted, words):
    table = pd.DataFrame({"moderator": ["Mean age, per 10 years", "Size, per 100 people", "Year"]})
    table = table.assign(p_value=[*raw, np.nan], p_holm=[*adjusted, np.nan])
    assert module.answer(module.Moderation(table, None)) == (
        f"Of 3 moderators, 2 could be asked; {words}. None of this shows what would happen to a "
        "person: trials differ in much else."
    )


def test_slopes_need_four_trials_and_two_values():
    table = pd.DataFrame({"yi": [2.0, 5.0, 8.0, 11.0], "vi": 1e-4, "x": [0.0, 0.0, 1.0, 1.0]})
    assert slope(table)["estimate"] == pytest.approx(6.0)
    assert slope(table.iloc[:3])["note"] == "reported by 3 trials, too few"
    assert slope(table.assign(trial_id=list("abcd")))["names"].tolist() == list("abcd")


def intensities(*rows):
    """Trial, effect, words of the arm and of its reference."""
    columns = ["trial_id", "yi", "arm", "ref"]
    table = pd.DataFrame(list(rows), columns=columns).assign(vi=1.0, arm_id="x", ref_arm_id="y")
    table = table.assign(treatment="yoga", ref_treatment="yoga")
    arms = pd.concat(
        [
            table[["trial_id", "arm_id", "arm"]].set_axis(["trial_id", "arm_id", "t"], axis=1),
            table[["trial_id", "ref_arm_id", "ref"]].set_axis(["trial_id", "arm_id", "t"], axis=1),
        ]
    )
    covariance = (np.array([[1.0]]),) * len(table)
    effects = Effects(table, covariance, pd.DataFrame(), "pain_intensity", "MD")
    return SimpleNamespace(arms=arms.rename(columns={"t": "intensity_text"})), effects


def test_intensities_are_compared_within_trials_the_harder_first():
    evidence, effects = intensities(
        ("a", -4.0, "high intensity", "moderate intensity"),
        ("b", 6.0, "low intensity", "vigorous"),
        ("c", 99.0, "high-intensity", "vigorous"),
        ("d", 99.0, "?", "vigorous"),
    )
    found = module._intensity_row(evidence, effects)
    assert found["estimate"] == pytest.approx(-5.0)
    assert (found["trials"], found["note"]) == (2, "2 trials compare them directly")
    assert set(found["names"]) == {"a", "b"} and found["how"] == "within trials"
    one = module._intensity_row(*intensities(("a", -4.0, "high intensity", "gentle")))
    assert one["note"] == "1 trial compares them directly"
    for rows in ([("c", 9.0, "vigorous", "vigorous")], []):
        none = module._intensity_row(*intensities(*rows))
        assert (none["trials"], none["note"]) == (
            0,
            "no trial that compares two intensities has a usable result",
        )


@pytest.mark.parametrize(
    ("raw", "adjusted", "alone", "stand"),
    [(0.049, 0.049, 1, 1), (0.05, 0.051, 0, 0), (0.049, 0.05, 1, 0)],
)
def test_the_border_of_what_stands(raw, adjusted, alone, stand):
    table = pd.DataFrame({"moderator": ["Size, per 100 people"], "p_value": [raw]})
    text = module.answer(module.Moderation(table.assign(p_holm=adjusted), None))
    assert text.startswith(
        f"Of 1 moderators, 1 could be asked; {alone} reach P < 0.05 taken alone and {stand} after "
        f"adjustment for asking 1{' (size)' * stand}."
    )


def test_steps_in_which_moderators_are_read(monkeypatch):
    row = {"trial_id": "a", "mean_age": 45.0, "pct_female": 60.0, "population": "acute_lbp"}
    trials = pd.DataFrame(
        [
            row | {"year": 2010, "n_randomised": 250},
            row | {"trial_id": "b", "population": "chronic_nslbp"},
            row | {"trial_id": "c", "population": "mixed_lbp"},
        ]
    )
    monkeypatch.setattr(module, "baseline", lambda evidence, outcome: pd.Series({"a": 55.0}))
    monkeypatch.setattr(module, "good_trials", lambda evidence: {"a": True, "b": False})
    found = module.trial_moderators(SimpleNamespace(trials=trials), "pain_intensity")
    assert {name: values["a"] for name, values in found.items()} == {
        "Mean age, per 10 years": 4.5,
        "Women, per 10 per cent": 6.0,
        "Baseline, per 10 points": 5.5,
        "Acute instead of chronic": 1.0,
        "Low risk of bias instead of more": 1.0,
        "Year, per 10 years": 201.0,
        "Size, per 100 people": 2.5,
    }
    acute = found["Acute instead of chronic"]
    assert acute["b"] == 0.0 and np.isnan(acute["c"])
    assert found["Low risk of bias instead of more"]["b"] == 0.0


def arms_of(*rows):
    """Effects of arms with their settings: trial, setting, setting of the reference."""
    table = [
        {"trial_id": trial, "yi": effect, "vi": 1.0, "setting": of, "ref_setting": against}
        for trial, of, against, effect in rows
    ]
    return make_effects(table)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", "x", "none", -3.0)], {"trials": 0, "note": "no usable arm of y z"}),
        ([("a", "w", "none", -3.0)], {"trials": 0, "note": "no usable arm of x or y z"}),
        (
            [("a", "x", "none", -3.0), ("b", "y_z", "other", -3.0)],
            {"trials": 0, "note": "no treatment 'y_z' in the network"},
        ),
    ],
)
def test_arms_that_cannot_be_compared_say_why(rows, expected):
    found = module._between(arms_of(*rows), "setting", "x", "y_z", {})
    assert found["trials"] == 0
    assert found["note"].startswith(expected["note"]) or "y_z" in found["note"]


NONE = [("b", "x", "none", -5.0), ("c", "y", "none", -2.0)]


@pytest.mark.parametrize(
    ("rows", "trials", "note"),
    [
        ([("a", "x", "y", -3.0), *NONE], 3, "1 trial compares them directly"),
        ([("a", "x", "y", -3.0), ("b", "x", "y", -3.0)], 2, "2 trials compare them directly"),
        (
            [*NONE, ("d", "x", "none", -5.0), ("e", "y", "none", -2.0)],
            4,
            "0 trials compare them directly",
        ),
    ],
)
def test_arms_compared_in_a_network(rows, trials, note):
    found = module._between(arms_of(*rows), "setting", "x", "y", {})
    assert found["estimate"] == pytest.approx(-3.0)
    assert (found["trials"], found["note"]) == (trials, note)
    assert sorted(found["names"]) == [row[0] for row in rows]


def test_each_trial_compares_intensities_once(monkeypatch):
    easy, *_, hard = module.INTENSITY
    effects = arms_of(("a", hard, easy, -4.0), ("a", hard, easy, -90.0), ("b", hard, hard, -90.0))
    monkeypatch.setattr(module, "with_intensity", lambda every, arms: every)
    found = module._intensity_row(SimpleNamespace(arms=None), effects)
    assert (found["trials"], abs(found["estimate"])) == (1, 4.0)
    assert found["moderator"] == "Higher intensity instead of lower"


def test_what_is_asked_of_arms(monkeypatch):
    monkeypatch.setattr(module, "_between", lambda effects, *asked: {"asked": asked[:3]})
    for name in ("with_supervision", "with_co_intervention"):
        monkeypatch.setattr(module, name, lambda every, arms: every)
    found = module._arm_rows(SimpleNamespace(arms=None), None)
    assert [(row["moderator"], *row["asked"]) for row in found] == [
        ("Supervised instead of unsupervised", "setting", "supervised", "unsupervised"),
        ("With a co-intervention instead of alone", "setting", module.WITH, module.ALONE),
        (
            *("Running instead of low-impact aerobic", "treatment"),
            *("high_impact_aerobic", "low_impact_aerobic"),
        ),
        (
            *("Dynamic instead of static stretching", "treatment"),
            *("stretching_dynamic", "stretching_static"),
        ),
    ]
    assert all(row["how"] == "between arms, direct and indirect" for row in found)


def test_people_of_a_moderator_are_those_of_its_trials():
    effects = make_effects([{"yi": 0.0, "vi": 1.0}])
    sizes = pd.Series({"a": 100.0, "b": 20.0, "c": 7.0})
    found = module.Moderation(pd.DataFrame(), effects, {"Age": frozenset("ab")}, sizes)
    assert found.participants("Age") == 120
    assert (found.outcome, found.measure) == ("pain_intensity", "MD")
    assert found.summary() is found.table and "Moderators, one at a time" in found._repr_html_()
