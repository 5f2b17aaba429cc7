"""Network meta-analysis against netmeta's numbers and closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.models.network.network import network


@pytest.fixture(scope="module")
def arms(reference_table):
    return reference_table("network")


@pytest.fixture(scope="module")
def expected(reference):
    return reference["network"]


def pairs(result, columns):
    """Estimates and standard errors of rows minus columns, in the order of `columns`."""
    table = result.differences().set_index(["treatment", "versus"])
    square = [
        [table.loc[(a, b), ["estimate", "se"]] if a != b else (0, 0) for b in columns]
        for a in columns
    ]
    return np.array(square, dtype=float).transpose(2, 0, 1)


@pytest.mark.parametrize("method", ["DL", "REML", "ML"])
def test_random_effects_as_netmeta(arms, expected, method):
    result, numbers = network(arms, method=method), expected[method]
    estimate, se = pairs(result, numbers["treatments"])
    assert estimate == pytest.approx(np.array(numbers["TE_random"]), abs=1e-5)
    assert se == pytest.approx(np.array(numbers["seTE_random"]), abs=1e-5)
    assert result.tau == pytest.approx(numbers["tau"], abs=1e-5)
    scores = result.p_scores()
    for name, score in numbers["pscore_random"].items():
        assert scores[name] == pytest.approx(score, abs=1e-5)
    assert scores.is_monotonic_decreasing


def test_common_effect_and_parts_of_q_as_netmeta(arms, expected):
    result, numbers = network(arms, method="CE"), expected["DL"]
    estimate, se = pairs(result, numbers["treatments"])
    assert estimate == pytest.approx(np.array(numbers["TE_common"]), abs=1e-10)
    assert se == pytest.approx(np.array(numbers["seTE_common"]), abs=1e-10)
    table = result.heterogeneity()
    parts = [numbers["Q"], numbers["Q_het"], numbers["Q_inc"]]
    assert table["q"].to_numpy() == pytest.approx(parts, abs=1e-9)
    assert table["df"].iloc[0] == numbers["df_Q"] == table["df"].iloc[1:].sum()
    assert table["i2"].iloc[0] == pytest.approx(100 * numbers["I2"], abs=1e-9)
    assert result.effects()["pi_low"].isna().all()


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_parts_of_q_do_not_depend_on_the_estimator(arms, expected, method):
    table, numbers = network(arms, method=method).heterogeneity(), expected[method]
    parts = [numbers["Q"], numbers["Q_het"], numbers["Q_inc"]]
    assert table["q"].to_numpy() == pytest.approx(np.array(parts), abs=1e-8)
    assert table["df"].iloc[0] == numbers["df_Q"]
    for key in ("TE_common", "seTE_common"):
        assert np.array(numbers[key]) == pytest.approx(np.array(expected["DL"][key]), abs=1e-10)
    assert numbers["I2"] == pytest.approx(expected["DL"]["I2"])


def test_standardised_differences_as_netmeta(arms, expected):
    result, numbers = network(arms, measure="d", method="DL"), expected["SMD"]
    estimate, se = pairs(result, numbers["treatments"])
    assert estimate == pytest.approx(np.array(numbers["TE_random"]), abs=1e-9)
    assert se == pytest.approx(np.array(numbers["seTE_random"]), abs=1e-9)
    assert result.tau == pytest.approx(numbers["tau"], abs=1e-9)


def test_node_splitting_as_netmeta(arms, expected):
    table = network(arms, method="DL").node_split().table.set_index(["treatment", "versus"])
    numbers = pd.DataFrame(expected["split"])
    for row in numbers.itertuples():
        pair = tuple(row.comparison.split(":"))
        ours, sign = table.loc[tuple(sorted(pair))], 1 if pair == tuple(sorted(pair)) else -1
        for name, theirs in (("direct", row.direct), ("indirect", row.indirect)):
            assert sign * ours[name] == pytest.approx(theirs, abs=1e-9, nan_ok=True)
        assert sign * ours["difference"] == pytest.approx(row.diff, abs=1e-9, nan_ok=True)
        assert ours["p_value"] == pytest.approx(row.p, abs=1e-9, nan_ok=True)
        assert ours["direct_share"] == pytest.approx(row.prop, abs=1e-9)


def test_results_do_not_depend_on_scale_or_reference(arms):
    result = network(arms)
    scaled = network(arms.assign(mean=1000 * arms["mean"], sd=1000 * arms["sd"]), reference="yoga")
    ours, theirs = result.effects("aerobic"), scaled.effects("aerobic")
    assert (theirs["estimate"] / 1000).to_numpy() == pytest.approx(ours["estimate"].to_numpy())
    assert scaled.tau / 1000 == pytest.approx(result.tau)
    turned = network(arms, lower_is_better=False).p_scores()
    assert (turned + result.p_scores()).to_numpy() == pytest.approx(1.0)


def test_two_treatments_are_a_pairwise_meta_analysis(reference, reference_table):
    """The network of one comparison is metafor's REML."""
    table = reference_table("pairwise")
    columns = {"mean": [], "sd": [], "n": [], "treatment": [], "trial_id": []}
    for row in table.itertuples():
        for name, number in (("exercise", 1), ("control", 2)):
            columns["mean"].append(getattr(row, f"m{number}"))
            columns["sd"].append(getattr(row, f"sd{number}"))
            columns["n"].append(getattr(row, f"n{number}"))
            columns["treatment"].append(name)
            columns["trial_id"].append(row.trial_id)
    result = network(pd.DataFrame(columns), reference="control")
    pooled = reference["pool"]["REML z"]
    assert result.params["exercise"] == pytest.approx(pooled["b"], abs=1e-5)
    assert result.tau2 == pytest.approx(pooled["tau2"], abs=1e-4)


