"""Responders among participants and over trials, against counts done by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose
from scipy import optimize

from backpain_analysis.answers import sentences
from backpain_analysis.engine.search import ConvergenceError
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.evidence.participants import Participants
from backpain_analysis.models.pairwise.responders import responders_from_means
from backpain_analysis.models.people.responders import mantel_haenszel, responders
from tests.models.people.made_visits import made_visits


def people(counts: dict) -> pd.DataFrame:
    """Visits of (trial, dose): (responders, others, lost); responders fall from 60 to 40."""
    rows = []
    for (trial, dose), (yes, no, lost) in counts.items():
        for number, final in enumerate([40.0] * yes + [55.0] * no + [np.nan] * lost):
            who = {"trial_id": trial, "participant_id": f"{dose}-{number}", "dose": float(dose)}
            rows += [{**who, "week": 0, "value": 60.0}, {**who, "week": 12, "value": final}]
    return pd.DataFrame(rows)


TWO_TRIALS = {
    ("t1", 60): (10, 10, 0),
    ("t1", 0): (5, 15, 5),
    ("t2", 60): (30, 10, 10),
    ("t2", 0): (10, 10, 0),
}


def test_shares_and_mantel_haenszel_by_hand():
    """Both trials differ by 0.25; weights 10 and 40/3; variance (2.1875 + 3.0556)/(70/3)^2."""
    result = responders(people(TWO_TRIALS), week=12, mcid=15)
    assert list(result.shares["responders"]) == [15, 40]
    assert_allclose(result.shares["share"], [15 / 40, 40 / 60])
    row = result.differences.iloc[0]
    se = np.sqrt((2.1875 + 55 / 18) / (70 / 3) ** 2)
    assert_allclose([row["estimate"], row["se"]], [0.25, se])
    assert_allclose(row["ci_low"], 0.25 - 1.959963984540054 * se)
    assert result.nnt("60").estimate == pytest.approx(4)
    assert len(result.excluded) == 15


def test_wilson_intervals():
    """15 of 40: (p + z^2/2n -+ z sqrt(p q/n + z^2/4n^2)) / (1 + z^2/n)."""
    row = responders(people(TWO_TRIALS), week=12, mcid=15).shares.iloc[0]
    z, n, p = 1.959963984540054, 40, 15 / 40
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert_allclose(
        [row["ci_low"], row["ci_high"]], np.array([centre - half, centre + half]) / (1 + z**2 / n)
    )


def test_the_lost_may_count_as_non_responders():
    result = responders(people(TWO_TRIALS), week=12, mcid=15, missing="nonresponse")
    assert list(result.shares["n"]) == [45, 70]
    assert result.n_participants == 115
    assert result.excluded.empty


def test_groups_of_doses():
    counts = {("t", dose): (dose // 20, 5, 0) for dose in (0, 40, 80, 120, 200)}
    result = responders(people(counts), week=12, percent=30, groups=(0, 90, 200))
    assert list(result.shares["group"]) == ["0", "above 0 to 90", "above 90 to 200"]
    assert list(result.shares["responders"]) == [0, 6, 16]


def test_one_trial_is_the_plain_difference():
    rows = pd.DataFrame({"trial_id": "t", "group": ["0"] * 20 + ["1"] * 30})
    rows["responds"] = [True] * 5 + [False] * 15 + [True] * 18 + [False] * 12
    found = mantel_haenszel(rows.astype({"group": "category"})).iloc[0]
    assert_allclose(found["estimate"], 0.6 - 0.25)
    assert_allclose(found["se"], np.sqrt(0.6 * 0.4 / 30 + 0.25 * 0.75 / 20))


def test_standardised_differences_against_statsmodels():
    """Mean predicted risks of statsmodels' logit; delta method with numerical derivatives."""
    visits = made_visits(n=80, missing=0.1, seed=4)
    result = responders(visits, week=12, mcid=10, adjust=("baseline",))
    keys = ["trial_id", "participant_id"]
    first = visits[visits["week"] == 0].set_index(keys)["value"].rename("baseline")
    rows = visits[visits["week"] == 12].set_index(keys).join(first).dropna().reset_index()
    rows["y"] = (rows["baseline"] - rows["value"] >= 10) * 1.0
    model = smf.logit("y ~ C(dose) + trial_id + baseline", rows)
    fitted = model.fit(disp=0, cov_type="HC0")
    design = [_as_if(model, dose) for dose in (0.0, 120.0)]

    def difference(beta):
        risks = [1 / (1 + np.exp(-X @ beta)) for X in design]
        return risks[1].mean() - risks[0].mean()

    gradient = optimize.approx_fprime(fitted.params.to_numpy(), difference, 1e-7)
    se = np.sqrt(gradient @ fitted.cov_params().to_numpy() @ gradient)
    row = result.differences.set_index("group").loc["120"]
    assert_allclose(row["estimate"], difference(fitted.params.to_numpy()), rtol=1e-6)
    assert_allclose(row["se"], se, rtol=1e-4)


