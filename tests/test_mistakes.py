"""What people type by mistake is answered with what would be right; objects show at first sight."""

from __future__ import annotations

import inspect
import re

import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis import answers
from backpain_analysis.errors import MADE, require

LAST_CLAIM = pd.read_csv(bp.datasets.data_dir() / "claims.csv")["claim_id"].max()
CHOOSE = "this is the evidence of every outcome: choose one first"


@pytest.fixture(scope="module")
def names():
    evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    effects = evidence.effects("pain_intensity")
    return {
        "bp": bp,
        "evidence": evidence,
        "effects": effects,
        "table": effects.table,
        "every_arm": evidence.effects("pain_intensity", head_to_head=True),
        "course": bp.effects_over_time(evidence, "pain_intensity"),
        "people": bp.load_participants(),
    }


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ('evidence.effects("pain")', "Did you mean 'pain_intensity'?"),
        ('evidence.filter(exercise_type="joga")', "Did you mean 'yoga'?"),
        ('evidence.filter(outcome="pain")', "pain_intensity"),
        ("evidence.filter(year=1900)", "give the first and the last, as (2000, 2020)"),
        ("evidence.filter(year=(2020, 2000))", "the first year must not be later"),
        ("bp.pool(evidence)", CHOOSE),
        ("bp.leave_one_out(evidence)", CHOOSE),
        ('bp.dose_response(evidence, dose="sessions_per_week")', CHOOSE),
        ("bp.network(evidence)", CHOOSE),
        ('bp.dose_network(evidence, dose="sessions_per_week")', CHOOSE),
        ('bp.meta_regression("yi ~ year", evidence)', CHOOSE),
        ('bp.multilevel("yi ~ 1", evidence, V="vi", random=["1 | trial_id"])', CHOOSE),
        ("bp.time_course(evidence)", CHOOSE),
        ("bp.time_course(effects)", "make them with effects_over_time"),
        ("bp.pool([1, 2])", "give the sampling variances vi"),
        ("bp.pool([1, 2], [1])", "2 effect sizes but 1 variances"),
        ("bp.pool([1, 2], [1, -1])", "study 2"),
        ("bp.pool(effects, level=95)", "0.95"),
        ('bp.pool(effects, method="MH")', "use one of CE"),
        ("bp.dose_response(effects)", "say which dose: one of sessions_per_week"),
        ('bp.dose_response(effects, dose="sessions")', "use one of sessions_per_week"),
        (
            'bp.dose_response(effects, dose="sessions_per_week", curve="cubic")',
            "use one of linear, quadratic",
        ),
        ('bp.meta_regression("yi ~ age", table)', "no column 'age'"),
        ('bp.network(effects, reference="none")', "use one of aerobic_running"),
        ('bp.effect_size("smd")', "Did you mean 'SMD'?"),
        ('bp.effect_size("MD", m1=[1], sd1=[1])', "MD needs column 'n1'"),
        ('bp.lumping("type")', "use one of types"),
        ('bp.mcid("pain")', "pain"),
        ('bp.load_reference("mcids")', "Did you mean 'mcid'?"),
        ('bp.claims(ids=["C99"])', f"they run from C01 to {LAST_CLAIM}."),
        ("bp.longitudinal(effects)", "no table of visits"),
        *(
            (f"bp.{call}, instrument='VAS')", "columns are named by outcome (of Participants")
            for call in (
                "responders(people, week=12, mcid=15",
                "ancova(people, week=12",
                "clda(people",
                "gee(people",
                "impute(people",
            )
        ),
        ("bp.simulate_trials(8)", "is no bp.TrialTruth"),
        ("bp.simulate_participants(8)", "is no bp.Truth"),
    ],
)
def test_a_mistake_is_answered(names, typed, answer):
    with pytest.raises(ValueError, match=re.escape(answer)):
        eval(typed, dict(names))


