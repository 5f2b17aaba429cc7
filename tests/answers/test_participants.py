"""What the participants' report says is what the models find."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.answers import participants as report
from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.datasets.participants import load_truth
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.participants import load_participants
from backpain_analysis.models.people.ancova import ancova
from backpain_analysis.models.people.gee import gee
from backpain_analysis.models.people.imputation import impute


@pytest.fixture(scope="module")
def data():
    return load_participants()


@pytest.fixture(scope="module")
def visits(data):
    return data.visits()


def test_the_answer_names_synthetic_data_and_its_interval(visits):
    result = ancova(visits, week=12)
    text = report.answer(result, 120.0, 12.0, synthetic=True)
    row = result.predict([120.0]).iloc[0]
    assert text.startswith("Synthetic data: nobody in them exists.")
    assert f"{row['estimate']:.1f}".replace("-", "−") in text and "differs" in text
    assert not report.answer(result, 120.0, 12.0, synthetic=False).startswith("Synthetic")


def test_models_stand_side_by_side(visits):
    found = report.side_by_side(visits, 120.0, 12.0, "linear", imputed=impute(visits, m=2))
    table = found.set_index("model")
    assert table["note"].eq("").all()
    expected = ancova(visits, week=12).predict([120.0]).iloc[0]
    assert table.loc["ANCOVA a trial, then pooled", "estimate"] == pytest.approx(
        expected["estimate"]
    )
    marginal = gee(visits).predict([120.0], week=12.0).iloc[0]
    assert table.loc["GEE, marginal", "ci_low"] == pytest.approx(marginal["ci_low"])
    assert table["estimate"].max() - table["estimate"].min() < 4


def test_a_model_that_cannot_be_fitted_says_why(visits):
    few = visits[visits["dose"].isin([0.0, 120.0])]
    table = report.side_by_side(few, 120.0, 12.0, "quadratic", imputed=impute(few, m=2))
    assert table["estimate"].isna().all()
    assert table["note"].str.len().min() > 5


def test_moderators_within_and_across_are_apart(visits):
    table = report.moderators(visits.drop(columns="sitting_hours"), 120.0, 12.0, "linear")
    missing = table.set_index("moderator").loc["sitting_hours", "note"]
    assert missing == "not recorded"
    assert {"within trials", "across trials"} <= set(table["source"].dropna())
    assert table.loc[table["moderator"] == "smoker", "estimate"].notna().all()
    text = report.interactions_sentence(table)
    within = table[table["source"] == "within trials"]
    assert f"Of {len(within)} moderators" in text
    assert f"{(within['p_value'] < 0.05).sum()} have P < 0.05" in text
    assert report.interactions_sentence(table.iloc[:0]) == "No moderator could be asked."


def test_the_truth_is_that_of_the_simulator(data):
    table = report.truth_of(data, "", [12.0])
    truth, _ = load_truth(data_dir() / "participants")
    expected = [float(truth.effect(dose, 12.0)) for dose in table["dose"]]
    assert table["truth"].to_numpy() == pytest.approx(expected)
    inside = table["truth"].between(table["ci_low"], table["ci_high"])
    assert (inside == table["inside"]).all()
    assert f"{inside.sum()} of 3 intervals" in report.truth_sentence(table)
    assert report.truth_of(replace(data, synthetic=False), "", [12.0]) is None


def test_only_made_up_participants_are_called_made_up(data):
    assert report.what_they_are(data).startswith("These participants are made up")
    own = replace(data, synthetic=False, name="clinic")
    assert report.what_they_are(own) == "These are the participants of clinic."


def test_retention_by_hand():
    visits = pd.DataFrame(
        {
            "trial_id": "t",
            "participant_id": ["a", "a", "b", "b", "c", "d", "d"],
            "week": [0.0, 12.0, 0.0, 12.0, 0.0, 0.0, 12.0],
            "value": [40.0, 30.0, 50.0, 45.0, 80.0, 60.0, np.nan],
        }
    )
    text = report.retention_sentence(visits, 12.0)
    assert "50% of 4 participants have no score" in text
    assert "averaged 70.0 points, those who stayed 45.0" in text
    assert report.retention_sentence(visits[visits["participant_id"].isin(["a", "b"])], 12.0) == (
        "Every participant has a score at week 12."
    )


ANSWERS = [
    ((-5.0, -9.0, -1.0), "differs between 120 minutes a week and none"),
    ((5.0, 1.0, 9.0), "differs between 120 minutes a week and none"),
    ((-5.0, -9.0, 0.0), "does not clearly differ between 120 minutes a week and none"),
    ((5.0, 0.0, 9.0), "does not clearly differ between 120 minutes a week and none"),
]


@pytest.mark.parametrize(("numbers", "words"), ANSWERS)
def test_the_answer_in_words(numbers, words):
    row = pd.DataFrame([numbers], columns=["estimate", "ci_low", "ci_high"])
    result = SimpleNamespace(n_trials=6, n_participants=1600, predict=lambda doses: row)
    centre, low, high = (f"{value:.1f}".replace("-", "−") for value in numbers)
    assert report.answer(result, 120.0, 12.5, synthetic=False) == (
        f"In 6 trials (1,600 participants), the score at week 12.5 {words}, adjusted for baseline: "
        f"{centre} points (95% CI {low} to {high})."
    )


def test_the_smallest_p_value_is_named():
    table = pd.DataFrame(
        {
            "moderator": ["age", "pain_duration_months", "sex", "age"],
            "source": ["within trials"] * 3 + ["across trials"],
            "p_value": [0.05, 0.03, 0.4, 0.001],
        }
    )
    assert report.interactions_sentence(table) == (
        "Of 3 moderators asked within trials, 1 have P < 0.05 taken alone (smallest: pain duration "
        "months, P = 0.030)."
    )


def test_the_truth_in_a_sentence():
    assert report.truth_sentence(pd.DataFrame({"inside": [True, False, True]})) == (
        "2 of 3 intervals hold the value that was put in; they share participants, so they hold "
        "it, or miss it, together."
    )
    assert report.truth_sentence(None).startswith("What is true of real participants nobody knows")


def visits_of(**columns):
    return pd.DataFrame({"trial_id": ["t", "t"], "value": [1.0, 2.0]} | columns)


def test_the_steps_of_moderators(monkeypatch):
    """Ten years, ten points, a year of pain, an hour of sitting; smokers are those of today."""
    asked = {}

    def ask(usable, name, *, week, curve):
        def table(dose, per):
            asked[name] = per
            sources = ["within trials", "across trials", "across less within"]
            return pd.DataFrame({"source": sources, "estimate": dose})

        if name == "smoker":
            asked["smokers"] = usable["smoker"].tolist()
        return SimpleNamespace(table=table, step=lambda per: f"per {per:g}")

    monkeypatch.setattr(report, "dose_by_moderator", ask)
    names = ["age", "baseline", "pain_duration_months", "sitting_hours", "sex"]
    visits = visits_of(**{name: [1.0, 2.0] for name in names}, smoking=["current", "never"])
    table = report.moderators(visits, 120.0, 12.0, "linear")
    assert asked.pop("smokers") == ["yes", "no"]
    assert asked == {
        **{"age": 10.0, "baseline": 10.0, "pain_duration_months": 12.0, "sitting_hours": 1.0},
        **{"sex": 1.0, "smoker": 1.0},
    }
    assert table["source"].tolist() == ["within trials", "across trials"] * 6
    assert table["per"].iloc[0] == "per 10" and (table["note"] == "").all()


def test_moderators_that_cannot_be_asked(monkeypatch):
    def refuse(*given, **options):
        raise CannotEstimate("too few trials")

    monkeypatch.setattr(report, "dose_by_moderator", refuse)
    visits = visits_of(age=[np.nan, 40.0], sex=[np.nan, np.nan], smoking=["former", None])
    table = report.moderators(visits, 120.0, 12.0, "linear").set_index("moderator")
    assert table["note"].to_dict() == {
        **{"age": "too few trials", "sex": "not recorded", "smoker": "too few trials"},
        **dict.fromkeys(("baseline", "pain_duration_months", "sitting_hours"), "not recorded"),
    }


@pytest.mark.parametrize(("p", "clear"), [([0.049, 0.3], 1), ([0.05, 0.3], 0), ([0.01, 0.02], 2)])
def test_how_many_moderators_are_clear(p, clear):
    table = pd.DataFrame({"moderator": ["age", "sex"], "source": "within trials", "p_value": p})
    assert f"Of 2 moderators asked within trials, {clear} have P < 0.05" in (
        report.interactions_sentence(table)
    )


@pytest.mark.parametrize(
    ("limits", "inside"),
    [
        ((-5.0, 5.0), True),
        ((0.0, 5.0), True),
        ((-5.0, 0.0), True),
        ((0.1, 5.0), False),
        ((-5.0, -0.1), False),
    ],
)
def test_an_interval_holds_the_truth_at_its_ends_too(limits, inside, data, monkeypatch):
    def predict(doses, week):
        row = {"week": week, "dose": doses[0], "estimate": 0.0}
        return pd.DataFrame([row | {"ci_low": limits[0], "ci_high": limits[1]}])

    truth = SimpleNamespace(doses=(0.0, 60.0), effect=lambda dose, week: 0.0)
    monkeypatch.setattr(report, "load_truth", lambda home: (truth, None))
    monkeypatch.setattr(report, "clda", lambda data, curve: SimpleNamespace(predict=predict))
    table = report.truth_of(data, "", [4.0, 12.0])
    assert table["inside"].tolist() == [inside] * 2
    assert table["week"].tolist() == [4.0, 12.0] and table["dose"].tolist() == [60.0] * 2


def test_retention_counts_baselines_at_or_before_the_start():
    visits = pd.DataFrame(
        {
            "trial_id": "t",
            "participant_id": ["a", "a", "b", "b", "b"],
            "week": [-1.0, 12.0, 0.0, 4.0, 12.0],
            "value": [40.0, 30.0, 50.0, 45.0, np.nan],
        }
    )
    assert report.retention_sentence(visits, 12.0) == (
        "At week 12, 50% of 2 participants have no score; at baseline they averaged 50.0 points, "
        "those who stayed 40.0."
    )
