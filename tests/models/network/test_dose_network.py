"""Dose networks against metafor, exact curves, and likelihoods written out in full."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import POWERS, FractionalPolynomial, Hill, rcs
from backpain_analysis.models.dose.fit import dose_response
from backpain_analysis.models.network.dose_network import dose_network
from tests.models.network.dose_tables import arms_on, dense, reml_or_ml

CURVES = ("linear", "quadratic", "log")
LINES = {"a": lambda d: -0.1 * d, "b": lambda d: -0.2 * d}


@pytest.fixture(scope="module")
def table(reference_table):
    return reference_table("dose_network")


@pytest.mark.parametrize("curve", CURVES)
def test_as_metafor(reference, table, curve):
    known = reference["dose_network"][curve]
    result = dose_network(table, curve=curve)
    assert list(result.params.index.str.split(":").str[0].unique()) == result.agents
    assert_allclose(result.params, known["b"], rtol=1e-5, atol=1e-9)
    assert_allclose(result.bse, known["se"], rtol=1e-5)
    assert_allclose(result.tau2, known["tau2"], rtol=1e-5)
    assert_allclose(result.llf, known["ll"], rtol=1e-9)
    assert_allclose(result.q, known["QE"], rtol=1e-9)
    common = dose_network(table, curve=curve, method="CE")
    assert_allclose(common.params, known["common_b"], rtol=1e-9, atol=1e-12)
    assert_allclose(common.bse, known["common_se"], rtol=1e-9)
    assert common.tau2 == 0


def test_counts(table):
    result = dose_network(table)
    assert (result.n_trials, result.n_arms) == (30, 95)
    assert result.n_participants == table["n"].sum()
    counts = result.counts().set_index("agent")
    arms = table.groupby("agent").size()
    assert counts["arms"].to_dict() == arms.to_dict()
    assert counts.loc["resistance", ["lowest", "highest"]].tolist() == [45, 180]
    assert counts.index[-1] == result.reference == "usual_care"


def test_one_agent_is_a_plain_dose_response():
    """With a common effect there is no heterogeneity to model differently."""
    arms = arms_on({"a": lambda d: -0.1 * d + 0.0002 * d**2}, noise=2.0)
    ours = dose_network(arms, curve="quadratic", method="CE")
    plain = dose_response(arms, curve="quadratic", method="CE")
    assert_allclose(ours.params, plain.params, rtol=1e-9)
    assert_allclose(ours.cov, plain.cov, rtol=1e-9)
    assert_allclose(ours.llf, plain.llf)


@pytest.mark.parametrize("shared", [None, "common", "exchangeable"])
@pytest.mark.parametrize("curve", ["quadratic", "rcs", "emax"])
def test_the_unit_of_dose_does_not_matter(table, curve, shared):
    one = dose_network(table, curve=curve, shared=shared)
    other = dose_network(table.assign(dose=table["dose"] / 60), curve=curve, shared=shared)
    assert_allclose(other.tau2, one.tau2, rtol=2e-4)
    for agent in ("pilates", "yoga"):
        here, there = one.predict(agent, [60, 150]), other.predict(agent, [1, 2.5])
        assert_allclose(there["estimate"], here["estimate"], rtol=2e-4)
        assert_allclose(there["se"], here["se"], rtol=2e-4)


# --- shapes -----------------------------------------------------------------------------------


def test_common_shape_recovers_proportional_curves():
    arms = arms_on({"a": lambda d: -0.2 * (d - d**2 / 400), "b": lambda d: 0.1 * (d - d**2 / 400)})
    result = dose_network(arms, curve="quadratic", shared="common", method="CE")
    assert_allclose(result.params, [-0.2, 0.2 / 400, 0.1, -0.1 / 400], rtol=1e-4)
    assert_allclose(result.optimum("a").estimate, 200, atol=0.5)


@pytest.mark.parametrize("curve", ["quadratic", "rcs"])
def test_common_shape_has_the_highest_likelihood_of_all_shapes(table, curve):
    """Against a fine grid over the ratio of the two coefficients, and with K - 1 fewer terms."""
    result = dose_network(table, curve=curve, shared="common", method="ML")
    separate = dose_network(table, curve=curve, method="ML")
    size = len(result.agents)
    Z = result.data.design([result.curves["yoga"]] * size).reshape(-1, size, 2)
    Z = Z / np.abs(Z).max(axis=(0, 1))

    def height(turn):
        X = Z @ [np.cos(turn), np.sin(turn)]
        return reml_or_ml(result.data.network, X, reml=False).best

    grid = max(height(turn) for turn in np.linspace(0, np.pi, 24, endpoint=False))
    assert grid - 1e-7 <= result.llf <= separate.llf
    assert result.aic == pytest.approx(-2 * result.llf + 2 * (size + 1 + 1))
    slopes = result.params.to_numpy().reshape(-1, 2)
    assert_allclose(slopes[:, 1] / slopes[:, 0], slopes[0, 1] / slopes[0, 0], rtol=1e-9)


@pytest.mark.parametrize("curve", ["linear", "log"])
def test_curves_of_one_term_have_one_shape_anyway(table, curve):
    one, two = (dose_network(table, curve=curve, shared=shared) for shared in (None, "common"))
    assert_allclose(one.params, two.params)
    assert one.llf == two.llf


def test_emax_recovers_ed50s():
    curves = {"a": lambda d: -20 * d / (50 + d), "b": lambda d: -12 * d / (120 + d)}
    result = dose_network(arms_on(curves), curve="emax", method="CE")
    assert_allclose(result.params, [-20, 50, -12, 120], rtol=1e-3)
    assert result.params.index.tolist() == ["a: Emax", "a: ED50", "b: Emax", "b: ED50"]
    assert_allclose(result.mean("a", [50])[0], -10, rtol=1e-3)


def test_emax_of_one_shape_shares_the_ed50(table):
    result = dose_network(table, curve="emax", shared="common", method="ML")
    half = result.params.filter(like="ED50")
    assert half.nunique() == 1
    assert_allclose(result.cov.loc[half.index, half.index], result.bse[half.index[0]] ** 2)
    heights = []
    for value in half.iloc[0] * np.array([0.98, 1.0, 1.02]):
        column = table["dose"] / (value + table["dose"])
        heights.append(dose_network(table.assign(dose=column), method="ML").llf)
    assert heights[1] == pytest.approx(result.llf, abs=1e-6)
    assert max(heights) == heights[1]


def test_emax_standard_errors_are_those_of_the_linearised_model(table):
    """Against derivatives of the mean by differences."""
    result = dose_network(table, curve="emax", shared="common")
    network, size = result.data.network, len(result.agents)
    b = np.append(result.params.to_numpy()[::2], result.params.iloc[1])

    def mean(b):
        curves = [type(result.curves["yoga"])((b[-1],))] * size
        return result.data.design(curves) @ b[:-1]

    steps = 1e-5 * np.abs(b)
    J = np.column_stack(
        [(mean(b + e) - mean(b - e)) / (2 * e.sum()) for e in np.diag(steps)],
    )
    V, T = dense(network)
    cov = np.linalg.inv(J.T @ np.linalg.solve(V + result.tau2 * T, J))
    assert_allclose(result.bse.iloc[[0, 2, 4, 6, 1]], np.sqrt(np.diag(cov)), rtol=1e-6)


def test_unbounded_ed50_is_refused():
    arms = arms_on({"a": lambda d: -0.1 * d, "b": lambda d: -20 * d / (60 + d)})
    with pytest.raises(ValueError, match="do not bound the ED50 of a"):
        dose_network(arms, curve="emax", method="CE")


# --- what a result tells ----------------------------------------------------------------------


def test_predictions_direct_and_indirect(table):
    result = dose_network(table)
    b, C = result.params.to_numpy(), result.cov.to_numpy()
    row = result.predict("yoga", [100], reference_dose=50, reference_agent="aerobic").iloc[0]
    weights = np.array([-50, 0, 0, 100.0])
    se = np.sqrt(weights @ C @ weights)
    assert_allclose(row[["estimate", "se"]].astype(float), [weights @ b, se])
    assert_allclose(row["ci_high"] - row["estimate"], 1.959963984540054 * se)
    reach = stats.t.ppf(0.975, 65 - 4) * np.sqrt(se**2 + result.tau2)
    assert_allclose(row["pi_high"] - row["estimate"], reach)
    own = result.predict("yoga", [0, 50, 120], reference_dose=50)
    assert_allclose(own["estimate"], b[3] * np.array([-50, 0, 70]))
    assert_allclose(own.loc[1, ["se", "pi_low", "pi_high"]].astype(float), 0, atol=1e-12)


def test_doses_not_studied_are_refused_and_marked(table):
    """Resistance was studied from 45 to 180 minutes."""
    result = dose_network(table)
    with pytest.raises(CannotEstimate, match="resistance was studied up to 180"):
        result.predict("resistance", [181])
    with pytest.raises(CannotEstimate, match="resistance was studied up to 180"):
        result.predict("yoga", [60], reference_dose=200, reference_agent="resistance")
    beyond = result.predict("resistance", [0, 180, 181], extrapolate=True)
    assert beyond["extrapolated"].tolist() == [0, 0, 1]
    assert result.predict("resistance")["dose"].max() <= 180
    ranked = result.rank_at(181)
    assert ranked.left_out == ("resistance",) and "resistance" not in ranked.summary().index
    with pytest.raises(CannotEstimate, match="no type was studied at 44"):
        result.rank_at(44)
    assert result.rank_at(45).left_out == result.rank_at(180).left_out == ()
    assert result.rank_at(200, extrapolate=True).extrapolated == ("resistance",)
    with pytest.raises(CannotEstimate, match="no type was studied at 9000"):
        result.rank_at(9000)


def test_optimum_and_dose_for_an_effect():
    arms = arms_on({"a": lambda d: -0.2 * d + 0.001 * d**2, "b": lambda d: -0.1 * d})
    result = dose_network(arms, curve="quadratic", method="CE")
    best = result.optimum("a")
    assert_allclose((best.estimate, best.effect), (100, -10), atol=0.3)
    assert result.optimum("b").at_edge
    assert_allclose(result.dose_for("b", -5).estimate, 50, rtol=1e-6)
    turned = dose_network(arms, curve="quadratic", method="CE", lower_is_better=False)
    assert turned.optimum("a").estimate == 240


def test_ranking_at_an_equal_dose():
    result = dose_network(arms_on(LINES), method="CE")
    equal = result.rank_at(100)
    C = result.cov.to_numpy() * 100**2
    z_ab = 10 / np.sqrt(C[0, 0] + C[1, 1] - 2 * C[0, 1])
    z_b, z_a = 20 / np.sqrt(C[1, 1]), 10 / np.sqrt(C[0, 0])
    p = stats.norm.cdf
    expected = {"b": (p(z_ab) + p(z_b)) / 2, "a": (p(-z_ab) + p(z_a)) / 2}
    expected["usual_care"] = (p(-z_a) + p(-z_b)) / 2
    assert_allclose(equal.p_scores()[list(expected)], list(expected.values()), rtol=1e-9)
    chances = equal.rank_probabilities()
    assert_allclose(chances.sum(axis=0), 1)
    assert_allclose(chances.loc["b", 1], p(z_ab), atol=0.015)
    assert chances.equals(equal.rank_probabilities(seed=1))
    table = equal.summary()
    assert table.index.tolist() == ["b", "a", "usual_care"]
    assert_allclose(table["estimate"], [-20, -10, 0], atol=1e-9)
    versus = equal.differences().set_index(["agent", "versus"])
    assert_allclose(versus.loc[("b", "a"), "estimate"], -10)
    assert_allclose(versus.loc[("b", "a"), "se"], 10 / z_ab)


def test_heterogeneity(table):
    found = dose_network(table, curve="quadratic").heterogeneity()
    assert (found["df"], round(found["q"], 6)) == (65 - 8, round(140.314189262629, 6))
    assert_allclose(found["i2"], 100 * (140.314189262629 - 57) / 140.314189262629)
    shape = dose_network(table, curve="quadratic", shared="common").heterogeneity()
    assert shape["df"] == 65 - 5


# --- refusals -----------------------------------------------------------------------------------


def test_all_faults_of_a_table_at_once():
    arms = arms_on(LINES)
    arms.loc[1, "dose"] = -5
    arms.loc[2, "sd"] = 0
    arms.loc[3, ["agent", "dose"]] = ["usual_care", 30]
    arms.loc[len(arms)] = ["t0", "sham", 0.0, 50.0, 20.0, 50]
    with pytest.raises(ValueError) as fault:
        dose_network(arms)
    text = str(fault.value)
    assert "row 1, trial 't0': dose is -5" in text
    assert "sd is 0" in text
    assert "'usual_care' is the reference, at dose 0, but has 30" in text
    assert "lump={'sham': 'usual_care'}" in text


def test_agents_without_a_link_to_the_reference_are_listed():
    arms = arms_on(LINES)
    apart = pd.DataFrame(
        {"trial_id": "x", "agent": ["c", "d"], "dose": [30, 60], "mean": [40, 42], "sd": 9, "n": 30}
    )
    with pytest.raises(ValueError, match=r"2 parts:\n  1. usual_care, a, b\n  2. c, d"):
        dose_network(pd.concat([arms, apart]))
    alone = arms[arms.groupby("trial_id")["dose"].transform("min") > 0]
    with pytest.raises(ValueError, match="no trial connects all agents with 'usual_care'"):
        dose_network(alone)


def test_too_few_doses_are_named():
    arms = arms_on(LINES)
    few = arms[(arms["agent"] != "b") | (arms["dose"] == 60)]
    few = few[few.groupby("trial_id")["trial_id"].transform("size") > 1]
    with pytest.raises(ValueError, match=r"2 different doses .* fewer have b \(60\)"):
        dose_network(few, curve="quadratic")
    assert dose_network(few, curve="quadratic", shared="common", method="CE").agents == ["a", "b"]
    with pytest.raises(ValueError, match="takes more than 2; the network has a, b"):
        dose_network(few, curve="quadratic", shared="exchangeable")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shared": "same"}, "must be None, 'common', 'exchangeable' or 'step'"),
        ({"method": "DL"}, "unknown method 'DL'"),
        ({"shared": "exchangeable", "method": "CE"}, "estimates variances"),
        ({"curve": {"*": Hill()}}, "the curve hill is not for such networks"),
        ({"agent": "kind"}, "no column 'kind'"),
        ({"level": 95}, "for 95% give 0.95"),
        ({"curve": "cubic"}, "unknown curve 'cubic'"),
    ],
)
def test_unusable_options(options, message):
    with pytest.raises(ValueError, match=message):
        dose_network(arms_on(LINES), **options)


def test_unusable_questions(table):
    result = dose_network(table)
    with pytest.raises(ValueError, match="no agent 'running'"):
        result.predict("running")
    with pytest.raises(ValueError, match="doses start at 0"):
        result.predict("yoga", [-1])
    with pytest.raises(ValueError, match="all agents are the reference"):
        result.rank_at(0)


def test_rows_in_any_order(table):
    shuffled = table.sample(frac=1, random_state=3)
    first = table.groupby("trial_id").head(1).index
    shuffled = pd.concat([table.loc[first], shuffled.drop(index=first)])
    one, other = dose_network(table), dose_network(shuffled)
    assert_allclose(other.params, one.params, rtol=1e-7)
    assert_allclose(other.llf, one.llf)


def test_smd_and_knots_of_ones_own(table):
    result = dose_network(table, measure="d", curve=rcs([45, 120, 240]))
    assert result.measure == "d"
    trial = table[table["trial_id"] == "t00"]
    pooled = np.sqrt(((trial["n"] - 1) * trial["sd"] ** 2).sum() / (trial["n"].sum() - 2))
    assert_allclose(result.data.network.y[0], np.diff(trial["mean"])[0] / pooled)
    knots = result.curves["yoga"].knots
    assert [b - a for a, b in pairwise(knots)] == [75, 120]


def test_html(table):
    result = dose_network(table, curve="quadratic", shared="exchangeable")
    assert "Dose network: quadratic in dose, exchangeable" in result._repr_html_()
    assert "30 trials, 95 arms" in result._repr_html_()
    assert "Agents at a dose of 200" in result.rank_at(200)._repr_html_()
    assert "resistance" in result.rank_at(200)._repr_html_()
    assert "wald" in result.consistency()._repr_html_()


# --- steps, comparators, curves by agent ------------------------------------------------------


def test_comparators_without_a_dose_are_nodes(table):
    """The joint model written out: agents' lines and an effect for massage."""
    massage = table[table["agent"] == "usual_care"].head(6).assign(agent="massage")
    massage = massage.assign(mean=massage["mean"] - 4 + np.arange(6))
    both = pd.concat([table, massage], ignore_index=True)
    with pytest.raises(ValueError, match="name it in comparators"):
        dose_network(both)
    for comparators in ("all", ["massage"]):
        result = dose_network(both, comparators=comparators)
        assert (result.comparators, result.agents) == (["massage"], dose_network(table).agents)
    data = result.data
    X = np.column_stack([data.design([result.curves["yoga"]] * 4), data.beside()])
    assert data.beside().any(axis=1).sum() >= 6
    V, T = dense(data.network)
    W = np.linalg.inv(V + result.tau2 * T)
    cov = np.linalg.inv(X.T @ W @ X)
    assert_allclose(result.params, cov @ X.T @ W @ data.network.y, rtol=1e-7)
    assert_allclose(result.cov, cov, rtol=1e-6)
    known = reml_or_ml(data.network, X, reml=True)
    assert_allclose(result.llf, known.best, atol=1e-6)
    assert result.comparators_table().loc["massage", "estimate"] == result.params["massage"]
    assert result.counts().set_index("agent").loc["massage", "arms"] == 6
    unknown = both.assign(dose=both["dose"].mask(both["agent"] == "massage"))
    again = dose_network(unknown, comparators=["massage"])
    assert_allclose(again.params, result.params)


