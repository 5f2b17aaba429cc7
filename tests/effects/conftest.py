"""Small evidence, named fields only: what is not given is missing."""

from __future__ import annotations

import pandas as pd
import pytest

from backpain_analysis.evidence.evidence import Evidence

SOURCE = {"source_url": "https://example.org", "source_locator": "made up for a test"}


def trial(trial_id="t1", **fields):
    base = {
        "trial_id": trial_id,
        "first_author": "Doe",
        "year": 2020,
        "title": "A made-up trial",
        "population": "chronic_nslbp",
        "design": "parallel",
        "source_url": "https://example.org",
        "extraction_family": "core",
    }
    return {**base, **fields}


def arm(arm_id, exercise_type="none", comparator_type=None, trial_id="t1", **fields):
    base = {
        "trial_id": trial_id,
        "arm_id": arm_id,
        "arm_label": f"arm {arm_id}",
        "exercise_type": exercise_type,
        "comparator_type": comparator_type,
        "extraction_family": "core",
    }
    return {**base, **fields}


def result(arm_id, mean, sd=None, n=None, week=8, label="post", trial_id="t1", **fields):
    base = {
        "trial_id": trial_id,
        "arm_id": arm_id,
        "outcome": "pain_intensity",
        "instrument": "NRS",
        "instrument_text": "NRS",
        "scale_min": 0,
        "scale_max": 10,
        "higher_is_better": "no",
        "timepoint_weeks": week,
        "timepoint_label": label,
        "value_type": "level",
        "n": n,
        "mean": mean,
        "dispersion_type": None if sd is None else "sd",
        "dispersion": sd,
        **SOURCE,
        "extraction_family": "core",
    }
    return {**base, **fields}


def difference(arm_id, ref_arm_id, estimate, low=None, high=None, week=8, **fields):
    base = {
        "trial_id": "t1",
        "arm_id": arm_id,
        "ref_arm_id": ref_arm_id,
        "outcome": "pain_intensity",
        "instrument": "NRS",
        "instrument_text": "NRS",
        "scale_min": 0,
        "scale_max": 10,
        "higher_is_better": "no",
        "timepoint_weeks": week,
        "timepoint_label": "post",
        "effect_measure": "md",
        "estimate": estimate,
        "ci_level": 95,
        "ci_low": low,
        "ci_high": high,
        **SOURCE,
        "extraction_family": "core",
    }
    return {**base, **fields}


@pytest.fixture
def build():
    """A function that makes Evidence of one or more trials' rows."""

    def make(arms, outcomes=(), contrasts=(), trials=None):
        return Evidence.from_frames(
            pd.DataFrame([trial()] if trials is None else trials),
            pd.DataFrame(arms),
            pd.DataFrame(list(outcomes)) if outcomes else None,
            pd.DataFrame(list(contrasts)) if contrasts else None,
            name="made up for a test",
        )

    return make
