"""Several dose-response curves fitted to the same trials, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from backpain_analysis.effects import Effects
from backpain_analysis.evidence.scales import LOWER_IS_BETTER
from backpain_analysis.models.curve_names import named
from backpain_analysis.models.curves import Curve
from backpain_analysis.models.dose_response import dose_response
from backpain_analysis.models.mixed import ConvergenceError


def compare_curves(
    data: Effects,
    curves: Sequence[str | Curve] = ("linear", "quadratic", "log", "rcs"),
    *,
    dose: str = "minutes_per_week",
    mcid: float | None = None,
) -> pd.DataFrame:
    """Fit each curve by maximum likelihood and compare.

    Parameters
    ----------
    data : Effects
    curves : sequence of str or Curve
    dose : str
    mcid : float, optional
        Adds the dose that first reaches it.

    Returns
    -------
    DataFrame
        A row a curve: `aic`, Akaike `weight` (Burnham & Anderson 2002, section 2.9), mean effect
        at the median dose studied (`effect, ci_low, ci_high`), `mcid_dose` where one is asked
        for, and `note`: why a curve could not be fitted.
    """
    effects = data.with_dose(dose)
    middle = float(effects.table["dose"].median()) if len(effects) else np.nan
    sign = -1 if data.outcome in LOWER_IS_BETTER else 1
    rows = []
    for curve in map(named, curves):
        row = {"curve": curve.name, "note": ""}
        row |= dict.fromkeys(("aic", "effect", "ci_low", "ci_high"), np.nan)
        row |= {} if mcid is None else {"mcid_dose": np.nan}
        try:
            result = dose_response(data, curve=curve, dose=dose, method="ML")
        except (ValueError, ConvergenceError) as fault:
            rows.append({**row, "note": str(fault)})
            continue
        at_middle = result.predict([middle]).iloc[0]
        row |= {"aic": result.aic, "effect": at_middle["estimate"]}
        row |= {"ci_low": at_middle["ci_low"], "ci_high": at_middle["ci_high"]}
        if mcid is not None:
            row["mcid_dose"] = result.dose_for(sign * mcid).estimate
        rows.append(row)
    table = pd.DataFrame(rows).set_index("curve")
    evidence = np.exp(-(table["aic"] - table["aic"].min()) / 2)
    table.insert(2, "weight", evidence / evidence.sum())
    table = table[[*table.columns.drop("note"), "note"]]
    return table if (table["note"] != "").any() else table.drop(columns="note")
