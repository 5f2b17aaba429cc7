"""One effect a trial against metafor's aggregate and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import backpain_analysis as bp

NUMBERS = Path(__file__).parents[2] / "reference" / "reference3.json"


@pytest.fixture(scope="module")
def data(reference_table):
    return reference_table("multilevel")


def test_as_metafor(data):
    expected = json.loads(NUMBERS.read_text())["aggregate"]
    found = bp.aggregate(data, rho=0.6)
    assert list(found["trial_id"]) == expected["weighted"]["trial_id"]
    assert_allclose(found[["yi", "vi"]].T, [expected["weighted"][c] for c in ("yi", "vi")])
    V = bp.sampling_covariance("vi", "trial_id", rho=0.6, data=data)
    for given in (V, V.to_dense()):
        found = bp.aggregate(data, V=given, weighted=False)
        assert_allclose(found[["yi", "vi"]].T, [expected["plain"][c] for c in ("yi", "vi")])


def test_what_is_kept(data):
    site = data["trial_id"].str[1:].astype(int)
    known = data["outcome"].where(data.index > 3, None)
    mixed = data.assign(site=site, known=known, none=None).sample(frac=1, random_state=1)
    found = bp.aggregate(mixed, rho=0.6)
    assert list(found.columns) == ["trial_id", "yi", "vi", "n_effects", "site", "none"]
    assert list(found["trial_id"]) == list(mixed["trial_id"].unique())
    assert found["n_effects"].sum() == len(data)
    plain = bp.aggregate(data, rho=0.6).set_index("trial_id").loc[found["trial_id"]]
    assert_allclose(found[["yi", "vi"]], plain[["yi", "vi"]])
    assert list(found["trial_id"].str[1:].astype(int)) == list(found["site"])


def test_effects_bring_their_covariance():
    evidence = bp.load_evidence().filter(trial_id=["teut2016", "saper2013"])
    effects = evidence.effects("pain_intensity")
    found = bp.aggregate(effects).set_index("trial_id")
    V = dict(zip(effects.trials, effects.covariance, strict=True))["teut2016"]
    y = effects.table.loc[effects.table["trial_id"] == "teut2016", "yi"].to_numpy()
    w = np.linalg.inv(V).sum(axis=0)
    expected = [w @ y / w.sum(), 1 / w.sum(), 2]
    assert_allclose(found.loc["teut2016", ["yi", "vi", "n_effects"]].astype(float), expected)
    assert found.loc["saper2013", "n_effects"] == 1
    with pytest.raises(ValueError, match="Effects carry their covariance"):
        bp.aggregate(effects, rho=0.5)


TWO = {"trial_id": ["a", "a", "b"], "yi": [1.0, 2.0, 3.0], "vi": [1.0, 1.0, 1.0]}
FAULTS = [
    ({}, {}, "give rho or V"),
    ({}, {"rho": 0.5, "V": np.eye(3)}, "not both"),
    ({}, {"V": np.eye(2)}, r"V has shape \(2, 2\) for 3 rows"),
    ({}, {"V": np.eye(3) + 0.1}, "V correlates effects of different trials"),
    ({}, {"V": 2 * np.eye(3)}, "the diagonal of V differs"),
    ({}, {"V": [[1, 1, 0], [1, 1, 0], [0, 0, 1]]}, "of trial 'a' is not positive definite"),
    ({}, {"cluster": "site", "rho": 0.5}, "no column 'site'"),
    ({"trial_id": ["a", None, "b"]}, {"rho": 0.5}, "trial_id is missing in rows 1"),
    ({"vi": [1.0, 0.0, 1.0]}, {"rho": 0.5}, "row 1: yi = 2.0, vi = 0.0"),
    ({}, {"rho": 1.5}, "rho = 1.5"),
]


@pytest.mark.parametrize(("changed", "options", "message"), FAULTS)
def test_faults_are_named(changed, options, message):
    with pytest.raises(ValueError, match=message):
        bp.aggregate(pd.DataFrame(TWO | changed), **options)


def test_single_effects_stay_as_they_are():
    table = pd.DataFrame(TWO | {"trial_id": ["a", "b", "c"]})
    assert_allclose(bp.aggregate(table)[["yi", "vi"]], table[["yi", "vi"]])
