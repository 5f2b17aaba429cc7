"""Relative risks by dose: covariances and curves against R's, categories by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.answers import sentences
from backpain_analysis.effects.risks import Categories, greenland_longnecker, relative_risks
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import rcs
from backpain_analysis.models.dose.fit import dose_response
from tests.figures.drawn import artists

SETS = {"cohorts": "study_id", "alcohol_cvd": "id"}
APPROACHES = {"gl": "greenland-longnecker", "hamling": "hamling"}


@pytest.fixture(scope="module")
def tables(reference_table):
    return {
        name: reference_table(name).rename(columns={"logrr": "log_rr", column: "trial_id"})
        for name, column in SETS.items()
    }


@pytest.mark.parametrize("name", sorted(SETS))
@pytest.mark.parametrize("short", sorted(APPROACHES))
def test_covariances_as_published(tables, reference2, name, short):
    """Case-control, person-time and cumulative; references that are not the first row."""
    found = relative_risks(tables[name], type="type", approach=APPROACHES[short])
    expected = reference2[name]["covariance"][short]
    assert found.trials == list(expected)
    for ours, theirs in zip(found.covariance, expected.values(), strict=True):
        assert_allclose(ours, theirs, rtol=1e-9)


def test_cases_that_give_the_adjusted_risks(tables, reference2):
    """Greenland and Longnecker's counts of one study of each type."""
    for name, design in (("s00", "case-control"), ("s01", "person-time"), ("s02", "cumulative")):
        rows = tables["cohorts"].query("trial_id == @name")
        study = Categories(
            rows["log_rr"].to_numpy(),
            rows["se"].to_numpy() ** 2,
            rows["cases"].to_numpy(dtype=float),
            rows["n"].to_numpy(dtype=float),
            design,
        )
        expected = reference2["cohorts"]["pseudo_counts"][name]["gl_A"]
        assert_allclose(greenland_longnecker(study)[0], expected, rtol=1e-9)


def given(table, numbers, short):
    """Effects with the covariance of an approach, or with that of R's package."""
    effects = relative_risks(table, type="type", approach=APPROACHES.get(short, APPROACHES["gl"]))
    if short != "gl_package":
        return effects
    package = numbers["covariance"][short].values()
    return replace(effects, covariance=tuple(np.array(S) for S in package))


CASES = [
    (name, short, curve, method)
    for name, short in (("cohorts", "gl"), ("cohorts", "hamling"), ("alcohol_cvd", "gl_package"))
    for curve in ("linear", "quadratic", "rcs")
    for method in ("fixed", "ml", "reml")
]


@pytest.mark.parametrize(("name", "short", "curve", "method"), CASES)
def test_curves_as_dosresmeta(tables, reference2, name, short, curve, method):
    """The same curve to 1e-5 where R reached the maximum; nowhere a lower likelihood.

    Of the real data R has only fits with its own covariance, so that is taken there.
    """
    numbers = reference2[name]
    expected = numbers[f"{short} {curve} 1stage {method}"]
    result = dose_response(
        given(tables[name], numbers, short),
        curve=rcs(numbers["knots"]) if curve == "rcs" else curve,
        method={"fixed": "CE", "ml": "ML", "reml": "REML"}[method],
        test="z",
    )
    llf = result.llf
    if method == "reml":
        X = result.engine.X
        llf -= 0.5 * np.linalg.slogdet(X.T @ X)[1]
    assert llf > expected["ll"] - 1e-6
    if llf < expected["ll"] + 1e-6:
        table = result.predict(numbers["grid"], reference=0, extrapolate=True)
        assert_allclose(table["estimate"], expected["pred"], rtol=1e-5, atol=1e-6)
        assert_allclose(table["se"], expected["pred_se"], rtol=1e-5, atol=1e-6)
        ratios = result.predict(numbers["grid"], reference=0, extrapolate=True, back=True)
        assert_allclose(ratios["ci_low"], np.exp(expected["ci_lb"]), rtol=1e-5)
    if method == "fixed":
        fit = result.goodness_of_fit()
        assert_allclose(fit[["deviance", "r2"]], [expected["gof"][k] for k in ("D", "R2")])


@pytest.mark.parametrize(("name", "short", "curve", "method"), CASES)
def test_two_stages_as_mixmeta(tables, reference2, name, short, curve, method):
    """Each study's own curve, then their mean: as in R, whose constants are ours there."""
    numbers = reference2[name]
    expected = numbers[f"{short} {curve} 2stage {method}"]
    result = dose_response(
        given(tables[name], numbers, short),
        curve=rcs(numbers["knots"]) if curve == "rcs" else curve,
        method={"fixed": "CE", "ml": "ML", "reml": "REML"}[method],
        test="z",
        stages=2,
    )
    assert result.llf > expected["ll"] - 1e-6
    table = result.predict(numbers["grid"], reference=0, extrapolate=True)
    assert_allclose(table["estimate"], expected["pred"], rtol=1e-5, atol=1e-6)
    assert_allclose(table["se"], expected["pred_se"], rtol=1e-5, atol=1e-6)