@pytest.mark.parametrize(
    ("curve", "shared", "method"),
    [
        ("quadratic", None, "REML"),
        ("quadratic", "common", "CE"),
        ("quadratic", "exchangeable", "REML"),
        ("emax", "common", "CE"),
    ],
)
def test_comparators_that_compare_with_nothing_else_change_nothing(table, curve, shared, method):
    """Restricted likelihood does not see a contrast that has a parameter of its own."""
    alone = pd.DataFrame(
        [("x", "usual_care", 0, 50, 10, 50), ("x", "massage", 0, 45, 10, 50)], columns=table.columns
    )
    both = pd.concat([table, alone], ignore_index=True)
    options = {"curve": curve, "shared": shared, "method": method}
    one, other = dose_network(table, **options), dose_network(both, comparators="all", **options)
    assert other.params["massage"] == pytest.approx(-5, abs=1e-6)
    assert_allclose(other.params.drop("massage"), one.params, rtol=1e-4)


STEPS = {
    "a": lambda d: -5.0 - 0.02 * d,
    "b": lambda d: -8.0 - 0.02 * d,
    "c": lambda d: -6.5 - 0.02 * d,
}


@pytest.mark.parametrize("shared", [None, "step", "exchangeable"])
def test_steps_and_slopes_are_told_apart(shared):
    method = "REML" if shared else "CE"
    result = dose_network(arms_on(STEPS), any_exercise=True, shared=shared, method=method)
    slopes = result.params.filter(like=": dose")
    assert_allclose(slopes, -0.02, atol=2e-3 if shared == "exchangeable" else 1e-6)
    typical = result.curves["a"].typical
    if shared is None:
        assert_allclose(result.params.filter(like="any"), [f(typical) for f in STEPS.values()])
    found = result.test_dose()
    assert found["trials"] == 3
    assert found["df_num"] == (3 if shared is None else 1)
    if shared == "step":
        z = slopes.iloc[0] / result.bse[slopes.index[0]]
        assert_allclose(found["statistic"], z**2, rtol=1e-9)


