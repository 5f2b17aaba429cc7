"""What is said of networks: truth tables of the headline and of agreement, in both directions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import network as questions
from backpain_analysis.answers import network_certainty as certainty
from backpain_analysis.answers import tables
from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.answers.tables import networks as network_tables
from backpain_analysis.effects.assemble import effects_if_measured
from backpain_analysis.models.network.network import network
from tests.figures.drawn import make_effects

OPTIONS = {"lump": bp.lumping("types")}

INTERVAL = ["estimate", "ci_low", "ci_high"]


def text_of(shown):
    return shown._repr_html_().replace("\N{NO-BREAK SPACE}", " ")


def effects(*trials):
    evidence = bp.load_evidence().filter(trial_id=list(trials))
    return effects_if_measured(evidence, "pain_intensity", head_to_head=True)


def made(*contrasts, sign=1, **options):
    """A network of (treatment, other, effect, se): a row a trial, effects below zero are good."""
    table = pd.DataFrame(contrasts, columns=["treatment1", "treatment2", "yi", "se"])
    table = table.assign(trial_id=[f"t{k}" for k in range(len(table))], yi=sign * table["yi"])
    defaults = {"reference": "none", "method": "CE", "lower_is_better": sign > 0}
    return network(table, yi="yi", se="se", **{**defaults, **options})


GOOD = [("yoga", "none", -10, 1), ("yoga", "none", -10.5, 1), ("yoga", "none", -9.5, 1)]
OTHERS = [("walking", "none", -2, 1), ("pilates", "none", -3, 1), ("tai chi", "none", -1, 1)]
CASES = [
    # contrasts, named, what the sentence says
    ([*GOOD, *OTHERS], True, "Yoga helps most: {−}10.0 points of 100"),
    ([*GOOD[:1], *OTHERS], False, "but it rests on a single trial (t0)."),
    ([("yoga", "none", -10, 9), ("yoga", "none", -10, 9), *OTHERS], False, "clearly better than 4"),
    ([("yoga", "none", -12, 1), ("yoga", "none", -1, 3), *OTHERS], False, "but without t0 it is"),
    (
        [*GOOD, *OTHERS, ("yoga", "walking", 3, 1), ("yoga", "walking", 3, 1)],
        False,
        "the direct evidence (2 trials) says {+}3.0 and the indirect {−}8.0 (P < 0.001)",
    ),
    (
        [*GOOD, *OTHERS, ("walking", "pilates", 15, 1)],
        False,
        "but the trials' designs disagree (P < 0.001).",
    ),
    ([("yoga", "none", 4, 1), ("walking", "none", 2, 1)], None, "None ranks above no exercise."),
]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("contrasts", "named", "words"), CASES)
def test_the_headline(contrasts, named, words, sign):
    result = made(*contrasts, sign=sign)
    found = questions.headline(result)
    minus, plus = ("−", "") if sign > 0 else ("", "−")
    words = words.replace("{−}", minus).replace("{+}", plus)
    text = questions.answer(result, "pain_intensity")
    assert words in text
    if named is None:
        assert found is None
        return
    assert (found.best, found.is_named) == ("yoga", named)
    assert ("No treatment is shown to be the best: yoga" in text) is not named
    assert all(reason in text for reason in found.objections)


def test_a_best_one_must_help():
    """First of all, but not clearly better than the reference: not named."""
    result = made(
        *[(name, "none", effect, 1) for name, effect, _ in ()],
        *[
            (name, "none", effect, 2)
            for name, effect in (
                ("yoga", -1),
                ("yoga", -1),
                ("walking", 9),
                ("pilates", 9),
                ("tai chi", 9),
                ("x", 9),
            )
        ],
    )
    found = questions.headline(result)
    assert found.best == "yoga" and found.alike == ("none",)
    assert not found.is_named and not found.objections


@pytest.mark.parametrize(("alike", "named"), [(1, True), (2, True), (3, False)])
def test_the_set_must_be_small(alike, named):
    names = [f"x{k}" for k in range(alike)]
    near = [(name, "none", -10.1 + 0.1 * k, 1) for k, name in enumerate(names) for _ in range(2)]
    far = [(f"y{k}", "none", 0, 1) for k in range(9)]
    found = questions.headline(made(*GOOD, *near, *far))
    assert len(found.alike) == alike and found.is_named is named


def test_half_of_few_treatments_is_not_a_small_set():
    found = questions.headline(made(*GOOD, ("walking", "none", -9.9, 1)))
    assert found.alike == ("walking",) and not found.is_named


AGREEMENT = [
    ([("b", "none", -3, 1), ("c", "none", -1, 1)], "not testable"),
    (
        [("b", "none", -3, 1), ("c", "none", -1, 1), ("b", "c", -2, 1)],
        "do not clearly disagree (design-by-treatment interaction, 1 degrees of freedom, P = 1.00)",
    ),
    (
        [("b", "none", -9, 1), ("c", "none", -1, 1), ("b", "c", 2, 1)],
        "Designs disagree (design-by-treatment interaction, 1 degrees of freedom, P < 0.001); of 3 "
        "comparisons with both kinds of evidence, 3 differ with P < 0.05: b with c; b with no "
        "exercise; c with no exercise. The network's estimates are then not one answer",
    ),
]


@pytest.mark.parametrize(("contrasts", "words"), AGREEMENT)
def test_agreement(contrasts, words):
    text = questions.agreement(made(*contrasts))
    assert words in text
    assert ("little power" in text) == ("P = 1.00" in text)
    assert ("(I² " in text) == (words != "not testable")


def test_some_pairs_differ_though_designs_agree():
    """Two loops far apart: one disagrees (P = .04), together they do not (P = .12)."""
    loop = [("b", "none", 0, 1), ("c", "none", 0, 1), ("b", "c", 3.55, 1)]
    calm = [("d", "none", 0, 1), ("e", "none", 0, 1), ("d", "e", 0, 1)]
    text = questions.agreement(made(*loop, *calm))
    assert "Designs do not clearly disagree" in text and "3 differ with P < 0.05" in text
    assert text.endswith("Of so many tests about 0 would do so by chance.")


BETWEEN = [
    (-5, 1, "better than"),
    (5, 1, "worse than"),
    (-1, 1, "not clearly different from"),
    (1, 1, "not clearly different from"),
    (-1.9, 1, "not clearly different from"),
    (-2.0, 1, "better than"),
]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("effect", "se", "verdict"), BETWEEN)
def test_one_against_another(effect, se, verdict, sign):
    result = made(("a", "b", effect, se), sign=sign, reference="b")
    text = questions._between(result, "a", "b", "pain_intensity").text
    assert f"a exercise is {verdict} b: " in text
    assert "1 trial compares the two directly" in text


RATIOS = [("OR", "odds ratio 0.50"), ("RR", "risk ratio 0.50"), ("RD", "−69.3 percentage points")]


@pytest.mark.parametrize(("measure", "words"), RATIOS)
def test_effects_in_words(measure, words):
    result = made(("a", "none", np.log(0.5), 0.1), measure=measure)
    assert questions.effect_words(result, result.predict("a")).startswith(words)


def test_pooling_beside_the_network():
    data = effects("sherman2011", "tilbrook2011", "saper2017", "natour2015", "miyamoto2013")
    result = questions.fitted(data, **OPTIONS)
    found = questions.beside_pooling(data, result, **OPTIONS)
    row = found.table.set_index("treatment").loc["yoga"]
    assert row["trials"] == result.predict("yoga")["trials"]
    own = data.select(data.table["treatment"] == "yoga", "").against_inactive().one_per_trial()
    assert row["pooled"] == pytest.approx(bp.pool(own, test="z").estimate)
    assert row["pooled_high"] - row["pooled_low"] >= 2 * 1.9599 * bp.pool(own, test="z").se - 1e-9
    assert "the network is the primary analysis" in found.text


def test_without_results_there_is_none():
    none = effects("manniche1988")
    found = questions.fitted(none, **OPTIONS)
    assert found == "no usable result of pain"
    expected = "These trials make no network for pain: no usable result of pain."
    assert questions.answer(found, "pain_intensity") == expected
    assert questions.impact(none).text.endswith("other kinds: no usable result of pain.")
    assert questions.lumpings(none)["treatments"].isna().all()


def test_trials_apart_from_the_reference_say_what_there_is():
    found = questions.fitted(effects("sherman2011"), lump={}, reference="aquatic")
    assert found == "no treatment 'aquatic' in the network"


@pytest.mark.parametrize(
    ("measure", "whole", "alone", "sd"),
    [
        ("OR", "0.50 [0.44, 0.57]", "0.50 [0.41, 0.61]", "0.00 on the log scale"),
        ("RD", "−69.3 [−83.2, −55.5]", "−69.3 [−88.9, −49.7]", "0.0 percentage points"),
    ],
)
def test_tables_read_as_ratios_and_shares(measure, whole, alone, sd):
    """Two trials of log 0.5 and standard error 0.1: 1.96 x 0.1 / sqrt(2) = 0.139."""
    half = np.log(0.5)
    result = made(("yoga", "none", half, 0.1), ("yoga", "none", half, 0.1), measure=measure)
    answer = Answer("", result.effects().reset_index()[["treatment", *INTERVAL]])
    assert whole in text_of(tables.answer(answer, measure=measure, title="x"))
    pooled = {"pooled": half, "pooled_low": half - 0.196, "pooled_high": half + 0.196}
    beside = Answer("", answer.table.assign(trials=2, **pooled))
    shown = text_of(network_tables.beside_pooling(beside, measure=measure, title="x"))
    assert whole in shown and alone in shown
    found = certainty.network_certainty(result)
    assert whole in text_of(network_tables.certainty(found, measure=measure, title="x"))
    row = {"lumping": "types", "treatments": 2, "trials": 2, "tau": 0.0, "inconsistency_p": np.nan}
    row |= {"best": "yoga", "alike": 0, "is_named": True, **answer.table.iloc[0][INTERVAL]}
    lumped = network_tables.lumpings(pd.DataFrame([row]), measure=measure, title="x")
    assert whole in text_of(lumped)
    assert sd in questions.agreement(result)
    shown = result.summary().iloc[0]
    expected = np.exp(half) if measure == "OR" else half
    assert shown["estimate"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "words"), [("Yoga", "yoga"), ("McKenzie", "McKenzie"), ("PT", "PT"), ("X", "x")]
)
def test_names_inside_a_sentence(name, words):
    assert questions.called("x", {"x": name}) == words


def test_the_wider_interval_of_direct_trials_is_shown():
    """Means -1, -5, -9 of variance 1: standard error 4 / sqrt(3), t(0.975; 2) = 4.3027."""
    rows = [{"yi": value, "vi": 1.0} for value in (-1.0, -5.0, -9.0)]
    half = 4.302653 * 4 / np.sqrt(3)
    assert questions._pooled(make_effects(rows)) == pytest.approx((-5, -5 - half, -5 + half))
    one = questions._pooled(make_effects(rows[:1]))
    assert one == pytest.approx((-1, -1 - 1.959964, -1 + 1.959964))


@pytest.mark.parametrize(
    ("limits", "without", "needed"),
    [
        ((-8.0, 0.0), (-3.0, -7.0, 1.0), False),
        ((-8.0, -0.1), (-3.0, -7.0, 1.0), True),
        ((-8.0, -0.1), (-3.0, -7.0, 0.0), True),
        ((-8.0, -0.1), (-3.0, -7.0, -0.1), False),
        ((-8.0, 0.0), (0.1, -7.0, 1.0), True),
        ((0.0, 8.0), (3.0, -1.0, 7.0), False),
        ((0.1, 8.0), (3.0, -1.0, 7.0), True),
    ],
)
def test_what_rests_on_one_trial(limits, without, needed):
    left = pd.DataFrame([(*without, np.nan, 1.0)] * 2, index=["t0", "t1"])
    left.columns = [*INTERVAL, "participants", "tau"]
    result = SimpleNamespace(
        leave_one_out=lambda best: left,
        effects=lambda: pd.DataFrame([(sum(limits) / 2, *limits)], ["yoga"], INTERVAL),
        measure="MD",
        tau=2.0,
    )
    found = questions._carried_by_one(result, "yoga")
    assert [text.split(" it is")[0] for text in found] == (["without t0"] if needed else [])


def test_the_best_of_each_lumping():
    data = effects("sherman2011", "saper2017")
    found = questions.lumpings(data).set_index("lumping")
    expected = questions.headline(questions.fitted(data, **OPTIONS))
    assert found.loc["types", "best"] == expected.best
    assert found.loc["types", "alike"] == len(expected.alike)
    assert found["best"].notna().all()


@pytest.mark.parametrize(("people", "size"), [(40.0, " of 40 people"), (np.nan, "")])
def test_an_estimate_of_one_trial_says_how_large_it_is_where_that_is_known(people, size):
    alone = pd.DataFrame({"participants": [people]}, index=["one2001"])
    result = SimpleNamespace(
        leave_one_out=lambda best: alone, effects=lambda: pd.DataFrame(index=["yoga"])
    )
    said = questions._carried_by_one(result, "yoga")
    assert said == [f"it rests on a single trial{size} (one2001)"]


def test_a_comparison_without_concerns_says_none():
    row = dict.fromkeys(certainty.DOMAINS, certainty.NONE)
    assert network_tables._concerns(row) == "none"
    first, second = certainty.DOMAINS[:2]
    row |= {first: certainty.SOME, second: certainty.MAJOR}
    assert network_tables._concerns(row) == f"major: {second}; some: {first}"