STUDIES = "yi=[1.0, 2.0, 4.0], vi=[1.0, 1.0, 2.0]"
EVENTS = "events1=[3, 4], n1=[10, 12], events2=[5, 6], n2=[11, 12]"
WITH_LEVEL = {
    **dict.fromkeys(
        "pool cumulative influence leave_one_out egger_test pet_peese trim_and_fill "
        "selection_model".split(),
        STUDIES,
    ),
    **dict.fromkeys("mantel_haenszel peto".split(), EVENTS),
    **dict.fromkeys("clda gee longitudinal".split(), "people"),
    **dict.fromkeys("ancova tipping_point".split(), "people, week=12"),
    **dict.fromkeys("dose_response dose_answer".split(), "effects, dose='sessions_per_week'"),
    **dict.fromkeys("time_course network_course".split(), "course"),
    "dose_network": "every_arm, dose='sessions_per_week'",
    "network": "every_arm",
    "network_classes": "every_arm, {}",
    "network_regression": "every_arm, 'year'",
    "bivariate": "effects, effects",
    "conv_wald": "[1.0], ci_low=[0.0], ci_high=[2.0]",
    "dose_by_moderator": "people, 'age', week=12",
    "meta_regression": "'yi ~ 1', effects.table",
    "multilevel": "'yi ~ 1', effects.table, V='vi', random=['1 | trial_id']",
    "power_of_design": "[20]",
    "responders": "people, week=12, mcid=15",
    "responders_from_means": "evidence, 'pain_intensity', mcid=15",
}
"""What each public function with a `level` takes beside it."""


def test_every_function_with_a_level_is_known_here():
    functions = {name: getattr(bp, name) for name in dir(bp)}
    having = {
        name
        for name, function in functions.items()
        if inspect.isfunction(function) and "level" in inspect.signature(function).parameters
    }
    assert having == set(WITH_LEVEL)


@pytest.mark.parametrize("name", WITH_LEVEL)
def test_a_level_in_per_cent_is_answered_with_the_share(name, names):
    with pytest.raises(ValueError, match=r"level.*0\.95"):
        eval(f"bp.{name}({WITH_LEVEL[name]}, level=95)", dict(names))


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (f"{name}({WITH_LEVEL[name]}, test='F')", "unknown test 'F'")
        for name in "ancova clda dose_by_moderator dose_response longitudinal multilevel pool "
        "time_course".split()
    ]
    + [
        (f"{name}({WITH_LEVEL[name]}, method='XX')", "unknown method 'XX'")
        for name in "dose_network longitudinal network network_classes network_regression "
        "pool".split()
    ],
)
def test_a_word_that_a_model_does_not_know_is_answered_with_those_it_does(call, word, names):
    with pytest.raises(ValueError, match=f"{word}: use one of "):
        eval(f"bp.{call}", dict(names))


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("evidence", r"<Evidence backpain-trials [\d.]+: \d+ trials, .*>"),
        (
            "effects",
            r"<Effects: pain_intensity, MD, \d+ contrasts of \d+ trials, [\d,]+ part.*>",
        ),
        ("bp.pool(effects)", r"<PoolResult: -\S+ \(95% CI -\S+ to -\S+\), \d+ trials>"),
        (
            'bp.dose_response(effects, dose="sessions_per_week")',
            r"<DoseResponseResult: -\S+ \(95% CI -\S+ to -\S+\), \d+ trials>",
        ),
        ("bp.network(effects)", r"<NetworkResult: \d+ coefficients, \d+ trials>"),
        ("bp.egger_test(effects.one_per_trial())", r"<EggerTest: Egger's test \(mixed, sei\)>"),
        (
            'bp.compare_curves(effects, ["linear", "log"], dose="sessions_per_week")',
            r"<CurveComparison: linear, log>",
        ),
        ('bp.claims(ids=["C10"])', r"<Claims: 1 claim>"),
    ],
)
def test_a_result_is_one_line(names, typed, shown):
    assert re.fullmatch(shown, repr(eval(typed, dict(names))))


def test_a_plot_shows_itself_where_it_ends_a_cell(names):
    picture, size = bp.pool(names["effects"]).plot()._repr_png_()
    assert picture.startswith(b"\x89PNG")
    assert size["width"] > 300


