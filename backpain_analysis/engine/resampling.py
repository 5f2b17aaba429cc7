"""Refitting a model to many data sets drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backpain_analysis.engine.likelihood import evaluate
from backpain_analysis.engine.mixed import MixedFit, batches_of, typical_sd
from backpain_analysis.engine.search import maximise
from backpain_analysis.engine.several_variances import Problem
from backpain_analysis.engine.terms import ScaledTerm, components_of

SMALLEST_START = 0.05


def resample(
    model: MixedFit, covariance: Sequence[np.ndarray], replicates: int, seed: int
) -> np.ndarray:
    """Fixed effects of data drawn from `N(Xb, V)` and fitted again.

    X, Z and the sampling covariance stay as they are, so they are prepared once; each search
    starts at the model's own variance parameters.

    Parameters
    ----------
    model : MixedFit
    covariance : sequence of ndarray
        Sampling covariance, stacked as `blocks.stack_covariance` does.
    replicates, seed : int

    Returns
    -------
    ndarray, shape (replicates, p)
    """
    rng = np.random.default_rng(seed)
    spread = typical_sd(covariance)
    orthonormal, triangle = np.linalg.qr(model.X)
    scaled = [ScaledTerm(term, model.n_rows) for term in model.terms]
    mean = model.X @ model.beta
    stacks = [stack / spread**2 for stack in covariance]
    prepared = batches_of(mean / spread, orthonormal, stacks, model.blocks, scaled)
    roots = [np.linalg.cholesky(np.linalg.inv(W)) / spread for W in model.precision]
    reml, back = model.method == "REML", spread * np.linalg.inv(triangle)
    start = np.where(np.abs(model.theta) < SMALLEST_START, SMALLEST_START, model.theta)
    drawn = np.empty((replicates, len(model.beta)))
    for row in range(replicates):
        batches = [
            replace(batch, y=batch.y + np.einsum("bnm,bm->bn", L, rng.standard_normal(L.shape[:2])))
            for batch, L in zip(prepared, roots, strict=True)
        ]
        theta = model.theta
        if scaled:
            theta = maximise(Problem(batches, scaled, reml).at, start, tolerance=1e-6).theta
        psi = components_of(scaled, theta)[0]
        drawn[row] = back @ evaluate(batches, psi, reml=reml).beta
    return drawn
