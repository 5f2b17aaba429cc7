"""From evidence to effects: the reference arm, the result that counts, the covariance."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.effects.assemble import from_evidence
from backpain_analysis.effects.formulas import hedges_factor
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.evidence import Evidence
from tests.effects.conftest import arm, difference, result, trial

TWO_ARMS = [arm("a1", "yoga", n_randomised=25), arm("a2", comparator_type="waitlist")]
FINAL = [result("a1", 3.0, 2.0, 25), result("a2", 5.0, 1.5, 36)]


def test_final_values_on_0_100_by_hand(build):
    """NRS 3 against 5: -20 points; variances 400/25 + 225/36 = 22.25."""
    effects = build(TWO_ARMS, FINAL).effects("pain_intensity", analysis="final")
    row = effects.table.iloc[0]
    assert_allclose([row["yi"], row["vi"]], [-20.0, 22.25])
    assert (row["reference_kind"], row["source"]) == ("inactive", "final values")
    assert effects.n_participants == 61
    assert effects.excluded.empty


def test_shared_reference_arm_is_in_the_covariance(build):
    arms = [*TWO_ARMS, arm("a3", "pilates")]
    effects = build(arms, [*FINAL, result("a3", 4.0, 1.0, 25)]).effects(
        "pain_intensity", analysis="final"
    )
    assert_allclose(effects.covariance[0], [[22.25, 6.25], [6.25, 10.25]])
    assert effects.n_participants == 86


def test_hedges_g_by_hand(build):
    """Pooled SD sqrt((24 x 4 + 35 x 2.25)/59), factor J(59), Gleser and Olkin variance."""
    effects = build(TWO_ARMS, FINAL).effects("pain_intensity", measure="SMD", analysis="final")
    sd = np.sqrt((24 * 4 + 35 * 2.25) / 59)
    g = float(hedges_factor(59)) * -2 / sd
    assert_allclose(effects.table.loc[0, "yi"], g)
    assert_allclose(effects.table.loc[0, "vi"], 1 / 25 + 1 / 36 + g**2 / (2 * 61))


def test_changes_are_computed_with_the_correlation(build):
    """a1: 7 to 3, SDs 2 and 2, r = 0.75: SD^2 = 4 + 4 - 6 = 2; a2: 6 to 5, 1.5 each: 1.125."""
    baseline = [
        result("a1", 7.0, 2.0, 25, week=0, label="baseline"),
        result("a2", 6.0, 1.5, 36, week=0, label="baseline"),
    ]
    effects = build(TWO_ARMS, [*baseline, *FINAL]).effects(
        "pain_intensity", analysis="change", correlation=0.75
    )
    row = effects.table.iloc[0]
    assert row["source"] == "change scores"
    assert_allclose([row["yi"], row["vi"]], [-30.0, 200 / 25 + 112.5 / 36])


def test_smd_of_changes_is_standardised_by_levels(build):
    """With no level SD known, SD_level = SD_change / sqrt(2 (1 - r)) (r = 0.68: divided by 0.8)."""
    change = {"value_type": "change_from_baseline"}
    rows = [result("a1", -4.0, 1.6, 50, **change), result("a2", -2.0, 1.6, 50, **change)]
    evidence = build([arm("a1", "yoga"), TWO_ARMS[1]], rows)
    table = evidence.effects("pain_intensity", measure="SMD", correlation=0.68).table
    g = float(hedges_factor(98)) * -2 / 2
    assert_allclose(table.loc[0, "yi"], g)
    assert_allclose(table.loc[0, "vi"], 0.64 * (2 / 50) + g**2 / 200)


def test_reported_difference_enters_with_the_t_quantile(build):
    arms = [
        arm("a1", "yoga", n_randomised=10),
        arm("a2", comparator_type="waitlist", n_randomised=12),
    ]
    effects = build(arms, contrasts=[difference("a1", "a2", -1.5, -2.5, -0.5)]).effects(
        "pain_intensity"
    )
    se = 10 / stats.t.ppf(0.975, 20)
    assert_allclose(effects.table.loc[0, ["yi", "vi"]].astype(float), [-15.0, se**2])


def test_a_difference_stored_the_other_way_round_is_turned(build):
    effects = build(
        [arm("a1", "yoga"), arm("a2", comparator_type="waitlist")],
        contrasts=[difference("a2", "a1", 1.5, 0.5, 2.5)],
    ).effects("pain_intensity")
    assert_allclose(effects.table.loc[0, "yi"], -15.0)


def test_best_prefers_the_reported_difference_and_final_does_not(build):
    evidence = build(TWO_ARMS, FINAL, [difference("a1", "a2", -1.5, -2.5, -0.5)])
    assert_allclose(evidence.effects("pain_intensity").table.loc[0, "yi"], -15.0)
    assert_allclose(evidence.effects("pain_intensity", analysis="final").table.loc[0, "yi"], -20.0)


def test_inactive_arms_are_preferred_in_order(build):
    arms = [arm("a1", "yoga"), arm("a2", comparator_type="usual_care")]
    arms.append(arm("a3", comparator_type="no_treatment"))
    effects = build(arms, [*FINAL, result("a3", 6.0, 2.0, 20)]).effects("pain_intensity")
    assert effects.table["ref_arm_id"].tolist() == ["a3"]
    assert effects.excluded["reason"].tolist() == ["another inactive arm is the reference"]


def test_an_inactive_arm_without_a_result_gives_way(build):
    arms = [arm("a1", "yoga"), arm("a2", comparator_type="usual_care")]
    arms.append(arm("a3", comparator_type="no_treatment"))
    assert build(arms, FINAL).effects("pain_intensity").table["ref_arm_id"].tolist() == ["a2"]


def test_lowest_dose_is_the_reference_without_an_inactive_arm(build):
    arms = [arm("a1", "yoga", sessions_per_week=3), arm("a2", "yoga", sessions_per_week=1)]
    row = build(arms, FINAL).effects("pain_intensity").table.iloc[0]
    assert (row["ref_arm_id"], row["reference_kind"]) == ("a2", "lower dose")
    assert (row["sessions_per_week"], row["ref_sessions_per_week"]) == (3, 1)


def test_reference_can_be_chosen(build):
    arms = [arm("a1", "yoga"), arm("a2", "pilates")]
    effects = build(arms, FINAL).effects("pain_intensity", reference={"t1": "a1"})
    assert_allclose(effects.table.loc[0, "yi"], 20.0)
    with pytest.raises(ValueError, match="trial 't1' has no arm 'a9'"):
        build(arms, FINAL).effects("pain_intensity", reference={"t1": "a9"})


@pytest.mark.parametrize(
    ("arms", "outcomes", "reason"),
    [
        ([arm("a1", "yoga"), arm("a2", "pilates")], FINAL, "no inactive arm and no other dose"),
        ([arm("a1", "yoga"), arm("a2", "yoga")], FINAL, "no dose field tells the arms"),
        (TWO_ARMS, [result("a1", 3.0, None, 25), FINAL[1]], "no SD, standard error or interval"),
        (TWO_ARMS, [result("a1", 3.0, 2.0, 25, scale_max=None), FINAL[1]], "scale limits unknown"),
        (TWO_ARMS, [result("a1", 3.0, 2.0, 25, week=30, label="followup")], "at the time asked"),
        (TWO_ARMS, FINAL[:1], "no usable result of the reference arm"),
        (
            [arm("a1", "yoga"), TWO_ARMS[1]],
            [result("a1", 3.0, 2.0), FINAL[1]],
            "arm size unknown",
        ),
        (
            [arm("a1", "yoga"), TWO_ARMS[1]],
            [result("a1", 3.0, 2.0, scale_max=None), FINAL[1]],
            "scale limits unknown",
        ),
        (
            TWO_ARMS,
            [result("a1", -30.0, 9.0, 25, value_type="percent_change"), FINAL[1]],
            "percent_change cannot be pooled",
        ),
    ],
)
def test_each_reason_for_leaving_an_arm_out_is_told(build, arms, outcomes, reason):
    effects = build(arms, outcomes).effects("pain_intensity")
    assert len(effects) == 0
    reasons = effects.excluded.set_index("arm_id")["reason"]
    assert reason in reasons["a1"]


def test_flags_and_designs_leave_whole_trials_out(build):
    flagged = trial(flag="exclude", flag_reason="same participants")
    effects = build(TWO_ARMS, FINAL, trials=[flagged]).effects("pain_intensity")
    assert effects.excluded["reason"].unique().tolist() == ["flagged exclude: same participants"]
    kept = build(TWO_ARMS, FINAL, trials=[flagged]).effects("pain_intensity", flags=())
    assert kept.n_trials == 1
    crossover = build(TWO_ARMS, FINAL, trials=[trial(design="crossover")])
    assert crossover.effects("pain_intensity").excluded["reason"].iloc[0] == "design: crossover"


def test_time_of_measurement(build):
    """8 weeks of yoga: post is nearest to their end, followup the latest, a window its middle."""
    arms = [arm("a1", "yoga", duration_weeks=8), TWO_ARMS[1]]
    rows = []
    for week, label, gain in (
        (4, "post", 1.0),
        (9, "post", 2.0),
        (26, "followup", 3.0),
        (52, "followup", 4.0),
    ):
        rows += [
            result("a1", 6 - gain, 2.0, 25, week, label),
            result("a2", 6, 2.0, 25, week, label),
        ]
    evidence = build(arms, rows)

    def effect(timepoint):
        return evidence.effects("pain_intensity", timepoint=timepoint).table.loc[0, "yi"]

    assert_allclose(
        [effect("post"), effect("followup"), effect((20, 30)), effect((0, 9))],
        [-20, -40, -30, -10],
    )
    with pytest.raises(ValueError, match="give 'post', 'followup', 'latest' or a pair of weeks"):
        effect("later")


def test_preferred_instrument_speaks(build):
    vas = {"instrument": "VAS", "instrument_text": "VAS", "scale_max": 100}
    rows = [*FINAL, result("a1", 30.0, 20.0, 25, **vas), result("a2", 60.0, 15.0, 36, **vas)]
    row = build(TWO_ARMS, rows).effects("pain_intensity").table.iloc[0]
    assert (row["instrument"], row["yi"]) == ("VAS", -30.0)


def test_all_faults_of_a_request_are_named(build):
    with pytest.raises(ValueError) as fault:
        build(TWO_ARMS, FINAL).effects("pain", measure="or", inactive=["waitlst"], correlation=2)
    assert str(fault.value) == (
        "outcome: no 'pain'. Did you mean 'pain_intensity'?; measure: no 'or'. Did you mean 'OR'?; "
        "correlation 2 is not between -1 and 1; inactive: no 'waitlst'. Did you mean 'waitlist'?"
    )


def test_the_method_takes_what_the_function_takes():
    method, function = inspect.signature(Evidence.effects), inspect.signature(from_evidence)
    ours, theirs = (
        [(p.name, p.kind, p.default) for p in list(s.parameters.values())[1:]]
        for s in (method, function)
    )
    assert ours == theirs
    assert all(name in Evidence.effects.__doc__ for name, *_ in ours)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"derive": "pvalue"}, "derive: no 'pvalue'. Did you mean 'p_value'"),
        ({"flags": ["cautious"]}, "flags: no 'cautious'. Did you mean 'caution'"),
        ({"designs": "crossed"}, "designs: no 'crossed'. Did you mean 'crossover'"),
        ({"icc": 5}, "icc 5: give an intracluster correlation from 0"),
        ({"unit": "cm"}, "unit: no 'cm'"),
        ({"analysis": "finals"}, "analysis: no 'finals'. Did you mean 'final'"),
    ],
)
def test_unknown_options_are_refused(build, option, message):
    with pytest.raises(ValueError, match=message):
        build(TWO_ARMS, FINAL).effects("pain_intensity", **option)


def test_what_filters_removed_is_told(build):
    evidence = build(TWO_ARMS, FINAL)
    gone = evidence.filter(population="healthy")
    with pytest.raises(CannotEstimate, match="no trial is left: population filter removed 1 of 1"):
        gone.effects("pain_intensity")


def test_bundled_trials_give_effects_with_a_valid_covariance():
    from backpain_analysis.evidence.evidence import load_evidence

    evidence = load_evidence()
    for outcome in ("pain_intensity", "disability"):
        for measure in ("MD", "SMD"):
            effects = evidence.effects(outcome, measure=measure)
            assert [len(m) for m in effects.covariance] == list(
                effects.table.groupby("trial_id", sort=False).size()
            )
            assert all(np.linalg.eigvalsh(m).min() > 0 for m in effects.covariance)
            diagonal = np.concatenate([np.diag(m) for m in effects.covariance])
            assert_allclose(diagonal, effects.table["vi"])
            told = {*effects.excluded["trial_id"], *effects.table["trial_id"]}
            measured = evidence.filter(outcome=outcome).trials["trial_id"]
            assert set(measured) == told
