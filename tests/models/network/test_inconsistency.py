"""Inconsistency, contributions and the comparison-adjusted funnel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.models.network.inconsistency import pairwise
from backpain_analysis.models.network.network import network


@pytest.fixture(scope="module")
def arms(reference_table):
    return reference_table("network")


@pytest.fixture(scope="module")
def result(arms):
    return network(arms)


def triangle(ab=-4.0, ac=-6.0, bc=-2.0):
    """One two-arm trial a comparison; consistent where ac = ab + bc. SE^2 = 2 * 100 / 50 = 4."""
    rows = []
    for name, (first, second, effect) in {
        "ab": ("a", "b", ab),
        "ac": ("a", "c", ac),
        "bc": ("b", "c", bc),
    }.items():
        rows += [(name, first, 50.0, 10.0, 50), (name, second, 50.0 + effect, 10.0, 50)]
    return pd.DataFrame(rows, columns=["trial_id", "treatment", "mean", "sd", "n"])


def test_a_consistent_triangle_has_no_inconsistency():
    found = network(triangle(), reference="a", method="CE").design_inconsistency()
    assert (found.statistic, found.df) == (pytest.approx(0.0, abs=1e-9), 1)


def test_the_inconsistency_of_a_triangle_by_hand():
    """Bucher 1997: (ab + bc - ac)^2 / (3 SE^2); three equal variances share it equally."""
    result = network(triangle(ac=-12.0), reference="a", method="CE")
    expected = (-4 - 2 + 12) ** 2 / (3 * 4)
    found = result.design_inconsistency()
    assert found.statistic == pytest.approx(expected)
    assert found.designs["q_between_without_it"].to_numpy() == pytest.approx(0.0, abs=1e-9)
    heat = result.net_heat()
    assert heat.q.to_numpy() == pytest.approx(expected / 3)
    assert heat.heat.to_numpy() == pytest.approx(expected / 3)
    assert np.diag(heat.share) == pytest.approx(2 / 3)
    split = result.node_split().summary()
    assert split["difference"].abs().to_numpy() == pytest.approx(6.0)
    assert split["p_value"].to_numpy() == pytest.approx(split["p_value"].iloc[0])


def test_between_designs_at_no_heterogeneity_is_netmeta_q_inc(arms, reference):
    found = network(arms, method="CE").design_inconsistency()
    assert found.statistic == pytest.approx(reference["network"]["DL"]["Q_inc"], abs=1e-8)
    assert found.df == 10
    assert found.designs["q_within"].sum() == pytest.approx(
        reference["network"]["DL"]["Q_het"], abs=1e-8
    )


def test_net_heat_sums_to_the_statistic(result):
    heat, found = result.net_heat(), result.design_inconsistency()
    assert heat.q.sum() == pytest.approx(found.statistic)
    assert heat.tau2 == found.tau2_inconsistency
    diagonal = pd.Series(np.diag(heat.heat), heat.q.index)
    assert (diagonal <= heat.q + 1e-9).all() and (diagonal >= -1e-9).all()


def test_contributions_of_a_triangle_by_hand():
    """Direct weight 2/3; the indirect third runs over two comparisons, a sixth each."""
    table = network(triangle(), reference="a", method="CE").contribution()
    assert table.loc["a:b"].to_dict() == pytest.approx(
        {"a:b": 200 / 3, "a:c": 100 / 6, "b:c": 100 / 6}
    )


def test_contributions_sum_to_all_of_the_evidence(result):
    table = result.contribution()
    assert table.sum(axis=1).to_numpy() == pytest.approx(100.0)
    assert (table >= 0).all(axis=None)
    split = result.node_split().table.set_index(["treatment", "versus"])
    own = [table.loc[f"{a}:{b}", f"{a}:{b}"] for a, b in split.index if f"{a}:{b}" in table]
    assert len(own) == (split["trials"] > 0).sum()


def test_pairwise_has_every_pair_of_every_trial(arms, result):
    table = pairwise(result.data)
    sizes = arms.groupby("trial_id").size()
    assert len(table) == (sizes * (sizes - 1) // 2).sum()
    wide = arms.set_index(["trial_id", "treatment"])
    row = table[(table["trial_id"] == "t24") | (table["trial_id"] == table["trial_id"].iloc[-1])]
    for one in row.itertuples():
        a, b = wide.loc[(one.trial_id, one.treatment)], wide.loc[(one.trial_id, one.versus)]
        assert one.yi == pytest.approx(a["mean"] - b["mean"])
        assert one.vi == pytest.approx(a["sd"] ** 2 / a["n"] + b["sd"] ** 2 / b["n"])


def test_funnel_centres_each_comparison(result):
    funnel = result.comparison_adjusted_funnel()
    table = funnel.table.assign(w=1 / (funnel.table["sei"] ** 2 + result.tau2))
    for _, own in table.groupby(["treatment", "versus"]):
        assert np.average(own["centred"], weights=own["w"]) == pytest.approx(0, abs=1e-9)
    order = result.treatments
    turned = result.comparison_adjusted_funnel(order).table
    place = {name: number for number, name in enumerate(order)}
    assert (turned["treatment"].map(place) > turned["versus"].map(place)).all()
    with pytest.raises(ValueError, match="every treatment once"):
        result.comparison_adjusted_funnel(["yoga"])


def test_a_tree_has_nothing_to_test():
    table = triangle()
    result = network(table[table["trial_id"] != "bc"], reference="a", method="CE")
    found = result.design_inconsistency()
    assert found.df == 0 and np.isnan(found.statistic)
    assert result.node_split().summary().empty
