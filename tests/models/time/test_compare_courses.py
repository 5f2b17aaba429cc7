"""The same trials under other choices."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.models.time.course import compare_courses, time_course


@pytest.fixture(scope="module")
def evidence():
    return load_evidence()


def test_rows_are_the_fits_themselves(evidence):
    found = compare_courses(evidence, "disability", curve="constant", at=26, curves=["linear"])
    rows = found.set_index("choice")
    options = {"as above": {}, "correlation over time 0.8": {"correlation_over_time": 0.8}}
    for choice, chosen in options.items():
        effects = effects_over_time(evidence, "disability", **chosen).against_inactive()
        fitted = time_course(effects, curve="constant")
        assert_allclose(rows.loc[choice, "estimate"], fitted.effect([26])["estimate"].item())
    assert rows["aic"].notna().sum() == 2
    assert np.isnan(rows.loc["curve: linear", "half_time"])
    assert "without trials flagged for caution" in rows.index


def test_what_cannot_be_fitted_says_why(evidence):
    few = evidence.filter(trial_id=["sherman2011", "tilbrook2011"])
    rows = compare_courses(few, "disability", curve="constant", curves=["rcs"], flags=("caution",))
    refused = rows.set_index("choice").loc["curve: rcs"]
    assert np.isnan(refused["estimate"])
    assert "use a simpler" in refused["note"] or "coincide" in refused["note"]
    assert "without trials flagged for caution" not in set(rows["choice"])
