"""Permutation tests of pooled effects and meta-regressions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import factorial, prod

import numpy as np
import pandas as pd

from backpain_analysis.engine.heterogeneity import WeightedFit
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.models.pairwise.meta_regression import (
    INTERCEPT,
    MetaRegressionResult,
    residual_tau2,
)
from backpain_analysis.models.pairwise.pooling import PoolResult, scaled_covariance
from backpain_analysis.models.results import TableResult
from backpain_analysis.words import plural

SAME = 1e-9
"""Statistics that differ by less, over the observed one, count as equal."""


@dataclass(frozen=True, repr=False)
class PermutationTest(TableResult):
    """P values that take the order of the data, not a distribution, as the reference.

    Attributes
    ----------
    table : DataFrame
        A row a coefficient: `estimate, statistic, p_value`.
    omnibus_p : float
        Of all coefficients but the intercept together; of the intercept where it is alone.
    exact : bool
        Whether every arrangement was tried.
    n_arrangements : int
        How many were.
    """

    table: pd.DataFrame = field(repr=False)
    omnibus_p: float
    exact: bool
    n_arrangements: int

    def summary(self) -> pd.DataFrame:
        """A row a coefficient: `estimate, statistic, p_value`."""
        return self.table

    def _title(self) -> str:
        return f"Permutation test, {'all' if self.exact else 'random'} arrangements"

    def _note(self) -> str:
        return f"{self.n_arrangements} arrangements; together P = {self.omnibus_p:.3g}."


def permutation_test(
    fitted: PoolResult | MetaRegressionResult, *, arrangements: int = 1000, seed: int = 0
) -> PermutationTest:
    """Test a pooled effect or the moderators of a meta-regression by permutation.

    If no moderator mattered, any trial could as well have any other's row of moderators: these rows
    are dealt out anew, the model is fitted again, and P is the share of arrangements whose
    statistics are at least as far from zero as the observed (Higgins & Thompson 2004,
    doi 10.1002/sim.1752; Viechtbauer et al. 2015, doi 10.1037/met0000016). If the mean effect was
    zero, and effects symmetric, each could as well have the other sign (Follmann & Proschan 1999,
    doi 10.1111/j.0006-341X.1999.00732.x). All arrangements are tried where there are not too many,
    equal rows counted as one; else random ones, the observed among them (Phipson & Smyth 2010,
    doi 10.2202/1544-6115.1585).

    Parameters
    ----------
    fitted : PoolResult or MetaRegressionResult
        Its method and test are those of every refit.
    arrangements : int
        How many to try at most. The smallest P that can come out is one over their number.
    seed : int
        Of random arrangements.

    Returns
    -------
    PermutationTest

    Raises
    ------
    ValueError
        For correlated contrasts of trials with several arms, fewer than two arrangements, and
        models whose only column is no intercept.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> found = bp.permutation_test(bp.pool(yi, vi))
    >>> found.exact, found.omnibus_p
    (True, 0.0625)
    """
    require(fitted, "PoolResult", "MetaRegressionResult")
    if arrangements < 2:
        raise ValueError(f"arrangements = {arrangements}: give at least 2.")
    rng = np.random.default_rng(seed)
    if isinstance(fitted, PoolResult):
        y, v = fitted.columns["yi"], fitted.columns["vi"]
        if fitted.n_trials < len(y):
            raise ValueError("contrasts of one trial are correlated: keep one contrast a trial.")
        X, names = np.ones((len(y), 1)), ["estimate"]
    else:
        y, v = fitted.design.y, fitted.vi
        X, names = fitted.design.X, list(fitted.params.index)
    if len(y) <= X.shape[1]:
        raise CannotEstimate(f"{plural(len(y), 'trial')} cannot be arranged in another way")
    alone = X.shape[1] == 1
    if alone and np.ptp(X):
        raise ValueError("a model of one column needs the intercept: there is nothing to deal out.")
    tested = [i for i, name in enumerate(names) if name != INTERCEPT] or [0]

    def statistics(y: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Size of each coefficient's t statistic, then the joint Wald statistic."""
        (k, p), tau2 = X.shape, residual_tau2(y, v, X, fitted.method)[0]
        found = WeightedFit(y, v, X, tau2)
        cov = scaled_covariance(found.cov, found.rss, k - p, fitted.test, k - p)[0]
        beta = found.beta[tested]
        joint = beta @ np.linalg.solve(cov[np.ix_(tested, tested)], beta)
        return np.append(np.abs(found.beta) / np.sqrt(np.diag(cov)), joint)

    observed = statistics(y, X)
    n_all = 2 ** (len(y) - 1) if alone else _n_orders(X)
    exact = n_all <= arrangements
    if alone:
        signs = _all_signs(len(y)) if exact else _random_signs(len(y), arrangements - 1, rng)
        found = [statistics(sign * y, X) for sign in signs]
    else:
        rows, kinds = np.unique(X, axis=0, return_inverse=True)
        kinds = kinds.ravel()
        orders = _all_orders(kinds) if exact else _random_orders(kinds, arrangements - 1, rng)
        found = [statistics(y, rows[order]) for order in orders]
    beyond = (np.array(found) >= observed * (1 - SAME)).sum(axis=0)
    p = beyond / n_all if exact else (beyond + 1) / arrangements
    table = {"estimate": fitted.params, "statistic": fitted.tvalues, "p_value": p[:-1]}
    n = n_all if exact else arrangements
    return PermutationTest(pd.DataFrame(table, names), float(p[-1]), exact, n)


def _all_signs(k: int) -> Iterator[np.ndarray]:
    """All signs but their opposites, which give the same statistics."""
    for number in range(2 ** (k - 1)):
        yield np.where(number >> np.arange(k) & 1, -1.0, 1.0)


def _random_signs(k: int, n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    for _ in range(n):
        yield rng.choice([-1.0, 1.0], k)


def _n_orders(X: np.ndarray) -> int:
    """Number of different orders of the rows."""
    counts = np.unique(X, axis=0, return_counts=True)[1]
    return factorial(len(X)) // prod(factorial(count) for count in counts.tolist())


def _all_orders(kinds: np.ndarray) -> Iterator[np.ndarray]:
    """All different orders of a list with repeats, in the order of numbers (Knuth, 7.2.1.2 L)."""
    order = np.sort(kinds)
    while True:
        yield order
        rising = np.flatnonzero(order[:-1] < order[1:])
        if not len(rising):
            return
        j, order = rising[-1], order.copy()
        last = np.flatnonzero(order > order[j])[-1]
        order[j], order[last] = order[last], order[j]
        order[j + 1 :] = order[j + 1 :][::-1]


def _random_orders(kinds: np.ndarray, n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    for _ in range(n):
        yield rng.permutation(kinds)
