"""One trial's contrasts against one reference arm, from arm results or reported differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from backpain_analysis.effects.choice import EVENT_MEASURES, Request
from backpain_analysis.effects.formulas import hedges_factor, observed_less_expected
from backpain_analysis.effects.gathering import Occasion, Row, TrialResults
from backpain_analysis.effects.measures import (
    mean_differences,
    pooled_sd,
    standardised_mean_differences,
)

SOURCE_LABELS = {"final": "final values", "change": "change scores", "events": "events"}


@dataclass(frozen=True)
class Estimate:
    """Contrasts of `arms` against `reference` on one occasion.

    `extra` are columns for their table; `obtained` says of each what was not printed so.
    """

    arms: tuple[str, ...]
    reference: str
    occasion: Occasion
    source: str
    yi: np.ndarray
    covariance: np.ndarray
    n_arms: tuple[float, ...]
    n_reference: float
    extra: Mapping[str, Any] = field(default_factory=dict)
    obtained: tuple[str, ...] = ()


class Figures(NamedTuple):
    """Mean, SD and number of people of an arm; `effective` is the number that variances use."""

    mean: float
    sd: float
    n: float
    effective: float
    obtained: str = ""


def remarks(*parts: str) -> str:
    """Remarks joined, each once."""
    single = [part for text in parts for part in text.split("; ") if part]
    return "; ".join(dict.fromkeys(single))


def from_source(
    reference: str,
    others: list[str],
    trial: TrialResults,
    occasion: Occasion,
    source: str,
    request: Request,
) -> Estimate | None:
    """Contrasts from reported differences ("reported"), or from what the arms report."""
    if source == "events":
        return from_events(reference, others, trial, occasion, request)
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
        rows = figures_of(trial.levels.get(occasion, {}))
    arms = [arm for arm in others if arm in rows]
    if reference not in rows or not arms:
        return None
    own = [rows[arm] for arm in (reference, *arms)]
    mean, sd, n = np.array([(f.mean, f.sd, f.effective) for f in own], dtype=float).T
    if np.any(n < 2) or np.any(sd <= 0):
        return None
    if request.measure == "MD":
        yi, V = mean_differences(mean, sd, n)
        if trial.paired:
            V = _paired_covariance(sd, n, request.correlation)
    else:
        level = None
        if kind == "change":
            known = trial.level_sd(occasion.key, (reference, *arms))
            level = known or pooled_sd(sd, n) / np.sqrt(2 * (1 - request.correlation))
        yi, V = standardised_mean_differences(mean, sd, n, standardiser=level)
        if trial.paired:
            spread = pooled_sd(sd, n) if level is None else level
            sampling = _paired_covariance(sd, n, request.correlation) / spread**2
            V = sampling + np.outer(yi, yi) / (2 * np.min(n))
    paired = f"crossover, correlation {request.correlation:g} within people" if trial.paired else ""
    return Estimate(
        tuple(arms),
        reference,
        occasion,
        SOURCE_LABELS[kind],
        yi,
        V,
        tuple(f.n for f in own[1:]),
        own[0].n,
        obtained=tuple(remarks(f.obtained, own[0].obtained, paired) for f in own[1:]),
    )


def _paired_covariance(sd: np.ndarray, n: np.ndarray, r: float) -> np.ndarray:
    """Covariance of differences from the first of several times of the same people.

    `s_i^2 + s_0^2 - 2 r s_i s_0` over the number of people (Cochrane Handbook 23.2.7.1).
    """
    means = np.outer(sd, sd) * (r + (1 - r) * np.eye(len(sd))) / np.min(n)
    return means[1:, 1:] + means[0, 0] - means[1:, :1] - means[:1, 1:]


def from_events(
    reference: str, others: list[str], trial: TrialResults, occasion: Occasion, request: Request
) -> Estimate | None:
    """Contrasts of events, with 1/2 in every cell of the trial where one of its cells is zero.

    Covariances are the part of the variances that is the reference arm's.
    """
    rows = trial.events.get(occasion, {})
    arms = [arm for arm in others if arm in rows]
    if reference not in rows or not arms:
        return None
    own = [rows[arm] for arm in (reference, *arms)]
    effect = np.array([row.design_effect for row in own], dtype=float)
    x = np.array([row.mean for row in own], dtype=float) / effect
    n = np.array([row.n for row in own], dtype=float) / effect
    found = event_contrasts(request.measure, x, n)
    if found is None:
        return None
    yi, V, remark = found
    return Estimate(
        tuple(arms),
        reference,
        occasion,
        SOURCE_LABELS["events"],
        yi,
        V,
        tuple(float(row.n) for row in own[1:]),
        float(own[0].n),
        extra={
            "events": [float(row.mean) for row in own[1:]],
            "ref_events": [float(own[0].mean)] * len(arms),
        },
        obtained=tuple(remarks(row.obtained, own[0].obtained, remark) for row in own[1:]),
    )


def event_contrasts(
    measure: str, x: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray, str] | None:
    """Effects of arms against the first, their covariance, and what was done to zero cells.

    None where nobody, or everybody, had the event and a ratio says nothing.
    """
    if measure == "AS":
        return (
            np.arcsin(np.sqrt(x[1:] / n[1:])) - np.arcsin(np.sqrt(x[0] / n[0])),
            np.diag(1 / (4 * n[1:])) + 1 / (4 * n[0]),
            "",
        )
    silent = not x.any() or not (n - x).any()
    if silent and measure != "RD":
        return None
    remark = ""
    if (np.any(x == 0) or np.any(x == n)) and measure != "PETO":
        x, n, remark = x + 0.5, n + 1, "1/2 added for a zero cell"
    if measure == "PETO":
        pair = {"events1": x[1:], "n1": n[1:], "events2": x[0], "n2": n[0]}
        excess, variance = observed_less_expected(pair)
        if not np.all(variance > 0):
            return None
        share = np.sqrt((1 / n[0]) / (1 / n[1:] + 1 / n[0]) / variance)
        V = np.outer(share, share)
        V[np.diag_indices(len(variance))] = 1 / variance
        return excess / variance, V, remark
    p = x / n
    level, own = {
        "RR": (np.log(p), 1 / x - 1 / n),
        "OR": (np.log(x / (n - x)), 1 / x + 1 / (n - x)),
        "RD": (p, p * (1 - p) / n),
    }[measure]
    return level[1:] - level[0], np.diag(own[1:]) + own[0], remark


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
    obtained: dict[str, str] = {}
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
            obtained[arm] = row.obtained
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
        obtained=tuple(obtained[arm] for arm in arms),
    )


def figures_of(rows: dict[str, Row]) -> dict[str, Figures]:
    """What arms printed, by arm."""
    return {
        arm: Figures(row.mean, row.sd, row.n, row.n / row.design_effect, row.obtained)
        for arm, row in rows.items()
    }


def changes(trial: TrialResults, occasion: Occasion, correlation: float) -> dict[str, Figures]:
    """Mean, SD and size of each arm's change from baseline: as reported, else computed."""
    computed = _computed_changes(trial, occasion, correlation)
    return {**computed, **figures_of(trial.changes.get(occasion, {}))}


def _computed_changes(
    trial: TrialResults, occasion: Occasion, correlation: float
) -> dict[str, Figures]:
    """Final minus baseline, `SD^2 = SD_b^2 + SD_f^2 - 2 r SD_b SD_f` (Handbook 6.5.2.8)."""
    baseline = trial.baseline(occasion.key)
    changes = {}
    for arm, final in trial.levels.get(occasion, {}).items():
        if arm in baseline:
            start = baseline[arm]
            variance = start.sd**2 + final.sd**2 - 2 * correlation * start.sd * final.sd
            changes[arm] = Figures(
                final.mean - start.mean,
                float(np.sqrt(variance)),
                final.n,
                final.n / final.design_effect,
                remarks(
                    final.obtained,
                    start.obtained,
                    f"SD of changes with correlation {correlation:g}",
                ),
            )
    return changes


def _convert(
    row: Row, sizes: tuple[float, float], level_sd: float | None, measure: str
) -> tuple[float, float] | None:
    """Estimate and standard error of a reported difference in the measure asked for."""
    if measure in EVENT_MEASURES or measure == "HR":
        return row.estimate, row.se
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