def test_a_constant_effect_has_no_dose_to_it():
    flat = arms_on({"a": lambda d: -5.0, "b": lambda d: -9.0, "c": lambda d: -7.0})
    result = dose_network(flat, any_exercise=True, shared="step")
    assert abs(result.test_dose()["statistic"]) < 1e-12
    through_zero = dose_network(flat)
    assert (through_zero.pvalues < 0.05).sum() == 2
    with pytest.raises(CannotEstimate, match="do not tell the dose from exercising at all"):
        through_zero.test_dose()
    with pytest.raises(ValueError, match="use any_exercise=True"):
        dose_network(flat, shared="step")


def hill(top, half, steep):
    return lambda d: top * d**steep / (half**steep + d**steep)


def test_hill_curves_are_recovered():
    arms = arms_on({"a": hill(-10, 70, 3), "b": hill(-15, 70, 3)})
    result = dose_network(arms, curve="hill", shared="common", method="CE")
    assert_allclose(result.params, [-10, 70, 3, -15, 70, 3], rtol=1e-4)


def test_each_agent_a_curve_of_its_own():
    arms = arms_on({"a": lambda d: -0.1 * d, "b": lambda d: -3 * np.log1p(d)})
    for curves in ({"a": "linear", "b": "log"}, {"b": "log", "*": "linear"}):
        result = dose_network(arms, curve=curves, method="CE")
        assert_allclose(result.params, [-0.1, -3], rtol=1e-9)
    with pytest.raises(ValueError, match="curves by agent: b must be"):
        dose_network(arms, curve={"a": "linear"})
    with pytest.raises(ValueError, match="curves by agent: z must be"):
        dose_network(arms, curve={"z": "linear", "*": "log"})


