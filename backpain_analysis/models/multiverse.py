"""The same question under every reasonable set of choices: a multiverse of analyses."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.effects import Effects, from_evidence
from backpain_analysis.effects.choice import INACTIVE
from backpain_analysis.evidence import Evidence
from backpain_analysis.evidence.scales import LOWER_IS_BETTER, as_benefit
from backpain_analysis.models.dose_response import dose_response
from backpain_analysis.models.mixed import ConvergenceError

CHOICES: dict[str, Mapping[str, Any]] = {
    "curve": {"line": "linear", "quadratic": "quadratic", "log": "log", "spline": "rcs"},
    "results": {"reported first": "best", "final values": "final", "changes": "change"},
    "correlation": {"0.3": 0.3, "0.5": 0.5, "0.7": 0.7},
    "reference": {
        "untreated or waiting": INACTIVE[:2],
        "+ usual care, advice": INACTIVE,
        "+ sham, passive": (*INACTIVE, "sham", "passive_modality"),
    },
    "trials": {"all but excluded": ("exclude",), "without cautions": ("exclude", "caution")},
}
"""Choice -> option as a reader knows it -> value."""


def multiverse(
    evidence: Evidence,
    outcome: str,
    *,
    dose: str,
    at: float,
    measure: str = "MD",
    timepoint: str | Sequence[float] = "post",
    mcid: float | None = None,
    choices: Mapping[str, Mapping[str, Any]] = CHOICES,
) -> pd.DataFrame:
    """Fit the dose-response curve under every combination of choices.

    Source: Steegen et al. 2016 (doi 10.1177/1745691616658637) for multiverse analysis.

    Parameters
    ----------
    evidence : Evidence
    outcome, dose, measure, timepoint
        As of `effects.from_evidence` and `dose_response`.
    at : float
        Dose whose effect is compared.
    mcid : float, optional
        Adds the dose that first reaches it.
    choices : mapping
        See `CHOICES`; names must be those.

    Returns
    -------
    DataFrame
        A row a combination: its choices, `n_trials, estimate, ci_low, ci_high, mcid_dose, note`
        (`note` says why a combination could not be fitted), sorted by estimate.
    """
    target = None if mcid is None else as_benefit(mcid, outcome in LOWER_IS_BETTER)
    prepared: dict[tuple, tuple[Effects, Hashable]] = {}
    found: dict[tuple, dict[str, Any]] = {}
    rows = []
    for names in product(*(choices[choice] for choice in choices)):
        chosen = dict(zip(choices, names, strict=True))
        value = {choice: choices[choice][name] for choice, name in chosen.items()}
        key = tuple(chosen[choice] for choice in chosen if choice != "curve")
        if key not in prepared:
            effects = from_evidence(
                evidence,
                outcome,
                measure=measure,
                timepoint=timepoint,
                analysis=value["results"],
                correlation=value["correlation"],
                inactive=value["reference"],
                flags=value["trials"],
            ).with_dose(dose)
            prepared[key] = effects, _numbers_in(effects)
        effects, numbers = prepared[key]
        fit = numbers, chosen["curve"]
        if fit not in found:
            found[fit] = _fitted(effects, value["curve"], dose, at, target)
        rows.append({**chosen, **found[fit]})
    return pd.DataFrame(rows).sort_values("estimate", kind="stable", ignore_index=True)


def _numbers_in(effects: Effects) -> Hashable:
    """All of the effects that a curve depends on: many choices come to the same."""
    numbers = effects.table[["yi", "dose", "ref_dose"]].to_numpy(dtype=float)
    return (
        *effects.table["trial_id"],
        numbers.tobytes(),
        *(V.tobytes() for V in effects.covariance),
    )


def _fitted(
    effects: Effects, curve: str, dose: str, at: float, target: float | None
) -> dict[str, Any]:
    row = {"n_trials": 0, "estimate": np.nan, "ci_low": np.nan, "ci_high": np.nan}
    row |= {"mcid_dose": np.nan, "note": ""}
    try:
        result = dose_response(effects, curve=curve, dose=dose)
    except (ValueError, ConvergenceError) as fault:
        return row | {"note": str(fault)}
    row |= result.predict([at]).iloc[0][["estimate", "ci_low", "ci_high"]].to_dict()
    row["n_trials"] = result.n_trials
    if target is not None:
        row["mcid_dose"] = result.dose_for(target).estimate
    return row