ROOMS = {
    "bp": bp,
    "bp.figures": bp.figures,
    "bp.sentences": bp.sentences,
    "bp.datasets": bp.datasets,
    "bp.priors": bp.priors,
}
PLAIN = re.compile(
    r"\b(str|int|float|bool|None|ArrayLike|Path|ndarray|Sequence|Literal|np|Iterable)\b"
)
OTHERS = {
    "a table": pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
    "a number": 3,
    "words": "pain_intensity",
    "None": None,
}
BESIDE = {
    "alt": "'a figure'",
    "asked": "evidence",
    "at": "3.0",
    "classes": "{}",
    "covariate": "'year'",
    "dose": "'sessions_per_week'",
    "dose_name": "'sessions_per_week'",
    "effect": "-10.0",
    "effects": "effects",
    "evidence": "evidence",
    "instruments": "{}",
    "labels": "{}",
    "lump": "{}",
    "measure": "'MD'",
    "model": "bp.ancova",
    "moderator": "'age'",
    "outcome": "'pain_intensity'",
    "second": "effects",
    "trials": "()",
    "week": "12",
}
"""What functions take beside their first argument, by its name."""


def taking_objects():
    """Calls of the public functions whose first argument is no plain value, each with others."""
    for room, module in ROOMS.items():
        for name in getattr(module, "__all__", None) or vars(module):
            function = getattr(module, name)
            if not inspect.isfunction(function) or name.startswith("_"):
                continue
            parameters = list(inspect.signature(function).parameters.values())
            if not parameters or not PLAIN.sub("", parameters[0].annotation).strip(" '|[],."):
                continue
            beside = [
                f"{other.name}={BESIDE[other.name]}"
                for other in parameters[1:]
                if other.default is other.empty and other.kind is not other.VAR_KEYWORD
            ]
            for what, given in OTHERS.items():
                taken = given is None and parameters[0].default is None
                if not taken and (name, what) != ("table", "a table"):
                    call = f"{room}.{name}({', '.join(['given', *beside])})"
                    yield pytest.param(call, given, id=f"{room}.{name} of {what}")


NAMES_WHAT_IS_NEEDED = (
    r"this is (an? \w+|None): give \w|give a DataFrame|no column '|column is missing"
    r"|give the sampling variances vi, or Effects|say what a response is|is no bp\.\w*Truth"
)


@pytest.mark.parametrize(("call", "given"), list(taking_objects()))
def test_what_is_no_such_object_is_answered_with_what_is_needed(call, given, names):
    with pytest.raises(ValueError, match=NAMES_WHAT_IS_NEEDED):
        eval(call, names | {"given": given})


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("bp.pool_by(evidence)", "an Evidence: give Effects, such as evidence.effects("),
        ("bp.pool_by(table)", "a DataFrame: give Effects, such as evidence.effects("),
        ("bp.harms(effects)", "an Effects: give Evidence, such as bp.load_evidence()."),
        ("bp.robustness(effects)", "an Effects: give PoolResult, such as bp.pool(effects)."),
        ("bp.bivariate(effects, None)", "this is None: give Effects, such as"),
        ("bp.trial_flow(evidence, effects, effects)", "an Effects: give Evidence, such as"),
        (
            "bp.permutation_test(effects)",
            "give PoolResult, such as bp.pool(effects), or MetaRegressionResult, such as "
            "bp.meta_regression('yi ~ year', effects.one_per_trial()).",
        ),
    ],
)
def test_what_was_given_and_how_to_get_what_is_needed(call, answer, names):
    with pytest.raises(ValueError, match=re.escape(answer)):
        eval(call, dict(names))


@pytest.mark.parametrize("kind", sorted(MADE.keys() - {"dict"}))
def test_what_is_made_as_told_is_of_its_kind(kind, names):
    every_arm, dose = names["every_arm"], "sessions_per_week"
    networks = dict.fromkeys(["NetHeat", "NetworkResult", "NodeSplit"], every_arm)
    if kind in ("DoseNetworkResult", "EqualDose"):
        types = bp.lumping("types")
        networks[kind] = bp.connected_agents(every_arm, dose=dose, reference="inactive", lump=types)
    effects = networks.get(kind, names["effects"])
    require(eval(MADE[kind], names | {"effects": effects, "answers": answers}), kind)
