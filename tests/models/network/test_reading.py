"""Networks from contrasts, events and components, against netmeta, metafor and closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.network.data import NOTHING_LEFT_OUT, all_pairs, connected_part
from backpain_analysis.models.network.network import network
from tests.models.network.test_network import pairs

PRINTED = {"trial": "studlab", "treatment1": "treat1", "treatment2": "treat2"}
BINARY = [f"{measure} {method}" for measure in ("OR", "RD") for method in ("DL", "REML")]


@pytest.fixture(scope="module")
def known(reference2):
    return reference2["network"]


@pytest.fixture(scope="module")
def events(reference_table):
    return reference_table("network_binary")


def trial(*contrasts, **more):
    """Contrasts of one trial: (treatment1, treatment2, yi, vi)."""
    table = pd.DataFrame(contrasts, columns=["treatment1", "treatment2", "yi", "vi"])
    return table.assign(trial_id="t", **more)


def of(table, **options):
    defaults = {"yi": "yi", "vi": "vi", "reference": "a", "method": "CE"}
    return network(table, **{**defaults, **options})


# --- contrasts -----------------------------------------------------------------------------------


def test_contrasts_as_netmeta(reference_table, known):
    numbers = known["contrasts DL"]
    table = reference_table("network_contrasts")
    result = network(table, **PRINTED, yi="TE", se="seTE", method="DL")
    estimate, se = pairs(result, numbers["treatments"])
    assert_allclose(estimate, numbers["TE_random"], atol=1e-9)
    assert_allclose(se, numbers["seTE_random"], atol=1e-9)
    low = result.differences().set_index(["treatment", "versus"])["pi_low"]
    for i, a in enumerate(numbers["treatments"]):
        for j, b in enumerate(numbers["treatments"]):
            if a != b:
                assert low[a, b] == pytest.approx(numbers["lower_predict"][i][j], abs=1e-8)
    scores = result.p_scores()
    assert scores.to_dict() == pytest.approx(numbers["Pscore_random"], abs=1e-9)


@pytest.mark.parametrize("method", ["REML", "ML", "DL", "CE"])
def test_arms_and_their_contrasts_give_the_same(reference_table, method):
    arms = reference_table("network")
    whole = network(arms, method=method)
    table = all_pairs(whole.data)
    from_pairs = network(table, yi="yi", vi="vi", method=method)
    own = table.groupby("trial_id").head(1)
    stars = []
    for _, rows in table.groupby("trial_id", sort=False):
        base = rows["treatment1"].iloc[0]
        star = rows[rows["treatment1"] == base]
        variance = arms[
            (arms["trial_id"] == rows["trial_id"].iloc[0]) & (arms["treatment"] == base)
        ]
        stars.append(star.assign(shared=float(variance["sd"].iloc[0] ** 2 / variance["n"].iloc[0])))
    from_stars = network(pd.concat(stars), yi="yi", vi="vi", shared_vi="shared", method=method)
    for other in (from_pairs, from_stars):
        assert_allclose(other.params, whole.params, rtol=1e-10)
        assert_allclose(other.cov, whole.cov, rtol=1e-9)
        assert_allclose(other.tau2, whole.tau2, rtol=1e-9, atol=1e-10)
    assert len(own) < len(table)


def test_intervals_stand_for_standard_errors(reference_table):
    table = reference_table("network_contrasts")
    half = 1.959963984540054 * table["seTE"]
    table = table.assign(low=table["TE"] - half, high=table["TE"] + half)
    by_se = network(table, **PRINTED, yi="TE", se="seTE")
    by_ci = network(table, **PRINTED, yi="TE", ci=("low", "high"))
    assert_allclose(by_ci.params, by_se.params, rtol=1e-9)


def test_standard_errors_and_intervals_stand_for_the_sd_of_an_arm(reference_table):
    """Student's t on 40 degrees of freedom: 2.021075 standard errors (printed tables)."""
    arms = reference_table("network")
    se = arms["sd"] / np.sqrt(arms["n"])
    half = se.where(arms["n"] != 41, 2.021075 * se)
    table = arms.assign(se=se, low=arms["mean"] - half, high=arms["mean"] + half)
    missing = table.assign(sd=table["sd"].mask(table.index % 2 == 0))
    assert_allclose(network(missing, se="se").params, network(arms).params, rtol=1e-12)
    some = table.assign(sd=table["sd"].mask(table["n"] == 41))
    assert_allclose(network(some, ci=("low", "high")).params, network(arms).params, rtol=1e-6)


