from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.answers import dose_network as dose_answers
from backpain_analysis.answers.tables import dose_network as dose_tables
from backpain_analysis.figures.dose_network_plot import (
    contrast_points,
    dose_network,
    dose_network_panels,
)
from backpain_analysis.figures.show import show
from backpain_analysis.models.network.dose_network import dose_network as fit
from tests.figures.drawn import artists, outside, overlaps
from tests.models.network.dose_tables import arms_on

LINES = {"yoga": lambda d: -0.1 * d, "climbing": lambda d: -0.2 * d}


@pytest.fixture(scope="module")
def result():
    """Exactly on lines; climbing only up to 180."""
    arms = arms_on(LINES)
    high = arms.loc[(arms["agent"] == "climbing") & (arms["dose"] > 180), "trial_id"]
    return fit(arms[~arms["trial_id"].isin(high)], method="CE")


def labels(handles):
    return [text.get_text() for text in handles.get_texts()]


def test_curves_bands_and_what_lies_beyond(result):
    axes = dose_network(result)
    climbing, yoga = artists(axes, "curve")
    assert_allclose(climbing.get_ydata(), -0.2 * climbing.get_xdata(), atol=1e-9)
    assert (climbing.get_xdata()[-1], yoga.get_xdata()[-1]) == (180, 240)
    assert artists(axes, "extrapolated") == []
    (beyond,) = artists(dose_network(result, extrapolate=True), "extrapolated")
    assert_allclose((beyond.get_xdata()[0], beyond.get_xdata()[-1]), (180, 240))
    assert_allclose(beyond.get_ydata()[-1], -48)
    band = artists(axes, "band")[1].get_paths()[0].vertices
    half = 1.959963984540054 * 240 * result.bse["yoga: dose"]
    assert_allclose(band[:, 1].min(), -24 - half)


def test_circles_are_trials_at_their_doses(result):
    """Exact data: every circle stands on its agent's line; a head-to-head trial is hollow."""
    for agent, slope in (("yoga", -0.1), ("climbing", -0.2)):
        points = contrast_points(result, agent)
        assert_allclose(points["effect"], slope * points["dose"], atol=1e-9)
    yoga = contrast_points(result, "yoga")
    assert yoga["hollow"].sum() == 3
    assert sorted(yoga.loc[yoga["hollow"], "dose"]) == [60, 60, 240]
    assert_allclose(yoga["variance"], 2 * 20**2 / 50)
    axes = dose_network(result)
    drawn = sum(len(a.get_offsets()) for a in artists(axes, "contrast-hollow"))
    assert drawn == 4


def test_areas_are_inverse_variances():
    arms = arms_on(LINES)
    arms.loc[arms["trial_id"] == "t0", "n"] = 200
    sizes = artists(dose_network(fit(arms, method="CE")), "contrast")[0].get_sizes()
    whole = np.concatenate([sizes, artists(dose_network(fit(arms)), "contrast")[1].get_sizes()])
    assert_allclose(whole.max() / whole.min(), 4)


def test_mcid_is_on_the_side_of_benefit(result):
    (line,) = artists(dose_network(result, mcid=15), "mcid")
    assert_allclose(line.get_ydata(), [-15, -15])
    raised = fit(arms_on({"yoga": lambda d: 0.1 * d}), method="CE", lower_is_better=False)
    (line,) = artists(dose_network(raised, mcid=15), "mcid")
    assert_allclose(line.get_ydata(), [15, 15])


def test_legend_names_what_is_drawn(result):
    names = labels(dose_network(result, mcid=15).get_legend())
    assert names[:2] == ["Climbing", "Yoga"]
    assert {"Trial, against another treatment", "MCID, 15"} < set(names)
    assert "Beyond the doses studied" not in names
    further = labels(dose_network(result, extrapolate=True).get_legend())
    assert "Beyond the doses studied" in further
    alone = labels(dose_network(result, agents=["yoga"]).get_legend())
    assert "Beyond the doses studied" not in alone and "MCID, 15" not in alone
    assert "Climbing" not in alone


def test_bands_give_way_where_there_are_many_agents():
    many = fit(arms_on({f"kind {k}": lambda d: -0.1 * d for k in range(5)}), method="CE")
    axes = dose_network(many)
    assert artists(axes, "band") == []
    assert "95% confidence interval" not in labels(axes.get_legend())
    colours = {line.get_color() for line in artists(axes, "curve")}
    assert len(colours) == 5


def test_panels(result):
    figure = dose_network_panels(result, mcid=15)
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["Climbing", "Yoga"]
    for axes in panels:
        assert len(artists(axes, "curve")) == len(artists(axes, "other")) == 1
        assert len(artists(axes, "mcid")) == 1
        assert artists(axes, "pi") == []
    random = fit(arms_on(LINES, noise=8.0))
    assert len(artists(dose_network_panels(random).axes[0], "pi")) == 2
    five = fit(arms_on({f"kind {k}": lambda d: -0.1 * d for k in range(5)}), method="CE")
    assert len(dose_network_panels(five).axes) == 5
    assert show(figure, alt="Two panels.").svg().startswith("<svg")


