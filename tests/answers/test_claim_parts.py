"""Parts of claims: what a network, a pooled effect or nothing gives, on made-up results."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import claim_parts
from backpain_analysis.answers.certainty import Body
from backpain_analysis.answers.claim_parts import Context, network_of
from backpain_analysis.errors import CannotEstimate
from tests.figures.drawn import make_effects

NAN = np.nan


def network(direct=2, p_value=0.5, limits=(-25.0, -5.0), pairs=2):
    """A network of yoga (trials a, b, c), an inactive control and something else."""
    row = {"estimate": -15.0, "ci_low": limits[0], "ci_high": limits[1]}
    row |= {"pi_low": -40.0, "pi_high": 10.0, "trials": direct}
    arms = [("a", 0), ("b", 0), ("c", 0), ("c", 2), ("d", 2), ("a", 1), ("d", 1)]
    sizes = pd.DataFrame(
        {"trial_id": ["a", "a", "b", "c", "d"], "participants": [10, 20, 300, 70, 999]}
    )
    split = [("inactive", "yoga", p_value), ("inactive", "other", 0.001)]
    compared = [("inactive", "yoga", -9.0 - 12 * k, 1.0) for k in range(pairs)]
    compared += [("inactive", "other", 50.0, 1.0)]
    data = SimpleNamespace(
        arms=pd.DataFrame(arms, columns=["trial_id", "treatment"]),
        arm_sizes=sizes,
        measure="MD",
        pairs=pd.DataFrame(compared, columns=["treatment", "versus", "yi", "vi"]),
    )
    return SimpleNamespace(
        data=data,
        treatments=["yoga", "inactive", "other"],
        predict=lambda first, second: pd.Series(row),
        node_split=lambda: SimpleNamespace(
            table=pd.DataFrame(split, columns=["treatment", "versus", "p_value"])
        ),
    )


class MadeUp(SimpleNamespace):
    """Evidence of which answers can be remembered."""

    __hash__ = object.__hash__


@pytest.fixture
def context(monkeypatch):
    monkeypatch.setattr(claim_parts, "pairwise", lambda data: data.pairs)
    monkeypatch.setattr(claim_parts, "network_with_prior", lambda effects, found: effects)
    monkeypatch.setattr(Context, "effects", lambda self, outcome, measure, every: None)
    appraisals = pd.DataFrame(
        [("a", "total", "7"), ("b", "total", "3"), ("z", "total", "9")],
        columns=["trial_id", "domain", "judgement"],
    )
    trials = pd.DataFrame({"trial_id": ["a", "b", "z"], "rob_or_pedro": None})
    return Context(MadeUp(trials=trials, appraisals=appraisals))


def asked(context, found, first="yoga", second="inactive", rule="benefit"):
    return context.of_network(found, "pain_intensity", first, second, rule, "yoga")


class Known:
    """A posterior that repeats the question."""

    def probability_of(self, than, first, second):
        return f"{first} {than} against {second}"


@pytest.mark.parametrize(
    ("rule", "noticed"),
    [
        ("benefit", "yoga < -15.0 against inactive"),
        ("difference", "yoga < -15.0 against inactive"),
        ("equivalence", NAN),
    ],
)
def test_the_probability_of_a_difference_that_matters(context, monkeypatch, rule, noticed):
    monkeypatch.setattr(Context, "effects", lambda self, outcome, measure, every: Known())
    found = asked(context, network(), rule=rule).noticed
    assert found == noticed or (noticed is NAN and np.isnan(found))


def test_without_a_prior_no_probability(context):
    assert np.isnan(asked(context, network()).noticed)


def test_a_comparison_of_a_network(context):
    """Trials with an arm of yoga: a, b, c, of 10 + 20 + 300 + 70 people; a is low, b is high."""
    part = asked(context, network())
    body = part.body
    assert (body.n_trials, body.n_participants) == (3, 400)
    assert (body.low_risk, body.unclear_risk, body.high_risk) == (1, 0, 1)
    assert (body.mcid, body.incoherence_p, body.indirect) == (15.0, 0.5, ())
    assert (part.verdict, part.trials) == ("supported, size uncertain or small", ("a", "b", "c"))
    assert part.estimate_text == "−15.0 [−25.0 to −5.0] points of 100"


def test_heterogeneity_is_that_of_the_comparison(context):
    """-9 and -21, variances 1: Q = 72 on one degree of freedom, I2 = 71/72."""
    assert asked(context, network()).body.i2 == pytest.approx(100 * 71 / 72)
    assert np.isnan(asked(context, network(pairs=1)).body.i2)


def test_indirect_evidence_is_said(context):
    part = asked(context, network(direct=0))
    assert part.body.indirect == ("no trial compares the two directly",)
    assert "indirectness −1: no trial compares the two directly" in part.certainty.reasons


@pytest.mark.parametrize(
    ("found", "first", "second", "reason"),
    [
        ("all doses are equal", "yoga", "inactive", "all doses are equal"),
        (network(), "tai_chi", "inactive", "no usable trial with an arm of tai chi"),
        (network(), "tai_chi", "a_b", "no usable trial with an arm of tai chi and a b"),
    ],
)
def test_what_is_not_in_a_network_is_not_tested(context, found, first, second, reason):
    part = asked(context, found, first, second)
    assert (part.verdict, part.reason, part.body) == ("not tested in these trials", reason, None)


@pytest.mark.parametrize(
    ("rule", "limits", "verdict"),
    [
        ("benefit", (5.0, 9.0), "evidence against"),
        ("difference", (5.0, 9.0), "evidence against"),
        ("equivalence", (5.0, 9.0), "supported"),
        ("equivalence", (16.0, 20.0), "evidence against"),
    ],
)
def test_each_rule_judges_its_own_way(context, rule, limits, verdict):
    assert asked(context, network(limits=limits), rule=rule).verdict == verdict


def test_nothing_pooled_is_not_tested(context):
    part = context.pooled(None, "pain_intensity", "x")
    assert (part.verdict, part.reason) == (
        "not tested in these trials",
        "no trial with a usable result against an inactive control",
    )


def test_a_dose_that_cannot_be_told_says_why(context, monkeypatch):
    def refused(*arguments, **options):
        raise CannotEstimate("all doses are equal")

    monkeypatch.setattr(Context, "effects", lambda self, outcome: None)
    assert context.dose("disability") == "no usable result"
    monkeypatch.setattr(Context, "effects", lambda self, outcome: "effects")
    monkeypatch.setattr(claim_parts, "dose_answer", refused)
    assert context.dose("pain_intensity") == "all doses are equal"


def test_a_network_that_reml_cannot_fit_is_tried_with_a_common_effect(monkeypatch):
    tried = []

    def fit(part, method, **options):
        tried.append(method)
        if method == "REML" or part == "hopeless":
            raise CannotEstimate(f"no {method}")
        return "fitted"

    monkeypatch.setattr(claim_parts, "connected_part", lambda effects, *_, **__: effects)
    monkeypatch.setattr(claim_parts, "network", fit)
    assert network_of("effects", {}) == "fitted" and tried == ["REML", "CE"]
    assert network_of("hopeless", {}) == "no CE"


def test_asymmetry_is_asked_from_ten_trials_on():
    trials = bp.simulate_trials(bp.TrialTruth(trials=24), seed=3)
    single = trials.effects("pain_intensity").against_inactive().one_per_trial()
    assert single.n_trials >= 10
    assert claim_parts._asymmetry(single) == pytest.approx(bp.egger_test(single).p_value)
    names = sorted(set(single.table["trial_id"]))[:9]
    few = single.select(single.table["trial_id"].isin(names), "left out")
    assert np.isnan(claim_parts._asymmetry(few))


@pytest.mark.parametrize(("trials", "i2"), [(("a",), NAN), (("a", "b"), 40.0), ("abc", 40.0)])
def test_heterogeneity_is_that_of_more_than_one_trial(context, trials, i2):
    numbers = {"estimate": -3.0, "ci_low": -5.0, "ci_high": -1.0, "pi_low": NAN, "pi_high": NAN}
    body = context.body(SimpleNamespace(i2=40.0, **numbers), trials, 90)
    assert body.i2 == pytest.approx(i2, nan_ok=True)
    assert (body.n_trials, body.n_participants) == (len(trials), 90)


@pytest.mark.parametrize(("trials", "expected"), [(9, np.nan), (10, 0.3), (11, 0.3)])
def test_small_trials_are_compared_from_ten_on(monkeypatch, trials, expected):
    monkeypatch.setattr(claim_parts, "egger_test", lambda effects: SimpleNamespace(p_value=0.3))
    found = claim_parts._asymmetry(SimpleNamespace(n_trials=trials))
    assert found == pytest.approx(expected, nan_ok=True)


TEXTS = [
    ((-15.04, -25.0, -5.0), "points of 100", "−15.0 [−25.0 to −5.0] points of 100"),
    ((3.04, 1.0, np.inf), "weeks", "3.0 [1.0 to ∞] weeks"),
    ((3.04, 1.0, 5.0), "kPa", "3.0 [1.0 to 5.0] kPa"),
    ((-0.504, -0.9, -0.1), "SD", "−0.50 [−0.90 to −0.10] SD"),
    (tuple(np.log([0.5, 0.25, 1.0])), "hazard ratio", "hazard ratio 0.50 [0.25 to 1.00]"),
    ((NAN, -0.9, -0.1), "SD", ""),
]


@pytest.mark.parametrize(("numbers", "unit", "text"), TEXTS)
def test_the_estimate_of_a_part(numbers, unit, text):
    body = Body(*numbers, n_trials=2, n_participants=9)
    part = claim_parts.judged("x", body, unit, -1)
    assert part.estimate_text == text
    assert claim_parts.untestable("x", "why").estimate_text == ""


def test_an_untestable_part():
    part = claim_parts.untestable("x", "why")
    assert (part.certainty.level, part.verdict) == ("no evidence", "not tested in these trials")
    assert (part.trials, part.unit) == ((), "") and np.isnan(part.noticed)


@pytest.mark.parametrize(("benefit", "verdict"), [(None, "supported"), (1, "evidence against")])
def test_pooled_parts_are_judged_on_the_side_of_benefit(context, monkeypatch, benefit, verdict):
    """Three trials of -20; an arm of an active control does not count."""
    asked = []
    rows = [{"yi": -20.0, "vi": 1.0, "ref_treatment": "inactive", "treatment": "yoga"}] * 3
    effects = make_effects(rows)
    monkeypatch.setattr(type(effects), "against_inactive", lambda self: self)
    monkeypatch.setattr(claim_parts, "pooled_beyond", lambda *given: asked.append(given[1:]) or 0.7)
    part = context.pooled(effects, "pain_intensity", "x", benefit=benefit)
    assert (part.verdict, part.noticed) == (verdict, 0.7)
    assert asked == [(15.0, benefit or -1)]
    assert (part.body.n_trials, part.body.n_participants) == (3, 126)
    empty = effects.select([False] * 3, "none")
    assert context.pooled(empty, "pain_intensity", "x").body is None


def test_what_is_asked_twice_is_made_once(context, monkeypatch):
    made = []
    monkeypatch.setattr(claim_parts, "moderation", lambda *given: made.append(given) or "found")
    assert context.moderation("disability") == context.moderation("disability") == "found"
    assert len(made) == 1
    monkeypatch.setattr(Context, "_dose", lambda self, outcome: made.append(outcome) or outcome)
    assert context.dose("a") == "a" and context.dose("a") == "a" and context.dose("b") == "b"
    assert made[1:] == ["a", "b"]
    monkeypatch.setattr(Context, "pooled", lambda self, *given: made.append(given) or given[2])
    monkeypatch.setattr(Context, "effects", lambda self, *given: None)
    assert context.key("disability", "MD") == "exercise against no exercise, disability"
    context.key("disability", "MD")
    assert len(made) == 4


def test_a_network_is_asked_of_what_was_measured(context, monkeypatch):
    monkeypatch.setattr(Context, "effects", lambda self, outcome, every: None)
    assert context.network("pain_intensity", "types") == "no usable result"
    monkeypatch.setattr(Context, "effects", lambda self, outcome, every: "effects")
    monkeypatch.setattr(claim_parts, "network_of", lambda effects, lump: (effects, len(lump)))
    assert context.network("pain_intensity", "types") == "no usable result"
    assert context.network("disability", "types")[0] == "effects"


def test_a_network_without_a_reference_says_so():
    table = {"yi": -1.0, "vi": 1.0, "treatment": "yoga", "ref_treatment": "pilates"}
    found = network_of(make_effects([table]), {})
    assert isinstance(found, str) and "inactive" in found


def test_without_an_mcid_no_probability_is_asked(context, monkeypatch):
    monkeypatch.setattr(Context, "effects", lambda self, outcome, measure, every: Known())
    found = context.of_network(network(), "quality_of_life", "yoga", "inactive", "benefit", "x")
    assert found.body.mcid is None and np.isnan(found.noticed)