IMPOSSIBLE = [
    (trial(("b", "a", 1, 1), ("c", "a", 5, 1), ("c", "b", 1, 1)), "do not add up"),
    (trial(("b", "a", 1, 1), ("c", "a", 5, 1), ("c", "b", 4, 9)), "variances cannot be"),
    (trial(("b", "a", 1, 1), ("c", "a", 5, 1)), "share the arm 'a': give its variance"),
    (trial(("b", "a", 1, 1), ("c", "a", 5, 1), s=2.0), "below that of each contrast"),
    (trial(("b", "a", 1, 1), ("b", "a", 5, 1)), "compared twice"),
    (trial(("b", "a", 1, 1), ("c", "b", 1, 1), ("d", "c", 1, 1)), "give all pairs"),
    (trial(("b", "a", 1, -1)), "the variance is -1"),
    (trial(("a", "a", 1, 1)), "compares a treatment with itself"),
    (trial(("b", "a", np.nan, 1)), "yi is nan"),
]


@pytest.mark.parametrize(("table", "message"), IMPOSSIBLE)
def test_contrasts_that_cannot_be(table, message):
    shared = {"shared_vi": "s"} if "s" in table else {}
    with pytest.raises(ValueError, match=message) as fault:
        of(table, **shared)
    assert not isinstance(fault.value, CannotEstimate)


def test_all_faulty_trials_at_once():
    first, second = (
        table.assign(trial_id=k) for k, table in enumerate(t for t, _ in IMPOSSIBLE[:2])
    )
    with pytest.raises(ValueError, match=r"trial 0: .*\ntrial 1: "):
        of(pd.concat([first, second]))


def test_rounded_differences_are_taken():
    table = trial(("b", "a", 1.0, 1), ("c", "a", 2.0, 1), ("c", "b", 1.04, 1))
    assert of(table).params.to_dict() == pytest.approx({"b": 0.987, "c": 2.013}, abs=0.001)


# --- events --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", BINARY)
def test_events_as_netmeta(events, known, key):
    measure, method = key.split()
    numbers = known[f"binary inverse variance {key}"]
    result = network(events, events="events", measure=measure, method=method)
    estimate, se = pairs(result, numbers["treatments"])
    assert_allclose(estimate, numbers["TE_random"], atol=1e-7)
    assert_allclose(se, numbers["seTE_random"], atol=1e-7)
    assert_allclose(result.tau, numbers["tau"], atol=1e-7)
    q = [numbers["Q"], numbers["Q_heterogeneity"], numbers["Q_inconsistency"]]
    assert_allclose(result.heterogeneity()["q"], q, atol=1e-8)


@pytest.mark.parametrize("method", ["DL", "REML"])
def test_risk_ratios_as_netmeta_from_its_contrasts(known, method):
    """Netmeta adds 1/2 once to the size of an arm; we add 1/2 to both cells, as metafor does."""
    inputs = pd.DataFrame(known["binary inverse variance RR DL"]["contrasts"])
    numbers = known[f"binary inverse variance RR {method}"]
    result = network(inputs, **PRINTED, yi="TE", se="seTE", measure="RR", method=method)
    estimate, se = pairs(result, numbers["treatments"])
    assert_allclose(estimate, numbers["TE_random"], atol=1e-9)
    assert_allclose(se, numbers["seTE_random"], atol=1e-9)


def test_mantel_haenszel_as_netmeta(events, known):
    numbers = known["binary MH"]
    result = network(events, events="events", method="MH")
    estimate, se = pairs(result, numbers["treatments"])
    assert_allclose(estimate, numbers["TE"], atol=1e-10)
    assert_allclose(se, numbers["seTE"], atol=1e-10)
    between = result.heterogeneity().loc["between designs"]
    assert between["q"] == pytest.approx(numbers["Q_inconsistency"], abs=1e-8)
    assert result.n_trials == numbers["k"] and result.tau2 == 0
    assert result.effects()["pi_low"].isna().all()


