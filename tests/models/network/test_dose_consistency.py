"""Curves against the network of separate doses, by matrices written out in full."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.models.network.dose_network import dose_network
from tests.models.network.dose_tables import dense, reml_or_ml


@pytest.fixture(scope="module")
def table(reference_table):
    return reference_table("dose_network")


@pytest.mark.parametrize("curve", ["linear", "quadratic"])
def test_consistency_is_a_wald_test_in_the_split_network(table, curve):
    """With C the split network's covariance: b'R'(RCR')^-1 Rb, R what is orthogonal to curves."""
    result = dose_network(table, curve=curve)
    found = result.consistency()
    network, nodes = result.data.network, result.data.nodes
    keep = np.flatnonzero(nodes["dose"] > 0)
    N = network.incidence()[:, keep]
    fitted = reml_or_ml(network, N, reml=True)
    assert_allclose(found.tau2_split, fitted.tau2, rtol=1e-4)
    V, T = dense(network)
    W = np.linalg.inv(V + found.tau2_split * T)
    C = np.linalg.inv(N.T @ W @ N)
    b = C @ N.T @ W @ network.y
    B = np.zeros((len(keep), len(result.params)))
    for place, (agent, dose) in enumerate(nodes.iloc[keep].itertuples(index=False)):
        B[place] = result.rows(agent, [dose])[0]
    R = np.linalg.svd(B / np.abs(B).max(axis=0))[0][:, B.shape[1] :].T
    wald = (R @ b) @ np.linalg.solve(R @ C @ R.T, R @ b)
    assert found.df == len(keep) - B.shape[1]
    assert_allclose(found.wald, wald, rtol=1e-6)
    assert_allclose(found.p_value, stats.chi2.sf(wald, found.df), rtol=1e-5)
    split, curves = (reml_or_ml(network, X, reml=False).best for X in (N, N @ B))
    assert_allclose(found.likelihood_ratio, 2 * (split - curves), rtol=1e-5)
    rows = found.table.set_index(["agent", "dose"])
    order = [tuple(node) for node in nodes.iloc[keep].itertuples(index=False)]
    assert_allclose(rows.loc[order, "split"], b, rtol=1e-7)
    assert_allclose(rows.loc[order, "split_se"], np.sqrt(np.diag(C)), rtol=1e-7)
    held = B @ np.linalg.inv(B.T @ np.linalg.inv(C) @ B) @ B.T
    assert_allclose(rows.loc[order, "difference"], b - held @ np.linalg.solve(C, b), atol=1e-6)
    gap = np.sqrt(np.diag(C) - np.diag(held))
    assert_allclose(rows.loc[order, "difference_se"], gap, rtol=1e-5)


def test_nodes_without_a_path_to_the_reference_have_no_split_estimate():
    rows = [("t1", "usual_care", 0), ("t1", "a", 50), ("t2", "usual_care", 0), ("t2", "a", 100)]
    rows += [("t3", "a", 150), ("t3", "b", 80)]
    arms = pd.DataFrame(rows, columns=["trial_id", "agent", "dose"])
    arms = arms.assign(mean=50 - 0.1 * arms["dose"], sd=20.0, n=50)
    found = dose_network(arms, method="CE").consistency()
    table = found.table.set_index(["agent", "dose"])
    assert table.loc[[("a", 150), ("b", 80)], "split"].isna().all()
    assert_allclose(table.loc[("a", 50), "split"], -5)
    assert (found.df, round(found.wald, 9)) == (1, 0)


def test_shapes_count_as_parameters(table):
    assert dose_network(table, curve="quadratic", shared="common").consistency().df == 26 - 5
    assert dose_network(table, curve="emax", shared="common").consistency().df == 26 - 5
    assert dose_network(table, curve="linear", shared="exchangeable").consistency().df == 26 - 4


def test_node_splitting_by_dense_matrices(table):
    """A constant set free in the trials that have both: least squares at the tau2 of its REML."""
    result = dose_network(table, curve="linear")
    network, nodes = result.data.network, result.data.nodes
    names, doses = nodes["agent"].to_numpy(), nodes["dose"].to_numpy()
    lines = np.where(names[:, None] == np.array(result.agents), doses[:, None], 0.0)
    X = lines[network.treatment] - lines[network.versus]
    members = result.data.arms.groupby("trial_id")["agent"].agg(set)
    V, T = dense(network)
    split = result.node_split().table
    assert len(split) > 4
    for row in split.iloc[:: len(split) - 1].itertuples():
        both = np.array([{row.agent, row.versus} <= members[trial] for trial in network.trial])
        own = (names == row.agent).astype(float)
        free = (own[network.treatment] - own[network.versus]) * both
        design = np.column_stack([X, free])
        W = np.linalg.inv(V + reml_or_ml(network, design, reml=True).tau2 * T)
        C = np.linalg.inv(design.T @ W @ design)
        found = [row.difference, row.se]
        known = [(C @ design.T @ W @ network.y)[-1], np.sqrt(C[-1, -1])]
        assert_allclose(found, known, rtol=1e-4)
        assert row.p_value == pytest.approx(2 * stats.norm.sf(abs(known[0] / known[1])), rel=1e-3)
        assert row.trials == len(set(network.trial[both]))
