"""Made-up trials are drawn from their truth, look like reports, and pass every check."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import backpain_analysis as bp
from backpain_analysis.datasets.trials import (
    AS_REPORTED,
    MISSING,
    REPORTS,
    TRIAL_TRUTHS,
    TrialTruth,
    simulate_trial_tables,
    write_synthetic_trials,
)
from backpain_analysis.evidence.checking import check_tables
from backpain_analysis.evidence.reading import raw_from_frames

MANY = TrialTruth(trials=1500, decimals=None, followup_share=0.0, arm_size=60.0, smallest_arm=20)
"""Enough trials to see a bias of a tenth of a point."""

BARE = dict(AS_REPORTED)


def wide(truth: TrialTruth, seed: int = 1) -> pd.DataFrame:
    """Differences of exercise arms from their trial's inactive arm, as printed, on 0-100."""
    tables = simulate_trial_tables(truth, seed)
    arms = tables.arms.set_index(["trial_id", "arm_id"])
    arms["dose"] = arms["sessions_per_week"] * arms["minutes_per_session"]
    rows = []
    if len(tables.contrasts):
        printed = tables.contrasts
        scale = 100 / printed["scale_max"]
        width = (printed["ci_high"] - printed["ci_low"]) * scale
        rows.append(
            printed.assign(
                difference=printed["estimate"] * scale, se=width / (2 * stats.norm.ppf(0.975))
            )
        )
    after = tables.outcomes[tables.outcomes["timepoint_label"] != "baseline"]
    last = after.groupby("trial_id")["arm_id"].transform("last")
    keys = ["trial_id", "timepoint_label"]
    own = after[after["arm_id"] != last]
    pairs = own.merge(after[after["arm_id"] == last], on=keys, suffixes=("", "_ref"))
    scale = 100 / pairs["scale_max"]
    variance = [pairs[f"dispersion{e}"] ** 2 / pairs[f"n{e}"].astype(float) for e in ("", "_ref")]
    pairs["difference"] = (pairs["mean"] - pairs["mean_ref"]) * scale
    pairs["se"] = np.sqrt(variance[0] + variance[1]) * scale
    rows.append(pairs.rename(columns={"arm_id_ref": "ref_arm_id"}))
    found = pd.concat(rows)[[*keys, "arm_id", "ref_arm_id", "difference", "se"]]
    for name, arm in (("", "arm_id"), ("ref_", "ref_arm_id")):
        about = arms.reindex(pd.MultiIndex.from_frame(found[["trial_id", arm]]))
        found[f"{name}type"] = about["exercise_type"].to_numpy()
        found[f"{name}dose"] = about["dose"].to_numpy()
    return found[found["ref_type"] == "none"].reset_index(drop=True)


def true_of(truth: TrialTruth, rows: pd.DataFrame) -> np.ndarray:
    pairs = zip(rows["dose"], rows["type"], strict=True)
    return np.array([truth.effect(dose, word) for dose, word in pairs])


@pytest.mark.parametrize(
    "truth",
    [
        TrialTruth(),
        TrialTruth(missing=BARE, outcomes={"pain_intensity": 1.0, "disability": 0.5}),
        replace(TRIAL_TRUTHS["types differ"], inactive_share=0.2, arms=((4, 1.0),), trials=8),
        TrialTruth(reported={"differences": 1.0}, any_exercise=-60.0, trial_sd=30.0),
    ],
    ids=["default", "as reported", "head to head", "differences"],
)
def test_made_up_trials_pass_every_check_and_say_what_they_are(truth, tmp_path):
    evidence = bp.simulate_trials(truth, seed=4)
    frames = simulate_trial_tables(truth, seed=4)._asdict()
    faults: list = []
    tables, faults = check_tables(raw_from_frames(frames, faults), faults)
    assert not faults
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, getattr(evidence, name))
    assert evidence.synthetic and "synthetic" in evidence.name and "seed 4" in evidence.name
    assert "synthetic" in repr(evidence) and "made up" in evidence._repr_html_()
    assert evidence.filter(trial_id=evidence.trials["trial_id"].iloc[0]).synthetic
    assert evidence.trials["trial_id"].str.startswith("synthetic").all()
    read = bp.load_evidence(write_synthetic_trials(tmp_path, truth, seed=4))
    assert read.synthetic and read.name == evidence.name
    assert read.content_hash == evidence.content_hash
    content = json.loads((tmp_path / "truth.json").read_text())
    assert content["synthetic"] is True
    assert TrialTruth.from_json((tmp_path / "truth.json").read_text()) == (truth, 4)


def test_bundled_evidence_is_not_synthetic():
    assert not bp.load_evidence().synthetic and "synthetic" not in repr(bp.load_evidence())


def test_same_seed_same_trials_and_another_seed_others():
    one, same, other = (bp.simulate_trials(seed=seed).content_hash for seed in (3, 3, 5))
    assert one == same != other


