"""What few trials can say, in words: truth tables, and one page's worth by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.answers import bayes, tables
from backpain_analysis.engine import priors
from backpain_analysis.models.dose.curves import Emax
from backpain_analysis.models.dose.fit import dose_response
from backpain_analysis.models.pairwise.pooling import pool
from tests.figures.drawn import make_effects


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "below 1%"),
        (0.0099, "below 1%"),
        (0.01, "1%"),
        (0.834, "83%"),
        (0.5, "50%"),
        (0.99, "99%"),
        (0.9901, "above 99%"),
        (1.0, "above 99%"),
    ],
)
def test_shares(probability, text):
    assert bayes.share_text(probability) == text


@pytest.mark.parametrize(
    ("outcome", "size", "text"),
    [
        ("pain_intensity", 10.0, "< -10.0"),
        ("pain_intensity", 0.0, "< -0.0"),
        ("quality_of_life", 10.0, "> 10.0"),
        ("pressure_pain_threshold", 0.0, "> 0.0"),
    ],
)
def test_which_side_is_benefit(outcome, size, text):
    assert bayes.past(outcome, size) == text


@pytest.mark.parametrize(
    ("benefit", "noticed", "mcid", "text"),
    [
        (
            0.97,
            0.83,
            15.0,
            "The probability that the effect is larger than the difference patients notice "
            "(15 points) is 83%; that it is a benefit at all, 97%.",
        ),
        (0.97, None, None, "The probability that it is a benefit at all is 97%."),
        (0.004, None, 15.0, "The probability that it is a benefit at all is below 1%."),
    ],
)
def test_probabilities(benefit, noticed, mcid, text):
    assert bayes.probable(benefit, noticed, mcid) == text


@pytest.mark.parametrize(
    ("prior", "text"),
    [
        (
            priors.empirical("pain_intensity"),
            "from thousands of meta-analyses (Rhodes et al. 2015, pain)",
        ),
        (priors.half_normal(5), "as a prior of half-normal(5)"),
        (priors.Prior(priors.half_normal(5)), "as a prior of half-normal(5)"),
    ],
)
def test_where_a_prior_comes_from(prior, text):
    assert bayes.prior_words(prior) == text


def rows(kinds: list[str], sign: float = -1.0) -> list[dict]:
    return [
        {"yi": sign * (8 + number), "vi": 16.0, "exercise_type": kind}
        for number, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("outcome", "sign", "mcid", "text"),
    [
        (
            "pain_intensity",
            -1.0,
            15.0,
            "Yoga (2 trials): the effect on pain is −8.5 points of 100 (95% credible interval "
            "−15.2 to −1.8). The probability that the effect is larger than the difference "
            "patients notice (15 points) is 3%; that it is a benefit at all, above 99%.",
        ),
        (
            "quality_of_life",
            1.0,
            None,
            "Yoga (2 trials): the effect on quality of life is 8.5 points of 100 (95% credible "
            "interval 1.8 to 15.2). The probability that it is a benefit at all is above 99%.",
        ),
        (
            "quality_of_life",
            -1.0,
            15.0,
            "Yoga (2 trials): the effect on quality of life is −8.5 points of 100 (95% credible "
            "interval −15.2 to −1.8). The probability that the effect is larger than the "
            "difference patients notice (15 points) is below 1%; that it is a benefit at all, "
            "below 1%.",
        ),
    ],
)
def test_pooled_sentence(outcome, sign, mcid, text):
    """Of -8 and -9 with variance 16: by quadrature P(< -15) is 0.0280, P(> 0) 0.0082."""
    effects = make_effects(rows(["yoga", "yoga"], sign), outcome)
    result = pool(effects, prior=priors.half_normal(3))
    assert bayes.pooled_sentence(result, mcid, "Yoga") == text


def test_groups_of_two_to_nine_trials_are_told():
    effects = make_effects(rows(["yoga"] * 2 + ["pilates"] + ["resistance"] * 9))
    few = bayes.few_trials(effects, mcid=15.0)
    assert list(few.table["group"]) == ["Resistance", "Yoga"]
    assert list(few.table["trials"]) == [9, 2]
    own = pool(make_effects(rows(["yoga"] * 2)), prior="auto")
    row = few.table.set_index("group").loc["Yoga"]
    assert_allclose(row[["bayes", "bayes_low"]].astype(float), [own.estimate, own.ci_low])
    assert_allclose(row["noticed"], own.probability("< -15"))
    assert few.text.startswith(
        "How far two to nine trials differ can hardly be estimated from them. What is known from "
        "thousands of meta-analyses (Rhodes et al. 2015, pain) tells more. Resistance (9 trials): "
    )
    html = tables.few_trials(few, title="Few").html
    assert "More than 15 points" in html and "Resistance" in html
    assert "The last columns are probabilities of the mean effect." in html


def test_all_types_are_told_where_they_are_few():
    few = bayes.few_trials(make_effects(rows(["yoga", "yoga", "pilates"])))
    assert list(few.table["group"]) == ["All types", "Yoga"]
    assert "noticed" not in few.table and few.mcid is None
    assert "More than" not in tables.few_trials(few, title="Few").html


def test_none_are_few():
    few = bayes.few_trials(make_effects(rows(["yoga"] * 10 + ["pilates"])))
    assert few.text == "No group here has two to nine trials, so none needs a prior."
    assert "Nothing to list." in tables.few_trials(few, title="Few").html


def test_no_prior_is_known():
    """Without the size of any arm the prior cannot be brought to points of 100."""
    unsized = [{**row, "n_arm": np.nan} for row in rows(["yoga", "yoga"])]
    few = bayes.few_trials(make_effects(unsized), mcid=15.0)
    assert few.text == (
        "No prior of how far such trials differ is known, so few trials are not told so."
    )
    assert "no arm&#x27;s size is known" in tables.few_trials(few, title="Few").html


def dosed(count: int) -> list[dict]:
    """Trials whose effect is -0.1 points a minute, 40 to 120 minutes a week."""
    doses = np.linspace(40, 120, count)
    return [{"yi": -0.1 * dose, "vi": 400 / 21, "minutes_per_week": dose} | SIZED for dose in doses]


SIZED = {"n_arm": 42.0, "n_ref": 42.0}


def test_a_curve_of_few_trials():
    few = dose_response(make_effects(dosed(4)), dose="minutes_per_week")
    text = bayes.curve_of_few(few, 15.0)
    assert text.startswith(
        "Only 4 trials carry this curve. With what is known from thousands of meta-analyses "
        "(Rhodes et al. 2015, pain) of how far trials differ, the effect of 80 minutes per week "
        "on pain is −8.0 points of 100 (95% credible interval −"
    )
    known = dose_response(
        make_effects(dosed(4)), dose="minutes_per_week", prior="auto", heterogeneity="contrasts"
    )
    noticed = bayes.share_text(known.probability_at("< -15", 80))
    assert f"(15 points) is {noticed}; that it is a benefit at all, " in text


def test_a_curve_of_many_trials_needs_no_prior():
    many = dose_response(make_effects(dosed(10)), dose="minutes_per_week")
    assert bayes.curve_of_few(many, 15.0) == "10 trials carry this curve: it needs no prior."


def test_curves_that_are_not_told():
    """A shape of its own; and arms whose sizes are not known."""
    unsized = make_effects([{**row, "n_arm": np.nan} for row in dosed(4)])
    few = dose_response(unsized, dose="minutes_per_week")
    assert bayes.curve_of_few(few).startswith("With a prior nothing can be told: the prior for ")
    shaped = replace(few, curve=Emax((50.0,)))
    assert "with a shape or moderators" in bayes.curve_of_few(shaped)


@pytest.mark.parametrize(("trials", "told"), [(9, True), (10, False)])
def test_a_curve_needs_a_prior_below_ten_trials(trials, told):
    curve = dose_response(make_effects(dosed(trials)), dose="minutes_per_week")
    text = bayes.curve_of_few(curve)
    assert ("carry this curve: it needs no prior" in text) is not told
    assert text.startswith(f"Only {trials} trials carry this curve." if told else "10 trials carry")


@pytest.mark.parametrize(("trials", "few"), [(1, False), (2, True), (9, True), (10, False)])
def test_few_are_two_to_nine(trials, few):
    kinds = ["yoga"] * trials + ["pilates"] * 10
    groups = list(bayes.few_trials(make_effects(rows(kinds))).posteriors)
    assert groups == ["Yoga"] * few


@pytest.mark.parametrize(
    ("measure", "mcid", "noticed"), [("MD", 15.0, True), ("MD", None, False), ("SMD", 15.0, False)]
)
def test_a_dose_in_words(measure, mcid, noticed):
    asked = []
    result = SimpleNamespace(
        **{"measure": measure, "outcome": "pain_intensity", "dose_name": "grams", "n_trials": 1},
        **{"max_dose": 10.0, "prior": priors.half_normal(5)},
        predict=lambda doses: pd.DataFrame({"estimate": [-3.04], "ci_low": -5.0, "ci_high": 1.0}),
        probability_at=lambda than, dose: asked.append((than, dose)) or 0.9,
    )
    text = bayes.dose_sentence(result, 4.0, mcid)
    assert asked == [("< -15.0", 4.0)] * noticed + [("< -0.0", 4.0)]
    assert ("larger than the difference patients notice (15 points)" in text) is noticed
    size = "−3.0 points of 100" if measure == "MD" else "−3.04 standard deviations"
    assert text.startswith(
        "Only 1 trial carries this curve. With what is known as a prior of half-normal(5) of how "
        f"far trials differ, the effect of 4.0 grams on pain is {size} (95% credible interval "
    )


@pytest.mark.parametrize(("size", "asked"), [(None, False), (0.0, False), (15.0, True)])
def test_a_probability_is_asked_of_a_size(size, asked):
    effects = make_effects(rows(["yoga"] * 3))
    found = bayes.pooled_beyond(effects, size, -1)
    assert np.isnan(found) is not asked
    if asked:
        assert found == pool(effects, prior="auto").probability("< -15.0")
        assert bayes.pooled_beyond(effects, size, 1) < 0.01 < found
    unsized = make_effects([{**row, "n_arm": np.nan} for row in rows(["yoga", "yoga"])])
    assert np.isnan(bayes.pooled_beyond(unsized, 15.0, -1))


def test_standardised_effects_ask_no_mcid():
    effects = replace(make_effects(rows(["yoga"] * 2)), measure="SMD")
    few = bayes.few_trials(effects, mcid=15.0)
    assert few.mcid is None and "noticed" not in few.table
    result = pool(effects, prior=priors.half_normal(3))
    assert "patients notice" not in bayes.pooled_sentence(result, 15.0)


def test_moderators_of_a_curve_are_not_told_with_a_prior():
    curve = dose_response(make_effects(dosed(4)), dose="minutes_per_week")
    moderated = replace(curve, moderators=SimpleNamespace(size=2))
    assert bayes.curve_of_few(moderated) == (
        "Curves with a shape or moderators of their own are not told with a prior here."
    )


@pytest.mark.parametrize(
    ("size", "sign", "text"), [(10.0, -1, "< -10.0"), (10.0, 1, "> 10.0"), (0.5, -1, "< -0.5")]
)
def test_beyond_a_size_on_either_side(size, sign, text):
    assert bayes.beyond(size, sign) == text
