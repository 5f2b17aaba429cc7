"""Participants' scores reduced to the effect of a dose at every visit of every trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.people.clda import CldaResult, Structure, clda
from backpain_analysis.models.people.visits import as_visits, difference

Weeks = float | Mapping[str, float] | None


def effects_of_participants(
    data: Any,
    *,
    at: float | None = None,
    dose_curve: str | Curve = "linear",
    residual: Structure = "unstructured",
    programme_weeks: Weeks = None,
    **columns: Any,
) -> Effects:
    """The effect of a dose against none at every visit, a trial at a time, with its covariance.

    Stage one of a two-stage analysis (Burke, Ensor & Riley 2017, doi 10.1002/sim.7141): each
    trial's own constrained longitudinal model (see `participants.clda`), whose covariance over
    time is that of its participants, so that no correlation is assumed.

    Parameters
    ----------
    data : DataFrame or Participants
        See `participants.visits.as_visits`.
    at : float, optional
        The dose; by default the median of those above zero.
    dose_curve : str or Curve
        How the effect depends on the dose; one that is linear in its parameters.
    residual : {"unstructured", "random_slope"}
        Covariance of a participant's scores.
    programme_weeks : float or mapping, optional
        Length of the programme, or of each trial's; by default the last `end_week` of
        `Participants`, else unknown.
    **columns : str
        Names of the columns, as of `as_visits`.

    Returns
    -------
    Effects
        A row a trial and visit; see `effects.over_time.effects_over_time`. Trials that cannot
        estimate the effect are in `excluded`.

    Raises
    ------
    ValueError
        For unusable data, or where no trial can estimate the effect; says why.
    """
    visits = as_visits(data, **columns)
    doses = visits.loc[visits["dose"] > 0, "dose"]
    if doses.empty:
        raise CannotEstimate(
            "nobody has a dose above zero", "there is no effect to follow over time"
        )
    at = float(doses.median()) if at is None else float(at)
    lengths = _programmes(data, programme_weeks, visits)
    tables, matrices, left_out = [], [], []
    for trial, rows in visits.groupby("trial_id", sort=False):
        try:
            fitted = _fitted(rows, dose_curve, residual)
        except CannotEstimate as fault:
            left_out.append((trial, "", fault.reason))
            continue
        table, covariance = _effects(str(trial), rows, fitted, at)
        length = lengths.get(trial, np.nan)
        after = table["weeks"] - length
        tables.append(table.assign(programme_weeks=length, weeks_after_programme=after))
        matrices.append(covariance)
    if not tables:
        why = "; ".join(f"{trial}: {reason}" for trial, _, reason in left_out)
        raise CannotEstimate("no trial can estimate the effect over time", why)
    return Effects(
        table=pd.concat(tables, ignore_index=True),
        covariance=tuple(matrices),
        excluded=pd.DataFrame(left_out, columns=["trial_id", "arm_id", "reason"]),
        outcome=columns.get("outcome", "score"),
        measure="MD",
    )


def _fitted(rows: pd.DataFrame, dose_curve: str | Curve, residual: Structure) -> CldaResult:
    if rows["dose"].dropna().nunique() < 2:
        raise CannotEstimate("everybody has the same dose")
    return clda(rows, curve=dose_curve, residual=residual)


def _effects(
    trial: str, rows: pd.DataFrame, fitted: CldaResult, at: float
) -> tuple[pd.DataFrame, np.ndarray]:
    """Effects of dose `at` at all visits, and their covariance."""
    weights = np.kron(np.eye(len(fitted.weeks)), difference(fitted.curve, np.array([at])))
    covariance = weights @ fitted.cov.to_numpy() @ weights.T
    people = rows.drop_duplicates("participant_id")["dose"]
    table = pd.DataFrame(
        {
            "trial_id": trial,
            "arm_id": f"{at:g}",
            "ref_arm_id": "0",
            "label": trial,
            "weeks": fitted.weeks,
            "timepoint_weeks": fitted.weeks,
            "source": "participants",
            "yi": weights @ fitted.params.to_numpy(),
            "vi": np.diag(covariance),
            "n_arm": float((people > 0).sum()),
            "n_ref": float((people == 0).sum()),
        }
    )
    return table, covariance


def _programmes(data: Any, given: Weeks, visits: pd.DataFrame) -> Mapping[str, float]:
    """Length of each trial's programme, where known."""
    if given is None and hasattr(data, "interventions"):
        ends = data.interventions.groupby("trial_id")["end_week"].max()
        return ends.astype(float).to_dict()
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return given
    return dict.fromkeys(visits["trial_id"].unique(), float(given))
