"""Permutation tests against metafor's permutest and by counting."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.models.pairwise.permutation import permutation_test

NUMBERS = Path(__file__).parents[2] / "reference" / "reference3.json"
TESTS = {"z": "z", "knha": "knapp-hartung"}


@pytest.fixture(scope="module")
def trials(reference, reference_table):
    md = reference["effect_sizes"]["MD"]
    return reference_table("pairwise").assign(yi=md["yi"], vi=md["vi"])


@pytest.mark.parametrize("key", ["rows 0-7 intercept REML", "rows 0-7 intercept DL knha"])
def test_signs_as_metafor(trials, reference2, key):
    expected, words = reference2["pooling"]["permutation"][key], key.split()
    rows, test = trials.iloc[:8], TESTS[(*words, "z")[4]]
    found = permutation_test(bp.pool(rows["yi"], rows["vi"], method=words[3], test=test))
    assert_allclose(found.table.loc["estimate", "statistic"], expected["stat"], rtol=1e-6)
    assert_allclose(found.table.loc["estimate", "p_value"], expected["p_exact"])
    assert_allclose(found.omnibus_p, expected["QMp_exact"])
    assert (found.exact, found.n_arrangements) == (True, 128)


@pytest.mark.parametrize("key", ["rows 0-5 weeks DL knha", "rows 0-7 type REML z"])
def test_orders_as_metafor(trials, key):
    expected = json.loads(NUMBERS.read_text())["permutation"][key]
    _, rows, moderator, method, test = key.split()
    some = trials.iloc[: int(rows[-1]) + 1]
    fitted = bp.meta_regression(f"yi ~ {moderator}", some, method=method, test=TESTS[test])
    found = permutation_test(fitted)
    assert_allclose(found.table["p_value"], expected["pval"], rtol=1e-12)
    assert_allclose(found.omnibus_p, expected["QMp"], rtol=1e-12)
    assert found.n_arrangements == {"weeks": 720, "type": 168}[moderator]


def test_statistics_of_regressions(trials, reference2):
    for key, method in (("rows 0-6 weeks REML", "REML"), ("rows 0-7 weeks DL", "DL")):
        rows = trials.iloc[: int(key.split()[1][-1]) + 1]
        fitted = bp.meta_regression("yi ~ weeks", rows, method=method, test="z")
        found = permutation_test(fitted, arrangements=100)
        expected = reference2["pooling"]["permutation"][key]
        assert_allclose(found.table["statistic"], expected["stat"], rtol=1e-6)
        chance = np.sqrt(np.multiply(expected["p_exact"], 1 - np.array(expected["p_exact"])) / 100)
        assert np.all(np.abs(found.table["p_value"] - expected["p_exact"]) < 4 * chance)
        assert not found.exact


def test_by_counting():
    """Equal variances: of all 2^4 signs of 1, 2, 3, 4 two have a mean as far from zero.

    Of the 4 places of the one trial with x = 1, two lie as far out as the first.
    """
    found = permutation_test(bp.pool([1.0, 2.0, 3.0, 4.0], [1.0] * 4, method="CE", test="z"))
    assert found.omnibus_p == 2 / 16
    table = {"yi": [0.0, 4.0, 5.0, 9.0], "vi": [1.0] * 4, "x": [1, 0, 0, 0]}
    found = permutation_test(bp.meta_regression("yi ~ x", table, method="CE", test="z"))
    assert (found.n_arrangements, found.omnibus_p) == (4, 0.5)
    assert found.table.loc["x", "p_value"] == 0.5
    assert "4 arrangements; together P = 0.5." in found._repr_html_()


def test_random_arrangements_can_be_repeated(trials):
    fitted = bp.pool(trials["yi"][:12], trials["vi"][:12], method="DL")
    first, again, other = (permutation_test(fitted, arrangements=100, seed=s) for s in (1, 1, 2))
    assert first.omnibus_p == again.omnibus_p
    assert first.omnibus_p == 0.01 == other.omnibus_p


def test_unusable_models(trials):
    with pytest.raises(ValueError, match="give at least 2"):
        permutation_test(bp.pool([1.0, 2.0], [1.0, 1.0]), arrangements=1)
    with pytest.raises(bp.CannotEstimate, match="1 trial cannot be arranged in another way"):
        permutation_test(bp.pool([1.0], [1.0]))
    with pytest.raises(ValueError, match="needs the intercept"):
        permutation_test(bp.meta_regression("yi ~ weeks - 1", trials))
    effects = (
        bp.load_evidence().filter(trial_id=["teut2016", "saper2013"]).effects("pain_intensity")
    )
    with pytest.raises(ValueError, match="contrasts of one trial are correlated"):
        permutation_test(bp.pool(effects))
