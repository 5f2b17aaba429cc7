"""Several dose-response curves fitted to the same trials, side by side and averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.display import html_table
from backpain_analysis.effects import Effects
from backpain_analysis.evidence.scales import LOWER_IS_BETTER
from backpain_analysis.models.curve_names import named
from backpain_analysis.models.curves import Curve
from backpain_analysis.models.dose_response import dose_response
from backpain_analysis.models.dose_result import DoseResponseResult, round_doses
from backpain_analysis.models.mixed import ConvergenceError
from backpain_analysis.models.results import quantile

DEFAULT_CURVES = ("linear", "quadratic", "log", "rcs")


@dataclass(frozen=True)
class CurveComparison:
    """What `compare_curves` found.

    Attributes
    ----------
    table : DataFrame
        A row a curve: `aic`, Akaike `weight`, mean effect at the median dose studied (`effect,
        ci_low, ci_high`), `mcid_dose` where an MCID was given, likelihood-ratio test against the
        straight line where that is nested (`lrt, lrt_df, lrt_p`), and `note`: why a curve could
        not be fitted.
    results : mapping of DoseResponseResult
        The fits, by maximum likelihood, by name.
    """

    table: pd.DataFrame
    results: Mapping[str, DoseResponseResult] = field(repr=False)

    def predict(self, doses: ArrayLike | None = None, reference: float = 0.0) -> pd.DataFrame:
        """Mean effect averaged over the curves by their Akaike weights.

        The standard error holds the uncertainty of the choice, `sum w sqrt(se^2 + (f - mean)^2)`
        (Buckland, Burnham & Augustin 1997, doi 10.2307/2533961).

        Returns
        -------
        DataFrame
            `dose, estimate, se, ci_low, ci_high`.
        """
        fits = list(self.results.values())
        largest = max(fit.max_dose for fit in fits)
        doses = round_doses(largest) if doses is None else np.atleast_1d(doses)
        weights = self.table["weight"].dropna().to_numpy()[:, None]
        parts = [fit.predict(doses, reference) for fit in fits]
        estimates = np.stack([part["estimate"] for part in parts])
        errors = np.stack([part["se"] for part in parts])
        mean = (weights * estimates).sum(axis=0)
        se = (weights * np.sqrt(errors**2 + (estimates - mean) ** 2)).sum(axis=0)
        half = quantile(fits[0].level, min(float(np.min(fit.df)) for fit in fits)) * se
        columns = {"dose": doses, "estimate": mean, "se": se}
        return pd.DataFrame({**columns, "ci_low": mean - half, "ci_high": mean + half})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        return self.table.to_dict(orient="index")

    def _repr_html_(self) -> str:
        return html_table(self.table, title="Curves fitted to the same trials")


def compare_curves(
    data: Effects | pd.DataFrame,
    curves: Sequence[str | Curve] = DEFAULT_CURVES,
    *,
    mcid: float | None = None,
    **options: Any,
) -> CurveComparison:
    """Fit each curve by maximum likelihood and compare.

    Akaike weights: Burnham & Anderson 2002, section 2.9. The likelihood-ratio test counts the
    variance parameters a richer curve adds; they may lie at zero, where it is conservative (Self
    & Liang 1987, doi 10.1080/01621459.1987.10478472).

    Parameters
    ----------
    data : Effects or DataFrame
        As of `dose_response`.
    curves : sequence of str or Curve
    mcid : float, optional
        Size of the minimal clinically important difference.
    **options
        As of `dose_response`, but for `method`.

    Returns
    -------
    CurveComparison

    Raises
    ------
    ValueError
        If none of the curves can be fitted.
    """
    results: dict[str, DoseResponseResult] = {}
    notes: dict[str, str] = {}
    for curve in map(named, curves):
        try:
            results[curve.name] = dose_response(data, curve=curve, method="ML", **options)
        except (ValueError, ConvergenceError) as fault:
            notes[curve.name] = str(fault)
    if not results:
        raise ValueError("no curve can be fitted: " + next(iter(notes.values()), "none was given."))
    order = [named(curve).name for curve in curves]
    rows = [
        _row(results[name], results.get("linear"), mcid)
        if name in results
        else {"note": notes[name]}
        for name in dict.fromkeys(order)
    ]
    table = pd.DataFrame(rows, index=pd.Index(dict.fromkeys(order), name="curve"))
    evidence = np.exp(-(table["aic"] - table["aic"].min()) / 2)
    table.insert(1, "weight", evidence / evidence.sum())
    if "note" not in table or not (table["note"].fillna("") != "").any():
        return CurveComparison(table.drop(columns="note", errors="ignore"), results)
    return CurveComparison(table.assign(note=table["note"].fillna("")), results)


def _row(
    result: DoseResponseResult, linear: DoseResponseResult | None, mcid: float | None
) -> dict[str, Any]:
    middle = float(result.points["dose"].median())
    at_middle = result.predict([middle]).iloc[0]
    row = {"aic": result.aic, "effect": at_middle["estimate"]}
    row |= {"ci_low": at_middle["ci_low"], "ci_high": at_middle["ci_high"]}
    if mcid is not None:
        benefit = -1 if result.outcome in {*LOWER_IS_BETTER, "outcome"} else 1
        row["mcid_dose"] = result.dose_for(benefit * abs(mcid)).estimate
    nested = linear is not None and result is not linear and result.curve.terms[0] == "dose"
    if nested and not result.curve.shape_terms:
        ratio = max(0.0, 2 * (result.llf - linear.llf))
        df = result.engine.n_parameters - linear.engine.n_parameters
        row |= {"lrt": ratio, "lrt_df": df, "lrt_p": float(special.chdtrc(df, ratio))}
    return row