def test_axes_are_labelled_and_texts_apart(result):
    axes = dose_network(result, mcid=15)
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "Dose",
        "Difference in outcome\n(points on 0–100)",
    )
    assert overlaps(axes) == [] and outside(axes) == []
    named = result.plot(dose_label="Hours", effect_label="Effect")
    assert (named.get_xlabel(), named.get_ylabel()) == ("Hours", "Effect")


def test_unknown_agent(result):
    with pytest.raises(ValueError, match="no agent 'swimming'"):
        dose_network(result, agents=["swimming"])


def test_ranks_at_an_equal_dose_are_drawn(result):
    axes = result.rank_at(100).plot()
    (marks,) = artists(axes, "mean-rank")
    assert len(marks.get_xdata()) == 3


def test_tables(result):
    rows = dose_tables.agents(result, title="Agents").html
    assert "Climbing" in rows and "Usual care" in rows
    equal = dose_tables.equal_dose(result.rank_at(200), title="Equal").html
    assert "−20.0" in equal and "Climbing" not in equal
    doses = dose_tables.doses(result, 15, title="Doses").html
    assert "none between the doses studied" in doses and "75 [" in doses and "150 [" in doses
    assert "not reached" in dose_tables.doses(result, 90, title="Doses").html
    fit_table = dose_tables.lack_of_fit(result.consistency(), title="Fit").html
    assert fit_table.count("<tr>") == 1 + 9


def test_tables_of_choices_and_of_published_figures():
    found = pd.DataFrame(
        {
            "sharing": ["each its own", "one curve"],
            "agent": ["yoga", dose_answers.TOGETHER],
            "trials": [4, 4],
            "estimate": [-3.0, -2.0],
            "ci_low": [-5.0, -3.0],
            "ci_high": [-1.0, -1.0],
        }
    )
    html = dose_tables.sharing(found, title="Sharing").html
    assert "Each its own (4 trials): MD" in html and "All types together" in html
    lumped = pd.DataFrame(
        [
            {"lumping": "types", "agents": 2, "trials": 4, "tau": 1.0, "best": "yoga", "studied": 2}
            | {"estimate": -3.0, "ci_low": -5.0, "ci_high": -1.0},
            {"lumping": "broad"},
        ]
    )
    html = dose_tables.lumpings(lumped, title="Lumpings").html
    assert "Every type" in html and "not studied" in html and "2 types" in html
    published = pd.DataFrame(
        [
            {"comparison": "yoga vs true control (no treatment)", "agent": "yoga", "trials": 3}
            | {"published": -1.0, "published_low": -2.0, "published_high": 0.0}
            | {"estimate": -0.4, "ci_low": -0.6, "ci_high": -0.2},
            {"comparison": "other", "agent": np.nan, "trials": np.nan}
            | {"published": -1.0, "published_low": -2.0, "published_high": 0.0},
        ]
    )
    html = dose_tables.beside_published(published, title="Owen").html
    assert ">yoga<" in html and "−0.40" in html and html.count("–") >= 3


def test_curves_with_a_step_are_drawn_where_doses_were_studied(result):
    arms = arms_on({"climbing": lambda d: -9 - 0.01 * d, "yoga": lambda d: -5 - 0.01 * d})
    once = arms[~((arms["agent"] == "climbing") & (arms["dose"] != 60))]
    kept = once[once.groupby("trial_id")["trial_id"].transform("size") > 1]
    stepped = fit(
        kept, any_exercise=True, curve={"yoga": "linear", "climbing": "constant"}, method="CE"
    )
    figure = dose_network_panels(stepped)
    single, line = (artists(ax, "curve")[0] for ax in figure.axes)
    assert list(single.get_xdata()) == [60] and single.get_marker() == "D"
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == (30, 240)
    wide = replace(stepped, cov=400 * stepped.cov)
    for ax in dose_network_panels(wide).axes:
        ends = {line.get_marker(): line.get_ydata()[0] for line in artists(ax, "goes-on")}
        assert ends == dict(zip("v^", ax.get_ylim(), strict=True))
    narrow = dose_network_panels(replace(stepped, cov=1e-4 * stepped.cov))
    assert not any(artists(ax, "goes-on") for ax in narrow.axes)
    assert dose_tables.agents(stepped, title="Agents").html.count("<tr>") == 4


def test_prediction_intervals_are_drawn_at_studied_doses():
    rng = np.random.default_rng(2)
    arms = arms_on(LINES, noise=4.0)
    shifted = arms.assign(mean=arms["mean"] + 8 * rng.standard_normal(len(arms)))
    figure = dose_network_panels(fit(shifted, method="REML"))
    for ax in figure.axes:
        limits = artists(ax, "pi")
        assert limits and all(line.get_xdata()[0] >= 30 for line in limits)
