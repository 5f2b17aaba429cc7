"""Risk differences between groups of dose, within trials."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

from backpain_analysis.models.mixed import ConvergenceError
from backpain_analysis.models.participants.regression import scaled


def mantel_haenszel(rows: pd.DataFrame) -> pd.DataFrame:
    """Differences of each group from the first, pooled over trials by Mantel and Haenszel.

    With a of n1 responders in the group and c of n0 in the first, N = n1 + n0, in each trial:
    `RD = sum[w (a/n1 - c/n0)] / sum w`, `w = n1 n0/N`, and variance
    `sum[(a b n0^3 + c d n1^3)/(n1 n0 N^2)] / (sum w)^2`. Source: Greenland & Robins 1985
    (Biometrics 41:55-68) as in Deeks & Higgins 2010, Statistical algorithms in Review Manager 5.

    Parameters
    ----------
    rows : DataFrame
        `trial_id, group` (categorical), `responds`.

    Returns
    -------
    DataFrame
        `group, estimate, se`; trials without one of the two groups do not enter.

    Raises
    ------
    ValueError
        For a group that no trial has beside the first.
    """
    counts = rows.groupby(["trial_id", "group"], observed=False)["responds"].agg(["sum", "size"])
    yes, n = counts["sum"].unstack("group"), counts["size"].unstack("group")
    first, *others = rows["group"].cat.categories
    found = []
    for group in others:
        both = (n[group] > 0) & (n[first] > 0)
        if not both.any():
            raise ValueError(f"no trial has both groups {group} and {first}: regroup the doses.")
        a, n1, c, n0 = (
            part[both].to_numpy(dtype=float)
            for part in (yes[group], n[group], yes[first], n[first])
        )
        weight = n1 * n0 / (n1 + n0)
        estimate = np.sum(weight * (a / n1 - c / n0)) / weight.sum()
        part = a * (n1 - a) * n0**3 + c * (n0 - c) * n1**3
        variance = np.sum(part / (n1 * n0 * (n1 + n0) ** 2)) / weight.sum() ** 2
        found.append((str(group), float(estimate), float(np.sqrt(variance))))
    return pd.DataFrame(found, columns=["group", "estimate", "se"])


def standardised_differences(rows: pd.DataFrame, adjust: Sequence[str]) -> pd.DataFrame:
    """Differences of each group from the first, standardised over all participants.

    A logistic regression of responding on group, trial and covariates predicts everybody's risk
    as if all had been in one group, then in the other; the difference of the means is the risk
    difference, its standard error by the delta method from the sandwich covariance of the
    coefficients. Source: Kleinman & Norton 2009 (doi 10.1111/j.1475-6773.2008.00900.x).

    Parameters
    ----------
    rows : DataFrame
        `trial_id, group` (categorical), `responds` and the covariates.
    adjust : sequence of str

    Returns
    -------
    DataFrame
        `group, estimate, se`.

    Raises
    ------
    ConvergenceError
        Where a group, trial or covariate predicts the response perfectly.
    """
    groups = list(rows["group"].cat.categories)
    names = [*(["trial_id"] if rows["trial_id"].nunique() > 1 else []), *adjust]
    nuisance = scaled(rows.reset_index(drop=True), names)
    indicators = (rows["group"].to_numpy()[:, None] == np.array(groups[1:], dtype=object)) * 1.0
    model = _logistic(rows["responds"].to_numpy(dtype=float), np.hstack([indicators, nuisance]))
    means, slopes = [], []
    for place in range(len(groups)):
        as_if = np.zeros_like(indicators)
        if place:
            as_if[:, place - 1] = 1.0
        X = np.hstack([as_if, nuisance])
        risk = 1 / (1 + np.exp(-X @ model.params))
        means.append(risk.mean())
        slopes.append((X * (risk * (1 - risk))[:, None]).mean(axis=0))
    differences, gradient = np.array(means[1:]) - means[0], np.array(slopes[1:]) - slopes[0]
    se = np.sqrt(np.einsum("ij,jk,ik->i", gradient, model.cov_params(), gradient))
    return pd.DataFrame({"group": [str(g) for g in groups[1:]], "estimate": differences, "se": se})


def _logistic(y: np.ndarray, X: np.ndarray) -> Any:
    failed = ConvergenceError(
        "the logistic regression has no maximum: in some group or trial everybody or nobody "
        "responds, or a covariate repeats another. Adjust for less (adjust=()), or use fewer "
        "groups."
    )
    if np.linalg.matrix_rank(X) < X.shape[1]:
        raise failed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in (ConvergenceWarning, PerfectSeparationWarning):
            warnings.simplefilter("error", kind)
        try:
            model = sm.GLM(y, X, family=sm.families.Binomial()).fit(cov_type="HC0")
        except (ConvergenceWarning, PerfectSeparationWarning):
            raise failed from None
    if not model.converged or np.abs(model.params).max() > 20:
        raise failed
    return model
