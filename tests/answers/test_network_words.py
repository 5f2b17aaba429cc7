"""What is said of networks: made-up results to words, at the borders of every rule."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.answers import network as questions
from backpain_analysis.errors import CannotEstimate
from tests.answers.test_network import made
from tests.figures.drawn import make_effects

NUMBERS = ["estimate", "ci_low", "ci_high"]


def split_of(*rows):
    columns = ["treatment", "versus", "direct", "indirect", "p_value", "trials"]
    table = pd.DataFrame(rows, columns=columns)
    return lambda: SimpleNamespace(summary=lambda: table)


def designs_of(df, p):
    return lambda: SimpleNamespace(df=df, p_value=p)


DIRECT = "against no exercise the direct evidence"
DISAGREEING = [
    (
        [("yoga", "none", -9.0, -3.0, 0.049, 2)],
        [],
        f"{DIRECT} (2 trials) says −9.0 and the indirect −3.0 (P = 0.049)",
    ),
    (
        [("none", "yoga", 9.0, 3.0, 0.02, 1)],
        [],
        f"{DIRECT} (1 trial) says −9.0 and the indirect −3.0 (P = 0.020)",
    ),
    ([("yoga", "none", -9.0, -3.0, 0.05, 2)], [], None),
    ([("pilates", "none", -9.0, -3.0, 0.01, 2)], [], None),
    ([], [3, 0.049], "the trials' designs disagree (P = 0.049)"),
    ([], [3, 0.05], None),
    ([], [0, 0.01], None),
    ([], [0, np.nan], None),
]


@pytest.mark.parametrize(("split", "designs", "words"), DISAGREEING)
def test_where_the_evidence_on_the_best_disagrees(split, designs, words):
    result = SimpleNamespace(
        measure="MD",
        node_split=split_of(*split),
        design_inconsistency=designs_of(*(designs or [0, np.nan])),
    )
    assert questions._incoherent(result, "yoga", None) == ([words] if words else [])


def carried(left, limits=(-8.0, -2.0)):
    columns = [*NUMBERS, "participants", "tau"]
    table = pd.DataFrame(left, columns=columns, index=[f"t{k}" for k in range(len(left))])
    return SimpleNamespace(
        leave_one_out=lambda best: table,
        effects=lambda: pd.DataFrame([(sum(limits) / 2, *limits)], ["yoga"], NUMBERS),
        measure="MD",
        tau=2.04,
    )


SAME = (-5.0, -8.0, -2.0, 90.0, 2.0)
CARRIED = [
    ([SAME, SAME], None),
    ([(-8.0, -9.0, -1.0, 40.0, 1.0), SAME], None),
    ([(-2.0, -9.0, -1.0, 40.0, 1.0), SAME], None),
    (
        [(-8.1, -9.0, -1.0, 40.0, 1.04), SAME],
        "without t0, a trial of 40 people, it is −8.1, and τ goes from 2.0 to 1.0",
    ),
    ([SAME, (-1.9, -9.0, -1.0, np.nan, 1.04)], "without t1 it is −1.9, and τ goes from 2.0 to 1.0"),
    (
        [(-8.1, -9.0, -1.0, 40.0, 1.0), (-1.0, -9.0, -0.5, 50.0, 1.0)],
        "without t1, a trial of 50 people, it is −1.0, and τ goes from 2.0 to 1.0",
    ),
    (
        [SAME, (np.nan, np.nan, np.nan, 40.0, np.nan)],
        "without t1, a trial of 40 people, nothing connects it",
    ),
    (
        [(-4.0, -8.0, 0.0, 40.0, 1.0), SAME],
        "without t0, a trial of 40 people, it is −4.0, and τ goes from 2.0 to 1.0",
    ),
    ([(-4.0, -8.0, -0.1, 40.0, 1.0), SAME], None),
]


@pytest.mark.parametrize(("left", "words"), CARRIED)
def test_the_one_trial_that_an_estimate_rests_on(left, words):
    assert questions._carried_by_one(carried(left), "yoga") == ([words] if words else [])


def network_of(effects, ranks, **fields):
    """Treatments with their limits against no exercise, and the place of each."""
    table = pd.DataFrame(effects, columns=["treatment", *NUMBERS]).set_index("treatment")
    names = ["rank_low", "rank_high", "p_score"]
    ranking = pd.DataFrame(ranks, index=table.index, columns=names)
    plain = {
        **{"benefit": -1, "n_trials": 4, "n_participants": 1200, "measure": "MD", "level": 0.95},
        **{"reference": "none", "treatments": [*table.index, "none"], "lower_is_better": True},
        **{"data": SimpleNamespace(is_ratio=False)},
        **{"effects": lambda: table, "ranking": lambda: ranking},
    }
    return SimpleNamespace(**plain | fields)


TWO = [("yoga", -9.0, -12.0, -6.0), ("pilates", -2.0, -4.0, 0.0)]
PLACES = [(1.0, 2.0, 0.956), (2.0, 3.0, 0.4)]
TEXT = "4 trials (1,200 participants in arms of known size) compare 3 treatments. Of the 2 set "
TEXT += "against no exercise, 1 improve pain with an interval that leaves out no difference. "
SIZE = "−9.0 points of 100 (95% CI −12.0 to −6.0) against no exercise"
RANKS = "its rank may be anything from 1 to 2"
ANSWERS = [
    (None, "None ranks above no exercise."),
    (
        (True, (), ()),
        f"Yoga helps most: {SIZE}, clearly better than all others (P-score 0.96; {RANKS} of 3).",
    ),
    (
        (True, ("pilates",), ()),
        f"Yoga helps most: {SIZE}, clearly better than all but pilates (P-score 0.96; {RANKS} of "
        "3).",
    ),
    (
        (False, ("pilates",), ("one doubt", "another")),
        f"No treatment is shown to be the best: yoga has the best estimate, {SIZE}, but it is not "
        f"clearly better than 1 of the other 2, and {RANKS}; one doubt; another.",
    ),
    (
        (False, (), ("one doubt",)),
        f"No treatment is shown to be the best: yoga has the best estimate, {SIZE}, but one doubt.",
    ),
    (
        (False, (), ()),
        f"No treatment is shown to be the best: yoga has the best estimate, {SIZE}, but {RANKS}.",
    ),
]


@pytest.mark.parametrize(("found", "words"), ANSWERS)
def test_the_answer_of_a_network(found, words, monkeypatch):
    told = None if found is None else questions.Headline("yoga", *found)
    monkeypatch.setattr(questions, "headline", lambda result, names: told)
    assert questions.answer(network_of(TWO, PLACES), "pain_intensity") == TEXT + words
    alone = network_of(TWO, PLACES, n_trials=1, n_participants=0, benefit=1)
    assert questions.answer(alone, "pain_intensity") == (
        "1 trial compares 3 treatments. Of the 2 set against no exercise, 0 improve pain with an "
        f"interval that leaves out no difference. {words}"
    )


def agreeing(p, split, df=3, i2=40.4, measure="MD"):
    spread = pd.DataFrame({"i2": [i2, 9.0]}, index=["total", "within"])
    pairs = [(f"x{k}", "none", 0.0, 0.0, value, 2) for k, value in enumerate(split)]
    return SimpleNamespace(
        **{"measure": measure, "tau": 0.246},
        design_inconsistency=designs_of(df, p),
        heterogeneity=lambda: spread,
        node_split=split_of(*pairs),
    )


DESIGNS = "Designs {} (design-by-treatment interaction, 3 degrees of freedom, P = {}); of {} with "
DESIGNS += "both kinds of evidence, {} differ with P < 0.05"
AGREE = [
    (0.05, [0.3], ("do not clearly disagree", "0.050", "1 comparison", 0), ". Such tests have "),
    (0.049, [0.3], ("disagree", "0.049", "1 comparison", 0), ". The network's estimates are then "),
    (0.2, [0.05, 0.4], ("do not clearly disagree", "0.20", "2 comparisons", 0), ". Such tests"),
    (
        0.05,
        [0.049, *[0.5] * 29],
        ("do not clearly disagree", "0.050", "30 comparisons", 1),
        ": x0 with no exercise. Of so many tests about 2 would do so by chance.",
    ),
    (0.01, [0.01, 0.02], ("disagree", "0.010", "2 comparisons", 2), ": x0 with no exercise; x1 "),
]


@pytest.mark.parametrize(("p", "split", "said", "more"), AGREE)
def test_whether_evidence_agrees(p, split, said, more):
    text = questions.agreement(agreeing(p, split))
    before = "Between trials of the same comparison effects vary with a standard deviation of 0.2 "
    assert text.startswith(f"{before}points of 100 (I² 40%). {DESIGNS.format(*said)}{more}")


def test_agreement_that_cannot_be_tested():
    text = questions.agreement(agreeing(np.nan, [], df=0, i2=np.nan, measure="SMD"))
    assert text == (
        "Between trials of the same comparison effects vary with a standard deviation of 0.25 "
        "standard deviations. No comparison has both direct and indirect evidence: not testable."
    )


SETS = [
    (("low_impact_aerobic",), "No trial of this network has an arm of other exercise exercise."),
    ((), "No trial of this network has an arm of low impact aerobic and other exercise exercise."),
]


@pytest.mark.parametrize(("there", "words"), SETS)
def test_one_against_another_that_nobody_had(there, words):
    result = made(("yoga", "none", -3, 1), *[(name, "none", -3, 1) for name in there])
    found = questions._between(result, "low_impact_aerobic", "other_exercise", "pain_intensity")
    assert found.text == words
    assert found.table.columns.tolist() == ["group", "trials", *NUMBERS]


@pytest.mark.parametrize(
    ("row", "lower", "verdict"),
    [
        ((-3.0, -6.0, -0.1), True, "better than"),
        ((-3.0, -6.0, -0.1), False, "worse than"),
        ((3.0, 0.1, 6.0), True, "worse than"),
        ((3.0, 0.1, 6.0), False, "better than"),
        ((-3.0, -6.0, 0.0), True, "not clearly different from"),
        ((0.5, 0.1, 0.9), True, "worse than"),
        ((-3.0, -6.0, 1.0), True, "not clearly different from"),
    ],
)
@pytest.mark.parametrize(
    ("trials", "directly"),
    [(0, "0 trials compare"), (1, "1 trial compares"), (2, "2 trials compare")],
)
def test_one_against_another_in_words(row, lower, verdict, trials, directly):
    found = dict(zip(NUMBERS, row, strict=True)) | {"trials": trials, "p_value": 0.03}
    result = network_of(TWO, PLACES, lower_is_better=lower, predict=lambda *pair: found)
    result.effects().insert(0, "trials", 1)
    text = questions._between(result, "yoga", "pilates", "disability").text
    assert text.startswith(f"For disability, yoga exercise is {verdict} pilates: ")
    assert text.endswith(f", P = 0.030; {directly} the two directly.")


def test_unknown_lumpings_are_named():
    with pytest.raises(ValueError, match=r"^unknown lumping 'odd', 'even'\.$"):
        questions.lumpings(make_effects([{"yi": 0.0, "vi": 1.0}]), ("types", "odd", "even"))


def test_groups_of_one_lumping(monkeypatch):
    """What is best is told where anything is; the numbers are those of the network."""
    result = made(("yoga", "none", -3, 1), ("yoga", "none", -3, 1), ("pilates", "none", 5, 1))
    worse = made(("yoga", "none", 3, 1))
    found = {"types": result, "families": worse, "broad": "no usable result"}
    monkeypatch.setattr(questions, "lumping", lambda name: name)
    monkeypatch.setattr(questions, "fitted", lambda effects, lump: found[lump])
    table = questions.lumpings(None).set_index("lumping")
    assert table.loc["types", ["treatments", "trials", "best"]].tolist() == [3, 3, "yoga"]
    assert table.loc["types", "i2"] == result.heterogeneity()["i2"].iloc[0]
    assert table.loc["types", "estimate"] == pytest.approx(-3)
    assert table.loc["types", "is_named"] is True
    assert table.loc["families", "treatments"] == 2 and pd.isna(table.loc["families", "best"])
    assert pd.isna(table.loc["broad", "treatments"])


def test_supervision_that_cannot_be_compared(monkeypatch):
    monkeypatch.setattr(questions, "with_supervision", lambda effects, arms: effects)
    none = make_effects([{"yi": 0.0, "vi": 1.0}]).select([False], "none")
    found = questions.supervision(none, pd.DataFrame())
    assert found.text == (
        "Supervised and unsupervised exercise cannot be compared: no usable result of pain."
    )
    assert found.table.empty


def test_supervised_against_unsupervised(monkeypatch):
    result = made(("supervised", "unsupervised", -5, 1), reference="unsupervised")
    asked = {}

    def fit(effects, **options):
        asked.update(options)
        return result

    monkeypatch.setattr(questions, "with_supervision", lambda effects, arms: effects)
    monkeypatch.setattr(questions, "fitted", fit)
    effects = make_effects([{"yi": 0.0, "vi": 1.0}])
    text = questions.supervision(effects, pd.DataFrame()).text
    assert text.startswith("For pain, supervised exercise is better than unsupervised: −5.0 ")
    assert asked == {"lump": {}, "treatment": "setting"}


def test_low_impact_against_other_exercise(monkeypatch):
    result = made(("low_impact_aerobic", "other_exercise", 5, 1), reference="other_exercise")
    monkeypatch.setattr(questions, "fitted", lambda effects, lump: result)
    text = questions.impact(make_effects([{"yi": 0.0, "vi": 1.0}])).text
    assert text.startswith("For pain, low impact aerobic exercise is worse than other exercise: ")


def test_pooling_beside_the_network_counts_direct_trials_alone():
    """Walking has been compared with yoga only: nothing is pooled."""
    rows = [("yoga", "none"), ("yoga", "none"), ("walking", "yoga")]
    effects = make_effects(
        [{"yi": -3.0, "vi": 1.0, "treatment": of, "ref_treatment": to} for of, to in rows]
    )
    result = made(*[(of, to, -3, 1) for of, to in rows])
    table = questions.beside_pooling(effects, result).table.set_index("treatment")
    assert table["trials"].to_dict() == {"yoga": 2, "walking": 0}
    assert table.loc["yoga", "pooled"] == pytest.approx(-3)
    assert np.isnan(table.loc["walking", "pooled"])
    assert table.loc["walking", "estimate"] == pytest.approx(-6)


def test_direct_trials_that_cannot_be_pooled(monkeypatch):
    def refuse(effects, test):
        raise CannotEstimate("none")

    monkeypatch.setattr(questions, "pool", refuse)
    assert np.isnan(questions._pooled(make_effects([{"yi": 0.0, "vi": 1.0}]))).all()


@pytest.mark.parametrize(
    ("alike", "treatments", "small"), [(2, 6, True), (2, 5, False), (3, 20, False)]
)
def test_the_set_of_the_best_is_small_beside_all(alike, treatments, small):
    others = [(f"y{k}", "none", 20, 1) for k in range(treatments - alike - 2)]
    near = [(f"x{k}", "none", -9.9, 1) for k in range(alike) for _ in range(2)]
    found = questions.headline(made(*[("yoga", "none", -10, 1)] * 3, *near, *others))
    assert (len(found.alike), found.is_named) == (alike, small)
