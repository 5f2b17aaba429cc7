"""Tables for readers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from bs4 import BeautifulSoup

from backpain_analysis.answers import tables
from backpain_analysis.models.dose.comparison import CurveComparison
from backpain_analysis.models.pairwise.pooling import pool

NARROW = "\N{NO-BREAK SPACE}"


def rows_of(shown) -> list[list[str]]:
    page = BeautifulSoup(shown._repr_html_(), "html.parser")
    cells = [[cell.get_text() for cell in row.select("td, th")] for row in page.select("tr")]
    return [[text.replace(NARROW, " ") for text in row] for row in cells]


def test_pooled_effects_read_as_in_a_journal():
    """Mean -12 of four trials of variance 1: standard error 1/2, 1.96 x 0.5 = 0.98."""
    result = pool([-12.0, -11.0, -13.0, -12.0], [1.0] * 4, test="z")
    one = replace(pool([-3.0], [1.0], test="z"), n_participants=40)
    shown = tables.pooled({"tai_chi_qigong": result, "One trial": one}, title="Types")
    head, first, second, note = rows_of(shown)
    assert note[0].startswith("MD: mean difference. CI: confidence interval. I²: share of the diff")
    assert head[3:] == ["MD [95% CI]", "Prediction interval", "I² (τ²)", "P"]
    assert first[0] == "Tai chi / qigong"
    assert first[3:5] == ["−12.0 [−13.0, −11.0]", "[−13.0, −11.0]"]
    assert first[6] == "< 0.001"
    assert second[1:] == ["1", "40", "−3.0 [−5.0, −1.0]", "–", "–", "0.003"]


def test_curves_that_were_not_fitted_say_why():
    comparison = pd.DataFrame(
        {
            "aic": [40.0, np.nan],
            "weight": [1.0, np.nan],
            "effect": [-9.96, np.nan],
            "ci_low": [-15.0, np.nan],
            "ci_high": [-5.0, np.nan],
            "mcid_dose": [np.nan, np.nan],
            "note": ["", "too few trials"],
        },
        index=["log", "rcs"],
    )
    _, first, second = rows_of(tables.curves(CurveComparison(comparison, {}), title="Shapes"))
    assert first == ["log", "40.0", "100%", "−10.0 [−15.0, −5.0]", "not reached", ""]
    assert second == ["rcs", "–", "–", "–", "not reached", "too few trials"]
