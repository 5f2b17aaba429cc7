"""What headers of results mean."""

from __future__ import annotations

import pytest

from backpain_analysis.importing.headers import meaning_of


@pytest.mark.parametrize(
    ("header", "stat", "outcome"),
    [
        ("MCID met n (%)", "events", "responders"),
        ("n (%) with a clinically important change", "events", "responders"),
        ("Dropouts n (%)", "events", "dropout"),
        ("Responders", "events", "responders"),
        ("Achieved MCID, of n", "n", "responders"),
        ("n (%)", "n", ""),
        ("N exercise", "n", ""),
        ("VAS mean (SD)", "summary", "pain_intensity"),
    ],
)
def test_people_with_an_event_are_no_sample_size(header, stat, outcome):
    found = meaning_of(header)
    assert (found.stat, found.outcome) == (stat, outcome)
