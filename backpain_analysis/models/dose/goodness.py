"""How well a dose-response curve fits, and how much it rests on single trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.engine.likelihood import stack_covariance
from backpain_analysis.engine.resampling import resample

if TYPE_CHECKING:
    from backpain_analysis.models.dose.result import DoseResponseResult


def goodness_of_fit(result: DoseResponseResult) -> pd.Series:
    """Deviance test and coefficient of determination of the decorrelated contrasts.

    With `S = LL'` the known covariance, `y* = L^-1 y` and `X* = L^-1 X` are uncorrelated; the
    deviance is `|y* - X*b|^2`, chi-square on contrasts - coefficients degrees of freedom where
    the curve fits and trials do not differ, and `R2 = 1 - deviance / |y*|^2` (the model has no
    intercept). b is the common-effect estimate, whatever the method of the fit: at the mean
    coefficients of a random-effects fit the deviance is not the smallest, and R2 may be negative.
    A shape (Emax, Hill, a break) stays as fitted. Source: Discacciati, Crippa & Orsini 2017
    (doi 10.1002/jrsm.1194).

    Returns
    -------
    Series
        `deviance, df, p_value, r2, adjusted_r2`.
    """
    model = result.engine
    white_y, white_X = [], []
    for batch, S in zip(model.blocks.batches, _known(result), strict=True):
        lower = np.linalg.cholesky(S)
        white_y.append(np.linalg.solve(lower, model.y[batch][..., None]).ravel())
        white_X.append(np.linalg.solve(lower, model.X[batch]).reshape(-1, model.X.shape[1]))
    y, X = np.concatenate(white_y), np.vstack(white_X)
    scale = np.linalg.norm(X, axis=0)
    residual = y - X / scale @ np.linalg.lstsq(X / scale, y)[0]
    deviance, total = float(residual @ residual), float(y @ y)
    n, p = len(model.y), len(result.params)
    df = n - p
    r2 = 1 - deviance / total
    return pd.Series(
        {
            "deviance": deviance,
            "df": df,
            "p_value": float(special.chdtrc(df, deviance)) if df > 0 else np.nan,
            "r2": r2,
            "adjusted_r2": 1 - (1 - r2) * n / df if df > 0 else np.nan,
        }
    )


def _known(result: DoseResponseResult) -> list[np.ndarray]:
    """The sampling covariance of the engine's rows, stacked a batch."""
    model = result.engine
    if result.stages == 1:
        return stack_covariance(result.effects.covariance, model.blocks)
    stacks = []
    between = model.psi[0] if model.psi else None
    for batch, W in zip(model.blocks.batches, model.precision, strict=True):
        V = np.linalg.inv(W)
        if between is not None:
            Z = model.terms[0].design[batch]
            V = V - Z @ between @ Z.transpose(0, 2, 1)
        stacks.append(V)
    return stacks


def variance_partition(result: DoseResponseResult, doses: ArrayLike | None = None) -> pd.DataFrame:
    """Variance partition coefficients: the share of a contrast's variance between trials.

    `z Psi z' / (z Psi z' + v)` with z the basis of the dose minus that of the reference and v the
    sampling variance of the contrast. Source: Crippa et al. 2018 (doi 10.1186/s12874-018-0563-x).

    Parameters
    ----------
    result : DoseResponseResult
    doses : array_like, optional
        Doses against zero, with the median sampling variance; by default the contrasts
        themselves.

    Returns
    -------
    DataFrame
        `dose, between, within, vpc` (and `trial_id` for the contrasts).
    """
    table = result.points
    if doses is None:
        dose, reference = (table[name].to_numpy(float) for name in ("dose", "ref_dose"))
        z = result.curve.basis(dose) - result.curve.basis(reference)
        within = table["vi"].to_numpy(dtype=float)
        columns = {"trial_id": table["trial_id"].to_numpy(), "dose": table["dose"].to_numpy()}
    else:
        values = np.atleast_1d(np.asarray(doses, dtype=float))
        z = result.curve.basis(values) - result.curve.basis(np.zeros(1))
        within = np.full(len(values), float(table["vi"].median()))
        columns = {"dose": values}
    between = np.einsum("ij,jk,ik->i", z, result.psi.to_numpy(), z)
    if result.heterogeneity == "contrasts" and result.method != "CE":
        between = np.where((z == 0).all(axis=1), 0.0, result.tau2)
    return pd.DataFrame(
        {**columns, "between": between, "within": within, "vpc": between / (between + within)}
    )


def leave_one_out(result: DoseResponseResult, doses: ArrayLike | None = None) -> pd.DataFrame:
    """The mean effect without each trial.

    Parameters
    ----------
    result : DoseResponseResult
    doses : array_like, optional
        By default the median dose studied.

    Returns
    -------
    DataFrame
        `trial_id, dose, estimate, se, ci_low, ci_high`: a row a trial left out and dose; numbers
        are missing at doses that the others did not study.
    """
    trials = result.points["trial_id"].to_numpy()
    doses = float(result.points["dose"].median()) if doses is None else doses
    rows = []
    for trial in result.effects.trials:
        fitted = result.refit(result.effects.select(trials != trial, None))
        for dose in np.atleast_1d(np.asarray(doses, dtype=float)):
            estimate, se, half = (
                (np.nan,) * 3 if fitted.outside(dose) else fitted.effect_at(float(dose))
            )
            rows.append((trial, dose, estimate, se, estimate - half, estimate + half))
    return pd.DataFrame(rows, columns=["trial_id", "dose", "estimate", "se", "ci_low", "ci_high"])


def bootstrap(result: DoseResponseResult, replicates: int = 1000, *, seed: int = 1) -> pd.DataFrame:
    """Parametric bootstrap: coefficients of data drawn from the fitted model.

    Source: Davison & Hinkley 1997, section 7.4 (parametric resampling of a fitted model).

    Parameters
    ----------
    result : DoseResponseResult
        Of a curve without shape parameters.
    replicates, seed : int

    Returns
    -------
    DataFrame
        A row a replicate, a column a coefficient.

    Raises
    ------
    ValueError
        For a curve with shape parameters.
    """
    if result.curve.shape_terms:
        raise ValueError(f"the curve {result.curve.name} has shape parameters: not bootstrapped.")
    drawn = resample(result.engine, _known(result), replicates, seed)
    return pd.DataFrame(drawn, columns=result.params.index)
