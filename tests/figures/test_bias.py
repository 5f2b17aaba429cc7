"""Risk of bias, drawn."""

from __future__ import annotations

import pytest

import backpain_analysis as bp
from backpain_analysis import figures
from backpain_analysis.answers.appraisals import by_domain, trial_risk
from tests.figures.drawn import artists, outside


@pytest.fixture(scope="module")
def evidence():
    return bp.load_evidence()


def test_every_appraised_trial_has_its_lights(evidence):
    axes = figures.risk_of_bias_lights(evidence)
    counts = by_domain(evidence).set_index("domain").drop("overall")
    appraised = len(trial_risk(evidence.appraisals))
    assert len(axes.get_yticks()) == appraised
    for risk in ("low", "unclear", "high"):
        columns = artists(axes, f"light {risk}")
        drawn = sum(len(mark.get_xdata()) for mark in columns if mark.get_xdata()[0] < 8)
        assert drawn == counts[risk].sum()
    unknown = sum(len(mark.get_xdata()) for mark in artists(axes, "light unknown"))
    assert unknown == counts["unknown"].sum() - 8 * (len(evidence.trials) - appraised)
    assert outside(axes) == []


def test_the_summary_has_a_bar_a_domain_and_names_the_unknown(evidence):
    axes = figures.risk_of_bias_summary(evidence)
    widths = [bar.get_width() for bar in axes.patches]
    assert len(widths) == 4 * 9 and sum(widths) == pytest.approx(900)
    assert axes.get_xlabel() == "Trials, per cent"
    assert outside(axes) == []
