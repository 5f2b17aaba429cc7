"""Whole fits of metafor, number by number: pooling and meta-regression of every reference set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.effects.measures import effect_size, prepost_effect_size
from backpain_analysis.models.pairwise.meta_regression import meta_regression
from backpain_analysis.models.pairwise.pooling import PoolResult, pool

REFERENCE = Path(__file__).parents[2] / "reference"
FIRST = json.loads((REFERENCE / "reference.json").read_text())
SECOND = json.loads((REFERENCE / "reference2.json").read_text())
POOLED = SECOND["pooling"]["pool"]
TESTS = {"z": "z", "t": "t", "knha": "knapp-hartung", "adhoc": "adhoc"}
METHODS = {"EE": "CE"}

PLAIN = {"tau2": "tau2", "se_tau2": "tau2_se", "QE": "q", "QEp": "q_p", "I2": "i2", "H2": "h2"}
PLAIN |= {"ll": "llf", "pi_lb": "pi_low", "pi_ub": "pi_high", "R2": "r2", "df": "df"}


def agrees(result, expected, variance=1e-6):
    """Every number that both have; tau2 and what rests on it to `variance`."""
    interval = result.conf_int()
    found = {"b": result.params, "se": result.bse, "stat": result.tvalues, "p": result.pvalues}
    found |= {"ci_lb": interval["ci_low"], "ci_ub": interval["ci_high"], "vcov": result.cov}
    if isinstance(result, PoolResult):
        found |= {"QM": result.tvalues**2, "QMp": result.pvalues}
    else:
        found |= {"QM": result.omnibus["statistic"], "QMp": result.omnibus["p_value"]}
    found |= {theirs: getattr(result, ours) for theirs, ours in PLAIN.items() if theirs in expected}
    compared = 0
    for name, wanted in expected.items():
        if wanted is None or name not in found:
            continue
        flat = name in ("tau2", "se_tau2", "I2", "H2", "R2")
        near = variance if flat else 1e-5 if name in ("p", "QMp") else 2e-6
        ours = np.asarray(found[name], dtype=float)
        theirs = np.asarray(wanted, dtype=float).reshape(ours.shape)
        assert_allclose(ours, theirs, rtol=near, atol=1e-8 if flat else 1e-20, err_msg=name)
        compared += 1
    assert compared >= 14


@pytest.fixture(scope="module")
def trials(reference_table):
    table = reference_table("pairwise")
    md = FIRST["effect_sizes"]["MD"]
    return table.assign(yi=md["yi"], vi=md["vi"])


def given(key):
    method, test = key.split()
    return {"method": METHODS.get(method, method), "test": TESTS[test]}


@pytest.mark.parametrize("key", FIRST["pool"])
def test_first_set(trials, key):
    agrees(pool(trials["yi"], trials["vi"], **given(key)), FIRST["pool"][key])


@pytest.mark.parametrize("key", [key for key in POOLED if not key.startswith("GENQ")])
def test_second_set(trials, key):
    result, expected = pool(trials["yi"], trials["vi"], **given(key)), POOLED[key]
    agrees(result, expected)
    if "ci_q_profile" in expected:
        intervals = result.heterogeneity()
        for theirs, ours in {"tau2": "tau2", "tau": "tau", "I2": "i2", "H2": "h2"}.items():
            limits = intervals.loc[ours, ["ci_low", "ci_high"]]
            assert_allclose(limits, expected["ci_q_profile"][theirs], rtol=1e-4)


@pytest.mark.parametrize("test", ["z", "knha"])
def test_regression(trials, test):
    found = meta_regression("yi ~ weeks + frequency + type", trials, test=TESTS[test])
    agrees(found, FIRST["meta_regression"][test])
    found = meta_regression("yi ~ weeks + type", trials, test=TESTS[test])
    agrees(found, SECOND["pooling"]["influence_weeks_type"][test]["fit"])


@pytest.mark.parametrize(
    ("kind", "method"), [("q_profile", "REML"), ("ML_PL", "ML"), ("REML_PL", "REML")]
)
def test_intervals_of_residual_heterogeneity(trials, kind, method):
    fitted = meta_regression("yi ~ weeks + type", trials, method=method)
    found = fitted.heterogeneity("q-profile" if kind == "q_profile" else "profile-likelihood")
    expected = SECOND["pooling"]["meta_regression_ci"][kind]
    for theirs, ours in {"tau2": "tau2", "tau": "tau", "I2": "i2", "H2": "h2"}.items():
        assert_allclose(found.loc[ours, ["ci_low", "ci_high"]], expected[theirs], rtol=1e-4)


BINARY = SECOND["binary"]["pool"]


@pytest.fixture(scope="module")
def binary(reference_table):
    return reference_table("binary")


def counts(table, measure):
    size = "time" if measure.startswith("IR") else "n"
    return {name: table[name] for name in ("events1", f"{size}1", "events2", f"{size}2")}


@pytest.mark.parametrize("key", [key for key in BINARY if "weeks" not in key])
def test_events(binary, key):
    measure, test = key.split()[0], key.split()[-1]
    sizes = effect_size(measure, drop00="drop00" in key, **counts(binary, measure)).dropna()
    agrees(pool(sizes["yi"], sizes["vi"], test=TESTS[test]), BINARY[key], 1e-5)


def test_events_with_moderators(binary):
    table = binary.assign(**effect_size("RR", **counts(binary, "RR")))
    expected = BINARY["RR weeks+setting REML knha"]
    agrees(meta_regression("yi ~ weeks + setting", table), expected, 1e-5)


@pytest.mark.parametrize("test", ["z", "knha"])
def test_hazard_ratios(binary, test):
    sizes = effect_size("HR", hr=binary["hr"], ci_low=binary["hr_lb"], ci_high=binary["hr_ub"])
    found = pool(sizes["yi"], sizes["vi"], test=TESTS[test])
    agrees(found, SECOND["binary"]["hazard_ratio"][test], 1e-5)


CHANGES = [name for name in SECOND["prepost"] if "vtype" not in name]


@pytest.mark.parametrize("measure", CHANGES)
def test_changes(reference_table, measure):
    table = reference_table("prepost").drop(columns="trial_id")
    sizes = prepost_effect_size(measure, **{name: table[name] for name in table})
    for test in ("z", "knha"):
        found = pool(sizes["yi"], sizes["vi"], test=TESTS[test])
        agrees(found, SECOND["prepost"][measure][f"pool REML {test}"], 1e-5)
