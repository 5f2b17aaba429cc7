"""Closed-test choice between no effect, a line, and fractional polynomials of degree 1 and 2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from backpain_analysis.display import html_table
from backpain_analysis.effects import Effects
from backpain_analysis.models.dose_response import dose_response
from backpain_analysis.models.dose_result import DoseResponseResult
from backpain_analysis.models.fractional_polynomials import FractionalPolynomial


@dataclass(frozen=True)
class FPSelection:
    """What the closed test chose.

    Attributes
    ----------
    chosen : {"none", "linear", "fp1", "fp2"}
    result : DoseResponseResult or None
        The chosen fit, by maximum likelihood; None for "none".
    table : DataFrame
        A row a test of the second-degree polynomial against a simpler model: `against, deviance`
        (difference), `df, p_value`.
    """

    chosen: str
    result: DoseResponseResult | None = field(repr=False)
    table: pd.DataFrame = field(repr=False)

    def _repr_html_(self) -> str:
        return html_table(self.table, title=f"Closed test: {self.chosen}")


def select_fractional_polynomial(
    data: Effects | pd.DataFrame, *, alpha: float = 0.05, **options: Any
) -> FPSelection:
    """Choose a fractional polynomial by the closed test procedure.

    The best polynomial of degree 2 is tested against no effect, then against a straight line,
    then against the best of degree 1; the first model it does not clearly beat is chosen, and so
    the family-wise error is `alpha`. A power counts as a parameter. Source: Ambler & Royston 2001
    (doi 10.1080/00949650108812083); Royston & Sauerbrei 2008, section 4.10.

    Parameters
    ----------
    data : Effects or DataFrame
        As of `dose_response`.
    alpha : float
    **options
        As of `dose_response`, but for `curve` and `method`.

    Returns
    -------
    FPSelection
    """
    curves = {
        "linear": FractionalPolynomial(powers=(1.0,)),
        "fp1": FractionalPolynomial(degree=1),
        "fp2": FractionalPolynomial(degree=2),
    }
    fits = {
        name: dose_response(data, curve=curve, method="ML", **options)
        for name, curve in curves.items()
    }
    llf = {"none": _no_effect(fits["fp2"].effects), **{n: fit.llf for n, fit in fits.items()}}
    sizes = {"none": 0, **{name: _parameters(fit) for name, fit in fits.items()}}
    rows, chosen = [], "fp2"
    for simpler in ("none", "linear", "fp1"):
        deviance = max(0.0, 2 * (llf["fp2"] - llf[simpler]))
        df = sizes["fp2"] - sizes[simpler]
        p = float(special.chdtrc(df, deviance))
        rows.append({"against": simpler, "deviance": deviance, "df": df, "p_value": p})
        if p >= alpha:
            chosen = simpler
            break
    return FPSelection(chosen, fits.get(chosen), pd.DataFrame(rows))


def _parameters(fit: DoseResponseResult) -> int:
    return fit.engine.n_parameters + fit.curve.n_estimated


def _no_effect(effects: Effects) -> float:
    """Log-likelihood of contrasts that are all zero but for sampling error."""
    rows = effects.table.groupby("trial_id", sort=False).indices
    yi, llf = effects.table["yi"].to_numpy(dtype=float), 0.0
    for trial, V in zip(effects.trials, effects.covariance, strict=True):
        y = yi[rows[trial]]
        llf -= 0.5 * (y @ np.linalg.solve(V, y) + np.linalg.slogdet(2 * np.pi * V)[1])
    return float(llf)