def test_fractional_polynomials_find_their_powers(table):
    result = dose_network(table, curve="fp1", method="ML")
    heights = {
        power: dose_network(table, curve=FractionalPolynomial((power,)), method="ML").llf
        for power in POWERS
    }
    assert result.llf == pytest.approx(max(heights.values()), abs=1e-8)
    assert result.curves["yoga"].powers == (max(heights, key=heights.get),)
    fixed = dose_network(
        table, curve=FractionalPolynomial(result.curves["yoga"].powers), method="ML"
    )
    assert result.aic == pytest.approx(fixed.aic + 2)


def test_node_splitting_finds_the_pair_that_disagrees():
    arms = arms_on(LINES)
    assert_allclose(dose_network(arms, method="CE").node_split().table["difference"], 0, atol=1e-9)
    pair = arms.groupby("trial_id")["agent"].transform(lambda own: set(own) == {"a", "b"})
    wrong = arms.assign(mean=arms["mean"] + 7.0 * (pair & (arms["agent"] == "a")))
    found = dose_network(wrong, method="CE").node_split().table.set_index(["agent", "versus"])
    row = found.loc[("a", "b")]
    assert row["trials"] == 1 and row["difference"] == pytest.approx(7.0)
    direct = 2 * 20**2 / 50
    lines = dose_network(arms[~pair], method="CE")
    indirect = 60**2 * lines.cov.to_numpy()[[0, 1], [0, 1]].sum() - 2 * 60**2 * lines.cov.iloc[0, 1]
    assert row["se"] == pytest.approx(np.sqrt(direct + indirect))