def test_arms_of_one_treatment_are_combined(arms):
    """Splitting an arm in two halves of equal mean and SD changes (nearly) nothing.

    The halves share their mean, and SD^2/n of both together is that of the whole.
    """
    halves = arms[arms["trial_id"] == "t00"].iloc[[1, 1]].assign(n=20.5)
    others = arms.drop(arms[arms["trial_id"] == "t00"].index[1])
    halved = pd.concat([others, halves], ignore_index=True)
    whole, split = network(arms), network(halved)
    assert split.effects()["estimate"].to_numpy() == pytest.approx(
        whole.effects()["estimate"].to_numpy(), abs=1e-8
    )
    assert split.n_trials == whole.n_trials


def test_lumped_away_trials_are_listed(arms):
    lump = {"aerobic": "exercise", "resistance": "exercise"}
    result = network(arms, lump=lump)
    assert "exercise" in result.treatments and "aerobic" not in result.treatments
    assert len(result.excluded) == 2
    assert set(result.excluded["reason"]) == {
        "all arms of the trial belong to one treatment of the network"
    }


def test_additive_components_recover_a_sum():
    """Without noise the effect of a combination is the sum of its components'."""
    rows = []
    effects = {"control": 0, "yoga": -5, "massage": -3, "yoga+massage": -8, "yoga+advice": -6}
    designs = [
        *[("control", "yoga")] * 3,
        *[("control", "massage")] * 2,
        *[("massage", "yoga+massage"), ("yoga", "yoga+advice")] * 2,
    ]
    for number, design in enumerate(designs):
        for name in design:
            rows.append((f"t{number}", name, 50 + effects[name] + number, 10, 40))
    table = pd.DataFrame(rows, columns=["trial_id", "treatment", "mean", "sd", "n"])
    result = network(table, reference="control", components="+", inactive="control", method="CE")
    assert result.params.to_dict() == pytest.approx({"advice": -1, "massage": -3, "yoga": -5})
    assert result.effects().loc["yoga+massage", "estimate"] == pytest.approx(-8)


def test_summary_reads(arms):
    result = network(arms)
    assert "p_score" in result.summary()
    assert "29 trials" in result._repr_html_()
    row = result.predict("yoga")
    assert row["pi_low"] < row["ci_low"] < row["estimate"] < row["ci_high"] < row["pi_high"]
    with pytest.raises(ValueError, match="no treatment 'swimming'"):
        result.predict("swimming")
    with pytest.raises(ValueError, match="no treatment 'swimming'"):
        result.effects("swimming")


def test_league_reads_better_minus_worse(arms):
    result = network(arms)
    table = result.league()
    best, worst = table.index[0], table.index[-1]
    assert table.loc[worst, best].startswith("−12.2 (−17.4 to −6.9)")
    assert table.loc["pilates", "yoga"] == ""
    assert table.loc["yoga", "yoga"] == "yoga"


FAULTY = [
    ({"sd": 0}, "sd is 0"),
    ({"mean": np.nan}, "mean is nan"),
    ({"n": 1}, "n is 1"),
    ({"treatment": None}, "no treatment"),
]


@pytest.mark.parametrize(("values", "message"), FAULTY)
def test_bad_rows_are_named(arms, values, message):
    wrong = arms.astype({"n": float}).copy()
    for column, value in values.items():
        wrong.loc[3, column] = value
    with pytest.raises(ValueError, match=f"row 3.*{message}"):
        network(wrong)


def test_all_faults_at_once(arms):
    wrong = arms.copy()
    wrong.loc[2, "sd"] = -1
    wrong.loc[len(wrong)] = ["lonely", "yoga", 1, 1, 10]
    with pytest.raises(ValueError) as fault:
        network(wrong)
    assert "row 2" in str(fault.value) and "'lonely' has one arm" in str(fault.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": "placebo"}, "reference 'placebo'"),
        ({"method": "PM"}, "unknown method 'PM'"),
        ({"measure": "RR"}, "measure 'RR'"),
        ({"level": 95}, "for 95% give 0.95"),
        ({"components": "+", "inactive": "sugar"}, "no component 'sugar'"),
        ({"inactive": "usual_care"}, "need components"),
        ({"mean": "average"}, "no column 'average'"),
    ],
)
def test_bad_options_are_named(arms, options, message):
    with pytest.raises(ValueError, match=message):
        network(arms, **options)