def _as_if(model, dose):
    X = pd.DataFrame(model.exog, columns=model.exog_names)
    for name in X:
        if name.startswith("C(dose)"):
            X[name] = float(name == f"C(dose)[T.{dose}]")
    return X.to_numpy()


def test_unusable_requests_are_refused():
    visits = people(TWO_TRIALS)
    with pytest.raises(ValueError, match="use one of observed, nonresponse"):
        responders(visits, week=12, mcid=15, missing="worst")
    with pytest.raises(ValueError, match="say what a response is"):
        responders(visits, week=12)
    with pytest.raises(ValueError, match="no scores at week 5"):
        responders(visits, week=5, mcid=15)
    with pytest.raises(ValueError, match="one group of dose"):
        responders(visits, week=12, mcid=15, groups=(100,))
    with pytest.raises(ValueError, match="below the largest dose, 60"):
        responders(visits, week=12, mcid=15, groups=(0, 50))
    many = people({("t", dose): (1, 1, 0) for dose in range(0, 100, 10)})
    with pytest.raises(ValueError, match="10 different doses: give groups="):
        responders(many, week=12, mcid=15)
    everybody = people({("t", 0): (0, 10, 0), ("t", 60): (10, 0, 0)})
    with pytest.raises(ConvergenceError, match="everybody or nobody"):
        responders(everybody, week=12, mcid=15, adjust=("baseline",))


def test_sentence_and_table_of_participants():
    result = responders(people(TWO_TRIALS), week=12, mcid=15)
    text = sentences.responders(result)
    assert text.startswith("Of 100 participants in 2 trials, 38% at a dose of 0 improved by 15")
    assert "67% at 60 (NNTB 4.0 (95% CI 2.3 to 17))" in text
    assert "Mantel-Haenszel" in result._repr_html_()


@pytest.fixture(scope="module")
def bundled():
    return responders_from_means(load_evidence(), "disability")


def test_trials_are_pooled_within_bounds(bundled):
    summary = bundled.summary()
    assert summary.loc["share without exercise"].between(0, 1).all()
    assert summary.loc["difference"].between(-1, 1).all()
    assert bundled.response.points == 10
    assert (bundled.effects.table["reference_kind"] == "inactive").all()
    assert 1 / bundled.nnt.estimate == pytest.approx(bundled.difference.estimate)


def test_trials_in_words(bundled):
    text = sentences.trial_responders(bundled)
    assert text.startswith(f"In {bundled.n_trials} trials (")
    assert "percentage points more people with exercise than without (95% CI" in text
    assert "improved in disability by 10 points or more, by the normal approximation." in text
    references = bundled.shares[bundled.shares["is_reference"]].set_index("trial_id")["share"]
    trials = load_evidence().trials.set_index("trial_id")["population"]
    own = references[trials[references.index] == "chronic_nslbp"]
    acute = f"{100 * references['machado2010']:.0f}% in 1 trial of acute low back pain"
    chronic = f"{100 * own.mean():.0f}% in {len(own)} trials of chronic low back pain"
    assert f"Without exercise it was {acute}, {chronic} and " in text


def test_a_response_nobody_reports_says_so():
    with pytest.raises(ValueError, match="say what a response is"):
        responders_from_means(load_evidence(), "kinesiophobia")
    with pytest.raises(ValueError, match="no trial of pain_intensity gives the mean change"):
        responders_from_means(load_evidence(), "pain_intensity", mcid=15, timepoint=(150, 160))


def test_an_improvement_beyond_the_scale_is_refused_with_advice():
    people = [f"p{n}" for n in range(8)]
    tables = {
        "interventions": pd.DataFrame(
            {
                "trial_id": "t",
                "participant_id": people,
                "exercise_type": ["none", "yoga"] * 4,
                "prescribed_sessions_per_week": [0, 2] * 4,
                "minutes_per_session": 30,
                "start_week": 0,
                "end_week": 8,
            }
        ),
        "scores": pd.DataFrame(
            {
                "trial_id": "t",
                "participant_id": people * 2,
                "week": [0] * 8 + [8] * 8,
                "instrument": "NRS",
                "value": [6, 7] * 4 + [6, 3, 5, 4, 2, 6, 6, 2],
                "scale_min": 0,
                "scale_max": 10,
            }
        ),
    }
    data = Participants.from_frames(**tables)
    with pytest.raises(ValueError) as caught:
        responders(data, week=8, mcid=15)
    assert str(caught.value) == (
        "mcid = 15: the scores go from 0 to 10. Give it in points of this scale (15 of 100 is "
        "1.5), or put the scores on 0-100 with visits(scale='0-100')."
    )
    recorded = responders(data, week=8, mcid=1.5)
    percent = responders(data.visits(scale="0-100"), week=8, mcid=15)
    assert recorded.shares["responders"].tolist() == percent.shares["responders"].tolist() == [1, 3]
    assert (recorded.dose_name, percent.dose_name) == ("minutes_per_week", "dose")
