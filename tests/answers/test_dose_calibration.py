"""How often answers on dose are right: the stored table, its words, and where it is told."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from backpain_analysis.answers import tables
from backpain_analysis.answers.dose_calibration import calibration_words, dose_calibration
from backpain_analysis.datasets.trials import TRIAL_TRUTHS

README = Path(__file__).parents[2] / "benchmarks" / "README.md"


def test_every_truth_stands_with_each_number_of_trials():
    found = dose_calibration().table
    cells = list(zip(found["truth"], found["trials"], strict=True))
    assert sorted(cells) == sorted((name, n) for name in TRIAL_TRUTHS for n in (8, 16, 40))
    assert (found["sets"] == 1000).all()
    assert (
        found[["more", "less", "effect_held", "mcid_held", "named"]].stack().between(0, 100).all()
    )


def test_the_readme_holds_the_stored_numbers():
    told = README.read_text(encoding="utf-8")
    for row in dose_calibration().table.to_dict("records"):
        names = ("more", "less", "effect_held", "mcid_held", "named", "mcid_held_where_named")
        shares = ["" if pd.isna(row[name]) else f"{row[name]:.0f}" for name in names]
        line = " | ".join([row["truth"], str(row["trials"]), str(row["sets"]), *shares])
        assert f"| {line} |" in told


def cells(*rows):
    names = ("truth", "trials", "sets", "more", "effect_held", "mcid_held")
    return pd.DataFrame(rows, columns=names)


def test_words_tell_errors_power_and_the_least_coverage():
    """A truth is flat by its curve, not by its name."""
    table = cells(
        ("no effect", 8, 100, 1.0, 95.0, 100.0),
        ("same effect at every dose", 40, 50, 4.0, 94.0, 99.0),
        ("Emax", 40, 50, 88.0, 78.0, 98.0),
        ("linear", 8, 50, 82.0, 96.0, 97.0),
    )
    assert calibration_words(table) == (
        "In made-up trials whose truth is known (50 to 100 sets of 8, 40 trials a truth), the "
        'rule said "more does more" in 1 to 4% of sets where dose does not matter, and in 82 to '
        "88% where it does, the more often the more trials there were. The interval of the "
        "typical dose's effect, meant to hold the truth in 95%, held it in 78 to 96% (least with "
        "40 trials and Emax), and that of the dose for 10 points in 97 to 100% (least with 8 "
        "trials and linear)."
    )
    assert "200 sets of 8 trials" in calibration_words(table.assign(sets=200, trials=8))


def test_the_table_of_the_page():
    found = dose_calibration()
    html = tables.dose_calibration(found, title="Made-up trials").html
    assert html.count("<tr>") == 1 + len(found.table)
    assert "Same effect at every dose" in html and "More does more" in html
