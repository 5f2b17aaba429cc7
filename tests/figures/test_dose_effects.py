from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.figures.people_plots import dose_effects, interactions
from backpain_analysis.models.people.ancova import ancova
from backpain_analysis.models.people.clda import clda
from backpain_analysis.models.people.imputation import impute, with_imputations
from backpain_analysis.models.people.interactions import dose_by_moderator
from tests.figures.drawn import artists, outside, overlaps
from tests.models.people.made_visits import made_visits


@pytest.fixture(scope="module")
def visits():
    return made_visits(trials=4, missing=0.1)


@pytest.fixture(scope="module")
def moderated(visits):
    return dose_by_moderator(visits, "age", week=12)


def test_curve_and_band_are_the_predictions(visits):
    result = ancova(visits, week=12, curve="quadratic")
    axes = dose_effects(result, mcid=10)
    (line,) = artists(axes, "line")
    doses, effects = line.get_data()
    assert (doses[0], doses[-1]) == (0, 120)
    assert_allclose(effects, result.predict(doses)["estimate"])
    assert len(artists(axes, "pi")) == 2
    assert_allclose(artists(axes, "mcid")[0].get_ydata(), -10)
    higher = dose_effects(result, mcid=10, lower_is_better=False)
    assert_allclose(artists(higher, "mcid")[0].get_ydata(), 10)


def test_a_visit_and_imputed_models_can_be_drawn(visits):
    model = clda(visits)
    axes = model.plot(week=6)
    (line,) = artists(axes, "line")
    assert_allclose(line.get_ydata()[-1], 120 * model.params["dose, week 6"])
    assert artists(axes, "pi") == []
    pooled = with_imputations(impute(visits, m=2), clda)
    (line,) = artists(pooled.plot(), "line")
    assert_allclose(line.get_ydata()[-1], 120 * pooled.params["dose, week 12"])


def test_interactions_of_trials_then_within_then_across(moderated):
    axes = interactions(moderated, per=10)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["t0", "t1", "t2", "t3", "Within trials", "Across trials"]
    table = moderated.table(per=10)
    points = [mark.get_xdata()[0] for mark in artists(axes, "estimate")]
    assert_allclose(points[4:], table["estimate"][:2])
    own = moderated.trials.query("kind == 'within trials'")
    assert_allclose(points[:4], 1200 * own["estimate"])
    ends = [line.get_xdata() for line in artists(axes, "interval")]
    assert_allclose(ends[4:], table[["ci_low", "ci_high"]][:2])
    assert np.diff(ends[0])[0] > 0
    assert "with 10 units more of age" in axes.get_xlabel()


def test_a_curve_of_two_terms_has_the_pooled_rows_only(visits):
    result = dose_by_moderator(visits, "age", week=12, curve="quadratic")
    labels = [label.get_text() for label in result.plot().get_yticklabels()]
    assert labels == ["Within trials", "Across trials"]


def test_texts_do_not_overlap(visits, moderated):
    for axes in (dose_effects(ancova(visits, week=12), mcid=10), moderated.plot()):
        assert overlaps(axes) == []
        assert outside(axes) == []


def test_own_axes_are_drawn_on(visits, moderated):
    own = moderated.plot()
    own.clear()
    assert ancova(visits, week=12).plot(ax=own) is own