def test_true_effects_by_hand():
    truth = TrialTruth(types={"yoga": 2.0, "pilates": 1.0}, outcomes={"disability": 0.5})
    assert_allclose(truth.effect([0, 60, 120], "pilates", "disability"), [0, -3.9, -4.8])
    assert_allclose(truth.effect(60, "yoga", "disability"), -7.8)
    assert_allclose(truth.effect(60, outcome="disability"), -5.85)
    assert_allclose(TRIAL_TRUTHS["Emax"].effect([60, 180]), [-7.5, -11.25])
    assert_allclose(TRIAL_TRUTHS["same effect at every dose"].effect([0, 1, 300]), [0, -9, -9])
    assert_allclose(truth.effects().loc[60.0, "yoga"], -7.8)
    with pytest.raises(ValueError, match=r"no 'yogga'.*yoga"):
        truth.effect(60, "yogga")


def test_dose_that_reaches_an_effect():
    """-15 d/(60 + d) = -10 at d = 120; -6 - 0.03 d = -9 at 100; -0.08 d = -10 at 125."""
    assert TRIAL_TRUTHS["Emax"].dose_reaching(-10) == 120
    assert TrialTruth().dose_reaching(-9) == 100
    assert TrialTruth().dose_reaching(-5) == 0
    assert TRIAL_TRUTHS["linear"].dose_reaching(-10) == 125
    assert TRIAL_TRUTHS["types differ"].dose_reaching(-9, "yoga") == 0
    assert np.isnan(TRIAL_TRUTHS["no effect"].dose_reaching(-10))
    assert np.isnan(TRIAL_TRUTHS["Emax"].dose_reaching(10))


@pytest.mark.parametrize("report", REPORTS)
def test_printed_differences_are_the_true_ones_with_honest_errors(report):
    truth = replace(MANY, reported={report: 1.0}, types=dict(TRIAL_TRUTHS["types differ"].types))
    rows = wide(truth)
    z = (rows["difference"] - true_of(truth, rows)) / rows["se"]
    assert len(z) > 1000
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    assert abs(z.var() - 1) < 4 * np.sqrt(2.2 / len(z))
    for _, part in z.groupby([rows["type"], rows["dose"] > 100]):
        assert abs(part.mean()) < 4 / np.sqrt(len(part))


@pytest.mark.parametrize(
    "report, true", [("levels", 18.0**2), ("changes", 17**2 + 18**2 - 17 * 18)]
)
def test_printed_variances_of_small_arms_are_unbiased_and_vary_as_variances_do(report, true):
    """(n - 1) S / sigma^2 is chi-square on n - 1 degrees of freedom."""
    truth = replace(MANY, reported={report: 1.0}, sd_spread=0.0, arm_size=8.0, smallest_arm=8)
    outcomes = simulate_trial_tables(replace(truth, arm_size_spread=0.0), 1).outcomes
    later = outcomes[outcomes["timepoint_label"] == "post"]
    square = (100 / later["scale_max"] * later["dispersion"]) ** 2 / true
    df = later["n"].astype(float) - 1
    z = stats.norm.isf(stats.chi2.sf(df * square, df))
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / len(z))


def test_trials_and_arms_deviate_as_much_as_the_truth_says():
    """Var of the effects: u^2 + w^2 + (f(d) v)^2; of two arms of a trial in common u^2."""
    truth = replace(
        MANY,
        arm_size=4000.0,
        arm_size_spread=0.0,
        reported={"levels": 1.0},
        arms=((3, 1.0),),
        trial_effect_sd=4.0,
        arm_effect_sd=3.0,
        dose_effect_sd=0.0,
    )
    rows = wide(truth)
    apart = rows["difference"] - true_of(truth, rows)
    assert abs(apart.var() - rows["se"].pow(2).mean() - 25) < 4 * 25 * np.sqrt(2 / len(apart))
    pairs = apart.groupby(rows["trial_id"]).agg(["first", "last"])
    assert abs(np.cov(pairs.T)[0, 1] - 16) < 4 * 25 / np.sqrt(len(pairs)) + 0.2
    steep = replace(truth, trial_effect_sd=0.0, arm_effect_sd=0.0, dose_effect_sd=1.0)
    rows = wide(replace(steep, dose_coefficients=(-0.1,), any_exercise=0.0))
    ratio = rows["difference"] / (-0.1 * rows["dose"])
    assert abs(np.mean(ratio) - 1) < 4 / np.sqrt(len(ratio) / 2)
    assert 0.85 < ratio[rows["dose"] > 100].std() < 1.15


