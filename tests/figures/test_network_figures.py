"""Figures of a network: what they draw is what the result says."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from backpain_analysis import figures
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
    funnel = result.comparison_adjusted_funnel()
    points = sum(len(c.get_offsets()) for c in funnel.plot().collections)
    assert points == len(funnel.table)


def test_figures_are_safe_to_show(result):
    for ax in (result.plot(), figures.league(result), figures.ranking(result, draws=500)):
        assert "<svg" in figures.show(ax, alt="a network").svg()
