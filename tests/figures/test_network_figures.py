"""Figures of a network: what they draw is what the result says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.network.network import network


@pytest.fixture(scope="module")
def result(reference_table):
    return network(reference_table("network"))


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_graph_has_a_node_a_treatment_and_an_edge_a_comparison(result):
    ax = result.plot()
    nodes = [c for c in ax.collections if c.get_gid() == "node"]
    edges = [line for line in ax.lines if line.get_gid() == "edge"]
    assert len(nodes) == 6 and len(edges) == 12
    assert any(text.startswith("Usual care\nn = ") for text in texts(ax))
    areas = [node.get_sizes()[0] for node in nodes]
    sizes = result.data.participants.to_numpy()
    assert areas[sizes.argmax()] == max(areas)


def test_graph_shows_unknown_sizes_hollow(result):
    from dataclasses import replace

    sizes = result.data.arm_sizes
    unknown = sizes.assign(participants=sizes["participants"].mask(sizes["treatment"] == "yoga"))
    ax = replace(result, data=replace(result.data, arm_sizes=unknown)).plot()
    faces = [to_hex(c.get_facecolor()[0]) for c in ax.collections if c.get_gid() == "node"]
    assert faces[result.treatments.index("yoga")] == "#ffffff"
    assert "Yoga" in texts(ax)


def test_league_writes_both_triangles(result):
    ax = figures.league(result)
    found = texts(ax)
    assert found.count("Pilates") == 1
    direct = (result.direct()["treatment"] < result.direct()["versus"]).sum()
    assert len(found) == 6 + 2 * (15 + direct)
    assert "−12.2" in found


def test_forest_is_best_first(result):
    ax = figures.network_forest(result, mcid=10)
    names = [text for text in texts(ax) if text in figures.TREATMENT_LABELS.values()]
    assert names[0] == "Pilates" and len(names) == 5


def test_ranking_shows_mean_ranks(result):
    ax = figures.ranking(result, draws=2000, seed=1)
    line = next(line for line in ax.lines if line.get_gid() == "mean-rank")
    expected = result.ranking(2000, 1)["mean_rank"].to_numpy()
    assert line.get_xdata() == pytest.approx(expected)


def test_ranking_shades_each_rank_that_is_possible(result):
    ax = figures.ranking(result, draws=2000, seed=1)
    (cells,) = [drawn for drawn in ax.collections if drawn.get_gid() == "rank"]
    middles = [path.get_extents() for path in cells.get_paths()]
    order = result.ranking(2000, 1).index
    chances = result.rank_probabilities(2000, 1).loc[order].to_numpy()
    places = {(round((box.y0 + box.y1) / 2), round((box.x0 + box.x1) / 2)) for box in middles}
    assert places == {(row, column + 1) for row, column in zip(*chances.nonzero(), strict=True)}
    assert len(cells.get_facecolors()) == (chances > 0).sum()


def test_node_split_names_pairs_with_both_kinds_of_evidence(result):
    ax = result.node_split().plot()
    pairs = [text for text in texts(ax) if " – " in text]
    assert len(pairs) == len(result.node_split().summary())


def test_node_split_without_any_says_so():
    rows = [("t", name, m, 5.0, 20) for name, m in (("usual_care", 50), ("yoga", 45))]
    table = pd.DataFrame(rows, columns=["trial_id", "treatment", "mean", "sd", "n"])
    with pytest.raises(ValueError, match="both direct and indirect"):
        network(table, method="CE").node_split().plot()


def test_net_heat_and_funnel_draw_all(result):
    heat = result.net_heat()
    ax = heat.plot()
    assert len(ax.get_xticklabels()) == len(heat.q)
    assert "Usual care : Yoga" in [label.get_text() for label in ax.get_yticklabels()]
    ax.figure.canvas.draw()
    bar = ax.figure.axes[1].get_window_extent().height
    assert bar <= 1.05 * ax.get_window_extent().height
    funnel = result.comparison_adjusted_funnel()
    points = sum(len(c.get_offsets()) for c in funnel.plot().collections)
    assert points == len(funnel.table)


def test_net_heat_draws_no_square_that_is_too_small_to_be_seen(result):
    heat = result.net_heat()
    share = np.full(heat.share.shape, 0.5)
    share[0, 1], share[1, 0] = 1e-7, 2.0
    squares = replace(heat, share=heat.share * 0 + share).plot().collections[0]
    full = (150 / len(share)) ** 2
    assert_allclose(squares.get_sizes(), np.delete(share.clip(0, 1).ravel(), 1) * full)
    assert squares.get_offsets()[:2].tolist() == [[0, 0], [2, 0]]


def test_figures_are_safe_to_show(result):
    for ax in (result.plot(), figures.league(result), figures.ranking(result, draws=500)):
        assert "<svg" in figures.show(ax, alt="a network").svg()


@pytest.fixture(scope="module")
def large():
    """Twelve treatments against usual care, in one trial each."""
    rows = []
    for k in range(12):
        rows += [
            (f"t{k}", "usual_care", 50.0, 5.0, 50),
            (f"t{k}", f"kind {k}", 48.0 - 2 * k, 5.0, 50),
        ]
    return network(
        pd.DataFrame(rows, columns=["trial_id", "treatment", "mean", "sd", "n"]), method="CE"
    )


def test_a_large_league_is_one_triangle_of_estimates_as_wide_as_a_page(large):
    ax = figures.league(large, mcid=10)
    cells = [
        text for text in ax.texts if text.get_text().replace("−", "-").lstrip("-")[:1].isdigit()
    ]
    assert len(cells) == 13 * 12 / 2
    assert ax.figure.get_size_inches()[0] <= 8.2
    effect = large.differences().set_index(["treatment", "versus"]).loc[("kind 11", "usual_care")]
    bold = {text.get_text() for text in cells if text.get_fontweight() == "bold"}
    assert f"{effect['estimate']:.1f}".replace("-", "−") in bold
    same = large.differences().set_index(["treatment", "versus"]).loc[("kind 1", "kind 0")]
    plain = [text.get_text() for text in cells if text.get_fontweight() != "bold"]
    assert same["ci_high"] > 0 and "−2.0" in plain


def test_league_colours_are_against_the_mcid(result):
    def shades(**options):
        return [patch.get_facecolor() for patch in figures.league(result, **options).patches]

    assert shades(mcid=1000)[0] != shades(mcid=1)[0]


def test_comparison_forest_sets_direct_beside_indirect(result):
    ax = figures.comparison_forest(result, mcid=10)
    found = texts(ax)
    split = result.node_split().table
    both = split[split[["treatment", "versus"]].eq("usual_care").any(axis=1)]["difference"].notna()
    assert found.count("indirect") == both.sum() == 5
    assert found.count("network") == 5
    assert sum(line.get_gid() == "pi" for line in ax.lines) == 5
    row = split[(split["treatment"] == "aerobic") & (split["versus"] == "usual_care")].iloc[0]
    assert any(text.startswith(f"{row['direct']:.1f} [".replace("-", "−")) for text in found)


def test_comparison_forest_names_the_only_source(large):
    ax = figures.comparison_forest(large)
    assert texts(ax).count("direct (1) = network") == 12


def test_transitivity_has_a_panel_for_what_is_known():
    table = pd.DataFrame(
        {
            "comparison": ["yoga : none", "yoga : none", "walking : none"],
            "trial_id": ["a", "b", "c"],
            "age": [40.0, 50.0, 60.0],
            "weeks": [float("nan")] * 3,
        }
    )
    figure = figures.transitivity(table, {"age": "Age", "weeks": "Weeks"})
    (ax,) = figure.axes
    (medians,) = [line for line in ax.lines if line.get_gid() == "median"]
    assert ax.get_title(loc="left") == "Age"
    assert list(zip(*medians.get_data(), strict=True)) == [(45, 0), (60, 1)]
    long = figures.transitivity(table, {"age": "Baseline of the outcome, 0–100"}).axes[0]
    assert long.get_title(loc="left") == "Baseline of the\noutcome, 0–100"


def test_transitivity_names_its_rows_alike_on_every_line():
    found = {name: [1.0, 2.0] for name in ("age", "weeks", "women", "pain")}
    table = pd.DataFrame({"comparison": ["a : b", "c : b"], "trial_id": ["a", "b"], **found})
    figure = figures.transitivity(table, {name: name for name in found})
    figure.draw_without_rendering()
    assert len(figure.axes) == 4
    shown = [ax.get_yticklabels() for ax in figure.axes if ax.get_subplotspec().is_first_col()]
    assert [len(labels) for labels in shown] == [2, 2]
    assert len({label.get_fontsize() for labels in shown for label in labels}) == 1


RATIO = pd.DataFrame(
    {
        "treatment1": ["yoga", "yoga", "walking"],
        "treatment2": ["none", "walking", "none"],
        "yi": np.log([0.5, 0.625, 0.8]),
        "se": 0.1,
        "trial_id": ["a", "b", "c"],
    }
)
"""Consistent: 0.5 = 0.625 x 0.8; the network's variance of yoga is 2/3 of 0.01."""

