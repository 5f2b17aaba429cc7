"""What is derived from what trials report, what it gives, and how it is marked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.effects.derive import DERIVATIONS, SENSITIVITY_ONLY, USUAL, printed_p
from backpain_analysis.models.pairwise.pooling import pool
from tests.effects.conftest import arm, difference, result, trial

PAIN = "pain_intensity"
ARMS = [
    arm("a1", "yoga", n_randomised=25),
    arm("a2", comparator_type="waitlist", n_randomised=25),
]
UNSIZED = [arm("a1", "yoga"), arm("a2", comparator_type="waitlist")]
FINAL = [result("a1", 3.0, 2.0, 25), result("a2", 4.0, 2.0, 25)]


def one(evidence, **options):
    table = evidence.effects(PAIN, **options).table
    assert len(table) == 1
    return table.iloc[0]


def reason(evidence, **options):
    effects = evidence.effects(PAIN, **options)
    assert not len(effects)
    return effects.excluded.set_index("arm_id").loc["a1", "reason"]


def test_names_are_all_known():
    assert set(USUAL) | set(SENSITIVITY_ONLY) <= set(DERIVATIONS)
    assert not set(USUAL) & set(SENSITIVITY_ONLY)


@pytest.mark.parametrize(
    ("text", "exact", "bound"),
    [
        ("0.031", 0.031, np.nan),
        ("P = .2", 0.2, np.nan),
        ("=0.5", 0.5, np.nan),
        ("<0.05", np.nan, 0.05),
        ("p < .001", np.nan, 0.001),
        ("≤0.01", np.nan, 0.01),
        (">0.05", np.nan, np.nan),
        ("n.s.", np.nan, np.nan),
        ("0.000", np.nan, np.nan),
        (None, np.nan, np.nan),
    ],
)
def test_p_values_as_printed(text, exact, bound):
    found = printed_p(pd.Series([text], dtype="string"))
    assert_allclose([values.iloc[0] for values in found], [exact, bound])


def test_nothing_derived_says_nothing(build):
    assert one(build(ARMS, FINAL))["obtained"] == ""


@pytest.mark.parametrize(
    ("p", "derive", "quantile", "text"),
    [
        ("0.04", ["p_value"], stats.t.isf(0.02, 48), "standard error from the P value 0.04"),
        ("<0.05", ["limit"], stats.t.isf(0.025, 48), "standard error from the bound of P <0.05"),
    ],
)
def test_error_from_p(build, p, derive, quantile, text):
    """A difference of -2 of 10 (-20 of 100) in 25 and 25 people."""
    evidence = build(ARMS, contrasts=[difference("a1", "a2", -2.0, p_value=p)])
    row = one(evidence, derive=derive)
    assert_allclose([row["yi"], np.sqrt(row["vi"])], [-20, 20 / quantile])
    assert row["obtained"] == text
    assert reason(evidence, derive=[]) == "difference reported without an interval"
    other = {"p_value": "limit", "limit": "p_value"}[derive[0]]
    assert reason(evidence, derive=[other]) == "difference reported without an interval"


def test_error_from_one_limit_is_of_a_one_sided_interval(build):
    evidence = build(ARMS, contrasts=[difference("a1", "a2", -2.0, high=-0.5)])
    row = one(evidence, derive=["limit"])
    assert_allclose(np.sqrt(row["vi"]), 15 / stats.t.isf(0.05, 48))
    assert row["obtained"] == "standard error from the limit of the interval"


def test_an_interval_comes_before_p(build):
    printed = difference("a1", "a2", -2.0, -3.0, -1.0, p_value="0.9")
    row = one(build(ARMS, contrasts=[printed]))
    assert_allclose(np.sqrt(row["vi"]), 10 / stats.t.isf(0.025, 48))
    assert row["obtained"] == ""


def test_equal_split_of_a_total(build):
    """51 people in two arms: 25 each; variances 20^2/25 twice."""
    rows = [result("a1", 3.0, 2.0), result("a2", 4.0, 2.0)]
    evidence = build(UNSIZED, rows, trials=[trial(n_randomised=51)])
    row = one(evidence, derive=["equal_split"])
    assert_allclose([row["yi"], row["vi"], row["n_arm"]], [-10, 32, 25])
    assert row["obtained"] == "arm sizes by an equal split"
    assert reason(evidence) == "arm size unknown"
    smd = difference("a1", "a2", -2.0, -3.0, -1.0)
    evidence = build(UNSIZED, contrasts=[smd], trials=[trial(n_randomised=51)])
    assert one(evidence, measure="SMD", derive=["equal_split"])["n_ref"] == 25
    assert (
        reason(evidence, measure="SMD") == "no usable result of the reference arm to compare with"
    )


def test_a_follow_up_only_for_want_of_a_value_at_the_end(build):
    late = [
        *(result("a1", 2.0, 2.0, 25, week=w, label="followup") for w in (52, 26)),
        *(result("a2", 5.0, 2.0, 25, week=w, label="followup") for w in (52, 26)),
    ]
    row = one(build(ARMS, late), derive=["followup"])
    assert (row["yi"], row["timepoint_weeks"]) == (-30, 26)
    assert row["obtained"] == "a follow-up, for want of a value at the end"
    assert reason(build(ARMS, late)) == "not reported at the time asked for"
    row = one(build(ARMS, [*late, *FINAL]), derive=["followup"])
    assert (row["yi"], row["obtained"]) == (-10, "")


def test_a_follow_up_with_more_arms_does_not_displace_the_end(build):
    arms = [*ARMS, arm("a3", "pilates", n_randomised=25)]
    late = [result(a, 2.0, 2.0, 25, week=26, label="followup") for a in ("a1", "a2", "a3")]
    table = build(arms, [*FINAL, *late]).effects(PAIN, derive=["followup"]).table
    assert table["arm_id"].tolist() == ["a1"]


@pytest.mark.parametrize(
    ("start", "mean", "effect", "text"),
    [
        (6.0, 3.0, -10.0, "scale 0–10 taken from its values"),
        (60.0, 3.0, -1.0, "scale 0–100 taken from its values"),
        (3.0, 11.0, 7.0, "scale 0–100 taken from its values"),
    ],
)
def test_length_of_a_scale_from_its_values(build, start, mean, effect, text):
    short = {"instrument": "VAS", "scale_min": None, "scale_max": None}
    rows = [
        *(result(a, start, 2.0, 25, 0, "baseline", **short) for a in ("a1", "a2")),
        result("a1", mean, 2.0, 25, **short),
        result("a2", 4.0, 2.0, 25, **short),
    ]
    evidence = build(ARMS, rows)
    row = one(evidence, analysis="final", derive=["scale"])
    assert_allclose(row["yi"], effect)
    assert row["obtained"] == text
    assert reason(evidence) == "scale limits unknown"


def test_a_length_from_the_values_of_arms_serves_their_printed_difference(build):
    """On 0-10 by its baselines, so that a difference of -1 is one of -10 of 100."""
    short = {"instrument": "VAS", "scale_min": None, "scale_max": None}
    rows = [result(a, 6.0, 2.0, 25, 0, "baseline", **short) for a in ("a1", "a2")]
    printed = difference("a1", "a2", -1.0, -1.5, -0.5, **short)
    evidence = build(ARMS, rows, contrasts=[printed])
    row = one(evidence, derive=["scale"])
    assert_allclose(row["yi"], -10.0)
    assert row["obtained"] == "scale 0–10 taken from its values"
    assert reason(evidence, derive=[]) == "scale limits unknown"


def test_a_length_that_could_be_either_stays_unknown(build):
    short = {"instrument": "VAS", "scale_min": None, "scale_max": None}
    rows = [result("a1", 3.0, 2.0, 25, **short), result("a2", 4.0, 2.0, 25, **short)]
    assert reason(build(ARMS, rows), derive=["scale"]) == "scale limits unknown"
    low = [result(a, 1.5, 1.0, 25, 0, "baseline", **short) for a in ("a1", "a2")]
    assert reason(build(ARMS, [*rows, *low]), derive=["scale"]) == "scale limits unknown"


def test_sd_of_the_instrument_in_other_trials(build):
    """SDs 20 and 10 on 24 degrees of freedom each: sqrt(250); both arms of the third trial."""
    arms = [{**a, "trial_id": f"t{i}"} for i in (1, 2, 3) for a in ARMS]
    rows = [
        result("a1", 3.0, 2.0, 25, trial_id="t1"),
        result("a2", 4.0, 1.0, 25, trial_id="t2"),
        result("a1", 3.0, None, 25, trial_id="t3"),
        result("a2", 5.0, None, 25, trial_id="t3"),
    ]
    evidence = build(arms, rows, trials=[trial(f"t{i}") for i in (1, 2, 3)])
    row = one(evidence, derive=["pooled_sd"])
    assert_allclose([row["yi"], row["vi"]], [-20, 20])
    assert row["obtained"] == "SD 15.8 of the instrument in other trials"
    assert not len(evidence.effects(PAIN))
    printed = [difference("a1", "a2", -2.0, trial_id="t3")]
    evidence = build(arms, rows[:2], printed, trials=[trial(f"t{i}") for i in (1, 2, 3)])
    assert_allclose(one(evidence, derive=["pooled_sd"])["vi"], 20)


def test_what_was_obtained_is_counted(build):
    evidence = build(ARMS, contrasts=[difference("a1", "a2", -2.0, p_value="0.04")])
    counts = evidence.effects(PAIN).obtained_counts()
    assert counts.to_dict("records") == [
        {"obtained": "standard error from the P value", "trials": 1, "contrasts": 1}
    ]
    assert build(ARMS, FINAL).effects(PAIN).obtained_counts().empty


def test_sds_from_errors_and_intervals_are_marked(build):
    rows = [
        {**result("a1", 3.0, 0.4, 25), "dispersion_type": "se"},
        {**result("a2", 4.0, 2.0, 25)},
    ]
    row = one(build(ARMS, rows))
    assert_allclose(row["vi"], 32)
    assert row["obtained"] == "SD from the SE"


@pytest.mark.parametrize(
    ("cluster", "options", "vi", "text"),
    [
        ({"cluster_size": 11, "icc": 0.05}, {}, 48, "design effect 1.50"),
        ({"cluster_size": 11, "icc": 0.05}, {"icc": 0.1}, 48, "design effect 1.50"),
        ({"cluster_size": 11}, {"icc": 0.1}, 64, "design effect 2.00 with an assumed ICC of 0.1"),
        ({"cluster_size": 11}, {}, 32, "clusters ignored: their size or ICC is not printed"),
        ({}, {"icc": 0.1}, 32, "clusters ignored: their size or ICC is not printed"),
    ],
)
def test_clusters_count_with_their_design_effect(build, cluster, options, vi, text):
    evidence = build(ARMS, FINAL, trials=[trial(design="cluster", **cluster)])
    row = one(evidence, **options)
    assert_allclose([row["yi"], row["vi"]], [-10, vi])
    assert (row["obtained"], row["n_arm"]) == (text, 25)


def test_a_reported_difference_of_clusters_says_what_is_taken(build):
    evidence = build(
        ARMS, contrasts=[difference("a1", "a2", -2, -3, -1)], trials=[trial(design="cluster")]
    )
    assert one(evidence)["obtained"] == "clusters taken as allowed for by the report"


def test_crossover_trials_are_paired(build):
    """SDs 20 in the same 25 people, r 0.5: 400/25 (1 + 1 - 1); r 0: as parallel groups."""
    evidence = build(ARMS, FINAL, trials=[trial(design="crossover")])
    assert reason(evidence) == "design: crossover"
    row = one(evidence, designs=["crossover"])
    assert_allclose([row["yi"], row["vi"]], [-10, 16])
    assert row["obtained"] == "crossover, correlation 0.5 within people"
    assert_allclose(one(evidence, designs=["crossover"], correlation=0.0)["vi"], 32)
    smd = one(evidence, designs=["crossover"], measure="SMD")
    assert_allclose(smd["vi"], 16 / 400 + smd["yi"] ** 2 / 50)


def test_arms_without_spread_are_left_out_for_the_true_reason(build):
    rows = [result("a1", 3.0, 0.0, 25), result("a2", 4.0, 2.0, 25)]
    assert reason(build(ARMS, rows)) == "no spread in this arm (its SD is 0)"
    rows = [result("a1", 3.0, 2.0, 1), result("a2", 4.0, 2.0, 25)]
    assert reason(build(ARMS, rows)) == "fewer than two people in this arm"


def test_differences_in_the_unit_of_the_results(build):
    """Thresholds of 300 and 250 kPa (SD 50, 25 people), one trial in N/cm2: tenfold."""
    ppt = {"outcome": "pressure_pain_threshold", "instrument": "PPT", "instrument_text": "PPT"}
    ppt |= {"scale_min": None, "scale_max": None, "higher_is_better": "yes"}
    arms = [{**a, "trial_id": f"t{i}"} for i in (1, 2) for a in ARMS]
    rows = []
    for name, unit, factor in (("t1", "kPa", 1.0), ("t2", "N/cm2", 0.1)):
        for own, mean in (("a1", 300), ("a2", 250)):
            extra = {**ppt, "unit": unit, "trial_id": name}
            rows.append(result(own, mean * factor, 50 * factor, 25, **extra))
    evidence = build(arms, rows, trials=[trial("t1"), trial("t2")])
    effects = evidence.effects("pressure_pain_threshold", unit="kPa")
    assert effects.unit == "kPa"
    assert_allclose(effects.table[["yi", "vi"]], [[50, 200], [50, 200]])
    other = evidence.effects("pressure_pain_threshold")
    reasons = other.excluded.query("arm_id == 'a1'")["reason"].tolist()
    assert reasons == ["scale limits unknown (unit kPa)", "scale limits unknown (unit N/cm2)"]


def test_results_in_another_unit_say_so(build):
    rows = [
        result(a, 5.0, 2.0, 25, outcome="flexibility_rom", unit=u, scale_max=None, scale_min=None)
        for a, u in (("a1", "cm"), ("a2", "degrees"))
    ]
    effects = build(ARMS, rows).effects("flexibility_rom", unit="cm")
    assert "in degrees, not in cm" not in set(effects.excluded["reason"])
    assert not len(effects)
    effects = build(ARMS, rows).effects("flexibility_rom", unit="degrees")
    assert effects.excluded.set_index("arm_id").loc["a1", "reason"] == "in cm, not in degrees"


@pytest.mark.parametrize(("median", "usable"), [(4.0, True), (2.1, False)])
def test_medians_of_skewed_values_are_not_made_means(build, median, usable):
    """Quartiles 2 and 6 of 100 people: |8 - 2 m|/4 against 2.65/10 - 6/10000 = 0.264."""
    quartiles = {"value_type": "median", "dispersion_type": "iqr", "lower": 2.0, "upper": 6.0}
    rows = [{**result("a1", median, None, 100), **quartiles}, result("a2", 4.0, 2.0, 25)]
    arms = [{**ARMS[0], "n_randomised": 100}, ARMS[1]]
    if usable:
        found = one(build(arms, rows))["obtained"]
        assert found == "SD from the quartiles; mean from the median"
    else:
        assert reason(build(arms, rows)) == "median of skewed values"


def test_what_a_reader_must_know_is_noted(build):
    clusters = build(ARMS, FINAL, trials=[trial(design="cluster")]).effects(PAIN)
    assert clusters.notes == (
        "1 trial: clusters were randomised and are not allowed for, so the standard errors are too "
        "small.",
    )
    assert "are too small" in clusters._repr_html_()
    assert build(ARMS, FINAL).effects(PAIN).notes == ()


def test_a_dose_against_a_lower_dose_is_noted(build):
    doses = [
        arm("b1", "yoga", trial_id="t2", n_randomised=25, sessions_per_week=1),
        arm("b2", "yoga", trial_id="t2", n_randomised=25, sessions_per_week=3),
    ]
    more = [result(a, m, 2.0, 25, trial_id="t2") for a, m in (("b1", 4.0), ("b2", 3.0))]
    evidence = build([*ARMS, *doses], [*FINAL, *more], trials=[trial(), trial("t2")])
    effects = evidence.effects(PAIN)
    assert effects.notes == (
        "1 of 2 contrasts is of a dose against a lower dose of the same exercise, not against no "
        "exercise: against_inactive() leaves such contrasts out.",
    )
    assert effects.notes[0] in pool(effects).notes
    assert effects.against_inactive().notes == ()
