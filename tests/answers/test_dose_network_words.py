"""What is said of curves by type: made-up results to words, at the borders of every rule."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.answers import dose_network
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.search import DoseEstimate
from tests.figures.drawn import make_effects

LEVEL = 0.95
BORDER = 1 - LEVEL


def result(**fields):
    """Three types with steps; what a test does not name is as plain as it can be."""
    trials = fields.pop("trials", [2, 1, 4])
    agents = ["yoga", "pilates", "walking"][: len(trials)]
    counts = pd.DataFrame({"agent": ["usual_care", *agents], "trials": [1, *trials]})
    plain = {
        **{"agents": agents, "n_trials": 7, "n_participants": 1200, "measure": "MD"},
        **{"dose_name": "minutes_per_week", "outcome": "pain_intensity", "level": LEVEL},
        **{"reference": "usual_care", "lower_is_better": True, "shared": "step"},
        **{"curves": dict.fromkeys(agents, SimpleNamespace(name="linear", stepped=True))},
        **{"between": None, "max_dose": lambda agent: 150.0, "counts": lambda: counts},
        **{"studied_at": lambda dose: agents},
    }
    return SimpleNamespace(**plain | fields)


@pytest.fixture
def steps(monkeypatch):
    monkeypatch.setattr(dose_network, "has_step", lambda curve: curve.stepped)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {},
            "7 trials (1,200 participants in arms of known size) connect 3 types of exercise of "
            "known minutes per week with no exercise (straight line).",
        ),
        (
            {"n_trials": 1, "trials": [1], "curves": {"yoga": SimpleNamespace(name="odd")}},
            "1 trial (1,200 participants in arms of known size) connect 1 type of exercise of "
            "known minutes per week with no exercise (odd curve).",
        ),
    ],
)
def test_what_was_fitted(fields, words):
    assert dose_network._what_was_fitted(result(**fields)) == words


def equal(gaps, left_out=()):
    """Yoga first of those at the dose; its differences from the others have these limits."""
    agents = ["yoga", "pilates", "walking", "tai_chi"][: len(gaps) + 1]
    names = ["estimate", "ci_low", "ci_high", "rank_low", "rank_high", "p_score"]
    rows = [(-9.04 + k, -12.0, -6.0, 1.0, 3.0, 0.756) for k in range(len(agents))]
    summary = pd.DataFrame([*rows, (0.0, 0.0, 0.0, 4.0, 4.0, 0.0)], [*agents, "usual_care"], names)
    pairs = [("yoga", agent, *gap) for agent, gap in zip(agents[1:], gaps, strict=True)]
    pairs += [("pilates", "walking", -9.0, -1.0)] * (len(gaps) > 1)
    differences = pd.DataFrame(pairs, columns=["agent", "versus", "ci_low", "ci_high"])
    return SimpleNamespace(
        summary=lambda: summary,
        differences=lambda: differences,
        params=pd.Series(0.0, agents),
        left_out=left_out,
    )


AT_60 = "At 60 minutes per week, where {} types were studied, the best estimate for pain is that "
AT_60 += "of yoga, −9.0 points of 100 (95% CI −12.0 to −6.0); it is {}, and its rank among {} may "
AT_60 += "be anything from 1 to 3 (P-score 0.76)."
OTHERS = " The other 2 types had no trial around this dose."
RANKED = [
    ([(-3.0, -1.0)], AT_60.format(2, "clearly better than 1 of the other 1", 3)),
    ([(-3.0, 0.0)], AT_60.format(2, "not clearly better than any of the other 1", 3)),
    ([(-3.0, 1.0)], AT_60.format(2, "not clearly better than any of the other 1", 3)),
    ([(-3.0, -0.1), (-3.0, 1.0)], AT_60.format(3, "clearly better than 1 of the other 2", 4)),
    ([(0.5, 1.5), (-0.5, -0.1)], AT_60.format(3, "clearly better than 2 of the other 2", 4)),
]


@pytest.mark.parametrize(("gaps", "words"), RANKED)
def test_the_best_at_an_equal_dose(gaps, words):
    for left_out, more in (((), ""), (("x", "y"), OTHERS)):
        own = result(rank_at=lambda dose, left_out=left_out: equal(gaps, left_out))
        assert dose_network._at_equal_dose(own, 60.0, None) == words + more


def test_one_type_at_a_dose():
    own = result(rank_at=lambda dose: equal([]), measure="SMD")
    assert dose_network._at_equal_dose(own, 3.0, {"yoga": "Yoga"}) == (
        "At 3.0 minutes per week only yoga was studied: its effect on pain is −9.04 standard "
        "deviations (95% CI −12.00 to −6.00)."
    )


def of_dose(p, trials=0, df=1.0):
    return {"test_dose": lambda: {"p_value": p, "trials": trials, "df_num": df}}


MATTERS = [
    (0.049, 0, "matters (P = 0.049; no trial compared different doses of one type)", True),
    (BORDER, 1, "is not shown to matter (P = 0.050; 1 trial compared different doses", False),
    (0.2, 3, "is not shown to matter (P = 0.20; 3 trials compared different doses", False),
]


@pytest.mark.parametrize(("p", "trials", "words", "matters"), MATTERS)
def test_whether_dose_matters(steps, p, trials, words, matters):
    own = result(**of_dose(p, trials), shared="exchangeable")
    text = dose_network._does_dose_matter(own)
    assert text.startswith(f"Among those who exercise the dose {words}")
    assert text.endswith("of one type).")
    assert dose_network.dose_matters(own) is matters
    own.curves["yoga"] = SimpleNamespace(name="linear", stepped=False)
    assert dose_network._does_dose_matter(own) == ""
    assert dose_network.dose_matters(own) is True


SLOPES = [
    (
        60.0,
        (-0.04, -0.11, 0.03),
        ": −0.0 points of 100 for 1 minutes per week more (95% CI −0.1 to 0.0).",
    ),
    (
        61.0,
        (-0.04, -0.11, 0.03),
        ": −2.4 points of 100 for 60 minutes per week more (95% CI −6.6 to 1.8).",
    ),
    (3.0, (1.26, 0.5, 2.0), ": 1.3 points of 100 for 1 minutes per week more (95% CI 0.5 to 2.0)."),
]


@pytest.mark.parametrize(("largest", "slope", "words"), SLOPES)
def test_what_more_adds(steps, largest, slope, words):
    """Doses beyond 60 are told by sixty; only one slope of all types is told."""
    rows = pd.DataFrame([(9.0, 9.0, 9.0), slope], columns=["estimate", "ci_low", "ci_high"])
    doses = {"yoga": largest, "pilates": 1.0, "walking": 999.0}
    own = result(**of_dose(0.01), summary=lambda: rows, max_dose=doses.get)
    assert dose_network._does_dose_matter(own).endswith(words.replace("−0.0", "0.0"))
    several = result(**of_dose(0.01, df=2.0), summary=lambda: rows)
    assert dose_network._does_dose_matter(several).endswith("of one type).")


@pytest.mark.parametrize(
    ("omega", "at", "spread"),
    [(None, 60.0, np.inf), (0.0025, 60.0, 3.0), (0.0, 60.0, 0.0), (-0.0025, 60.0, 0.0)],
)
def test_how_far_types_differ(omega, at, spread):
    """Of a line with slopes of variance omega: dose times the root of it."""
    line = SimpleNamespace(basis=lambda doses: np.asarray(doses)[:, None] + 7.0)
    between = None if omega is None else SimpleNamespace(omega=np.array([[omega]]))
    own = result(between=between, curves={"yoga": line})
    assert dose_network._spread(own, at) == pytest.approx(spread)
    said = dose_network._between(own, at)
    assert said == (
        ""
        if omega is None
        else "Between types the effect at this dose is estimated to vary with a standard "
        f"deviation of {spread:.1f} points of 100."
    )


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ([2, 3, 4], ""),
        ([2, 1, 4], "1 of 3 types rests on a single trial."),
        ([1, 1, 4], "2 of 3 types rest on a single trial."),
        ([1], "1 of 1 type rests on a single trial."),
    ],
)
def test_types_of_a_single_trial(trials, words):
    assert dose_network._thin(result(trials=trials)) == words


@pytest.mark.parametrize(
    ("df", "p", "words"),
    [
        (0, np.nan, "The curves have as many parameters as there are doses: the trials cannot"),
        (1, BORDER, "The curves do not clearly disagree with a network in which every dose of "),
        (1, 0.049, "The curves disagree with a network in which every dose of every type stands "),
    ],
)
def test_whether_curves_fit(df, p, words):
    found = SimpleNamespace(df=df, p_value=p, likelihood_ratio_p=0.2)
    text = dose_network.consistency(result(consistency=lambda: found))
    assert text.startswith(words)
    if df:
        assert "(Wald test on 1 degree of freedom, P = 0.05; likelihood" not in text
        assert "(Wald test on 1 degree of freedom, P = 0.0" in text
        assert "likelihood ratio P = 0.20)" in text


def reaching(*doses):
    """A result whose types reach the MCID at these doses, with the upper limits beside."""
    found = dict(zip(("yoga", "pilates", "walking"), doses, strict=False))

    def dose_for(agent, target):
        at, high = found[agent]
        return DoseEstimate(at, 0.0, high, target, 0.0, 150.0, np.isfinite(at), False, "")

    plain = SimpleNamespace(name="linear", stepped=False)
    return result(trials=[2] * len(doses), dose_for=dose_for, curves={"yoga": plain})


NO = (np.nan, np.nan)
REACHED = [
    ([NO, NO], "No type is shown to reach a difference of 15.0 points of 100 at a dose it was"),
    (
        [(75.0, 90.0), NO],
        "The mean curves of 1 of 2 types reach 15.0 points of 100 within the doses studied (yoga "
        "at 75 minutes per week); for 1 of them the interval of that dose has an upper limit.",
    ),
    (
        [(75.0, np.inf), (90.0, np.inf)],
        "The mean curves of 2 of 2 types reach 15.0 points of 100 within the doses studied (yoga "
        "at 75; pilates at 90 minutes per week); for none of them the interval of that dose has "
        "an upper limit.",
    ),
]


@pytest.mark.parametrize(("doses", "words"), REACHED)
def test_types_that_reach_the_mcid(steps, doses, words):
    assert dose_network.doses(reaching(*doses), -15.0).startswith(words)


def test_no_dose_is_named_where_dose_is_not_shown_to_matter(steps):
    assert dose_network.doses(result(**of_dose(0.3)), 15.0) == (
        "Among those who exercise the dose is not shown to matter (P = 0.30), so no dose of a "
        "type is named."
    )


@pytest.mark.parametrize(
    ("name", "words"), [("Yoga", "yoga"), ("McKenzie", "McKenzie"), (None, "tai chi")]
)
def test_an_agent_inside_a_sentence(name, words):
    names = {"tai_chi": name} if name else None
    assert dose_network._name("tai_chi", names) == words


@pytest.mark.parametrize(
    ("doses", "studied", "middle"),
    [
        ([0.0, 60.0, 90.0, 120.0], {}, 90.0),
        ([0.0, 60.0, 90.0, 120.0], {120.0: 2}, 120.0),
        ([0.0, 0.5, 0.5, 3.0], {}, 0.5),
        ([60.0, 100.0], {}, 80.0),
        ([60.0, 100.0], {60.0: 2, 100.0: 2}, 60.0),
        ([0.0, 0.0, 0.0, 30.0, 60.0], {30.0: 2, 60.0: 2}, 30.0),
    ],
)
def test_the_middle_dose(doses, studied, middle):
    """Most types first, then nearest the median of the doses above zero, then the smaller."""
    own = result(
        data=SimpleNamespace(arms=pd.DataFrame({"dose": doses})),
        studied_at=lambda dose: ["type"] * studied.get(dose, 1),
    )
    assert dose_network.ByType(own, "").middle == middle


ASKED = [
    # asked for, what cannot be fitted, what is fitted in its place
    (("rcs", "exchangeable", {}), 0, ("rcs", "exchangeable", False)),
    (("rcs", "exchangeable", {}), 1, ("rcs", None, False)),
    (("rcs", "exchangeable", {}), 2, ("linear", "exchangeable", False)),
    (("rcs", "exchangeable", {}), 3, ("linear", None, False)),
    (("rcs", None, {}), 3, None),
    (("rcs", "step", {"any_exercise": True}), 2, ("linear", "step", True)),
    (("rcs", "step", {"any_exercise": True}), 3, ("constant", "exchangeable", False)),
    (("rcs", "step", {"any_exercise": True}), 4, ("linear", "exchangeable", False)),
    (("rcs", "step", {"any_exercise": True}), 5, ("linear", None, False)),
    (("rcs", None, {}), 2, ("linear", "exchangeable", False)),
    (("rcs", "step", {"any_exercise": True}), 9, None),
]


@pytest.mark.parametrize(("asked", "refused", "expected"), ASKED)
def test_the_nearest_model_that_the_trials_carry(asked, refused, expected, monkeypatch):
    tried = []

    def fit(part, *, curve, shared, any_exercise, **options):
        tried.append((curve, shared, any_exercise))
        if len(tried) <= refused:
            raise CannotEstimate(f"no {curve}")
        return SimpleNamespace(fitted=tried[-1])

    monkeypatch.setattr(dose_network, "connected_agents", lambda effects, **own: effects)
    monkeypatch.setattr(dose_network, "dose_network", fit)
    curve, shared, options = asked
    found = dose_network.curves_by_type(
        make_effects([{"yi": 0.0, "vi": 1.0}]), "x", lump={}, curve=curve, shared=shared, **options
    )
    assert (found.result and found.result.fitted) == expected
    assert found.note == ("No rcs." if refused else "")
    assert len(set(tried)) == len(tried)


@pytest.mark.parametrize(
    ("fields", "at", "words"),
    [
        ({"studied_at": lambda dose: []}, 20.0, "No type was studied at 20 minutes per week, so"),
        ({"between": 0.0}, 20.0, "The types vary no more than chance would have it, so that one"),
        ({"between": 9.0}, 20.0, "At 20 minutes per week, where 2 types"),
    ],
)
def test_which_answer_is_given(steps, fields, at, words, monkeypatch):
    monkeypatch.setattr(dose_network, "_spread", lambda result, at: result.between)
    row = pd.DataFrame({"estimate": [-9.0], "ci_low": [-12.0], "ci_high": [-6.0]})
    plain = {"predict": lambda agent, doses: row, "rank_at": lambda dose: equal([(-3.0, -1.0)])}
    own = result(**plain | {"between": 9.0} | fields | of_dose(0.3, df=2.0))
    text = dose_network.by_type(dose_network.ByType(own, ""), at)
    assert words in text and "Simplified" not in text
    assert text.index("Among those who exercise") > text.index(words)
    simplified = dose_network.by_type(dose_network.ByType(own, "No rcs."), at)
    assert simplified.endswith("Simplified, because the model asked for does not fit: No rcs.")
    assert dose_network.by_type(dose_network.ByType(None, "why")).endswith("exercise: why")


LUMPED = [
    (0.0499, "MD", "no type"),
    (0.05, "MD", "yoga"),
    (0.005, "SMD", "yoga"),
    (0.0049, "SMD", "no type"),
]


@pytest.mark.parametrize(("spread", "measure", "best"), LUMPED)
def test_no_type_is_first_where_they_do_not_differ(spread, measure, best, monkeypatch):
    own = result(rank_at=lambda dose: equal([(-3.0, -1.0)]), measure=measure, tau=1.0)
    monkeypatch.setattr(dose_network, "_spread", lambda result, at: spread)
    monkeypatch.setattr(
        dose_network, "curves_by_type", lambda *given, **options: dose_network.ByType(own, "")
    )
    found = dose_network.by_lumping(None, "minutes_per_week", 60.0, names=("types",))
    row = found.iloc[0]
    assert (row["best"], row["studied"], row["agents"], row["estimate"]) == (best, 2, 3, -9.04)
