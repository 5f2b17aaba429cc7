"""One-stage quadratic curves of six trials: no lower than a dense search of all variances."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import backpain_analysis as bp


def six_trials(seed):
    """Two or three doses a trial beside none; trials of 6 to 2,000 people, spreads of 2 to 40."""
    rng = np.random.default_rng(seed)
    rows = []
    for trial in range(6):
        doses = rng.choice(
            [30.0, 60, 90, 120, 180, 240, 300], int(rng.integers(2, 4)), replace=False
        )
        slope, bend = rng.normal(-0.15, 0.1), rng.normal(4e-4, 3e-4)
        sd, n = rng.uniform(2, 40), int(10 ** rng.uniform(0.5, 3))
        for dose in (0.0, *np.sort(doses)):
            mean = 50 + slope * dose + bend * dose**2 + rng.normal(0, sd / np.sqrt(n))
            rows.append((f"t{trial}", dose, mean, sd, max(n, 3)))
    return pd.DataFrame(rows, columns=["trial_id", "dose", "mean", "sd", "n"])


def likelihood(arms, reml):
    """The log-likelihood at the factor of Psi, of differences to the arm without exercise."""
    y, X, labels, V = [], [], [], []
    for trial, own in arms.groupby("trial_id"):
        error = (own["sd"] ** 2 / own["n"]).to_numpy()
        y += list(own["mean"].iloc[1:] - own["mean"].iloc[0])
        X += [(dose, dose**2) for dose in own["dose"].iloc[1:]]
        labels += [trial] * (len(own) - 1)
        V.append(np.diag(error[1:]) + error[0])
    y, X = np.array(y), np.array(X)
    whole = np.zeros((len(y), len(y)))
    start = 0
    for block in V:
        inside = slice(start, start + len(block))
        whole[inside, inside] = block
        start += len(block)
    same = np.array(labels)[:, None] == np.array(labels)
    Z = np.linalg.qr(X)[0] * np.sqrt(len(y))
    n, p = X.shape

    def at(theta):
        L = np.array([[theta[0], 0], [theta[1], theta[2]]])
        marginal = whole + same * (Z @ L @ L.T @ Z.T)
        lower = np.linalg.cholesky(marginal)
        turned = np.linalg.solve(lower, np.column_stack([X, y]))
        q, r = np.linalg.qr(turned[:, :p])
        e = turned[:, p] - q @ (q.T @ turned[:, p])
        llf = -np.log(np.diag(lower)).sum() - 0.5 * e @ e
        llf -= 0.5 * (n - p * reml) * np.log(2 * np.pi)
        if reml:
            llf += 0.5 * np.linalg.slogdet(X.T @ X)[1] - np.log(np.abs(np.diag(r))).sum()
        return llf

    return at


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("seed", [0, 16, 64, 117, 139])
def test_six_trials_beside_many_starts(seed, method):
    """All seeds but 0 have a lower hill, too, by REML or by ML."""
    arms = six_trials(seed)
    found = bp.dose_response(arms, curve="quadratic", method=method)
    at = likelihood(arms, method == "REML")
    rng = np.random.default_rng(seed)
    starts = rng.normal(size=(400, 3)) * 10 ** rng.uniform(-2, 2, (400, 1))
    starts *= rng.random(starts.shape) < 0.85
    heights = [at(start) for start in starts]
    ends = [
        -optimize.minimize(lambda theta: -at(theta), starts[place], method="L-BFGS-B").fun
        for place in np.argsort(heights)[::-10][:5]
    ]
    assert found.llf >= max(*ends, max(heights)) - 1e-6
    assert found.llf <= max(ends) + 1e-3