@pytest.fixture
def counts():
    return pd.DataFrame(
        {
            "trial_id": ["a"] * 4 + ["b"] * 3,
            "dose_low": [0.0, 0, 1, 3, 0, 2, 4],
            "dose_high": [0, 1, 3, np.nan, 2, 4, np.nan],
            "cases": [50, 40, 30, 20, 60, 40, 20],
            "n": [500, 500, 400, 300, 600, 500, 300],
        }
    )


def test_crude_risks_by_hand(counts):
    """log((40/500) / (50/500)); variance 1/40 - 1/500 + 1/50 - 1/500; shared 1/50 - 1/500."""
    found = relative_risks(counts)
    assert_allclose(found.table["yi"].iloc[0], np.log(0.8))
    assert_allclose(found.covariance[0][0, 0], 1 / 40 - 1 / 500 + 1 / 50 - 1 / 500)
    assert_allclose(found.covariance[0][0, 1], 1 / 50 - 1 / 500)
    assert (found.table["n_arm"].iloc[0], found.table["n_ref"].iloc[0]) == (500, 500)
    odds = relative_risks(counts, measure="OR")
    assert_allclose(odds.table["yi"].iloc[0], np.log(40 / 460 / (50 / 450)))
    assert_allclose(odds.covariance[0][0, 1], 1 / 50 + 1 / 450)
    time = relative_risks(counts.rename(columns={"n": "years"}), person_time="years", measure="IRR")
    assert_allclose(time.covariance[0][0, 1], 1 / 50)
    assert time.table["n_arm"].isna().all()


@pytest.mark.parametrize(
    ("width", "last"), [(1.0, [4.0, 5.0]), (0.5, [3.5, 4.5]), (2.0, [5.0, 6.0])]
)
def test_where_categories_stand(counts, width, last):
    """Middles; an open one is as wide as its neighbour (2), times `open_width`."""
    doses = relative_risks(counts, open_width=width).table["dose"]
    assert_allclose(doses, [0.5, 2, last[0], 3, last[1]])


def test_intervals_give_standard_errors():
    table = pd.DataFrame(
        {
            "trial_id": "a",
            "dose": [0.0, 1.0],
            "rr": [1.0, 0.8],
            "ci_low": [np.nan, 0.6],
            "ci_high": [np.nan, 0.8**2 / 0.6],
            "cases": [50, 40],
            "n": [500, 500],
        }
    )
    se = np.log(0.8 / 0.6) / 1.959963984540054
    assert_allclose(relative_risks(table).table["vi"], se**2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cases": 600}, "study 'a': a category has more cases than people"),
        ({"cases": np.nan}, "study 'a': cases and totals must be known"),
        ({"dose_low": -1.0, "dose_high": -1.0}, "study 'a': a dose is missing or negative"),
    ],
)
def test_faults_name_the_study(counts, change, words):
    bad = counts.astype(float, errors="ignore")
    for column, value in change.items():
        bad.loc[1, column] = value
    with pytest.raises(ValueError, match=words):
        relative_risks(bad)


def test_faults_of_arguments(counts):
    with pytest.raises(ValueError, match="no column 'events'"):
        relative_risks(counts, cases="events")
    with pytest.raises(ValueError, match="type 'cross-over'"):
        relative_risks(counts, type="cross-over")
    with pytest.raises(ValueError, match="one category of risk 1 without an interval"):
        relative_risks(counts.assign(log_rr=0.1, se=0.1))
    with pytest.raises(ValueError, match="carry their own covariance"):
        dose_response(counts.assign(dose=1.0), measure="RR", covariance=[])


def test_risks_that_no_counts_give(tables):
    """Risks known far better than their counts allow."""
    known = tables["cohorts"].query("trial_id == 's02'").copy()
    known["se"] = known["se"] / 100
    with pytest.raises(CannotEstimate, match="study 's02': no counts give"):
        relative_risks(known, type="type", approach="hamling")


def test_the_figure_and_the_sentence_speak_of_ratios(tables):
    result = dose_response(tables["cohorts"], measure="RR", type="type")
    axes = figures.dose_response(result)
    shown = [tick.get_text() for tick in axes.get_yticklabels()]
    assert "1" in shown and "0.5" in shown
    places = dict(zip(shown, axes.get_yticks(), strict=True))
    assert_allclose(places["0.5"], np.log(0.5))
    assert artists(axes, "contrast-hollow")
    assert "Risk ratio" in axes.get_ylabel()
    text = sentences.best_dose(result.optimum(), "dose", measure="RR")
    assert "a risk ratio of 0.5" in text
    assert "minutes" not in result._repr_html_()
    assert "log_rr" not in result.effects._repr_html_()
