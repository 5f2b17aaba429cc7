"""Rankings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.effects.table import Effects
from backpain_analysis.models.network.network import network


@pytest.fixture(scope="module")
def result(reference_table):
    return network(reference_table("network"))


def test_ranks_are_probabilities(result):
    table = result.rank_probabilities(draws=4000, seed=3)
    assert table.sum(axis=0).to_numpy() == pytest.approx(1.0)
    assert table.sum(axis=1).to_numpy() == pytest.approx(1.0)
    pd.testing.assert_frame_equal(table, result.rank_probabilities(draws=4000, seed=3))


def test_sucra_is_near_the_p_score_and_mean_of_cumulative_ranks(result):
    """Rücker & Schwarzer 2015: P-scores are the limit of SUCRA under normality."""
    table, chances = result.ranking(20_000, 5), result.rank_probabilities(20_000, 5)
    cumulative = chances.cumsum(axis=1).iloc[:, :-1].mean(axis=1)
    assert table["sucra"].to_numpy() == pytest.approx(cumulative.loc[table.index].to_numpy())
    assert np.abs(table["sucra"] - table["p_score"]).max() < 0.015
    assert (table["rank_low"] <= table["mean_rank"]).all()
    assert (table["rank_high"] >= table["mean_rank"]).all()
    assert table["best"].sum() == pytest.approx(1.0)


def test_two_treatments_far_apart():
    rows = [(t, name, m, 1.0, 50) for t in "abc" for name, m in (("usual_care", 50), ("yoga", 40))]
    table = pd.DataFrame(rows, columns=["trial_id", "treatment", "mean", "sd", "n"])
    result = network(table, method="CE")
    assert result.p_scores().to_dict() == pytest.approx({"yoga": 1.0, "usual_care": 0.0})
    assert result.ranking().loc["yoga", ["rank_low", "rank_high"]].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("outcome", "best"), [("pain_intensity", "yoga"), ("responders", "walking")]
)
def test_more_responders_are_better(outcome, best):
    """Of pain the lower effect is the better one, of shares of responders the higher."""
    table = pd.DataFrame(
        {
            "trial_id": ["a", "b"],
            "treatment": ["walking", "yoga"],
            "ref_treatment": "usual_care",
            "yi": [0.2, -0.1],
        }
    )
    left = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
    effects = Effects(table, [np.array([[0.01]])] * 2, left, outcome, "RD")
    assert network(effects, method="CE").p_scores().index[0] == best
