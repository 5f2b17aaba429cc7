"""Ratios and risk differences in sentences, tables and forest plots: as readers read them."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from backpain_analysis import sentences
from backpain_analysis.answers import tables
from backpain_analysis.effects.table import Effects
from backpain_analysis.figures import forest
from backpain_analysis.models.pairwise.pooling import pool

RATIO = np.log([0.5, 0.8, 0.6])


def effects(yi, vi, outcome, measure):
    names = [f"Trial {i}" for i in range(len(yi))]
    table = pd.DataFrame({"trial_id": names, "arm_id": "a1", "ref_arm_id": "a0", "label": names})
    table = table.assign(yi=yi, vi=vi, n_arm=50.0, n_ref=50.0, exercise_type="yoga")
    none = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
    return Effects(table, tuple(np.array([[v]]) for v in table["vi"]), none, outcome, measure)


def say(yi, vi, outcome, measure):
    own = effects(yi, vi, outcome, measure)
    return sentences.pooled(pool(own, method="CE", test="z"), outcome, measure)


@pytest.mark.parametrize(
    ("yi", "vi", "measure", "words"),
    [
        (
            np.log([0.5]),
            [0.01],
            "HR",
            "In 1 trial (100 participants), recurrence was lower with exercise than with no "
            "exercise: hazard ratio 0.50 (95% CI 0.41 to 0.61).",
        ),
        (
            np.log([2.0]),
            [0.01],
            "RR",
            "In 1 trial (100 participants), recurrence was higher with exercise than with no "
            "exercise: risk ratio 2.00 (95% CI 1.64 to 2.43).",
        ),
        (
            [0.0],
            [0.04],
            "OR",
            "In 1 trial (100 participants), no clear difference in recurrence between exercise and "
            "no exercise: odds ratio 1.00 (95% CI 0.68 to 1.48).",
        ),
        (
            [-0.2],
            [0.0025],
            "RD",
            "In 1 trial (100 participants), recurrence was 20.0 percentage points lower with "
            "exercise than with no exercise (95% CI 10.2 to 29.8 lower).",
        ),
        (
            [0.01],
            [0.0025],
            "RD",
            "In 1 trial (100 participants), no clear difference in recurrence between exercise and "
            "no exercise: 1.0 percentage points (95% CI −8.8 to 10.8).",
        ),
    ],
)
def test_sentences(yi, vi, measure, words):
    assert say(yi, vi, "recurrence", measure) == words


def test_tables():
    found = pool(effects(np.log([0.5]), [0.01], "recurrence", "HR"), method="CE", test="z")
    html = tables.pooled({"All": found}, measure="HR", title="Hazards")._repr_html_()
    assert "0.50\xa0[0.41,\xa00.61]" in html


def test_forest_has_natural_ticks_and_numbers():
    own = effects(RATIO, [0.04, 0.02, 0.03], "recurrence", "RR")
    ax = forest(own, pool(own))
    ax.figure.canvas.draw()
    ticks = {
        label.get_text(): place
        for label, place in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True)
    }
    assert ticks["1"] == pytest.approx(0)
    assert ticks["0.5"] == pytest.approx(np.log(0.5))
    texts = [text.get_text() for text in ax.texts]
    assert "0.50 [0.34, 0.74]" in texts
    assert any(re.fullmatch(r"PI \[0\.\d\d, \d\.\d\d\]", text) for text in texts)
    assert ax.get_xlabel() == "Risk ratio\n(recurrence)"
    plt.close(ax.figure)


def test_forest_in_a_unit_says_so():
    own = effects([2.0, 3.0], [1.0, 1.0], "flexibility_rom", "MD")
    own = Effects(own.table, own.covariance, own.excluded, own.outcome, own.measure, unit="cm")
    ax = forest(own)
    assert ax.get_xlabel() == "Difference in flexibility\n(cm)"
    plt.close(ax.figure)
