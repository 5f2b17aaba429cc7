"""Every question of plausibility: what it must see, and what it must leave alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.evidence.evidence import Evidence, load_evidence
from backpain_analysis.evidence.plausibility import CONTRADICT, contradicted

TRIAL = {"trial_id": "t1", "population": "chronic_nslbp", "design": "parallel", "title": "One"}
ARMS = [
    {"arm_id": "a1", "exercise_type": "yoga", "comparator_type": None},
    {"arm_id": "a2", "exercise_type": "none", "comparator_type": "waitlist"},
    {"arm_id": "a3", "exercise_type": "pilates", "comparator_type": None},
]


def value(arm_id="a1", mean=40.0, sd=20.0, n=50, **more):
    """A level of pain on a VAS of 0 to 100 after 8 weeks."""
    return {
        "arm_id": arm_id,
        "outcome": "pain_intensity",
        "instrument": "VAS",
        "scale_min": 0,
        "scale_max": 100,
        "higher_is_better": "no",
        "timepoint_weeks": 8,
        "timepoint_label": "post",
        "value_type": "level",
        "n": n,
        "mean": mean,
        "dispersion_type": None if sd is None else "sd",
        "dispersion": sd,
        **more,
    }


def reported(estimate=-12.0, low=-20.0, high=-4.0, **more):
    """A difference of pain on a VAS of 0 to 100 after 8 weeks, a1 against a2."""
    return {
        "arm_id": "a1",
        "ref_arm_id": "a2",
        "outcome": "pain_intensity",
        "instrument": "VAS",
        "scale_min": 0,
        "scale_max": 100,
        "higher_is_better": "no",
        "timepoint_weeks": 8,
        "timepoint_label": "post",
        "effect_measure": "md",
        "estimate": estimate,
        "ci_level": 95,
        "ci_low": low,
        "ci_high": high,
        **more,
    }


def doubts(outcomes=(), contrasts=(), trial=(), **options):
    """Kinds of warnings about one trial, without those about other things."""
    evidence = Evidence.from_frames(
        pd.DataFrame([TRIAL | dict(trial)]),
        pd.DataFrame([{"trial_id": "t1", **arm} for arm in ARMS]),
        pd.DataFrame([{"trial_id": "t1", **row} for row in outcomes] or [{"trial_id": None}])
        if outcomes
        else None,
        pd.DataFrame([{"trial_id": "t1", **row} for row in contrasts]) if contrasts else None,
    )
    return evidence.plausibility(**options)


def kinds(*args, **options):
    return doubts(*args, **options)["kind"].tolist()


RMDQ = {"instrument": "RMDQ", "outcome": "disability"}
FREE = {"scale_min": None, "scale_max": None}


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (value(mean=30.0, **RMDQ, **FREE), "value outside its instrument"),
        (value(mean=24.0, sd=None, **RMDQ, **FREE), None),
        (value(mean=30.0, instrument="RMDQ", scale_max=30), "scale wider than its instrument"),
        (value(mean=30.0, instrument="ODI", scale_max=130), "scale wider than its instrument"),
        (value(mean=130.0, sd=None, instrument="ODI", **FREE), "value outside its instrument"),
        (value(mean=30.0, instrument="ODI"), None),
        (value(higher_is_better="yes"), "direction of the scale"),
        (value(higher_is_better="yes", outcome="quality_of_life"), None),
        (value(instrument="SF36_PF", outcome="disability"), "direction of the scale"),
        (value(instrument="SF36_PF", outcome="disability", higher_is_better="yes"), None),
        (value(mean=-120.0, value_type="change_from_baseline"), "change beyond the scale"),
        (value(mean=-99.0, sd=5.0, value_type="change_from_baseline"), None),
    ],
)
def test_what_is_known_of_instruments(row, kind):
    assert kinds([row]) == ([] if kind is None else [kind])


def largest_sd(low, high, mean, n):
    """By brute force: as many values as possible at both ends, the last one between them."""
    count = int(n * (mean - low) / (high - low))
    values = [high] * count + [low] * (n - count - 1)
    values.append(mean * n - sum(values))
    return np.std(values, ddof=1)


@pytest.mark.parametrize(("mean", "n"), [(50.0, 10), (20.0, 10), (5.0, 40), (88.0, 25)])
def test_a_standard_deviation_must_be_possible(mean, n):
    largest = largest_sd(0, 100, mean, n)
    assert kinds([value(mean=mean, sd=largest, n=n)]) == []
    assert kinds([value(mean=mean, sd=1.05 * largest, n=n)]) == ["standard deviation not possible"]
    se = {"dispersion_type": "se", "dispersion": 1.05 * largest / np.sqrt(n)}
    assert "standard deviation not possible" in kinds([value(mean=mean, n=n) | se])


def test_the_arithmetic_of_a_standard_deviation():
    [told] = doubts([value(mean=50.0, sd=60.0, n=10)])["arithmetic"]
    assert told == (
        "SD 60 of VAS, a1, week 8; values from 0 to 100 with mean 50 and n = 10 have at most 52.7"
    )


def test_a_standard_error_called_sd():
    usual = [value("a1", week, 20.0, timepoint_weeks=week) for week in (30, 40, 50)]
    assert kinds(usual) == []
    assert kinds([*usual, value("a2", 45.0, 20 / np.sqrt(50))]) == [
        "SD looks like a standard error"
    ]
    assert kinds([value("a2", 45.0, 20 / np.sqrt(50))]) == ["SD looks like a standard error"]
    assert kinds([value("a2", 45.0, 12.0)]) == []
    assert kinds([value("a2", 3.0, 2.8)]) == []


def test_a_standard_deviation_called_se():
    assert kinds([value(dispersion_type="se", sd=20.0, n=6)]) == ["standard error looks like an SD"]
    assert kinds([value(dispersion_type="se", sd=3.0)]) == []


@pytest.mark.parametrize(
    ("values", "found"),
    [([6.1, 3.2], True), ([62.0, 3.2], True), ([62.0, 32.0], False), ([31.0, 12.0], False)],
)
def test_centimetres_on_a_scale_of_millimetres(values, found):
    start = {"timepoint_label": "baseline", "timepoint_weeks": 0}
    rows = [value(mean=values[0], sd=None) | start, value(mean=values[1], sd=None)]
    assert kinds(rows) == (["centimetres on a scale of millimetres"] if found else [])


@pytest.mark.parametrize(("means", "found"), [([3.1, 4.9], True), ([3.1, 24.9], False)])
def test_centimetres_where_no_baseline_is_printed(means, found):
    rows = [
        value(arm_id=arm, mean=mean, sd=None) for arm, mean in zip(("a1", "a2"), means, strict=True)
    ]
    assert kinds(rows) == (["centimetres on a scale of millimetres"] if found else [])


@pytest.mark.parametrize(
    ("row", "odd"),
    [
        (reported(-12, -20, -4), False),
        (reported(-12, -20, 4), True),
        (reported(12, -20, 15), True),
        (reported(-1.2, -2.0, -0.3), False),
        (reported(-12, -20, None), False),
        (reported(0.5, 0.25, 1.0, effect_measure="rr"), False),
        (reported(0.5, 0.25, 0.75, effect_measure="rr"), True),
        (reported(0.72, 0.6, 0.85, effect_measure="hr"), False),
        (reported(-0.4, -0.75, -0.05, effect_measure="smd"), False),
        (reported(-0.4, -0.75, 0.05, effect_measure="smd"), True),
    ],
)
def test_an_interval_lies_around_its_estimate(row, odd):
    assert ("interval not symmetric" in kinds(contrasts=[row])) == odd


def test_the_interval_of_a_mean():
    limits = {"dispersion_type": "ci95", "dispersion": None, "lower": 35.0}
    assert kinds([value() | limits | {"upper": 45.0}]) == []
    assert kinds([value() | limits | {"upper": 54.0}]) == ["interval not symmetric"]


@pytest.mark.parametrize(
    ("p", "low", "high", "odd"),
    [
        ("0.003", -20, -4, False),
        ("0.30", -20, -4, True),
        (">0.05", -20, -4, True),
        ("<0.05", -20, -4, False),
        ("0.60", -20, -4.0, True),
        ("0.01", -20, 10, True),
        ("<0.001", -20, 10, True),
        ("0.5", -20, 10, False),
        ("0.049", -20, 0.1, False),
        ("0.06", -20, -0.1, False),
        (None, -20, 10, False),
    ],
)
def test_p_against_interval(p, low, high, odd):
    row = reported((low + high) / 2, low, high, p_value=p)
    assert kinds(contrasts=[row]) == (["P value against interval"] if odd else [])


def test_p_of_a_ratio_is_against_one():
    row = reported(0.5, 0.25, 1.0, effect_measure="or", p_value="0.05")
    assert kinds(contrasts=[row]) == []
    assert kinds(contrasts=[row | {"ci_high": 0.9, "estimate": 0.474, "p_value": "0.2"}]) == [
        "P value against interval"
    ]


@pytest.mark.parametrize(
    ("p", "mean", "odd"),
    [("0.002", 30.0, False), ("0.9", 30.0, True), ("<0.001", 41.0, True), ("0.7", 41.0, False)],
)
def test_p_without_an_interval_against_the_arms(p, mean, odd):
    row = reported(None, None, None, p_value=p)
    found = kinds([value("a1", mean), value("a2", 42.0)], [row])
    assert found == (["P value against arms"] if odd else [])


ALIKE = [value("a1", 30.0), value("a2", 42.0)]
"""Arms that differ by -12, with a standard error of 4."""


@pytest.mark.parametrize(
    ("estimate", "told", "used"),
    [(-12.0, False, True), (-15.0, False, True), (-18.0, True, True), (12.0, True, False)],
)
def test_a_difference_against_its_arms(estimate, told, used):
    row = reported(estimate, estimate - 7.84, estimate + 7.84)
    assert kinds(ALIKE, [row]) == (["difference against its arms"] if told else [])
    frames = [pd.DataFrame([{"trial_id": "t1", **r} for r in rows]) for rows in (ALIKE, [row])]
    trial = pd.DataFrame([TRIAL])
    arms = pd.DataFrame([{"trial_id": "t1", **arm} for arm in ARMS])
    evidence = Evidence.from_frames(trial, arms, *frames)
    against = contradicted(evidence.outcomes, evidence.contrasts)
    assert against.empty == used
    effects = evidence.effects("pain_intensity")
    assert effects.table["yi"].tolist() == [estimate if used else -12.0]
    marked = "; the reported difference contradicts them"
    assert effects.table["source"].str.endswith(marked).tolist() == [not used]


def test_a_contradiction_is_told_where_nothing_takes_its_place():
    frames = [pd.DataFrame([{"trial_id": "t1", **row} for row in rows]) for rows in (
        [value("a1", 30.0, None), value("a2", 42.0, None)],
        [reported(12.0, 4.0, 20.0)],
    )]  # fmt: skip
    arms = pd.DataFrame([{"trial_id": "t1", **arm} for arm in ARMS[:2]])
    excluded = (
        Evidence.from_frames(pd.DataFrame([TRIAL]), arms, *frames)
        .effects("pain_intensity")
        .excluded
    )
    assert excluded.loc[excluded["arm_id"] == "a1", "reason"].tolist() == [
        "reported difference 12 contradicts its arms, which differ by -12 (final values)"
    ]


def test_adjustment_for_baseline_is_no_contradiction():
    start = {"timepoint_label": "baseline", "timepoint_weeks": 0}
    rows = [*ALIKE, value("a1", 50.0) | start, value("a2", 42.0) | start]
    for estimate in (-12.0, -16.0, -20.0):
        assert "difference against its arms" not in kinds(rows, [reported(estimate, None, None)])
    assert "difference against its arms" in kinds(rows, [reported(-28.0, None, None)])
    assert "difference against its arms" in kinds(rows, [reported(-4.0, None, None)])


@pytest.mark.parametrize("other", [{"timepoint_weeks": 26}, {"instrument": "NRS"}])
def test_only_the_same_is_compared(other):
    assert kinds(ALIKE, [reported(12.0, 4.0, 20.0) | other]) == []


def test_scales_of_different_length_are_compared_on_one():
    tenth = {"scale_max": 10}
    assert kinds(ALIKE, [reported(-1.2, -2.0, -0.4) | tenth]) == []
    assert kinds(ALIKE, [reported(-12.0, -20.0, -4.0, **FREE)]) == []
    assert "difference against its arms" in kinds(ALIKE, [reported(1.2, 0.4, 2.0) | tenth])


def test_arms_that_start_apart():
    start = {"timepoint_label": "baseline", "timepoint_weeks": 0}
    rows = [value("a1", 60.0) | start, value("a2", 58.0) | start]
    assert kinds(rows) == []
    apart = [value("a1", 60.0) | start, value("a2", 40.0) | start]
    found = doubts(apart)
    assert found["kind"].tolist() == ["arms differ at baseline"]
    assert found["arithmetic"].tolist() == ["VAS: 40 in a2, 60 in a1: 5.0 standard errors"]
    assert kinds(apart, trial={"design": "crossover"}) == []


@pytest.mark.parametrize("last", [-10.0, 10.0])
def test_differences_of_three_arms_add_up(last):
    rows = [
        reported(-10.0, -18.0, -2.0),
        reported(4.0, -4.0, 12.0, arm_id="a3", ref_arm_id="a1"),
        reported(last, last - 8, last + 8, arm_id="a3", ref_arm_id="a2"),
    ]
    found = doubts(contrasts=rows)
    odd = found[found["kind"] == "differences do not add up"]
    assert len(odd) == (last == 10.0)
    if last == 10.0:
        assert odd["rows"].item() == "2, 3, 4"


def test_rounding_is_no_mistake_of_sums():
    none = {"ci_low": None, "ci_high": None}
    rows = [
        reported(-1.2) | none,
        reported(0.4, arm_id="a3", ref_arm_id="a1") | none,
        reported(-0.7, arm_id="a3", ref_arm_id="a2") | none,
    ]
    assert kinds(contrasts=rows) == []
    rows[2]["estimate"] = -0.5
    assert kinds(contrasts=rows) == ["differences do not add up"]


@pytest.mark.parametrize(
    ("trial", "kind"),
    [
        ({"design": "cluster"}, "clusters taken as if people were randomised"),
        (
            {"design": "cluster", "cluster_size": 20},
            "clusters taken as if people were randomised",
        ),
        ({"design": "cluster", "cluster_size": 20, "icc": 0.05}, None),
        ({"icc": 0.05}, "ICC without clusters"),
        ({"pct_female": 0.55}, "fraction where per cent belongs"),
        ({"pct_female": 0}, None),
        ({"pct_female": 55}, None),
    ],
)
def test_about_the_trial(trial, kind):
    assert kinds([value()], trial=trial) == ([] if kind is None else [kind])


def twice(change=(), rows=()):
    """Two trials of the same results, the second changed."""
    trials = pd.DataFrame([TRIAL | {"doi": "10.1000/x"}, TRIAL | {"trial_id": "t2"} | dict(change)])
    arms = pd.DataFrame([{"trial_id": t, **arm} for t in ("t1", "t2") for arm in ARMS])
    results = [value("a1", mean) for mean in (30.5, 40.2)]
    results += [value("a2", mean) for mean in (31.0, 42.0)]
    weeks = (4, 8, 4, 8)
    outcomes = pd.DataFrame(
        [
            {"trial_id": t, **row, "timepoint_weeks": week}
            for t in ("t1", "t2")
            for row, week in zip(results, weeks, strict=True)
        ]
    )
    for row, column, cell in rows:
        outcomes.loc[row, column] = cell
    return Evidence.from_frames(trials, arms, outcomes).plausibility()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"title": "Two"}, ["4 results of t1 and t2 are the same in n, mean and spread"]),
        ({"title": "Two", "flag": "exclude", "flag_reason": "same participants"}, []),
        ({"title": " one "}, ["title of t1 and t2: One"]),
        ({"title": "Two", "doi": "10.1000/X"}, ["doi of t1 and t2: 10.1000/x"]),
    ],
)
def test_the_same_trial_twice(change, found):
    table = twice(change)
    told = table.loc[table["kind"] == "the same trial twice", "arithmetic"].tolist()
    assert told[: len(found)] == found and bool(told) == bool(found)


def test_a_result_or_three_in_common_is_chance():
    changed = [(row, "mean", 33.3) for row in (4, 5)]
    assert twice({"title": "Two"}, changed).empty


def test_what_was_looked_at_is_no_longer_told():
    odd = {"design": "cluster", "pct_female": 0.55}
    checked = "fraction where per cent belongs ; clusters taken as if people were randomised"
    assert len(kinds([value()], trial=odd)) == 2
    assert kinds([value()], trial=odd | {"checked": checked}) == []
    assert len(kinds([value()], trial=odd | {"checked": checked}, checked=True)) == 2


def test_sound_evidence_raises_no_doubt():
    start = {"timepoint_label": "baseline", "timepoint_weeks": 0}
    outcomes = [
        *(value(arm, 60.0, 18.0) | start for arm in ("a1", "a2")),
        *ALIKE,
        value("a1", 8.1, 5.2, **RMDQ) | {"scale_max": 24},
    ]
    table = doubts(outcomes, [reported(p_value="0.003")])
    assert table.empty
    assert list(table) == ["trial_id", "kind", "table", "rows", "arithmetic", "look"]


def test_the_bundled_trials_differ_little_from_their_arms():
    evidence = load_evidence()
    assert contradicted(evidence.outcomes, evidence.contrasts).empty
    found = evidence.plausibility()
    assert set(found["trial_id"]) <= set(evidence.trials["trial_id"])
    told = set(zip(found["trial_id"], found["kind"], strict=True))
    assert ("schulz2019", "scale wider than its instrument") in told
    assert ("rasmussen2015", "clusters taken as if people were randomised") in told
    assert CONTRADICT == 2.0