@pytest.mark.parametrize("measure", ["OR", "RR", "RD"])
def test_mantel_haenszel_of_one_table_is_that_table(measure):
    """One trial of three arms: the sums are its own cells, and so are the variances."""
    rows = [("t", "a", 12, 80), ("t", "b", 30, 90), ("t", "c", 21, 70)]
    table = pd.DataFrame(rows, columns=["trial_id", "treatment", "events", "n"])
    options = {"events": "events", "measure": measure, "reference": "a"}
    mh, iv = (network(table, method=method, **options) for method in ("MH", "CE"))
    assert_allclose(mh.params, iv.params, rtol=1e-12)
    assert_allclose(mh.cov, iv.cov, rtol=1e-10)


@pytest.mark.parametrize("measure", ["OR", "RR", "RD"])
def test_mantel_haenszel_does_not_depend_on_which_arm_is_first(events, measure):
    """Arms of a design are averaged so that they agree: names and order are nothing to it."""
    renamed = {name: f"{9 - k} {name}" for k, name in enumerate(sorted(set(events["treatment"])))}
    options = {"events": "events", "measure": measure, "method": "MH"}
    one = network(events, **options)
    other = network(events, lump=renamed, reference=renamed["usual_care"], **options)
    assert_allclose(other.params[::-1], one.params, rtol=1e-10)
    assert_allclose(other.bse[::-1], one.bse, rtol=1e-10)


def as_effects(events, measure):
    """The contrasts of a table of events, as `Effects` with the events of their arms."""
    data = network(events, events="events", measure=measure, method="CE").data
    counts = data.events.set_index(["trial_id", "treatment"])
    sides = {"": data.treatment, "ref_": data.versus}
    table = pd.DataFrame({"trial_id": data.trial, "yi": data.y})
    for side, codes in sides.items():
        own = counts.loc[list(zip(data.trial, codes, strict=True))]
        table[f"{side}treatment"] = [data.treatments[code] for code in codes]
        table[f"{side}events"] = own["events"].to_numpy()
        table["n_ref" if side else "n_arm"] = own["n"].to_numpy()
    return Effects(table, data.covariance, NOTHING_LEFT_OUT, "recurrence", measure)


@pytest.mark.parametrize("method", ["REML", "MH"])
@pytest.mark.parametrize("measure", ["OR", "RR", "RD"])
def test_effects_of_events_are_the_network_of_their_table(events, measure, method):
    effects = as_effects(events, measure)
    one = network(events, events="events", measure=measure, method=method)
    other = network(effects, method=method)
    assert_allclose(other.params, one.params, rtol=1e-10)
    assert_allclose(other.bse, one.bse, rtol=1e-10)
    assert other.lower_is_better and other.n_participants == one.n_participants


def test_mantel_haenszel_needs_the_events_of_every_arm(events):
    effects = as_effects(events, "OR")
    gap = effects.table.assign(events=effects.table["events"].where(effects.table.index > 0))
    with pytest.raises(ValueError, match="effects of which every arm has its events"):
        network(replace(effects, table=gap), method="MH")
    assert network(replace(effects, table=gap)).n_trials == effects.n_trials


def test_mantel_haenszel_of_arms_in_which_everyone_has_the_event():
    """Of odds they say nothing; of risks 20 in 20 against 3 in 20 is a ratio of 20/3."""
    rows = [("t", "a", 3, 20), ("t", "b", 5, 20), ("t", "c", 20, 20)]
    table = pd.DataFrame(rows, columns=["trial_id", "treatment", "events", "n"])
    options = {"events": "events", "reference": "a", "method": "MH"}
    odds = network(table, **options, measure="OR")
    assert odds.treatments == ["a", "b"]
    assert odds.params["b"] == pytest.approx(np.log(5 * 17 / (15 * 3)))
    assert odds.excluded["reason"].tolist() == ["no event tells c apart in trials of a:b:c"]
    risks = network(table, **options, measure="RR")
    assert risks.params["c"] == pytest.approx(np.log(20 / 3))
    none = pd.DataFrame([("u", "a", 0, 9), ("u", "b", 0, 9)], columns=table.columns)
    with pytest.raises(CannotEstimate, match="no event in trials of a:b: their risk difference"):
        network(pd.concat([table, none]), **options, measure="RD")


