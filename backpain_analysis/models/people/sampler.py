"""Draws of missing values from a multivariate normal distribution, by Gibbs sampling.

statsmodels takes a second to import, so that only an imputation imports this module.
"""

from __future__ import annotations

import numpy as np
from statsmodels.imputation.bayes_mi import BayesGaussMI


class Sampler(BayesGaussMI):
    """The sampler of statsmodels, flat prior for the means and Jeffreys' for the covariance.

    Who lacks which variables is worked out once. (statsmodels 0.15 does so every round, and tells
    patterns apart by a hash under which columns {1, 5} and {2, 3} collide.)
    """

    def __init__(self, data: np.ndarray, rng: np.random.Generator) -> None:
        size = data.shape[1]
        priors = {"mean_prior": 1e6 * np.eye(size), "cov_prior": np.zeros((size, size))}
        super().__init__(data.copy(), **priors, cov_prior_df=0, rng=rng)
        patterns, members = np.unique(self.mask, axis=0, return_inverse=True)
        self.patterns = [
            (
                np.flatnonzero(members.ravel() == number),
                np.argsort(lacking, kind="stable"),
                int(lacking.sum()),
            )
            for number, lacking in enumerate(patterns)
            if lacking.any()
        ]

    def update_data(self) -> None:
        """Draw the missing values given the observed ones, pattern by pattern."""
        for rows, seen_first, count in self.patterns:
            cov, mean = self.cov[seen_first][:, seen_first], self.mean[seen_first]
            own = self.data[rows][:, seen_first]
            between = cov[:-count, -count:]
            slopes = np.linalg.solve(cov[:-count, :-count], between)
            spread = np.linalg.cholesky(cov[-count:, -count:] - between.T @ slopes)
            expected = mean[-count:] + (own[:, :-count] - mean[:-count]) @ slopes
            noise = self.rng.normal(size=expected.shape)
            self.data[rows[:, None], seen_first[-count:]] = expected + noise @ spread.T