def test_followup_keeps_a_share_of_the_effect_and_comparators_have_effects_of_their_own():
    truth = replace(
        MANY,
        followup_share=1.0,
        any_exercise=-10.0,
        dose_coefficients=(0.0,),
        reported={"levels": 1.0},
        comparators={"usual_care": -4.0},
    )
    rows = wide(truth)
    for label, true in (("post", -6.0), ("followup", 0.6 * (-10.0 + 4.0))):
        part = rows[rows["timepoint_label"] == label]
        z = (part["difference"] - true) / part["se"]
        assert abs(z.mean()) < 4 / np.sqrt(len(z))


def test_design_is_as_the_truth_says():
    tables = simulate_trial_tables(replace(MANY, missing={}), 2)
    arms = tables.arms
    counts = arms.groupby("trial_id").size().value_counts(normalize=True)
    assert_allclose(counts[[2, 3, 4]], [0.75, 0.2, 0.05], atol=0.05)
    exercise = arms[arms["exercise_type"] != "none"]
    inactive = arms.groupby("trial_id")["exercise_type"].agg(lambda words: "none" in set(words))
    assert abs(inactive.mean() - 0.8) < 0.05
    dose = exercise["sessions_per_week"] * exercise["minutes_per_session"]
    assert set(dose) <= set(MANY.doses)
    several = exercise.assign(dose=dose).groupby("trial_id").filter(lambda part: len(part) > 1)
    kinds = several.groupby("trial_id")["exercise_type"].nunique()
    assert abs((kinds == 1).mean() - 0.3) < 0.06
    one_type = several[several["trial_id"].isin(kinds.index[kinds == 1])]
    assert not one_type.duplicated(["trial_id", "dose"]).any()
    assert_array_equal(
        exercise["total_sessions"], exercise["sessions_per_week"] * exercise["duration_weeks"]
    )
    sizes = arms["n_randomised"].astype(float)
    assert abs(np.log(sizes.median() / 60)) < 0.1 and sizes.min() >= 20
    assert (
        tables.trials["n_randomised"].astype(float)
        == sizes.groupby(arms["trial_id"]).sum().to_numpy()
    ).all()


def test_what_is_missing_is_missing_as_often_as_the_truth_says():
    truth = replace(MANY, followup_share=1.0, missing=dict.fromkeys(MISSING, 0.5), trials=600)
    tables = simulate_trial_tables(truth, 3)
    exercise = tables.arms[tables.arms["exercise_type"] != "none"]
    outcomes, contrasts = tables.outcomes, tables.contrasts
    shares = {
        name: exercise[name].isna().groupby(exercise["trial_id"]).all()
        for name in ("sessions_per_week", "minutes_per_session", "duration_weeks", "n_randomised")
    }
    by_trial = outcomes.groupby("trial_id")
    shares |= {name: by_trial[name].count() == 0 for name in ("dispersion", "n", "scale_max")}
    shares["post"] = by_trial["timepoint_label"].agg(lambda labels: "post" not in set(labels))
    shares["interval"] = contrasts.groupby("trial_id")["ci_low"].count() == 0
    for name, gone in shares.items():
        assert abs(gone.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(gone)), name
    assert (contrasts["p_value"].notna() == contrasts["ci_low"].isna()).all()
    assert (by_trial["dispersion_type"].count() == by_trial["dispersion"].count()).all()


def test_a_printed_p_belongs_to_its_difference():
    truth = TrialTruth(reported={"differences": 1.0}, trials=200, decimals=None)
    given, hidden = (
        simulate_trial_tables(replace(truth, missing=gone), 6).contrasts
        for gone in ({}, {"interval": 1.0})
    )
    assert_allclose(given["estimate"], hidden["estimate"])
    excludes_zero = (given["ci_low"] > 0) | (given["ci_high"] < 0)
    p = hidden["p_value"].str.removeprefix("<").astype(float)
    clear = (p - 0.05).abs() > 0.001
    assert ((p < 0.05) == excludes_zero)[clear].all()


def test_pooling_finds_one_effect():
    truth = replace(TRIAL_TRUTHS["same effect at every dose"], trials=40)
    effects = bp.simulate_trials(truth, 8).effects("pain_intensity").against_inactive()
    assert effects.n_trials > 25
    result = bp.pool(effects.one_per_trial())
    assert abs(result.estimate + 9) < 4 * result.se


def test_faults_of_a_truth_are_named_together():
    with pytest.raises(ValueError) as caught:
        TrialTruth(
            trials=0,
            arms=((5, 1.0),),
            dose_curve="emx",
            types={"yogga": 1.0},
            comparators={},
            missing={"sdd": 2.0},
            reported={"levels": 0.0},
            trial_effect_sd=-1.0,
            inactive_share=1.5,
            outcomes={"pain": 1.0},
        )
    text = str(caught.value)
    for word in (
        *("trials 0", "arms must be 2, 3 or 4", "'emx'", "emax", "'yogga'", "comparators needs"),
        *("'sdd'", "missing must", "reported must", "trial_effect_sd -1", "inactive_share 1.5"),
        "'pain'",
    ):
        assert word in text, word