def test_published_networks(reference_table):
    """Krahn 2013 (tables 1 and 2); metafor 3.8-1 for the odds ratios."""
    diabetes = reference_table("published_senn2013")
    columns = {"trial": "study", "mean": "mi", "sd": "sdi", "n": "ni"}
    result = network(diabetes, **columns, reference="placebo", method="DL")
    assert_allclose(result.heterogeneity()["q"], [96.98, 74.45, 22.53], atol=0.006)
    assert result.heterogeneity()["df"].tolist() == [18, 11, 7]
    assert result.tau2 == pytest.approx(0.1087, abs=5e-5)
    copd = reference_table("published_dong2013")
    columns = {"trial": "id", "events": "death", "n": "randomized", "reference": "Placebo"}
    result = network(copd, **columns)
    known = [0.0031450551, -0.0700439356, -0.2527731315, -0.0835584351, 0.4111335217]
    assert_allclose(result.params, known, atol=2e-7)
    known = [0.0924860465, 0.0899115937, 0.0972437735, 0.0784524903, 0.1930068473]
    assert_allclose(result.bse, known, atol=2e-7)
    assert result.tau2 == pytest.approx(0.0034988477, abs=1e-7)
    common = network(copd, **columns, method="CE")
    known = [0.0171742036, -0.0770581265, -0.2461291233, -0.0848999583, 0.4081760206]
    assert_allclose(common.params, known, atol=1e-9)
    silent = network(copd, **columns, method="MH").excluded
    assert silent["reason"].str.contains("no event tells Placebo apart").sum() == 1
    assert silent["reason"].str.startswith("no event in any arm").any()


def test_a_published_additive_network(reference_table):
    """Linde 2016, the example of Rücker 2020; numbers of metafor 3.8-1 (rma.mv)."""
    depression = reference_table("published_linde2016")
    columns = {"trial": "id", "yi": "lnOR", "se": "selnOR"}
    columns |= {"treatment1": "treat1", "treatment2": "treat2", "measure": "OR"}
    known = {
        "CE": {
            "Hypericum": (0.6824610281, 0.0972978327),
            "Face-to-face CBT": (0.7894343337, 0.2208990570),
            "SSRI": (0.5234531997, 0.0668666293),
            "UC": (0.1657570392, 0.1856221045),
        },
        "REML": {
            "Hypericum": (0.6879017541, 0.1056648930),
            "Face-to-face CBT": (0.8294932481, 0.2370778287),
            "SSRI": (0.5252752980, 0.0754495470),
            "UC": (0.2087625943, 0.2005288012),
        },
    }
    for method, numbers in known.items():
        options = {"components": "+", "inactive": "Placebo", "method": method}
        result = network(depression, reference="UC", **columns, **options)
        for name, own in numbers.items():
            assert_allclose([result.params[name], result.bse[name]], own, atol=2e-7)
    assert result.tau2 == pytest.approx(0.0168988345, abs=2e-8)
    parts = result.heterogeneity()
    assert parts.loc["total", "q"] == pytest.approx(109.11897317, abs=1e-5)
    plain = network(depression, reference="UC", **columns, method="CE").heterogeneity()
    rows = ["within designs", "between designs"]
    assert_allclose(parts.loc[rows, ["q", "df"]], plain.loc[rows, ["q", "df"]], rtol=1e-6)
    assert parts.loc["non-additivity", "df"] == parts.loc["total", "df"] - plain["df"]["total"] == 3