DRAWN = [
    # measure, interval of the network, of the direct trial, turned, axis
    (
        "OR",
        ("0.50 [0.43 to 0.59]", "0.50 [0.41 to 0.61]", "2.00 [1.70 to 2.35]"),
        "Odds ratio",
        {"0.6", "0.8", "1"},
    ),
    (
        "RD",
        ("−69.3 [−85.3 to −53.3]", "−69.3 [−88.9 to −49.7]", "69.3 [53.3 to 85.3]"),
        "in percentage points",
        {"−40", "0"},
    ),
]


@pytest.mark.parametrize(("measure", "values", "axis", "ticks"), DRAWN)
def test_ratios_and_shares_are_drawn_as_readers_read_them(measure, values, axis, ticks):
    whole, alone, turned = values
    made = network(RATIO, yi="yi", se="se", measure=measure, reference="none", method="CE")
    forest, split = figures.comparison_forest(made), made.node_split().plot()
    assert {whole, alone} <= set(texts(forest)) and turned in texts(split)
    assert axis in forest.get_xlabel() and axis in split.get_xlabel()
    summary = figures.network_forest(made)
    assert whole.replace(" to ", ", ") in texts(summary)
    funnel = made.comparison_adjusted_funnel().plot()
    assert ("divided by" in funnel.get_xlabel()) is (measure == "OR")
    for ax in (forest, summary):
        ax.figure.draw_without_rendering()
        low, high = ax.get_xlim()
        labels = zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
        shown = {label.get_text() for at, label in labels if low <= at <= high}
        assert ticks <= shown
    assert whole.split(" ")[0] in texts(figures.league(made))


def test_a_split_of_nothing_cannot_be_drawn():
    star = RATIO.iloc[[0, 2]]
    made = network(star, yi="yi", se="se", measure="OR", reference="none", method="CE")
    with pytest.raises(CannotEstimate, match="no comparison has both"):
        made.node_split().plot()