def test_agents_may_be_numbers_and_words():
    arms = arms_on(LINES)
    mixed = arms.assign(agent=arms["agent"].astype(object).replace({"a": 1}))
    assert_allclose(dose_network(mixed).params, dose_network(arms).params, rtol=1e-10)
    assert dose_network(mixed).agents[0] == "1"


@pytest.mark.parametrize("trials", [1, 3])
def test_one_dose_carries_no_common_shape(trials):
    """With one contrast, and with several at one dose."""
    rows = [
        (trial, agent, dose, 50 - dose / 10 + trial, 20.0, 50)
        for trial in range(trials)
        for agent, dose in (("usual_care", 0.0), ("yoga", 120.0))
    ]
    arms = pd.DataFrame(rows, columns=["trial_id", "agent", "dose", "mean", "sd", "n"])
    with pytest.raises(CannotEstimate, match="do not carry the shape of a quadratic curve"):
        dose_network(arms, curve="quadratic", shared="common")


@pytest.mark.parametrize("seed", range(3))
def test_the_power_of_fp1_beside_likelihoods_written_out(seed):
    """Every power's height from a model matrix made here, with all contrasts in one matrix."""
    rng = np.random.default_rng(seed)
    bend = (0.3, 1.0, 2.5)[seed]
    arms = arms_on(
        {
            "a": lambda d: -8 * (d / 120) ** bend,
            "b": lambda d: -3 * (d / 120) ** bend,
            "c": lambda d: 4 * np.log1p(d / 60),
        }
    )
    arms["mean"] += rng.normal(0, 2, len(arms))
    result = dose_network(arms, curve="fp1", method="ML")
    network, nodes = result.data.network, result.data.nodes
    doses = np.unique(arms["dose"])
    shift, scale = np.diff(doses).min(), doses.max()

    def height(power):
        x, zero = (nodes["dose"].to_numpy() + shift) / scale, shift / scale
        rise = np.log(x / zero) if power == 0 else x**power - zero**power
        own = np.column_stack([rise * (nodes["agent"] == agent) for agent in "abc"])
        X = own[network.treatment] - own[network.versus]
        return reml_or_ml(network, X, reml=False).best

    heights = {power: height(power) for power in (-2, -1, -0.5, 0, 0.5, 1, 2, 3)}
    assert result.llf == pytest.approx(max(heights.values()), abs=1e-5)
    assert result.curves["a"].powers == (max(heights, key=heights.get),)