def test_events_of_one_treatment_are_added_up():
    rows = [
        ("t", "a", 5, 50),
        ("t", "b", 3, 20),
        ("t", "b", 4, 30),
        ("u", "a", 0, 9),
        ("u", "b", 0, 9),
    ]
    table = pd.DataFrame(rows, columns=["trial_id", "treatment", "events", "n"])
    result = network(table, events="events", reference="a", method="CE")
    assert result.params["b"] == pytest.approx(np.log(7 * 45 / (43 * 5)))
    assert result.excluded["trial_id"].tolist() == ["u"]
    assert result.effects(exponentiate=True).loc["b", "estimate"] == pytest.approx(315 / 215)
    assert result.league(2).loc["b", "a"].startswith("0.68 (")
    with pytest.raises(ValueError, match=r"row 1.*events is 90; it must be from 0 to n"):
        network(table.assign(events=[5, 90, 4, 0, 0]), events="events", reference="a")
    with pytest.raises(ValueError, match="'OR', 'RR', 'RD'"):
        network(table, events="events", measure="HR")
    with pytest.raises(ValueError, match="are no ratios"):
        network(table, events="events", measure="RD", reference="a").effects(exponentiate=True)


# --- components ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def components(reference_table):
    table = reference_table("network_components")
    return network(table, components="+", inactive="usual_care", method="DL")


def test_components_as_netmeta(components, known):
    numbers = known["components DL"]
    assert list(components.params.index) == numbers["components"]
    assert_allclose(components.params, numbers["effect_random"], atol=1e-9)
    assert_allclose(components.bse, numbers["se_random"], atol=1e-9)
    assert components.tau == pytest.approx(numbers["tau"], abs=1e-9)
    estimate, se = pairs(components, numbers["combinations"])
    assert_allclose(estimate, numbers["TE_cnma_random"], atol=1e-9)
    assert_allclose(se, numbers["seTE_cnma_random"], atol=1e-9)
    table = components.heterogeneity()
    assert table.loc["total", "q"] == pytest.approx(numbers["Q_additive"])
    assert table.loc["non-additivity", "q"] == pytest.approx(numbers["Q_diff"])
    assert table.loc["non-additivity", "p_value"] == pytest.approx(numbers["p_diff"])
    standard = table.loc[["within designs", "between designs"], "q"].sum()
    assert standard == pytest.approx(numbers["Q_standard"])
    assert table["df"].iloc[1:].sum() == table["df"].iloc[0] == numbers["df_Q_additive"]


def test_additive_models_are_equal_for_every_reference(components, reference_table):
    table = reference_table("network_components")
    ours = components.differences()
    for name in components.treatments:
        other = network(table, components="+", inactive="usual_care", method="DL", reference=name)
        assert_allclose(other.params, components.params, rtol=1e-10)
        assert_allclose(other.differences()["estimate"], ours["estimate"], atol=1e-10)
        assert_allclose(other.differences()["se"], ours["se"], atol=1e-10)
        assert other.design_inconsistency().df == components.design_inconsistency().df


def test_the_reference_has_an_effect_of_its_own_unless_it_is_inactive():
    """S is a component like any other: F+S against S is F, found against P."""
    table = trial(("F", "P", -2.0, 1.0)).assign(trial_id=1)
    table = pd.concat([table, trial(("F+S", "S", -4.0, 1.0)).assign(trial_id=2)])
    table = pd.concat([table, trial(("S", "P", -1.0, 1.0)).assign(trial_id=3)])
    for reference in ("S", "P", "F+S"):
        result = of(table, components="+", inactive="P", reference=reference)
        assert result.params.to_dict() == pytest.approx({"F": -3.0, "S": -1.0})
        assert result.predict("F+S", "S")["estimate"] == pytest.approx(-3.0)
        share = result.contribution().loc["F+S:S"]
        assert share.to_dict() == pytest.approx({"F:P": 50.0, "F+S:S": 50.0, "P:S": 0.0})


def test_components_that_cannot_be_told_apart_are_named():
    with pytest.raises(CannotEstimate, match="do not tell the components F, P apart"):
        of(trial(("F", "P", -2.0, 1.0)), components="+", reference="P")


def test_contributions_of_an_additive_model_sum_to_all(components):
    assert_allclose(components.contribution().sum(axis=1), 100)


