"""The network asked otherwise, against the models themselves; what is said of it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import network as questions
from backpain_analysis.answers import network_variants as variants
from backpain_analysis.answers.tables import networks as network_tables
from tests.figures.drawn import make_effects


@pytest.fixture(scope="module")
def trials():
    return bp.load_evidence().filter(population=bp.BACK_PAIN)


@pytest.fixture(scope="module")
def effects(trials):
    return trials.effects("pain_intensity", head_to_head=True)


LUMP = bp.lumping("types")


def made(*effects):
    """Trials of (type, effect, variance) against no exercise."""
    rows = [{"yi": yi, "vi": vi, "treatment": name} for name, yi, vi in effects]
    built = make_effects(rows)
    return replace(built, table=built.table.assign(ref_treatment="inactive"))


def test_types_lean_on_their_family():
    own = made(("yoga", -30.0, 90.0), ("pilates", -9.0, 4.0), ("resistance", -8.0, 4.0))
    own = replace(
        own,
        table=pd.concat([own.table] * 2, ignore_index=True).assign(
            trial_id=[f"t{k}" for k in range(6)], arm_id="a1"
        ),
        covariance=own.covariance * 2,
    )
    result = questions.fitted(own, lump={})
    found = variants.leaning(own, result, lump={})
    classes = dict.fromkeys(("yoga", "pilates", "resistance"), "exercise")
    model = bp.network_classes(own, classes, reference="inactive")
    table = found.table.set_index("group")
    assert table.loc["yoga", "estimate"] == pytest.approx(model.params["yoga"])
    assert table.index[-1] == "mean of all types"
    assert table.loc["mean of all types", "ci_low"] == pytest.approx(model.means["ci_low"].iloc[0])
    assert table["estimate"][:3].is_monotonic_increasing
    assert -30 < table.loc["yoga", "estimate"] < table.loc["pilates", "estimate"]
    mean = f"{model.means['estimate'].iloc[0]:.1f}".replace("-", "−")
    assert found.text.startswith(
        "If 3 types of exercise are taken as a sample of one family, their effects vary around "
        f"{mean} points of 100 with a standard deviation of "
    )
    assert "and types with few trials are drawn towards that mean. First is" in found.text
    assert "First is then yoga, −" in found.text and "instead of −30.0 on its own" in found.text


def test_a_single_type_has_nobody_to_lean_on():
    own = made(("yoga", -30.0, 90.0), ("yoga", -9.0, 4.0))
    found = variants.leaning(own, questions.fitted(own, lump={}), lump={})
    assert found.text.startswith("Types cannot lean on each other here: ")
    assert found.table.empty


def test_visits_that_carry_no_course(trials):
    found = variants.over_weeks(trials, "pain_intensity", lump=LUMP)
    visits = bp.effects_over_time(trials, "pain_intensity", head_to_head=True)
    model = bp.network_course(bp.connected_part(visits, "inactive", lump=LUMP), lump=LUMP)
    table = found.table.set_index("group")
    for name, (first, last) in model.studied.items():
        assert table.loc[name, "weeks"] == (
            f"{first:g} to {last:g}" if last > first else f"{first:g}"
        )
        own = model.effects(first).loc[name]
        assert (
            table.loc[name, ["estimate", "ci_low"]].tolist() == own[["estimate", "ci_low"]].tolist()
        )
    assert len(table) == len(model.treatments)
    assert "the same at all weeks between" in found.text


def test_visits_that_carry_a_course(monkeypatch):
    own = made(*[("yoga", -5.0 - k, 4.0) for k in range(6)])
    weeks = [4.0, 12.0, 26.0, 4.0, 12.0, 26.0]
    own = replace(own, table=own.table.assign(weeks=weeks))
    monkeypatch.setattr(variants, "effects_over_time", lambda *_, **__: own)
    found = variants.over_weeks(None, "pain_intensity", lump={})
    model = bp.network_course(own, curve="step + linear")
    assert found.table["weeks"].tolist() == ["12", "26"]
    expected = model.effects(26)["estimate"].iloc[0]
    assert found.table["estimate"].tolist()[1] == pytest.approx(expected)
    assert found.text == (
        "All visits of 6 trials together give 6 contrasts at 3 times. Each type has a level and a "
        "slope over the weeks."
    )


def test_visits_of_nothing(monkeypatch):
    own = made(("yoga", -5.0, 4.0)).select([False], "nothing")
    own = replace(own, table=own.table.assign(weeks=np.array([])))
    monkeypatch.setattr(variants, "effects_over_time", lambda *_, **__: own)
    found = variants.over_weeks(None, "pain_intensity", lump={})
    assert found.text.startswith("Not to be told over the weeks: ") and found.table.empty


def test_types_measured_once_are_named(trials):
    visits = bp.effects_over_time(trials, "pain_intensity", head_to_head=True)
    part = bp.connected_part(visits, "inactive", lump=LUMP)
    with pytest.raises(bp.CannotEstimate, match=r"aerobic_running.* at too few different weeks"):
        bp.network_course(part, curve="step + linear", lump=LUMP)


def test_moderators_are_those_of_the_regression(trials, effects):
    found = variants.by_moderator(effects, trials, good={}, lump=LUMP)
    table = found.table.set_index("moderator")
    years = effects.table["trial_id"].map(trials.trials.set_index("trial_id")["year"]).astype(float)
    part = replace(effects, table=effects.table.assign(years=years / 10))
    part = bp.connected_part(part.select(years.notna(), "no year"), "inactive", lump=LUMP)
    model = bp.network_regression(part, "years", reference="inactive", lump=LUMP)
    row = table.loc["Year, per 10 years"]
    assert row["estimate"] == pytest.approx(model.params["years"])
    assert row["ci_high"] == pytest.approx(model.conf_int().loc["years", "ci_high"])
    assert row["trials"] == part.n_trials
    assert table.loc["Appraised as of good quality, against not", "note"].startswith("too few")
    shown = network_tables.moderators(found, title="Moderators")._repr_html_()
    assert "Change, MD [95% CI]" in shown and "too few trials report it" in shown


ROWS = [("Year, per 10 years", -5.0, -9.0, -1.0), ("Mean age, per 10 years", 2.0, -2.0, 6.0)]


@pytest.mark.parametrize(
    ("p_values", "words"),
    [
        (
            [0.02, 0.5],
            "these change the effects (P adjusted for their number): year, per 10 years: ",
        ),
        ([0.03, 0.5], "Of 2 moderators that could be asked, none clearly changes the effects"),
        ([0.03, np.nan], "Of 1 moderator that could be asked, these change"),
        ([np.nan, np.nan], "The trials do not carry any of these questions."),
    ],
)
def test_moderators_in_words(p_values, words):
    table = pd.DataFrame(ROWS, columns=["moderator", "estimate", "ci_low", "ci_high"])
    table = table.assign(p_value=p_values)
    table.loc[table["p_value"].isna(), "estimate"] = np.nan
    assert words in variants._moderators_in_words(table)


def test_weeks_that_are_told_by_default():
    """A quarter, a half and a whole year."""
    assert variants.WEEKS == (12.0, 26.0, 52.0)


@pytest.mark.parametrize(
    ("p_values", "clear"),
    [([0.024, 0.5], True), ([0.025, 0.5], False), ([0.049, np.nan], True), ([0.05, np.nan], False)],
)
def test_moderators_are_clear_by_their_number(p_values, clear):
    table = pd.DataFrame(ROWS, columns=["moderator", "estimate", "ci_low", "ci_high"])
    table = table.assign(p_value=p_values)
    table.loc[table["p_value"].isna(), "estimate"] = np.nan
    text = variants._moderators_in_words(table)
    assert (
        "these change the effects (P adjusted for their number): year, per 10 years: −5.0 " in text
    ) is clear
    assert ("none clearly changes the effects (P adjusted for their number)" in text) is not clear
    nothing = "The trials do not carry any of these questions."
    assert text == nothing or text.endswith("Trials were not randomised to any of them.")


def test_units_in_which_moderators_are_asked(monkeypatch):
    """Values 10, 20 and 30 of everything are 1, 2 and 3 tens; quality is not divided."""
    asked = {}

    def regress(part, name, **options):
        asked[len(asked)] = part.table[name].tolist()
        raise bp.CannotEstimate("none")

    own = made(("yoga", -5.0, 4.0), ("yoga", -6.0, 4.0), ("yoga", -7.0, 4.0))
    values = pd.DataFrame(
        {name: [10.0, 20.0, 30.0] for name in variants.MODERATORS}, index=own.table.index
    )
    monkeypatch.setattr(variants, "_moderators", lambda *given: values)
    monkeypatch.setattr(variants, "network_regression", regress)
    found = variants.by_moderator(own, None, good={}, lump={})
    assert list(asked.values()) == [[1.0, 2.0, 3.0]] * 3 + [[10.0, 20.0, 30.0]]
    assert found.table["trials"].tolist() == [3] * 4
    assert (found.table["note"] == "too few trials report it, or they are too alike in it").all()
    assert found.table["moderator"].tolist() == [
        "Baseline, per 10 points",
        "Year, per 10 years",
        "Mean age, per 10 years",
        "Appraised as of good quality, against not",
    ]


@pytest.mark.parametrize(("lower", "first"), [(True, "yoga"), (False, "pilates")])
def test_the_best_type_stands_first(lower, first):
    course = SimpleNamespace(
        treatments=["pilates", "yoga"],
        studied={"pilates": (4.0, 4.0), "yoga": (4.0, 12.0)},
        lower_is_better=lower,
        effects=lambda week: pd.DataFrame(
            {"estimate": [-3.0, -9.0], "ci_low": week, "ci_high": 0.0}, index=["pilates", "yoga"]
        ),
    )
    table = variants._at_all_weeks(course)
    assert table["group"].iloc[0] == first
    assert table.set_index("group")["weeks"].to_dict() == {"pilates": "4", "yoga": "4 to 12"}
    assert (table["ci_low"] == 4.0).all()


def test_weeks_that_nobody_measured_are_left_out():
    def effects(week):
        if week > 20:
            raise bp.CannotEstimate("none")
        return pd.DataFrame({"estimate": [-week]}, index=["yoga"])

    table = variants._at(SimpleNamespace(effects=effects), (12.0, 26.0))
    assert table[["group", "weeks", "estimate"]].to_numpy().tolist() == [["yoga", "12", -12.0]]
    assert variants._at(SimpleNamespace(effects=effects), (26.0,)).empty
