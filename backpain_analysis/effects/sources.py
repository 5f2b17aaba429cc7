"""One trial's contrasts against one reference arm, from arm results or reported differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from backpain_analysis.effects.choice import Request
from backpain_analysis.effects.gathering import Occasion, Row, TrialResults
from backpain_analysis.effects.measures import (
    hedges_factor,
    mean_differences,
    pooled_sd,
    standardised_mean_differences,
)

SOURCE_LABELS = {"final": "final values", "change": "change scores"}


@dataclass(frozen=True)
class Estimate:
    """Contrasts of `arms` against `reference` on one occasion; `extra` columns for their table."""

    arms: tuple[str, ...]
    reference: str
    occasion: Occasion
    source: str
    yi: np.ndarray
    covariance: np.ndarray
    n_arms: tuple[float, ...]
    n_reference: float
    extra: Mapping[str, Sequence[float]] = field(default_factory=dict)


def from_source(
    reference: str,
    others: list[str],
    trial: TrialResults,
    occasion: Occasion,
    source: str,
    request: Request,
) -> Estimate | None:
    """Contrasts from reported differences ("reported"), or from the arms' "final" or "change"."""
    if source == "reported":
        return from_contrasts(reference, others, trial, occasion, request)
    return from_arms(reference, others, trial, occasion, source, request)


def from_arms(
    reference: str,
    others: list[str],
    trial: TrialResults,
    occasion: Occasion,
    kind: str,
    request: Request,
) -> Estimate | None:
    """Contrasts from final values ("final") or changes from baseline ("change") of the arms."""
    if kind == "change":
        rows = changes(trial, occasion, request.correlation)
    else:
        rows = _figures(trial.levels.get(occasion, {}))
    arms = [arm for arm in others if arm in rows]
    if reference not in rows or not arms:
        return None
    mean, sd, n = np.array([rows[arm] for arm in (reference, *arms)], dtype=float).T
    if np.any(n < 2) or np.any(sd <= 0):
        return None
    if request.measure == "MD":
        yi, V = mean_differences(mean, sd, n)
    else:
        level = None
        if kind == "change":
            known = trial.level_sd(occasion.key, (reference, *arms))
            level = known or pooled_sd(sd, n) / np.sqrt(2 * (1 - request.correlation))
        yi, V = standardised_mean_differences(mean, sd, n, standardiser=level)
    return Estimate(
        tuple(arms), reference, occasion, SOURCE_LABELS[kind], yi, V, tuple(n[1:]), float(n[0])
    )


def from_contrasts(
    reference: str,
    others: list[str],
    trial: TrialResults,
    occasion: Occasion,
    request: Request,
) -> Estimate | None:
    """Contrasts from reported differences with an interval, turned to point at the reference.

    Of several rows for one pair of arms the first of the table counts.
    """
    found: dict[str, tuple[float, float, float, float]] = {}
    for row in trial.differences.get(occasion, []):
        pair = (row.arm_id, row.ref_arm_id)
        turned = row.ref_arm_id != reference
        arm = row.ref_arm_id if turned else row.arm_id
        if reference not in pair or arm not in others or arm in found:
            continue
        sizes = (row.n_ref, row.n_arm) if turned else (row.n_arm, row.n_ref)
        converted = _convert(row, sizes, trial.level_sd(occasion.key, pair), request.measure)
        if converted is not None:
            found[arm] = (-converted[0] if turned else converted[0], converted[1], *sizes)
    if not found:
        return None
    arms = [arm for arm in others if arm in found]
    yi, se, n_arms, n_reference = np.array([found[arm] for arm in arms], dtype=float).T
    share = _reference_share(n_arms, n_reference)
    V = np.outer(se * share, se * share)
    V[np.diag_indices(len(se))] = se**2
    return Estimate(
        tuple(arms),
        reference,
        occasion,
        "reported difference",
        yi,
        V,
        tuple(n_arms),
        float(n_reference[0]),
    )


def _figures(rows: dict[str, Row]) -> dict[str, tuple[float, float, float]]:
    return {arm: (row.mean, row.sd, row.n) for arm, row in rows.items()}


def changes(
    trial: TrialResults, occasion: Occasion, correlation: float
) -> dict[str, tuple[float, float, float]]:
    """Mean, SD and size of each arm's change from baseline: as reported, else computed."""
    computed = _computed_changes(trial, occasion, correlation)
    return {**computed, **_figures(trial.changes.get(occasion, {}))}


def _computed_changes(
    trial: TrialResults, occasion: Occasion, correlation: float
) -> dict[str, tuple[float, float, float]]:
    """Final minus baseline, `SD^2 = SD_b^2 + SD_f^2 - 2 r SD_b SD_f` (Handbook 6.5.2.8)."""
    baseline = trial.baseline(occasion.key)
    changes = {}
    for arm, final in trial.levels.get(occasion, {}).items():
        if arm in baseline:
            start = baseline[arm]
            variance = start.sd**2 + final.sd**2 - 2 * correlation * start.sd * final.sd
            changes[arm] = (final.mean - start.mean, np.sqrt(variance), final.n)
    return changes


def _convert(
    row: Row, sizes: tuple[float, float], level_sd: float | None, measure: str
) -> tuple[float, float] | None:
    """Estimate and standard error of a reported difference in the measure asked for."""
    if measure == "MD":
        if row.effect_measure == "md":
            return row.estimate, row.se
        return None if level_sd is None else (row.estimate * level_sd, row.se * level_sd)
    if row.effect_measure == "smd":
        return row.estimate, row.se
    n_arm, n_reference = sizes
    total = n_arm + n_reference
    if level_sd is None:
        if not np.isfinite(total):
            return None
        level_sd = row.se / np.sqrt(1 / n_arm + 1 / n_reference)
    g, uncertainty = row.estimate / level_sd, 0.0
    if np.isfinite(total):
        g *= float(hedges_factor(total - 2))
        uncertainty = g**2 / (2 * total)
    return g, float(np.sqrt((row.se / level_sd) ** 2 + uncertainty))


def _reference_share(n_arms: np.ndarray, n_reference: np.ndarray) -> np.ndarray:
    """Square root of the reference arm's share in each contrast's variance.

    With a common SD the variance is `s^2 (1/n_i + 1/n_0)`, of which `s^2/n_0` is shared; one half
    where a size is unknown.
    """
    share = (1 / n_reference) / (1 / n_arms + 1 / n_reference)
    return np.sqrt(np.where(np.isfinite(share), share, 0.5))