# --- names ---------------------------------------------------------------------------------------


def test_numbers_are_names():
    rows = [(1, 1, 5.0, 2.0, 20), (1, 2, 4.0, 2.0, 20), (2, 1, 6.0, 2.0, 30), (2, 3, 1.0, 2.0, 30)]
    table = pd.DataFrame(rows, columns=["trial_id", "treatment", "mean", "sd", "n"])
    for reference in (1, "1", 1.0, np.int64(1)):
        result = network(table, reference=reference, method="CE")
        assert result.reference == "1"
        assert result.params.to_dict() == pytest.approx({"2": -1.0, "3": -5.0})
        assert result.predict(2, 1)["estimate"] == pytest.approx(-1)
        assert result.effects(1.0).loc["2", "estimate"] == pytest.approx(-1)
    floats = network(table.astype({"treatment": float}), reference=1, lump={3: 2}, method="CE")
    assert floats.treatments == ["1", "2"]
    wrong = table.assign(sd=[2.0, 0.0, 2.0, 2.0])
    with pytest.raises(ValueError, match="row 1, trial 1: sd is 0"):
        network(wrong, reference=1)
    with pytest.raises(ValueError, match=r"^trial 7 has one arm"):
        network(pd.concat([table, table.iloc[:1].assign(trial_id=7)]), reference=1)


def test_names_with_colons_stay_apart():
    """Comparing "a:b" with "c" and "a" with "b:c" are two comparisons."""
    names = ["a", "a:b", "b:c", "c"]
    rows = [
        (f"{one} {two}", name, mean, 2.0, 20)
        for k, one in enumerate(names)
        for two in names[k + 1 :]
        for name, mean in ((one, 5.0), (two, 4.0))
    ]
    table = pd.DataFrame(rows, columns=["trial_id", "treatment", "mean", "sd", "n"])
    result = network(table, reference="a", method="CE")
    shares = result.contribution()
    assert shares.shape == (6, 6) and shares.index.is_unique and shares.columns.is_unique
    assert_allclose(shares.sum(axis=1), 100)
    assert len(result.net_heat().designs) == 6
    assert ("a:b", "c") in result.net_heat().designs


def test_i2_without_degrees_of_freedom_is_missing():
    result = of(trial(("b", "a", 1, 1)))
    assert np.isnan(result.heterogeneity().loc["total", "i2"])


def test_minimal_effects_are_a_network():
    table = pd.DataFrame(
        {"trial_id": ["t"], "treatment": ["b"], "ref_treatment": ["a"], "yi": [1.0], "vi": [1.0]}
    )
    nothing = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
    effects = Effects(table, (np.eye(1),), nothing, "quality_of_life", "SMD")
    result = network(effects, reference="a", method="CE")
    assert result.params["b"] == 1 and result.n_participants == 0
    assert (result.outcome, result.measure, result.benefit) == ("quality_of_life", "SMD", 1)
    assert result.p_scores().index[0] == "b"
    assert len(connected_part(effects, "a")) == 1


def test_leaving_a_trial_out():
    """Without trial 1 the mean of -2 and -4 is -4; without both nothing connects them."""
    table = pd.concat(
        [trial(("b", "a", y, 1.0)).assign(trial_id=k) for k, y in enumerate((-2.0, -4.0))]
    )
    result = of(pd.concat([table, trial(("c", "a", 0.0, 1.0)).assign(trial_id=9)]))
    assert result.leave_one_out("b")["estimate"].to_dict() == {0: -4.0, 1: -2.0}
    assert result.leave_one_out("c")["estimate"].isna().all()


def test_the_best_set_holds_what_is_not_distinguishable():
    table = pd.concat(
        [
            trial((name, "a", y, v)).assign(trial_id=name)
            for name, y, v in (
                ("b", -9.0, 1.0),
                ("c", -8.0, 1.0),
                ("d", -2.0, 1.0),
                ("e", -7.0, 9.0),
            )
        ]
    )
    assert of(table).best_set() == ["b", "c", "e"]
    assert of(table, lower_is_better=False).best_set() == ["a"]
