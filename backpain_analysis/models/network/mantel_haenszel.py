"""Networks of rare events by Mantel and Haenszel: sums over the trials of a design, no 1/2 added.

Trials of one design (the treatments they compare) are pooled by Mantel-Haenszel, for every two of
its treatments; the pairs of a design with more than two are averaged so that they agree; designs
are then combined by generalised least squares, a common effect throughout. Sources: Efthimiou et
al. 2019 (doi 10.1002/sim.8158) for networks; Mickey & Elashoff 1985 (doi 10.2307/2530924) for more
than two arms; Robins, Breslow & Greenland 1986 (doi 10.2307/2531053) and Greenland & Robins 1985
(doi 10.2307/2530643) for the variances of two. Covariances of two pairs that share an arm are those
of the arm's binomial variance, by the same argument (as in Greenland 1989, doi 10.2307/2532049).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.network.contrasts import NetworkData


def by_design(data: NetworkData) -> NetworkData:
    """The network with one block a design: its Mantel-Haenszel estimates and their covariance.

    Raises
    ------
    ValueError
        If the data are not arms with events.
    CannotEstimate
        If no design is left.

    A treatment without any event over all trials of a design (of odds ratios: or with nothing
    else) says nothing there and is left out of it.
    """
    if data.events is None:
        raise ValueError(
            "method 'MH' needs a table of events (events=..., n=...), or effects of which every "
            "arm has its events."
        )
    arms = data.events.sort_values(["trial_id", "treatment"])
    design_of = arms.groupby("trial_id", sort=False)["treatment"].agg(tuple)
    labels: list[str] = []
    of: list[int] = []
    against: list[int] = []
    effects, matrices, trials, left = [], [], [], []
    for design in sorted(set(design_of)):
        members = design_of.index[design_of == design]
        own = arms[arms["trial_id"].isin(members)]
        shape = (len(members), len(design))
        events = own["events"].to_numpy(dtype=float).reshape(shape)
        n = own["n"].to_numpy(dtype=float).reshape(shape)
        informs = _informs(events, n, data.measure)
        silent = [
            data.treatments[code] for code, own in zip(design, informs, strict=True) if not own
        ]
        if silent:
            reason = f"no event tells {', '.join(silent)} apart in trials of {data.joined(design)}"
            left += [{"trial_id": t, "arm_id": "all", "reason": reason} for t in members]
        if informs.sum() < 2:
            continue
        kept = [code for code, own in zip(design, informs, strict=True) if own]
        name = data.joined(design)
        effect, cov = pooled(events[:, informs], n[:, informs], data.measure)
        if data.measure == "RD" and np.linalg.eigvalsh(cov)[0] <= 0:
            raise CannotEstimate(
                f"no event in trials of {name}: their risk difference has no variance",
                "use another method, which adds 1/2 to empty cells in the variance",
            )
        labels += [name] * (len(kept) - 1)
        of += kept[1:]
        against += [kept[0]] * (len(kept) - 1)
        effects.append(effect)
        matrices.append(cov)
        trials.append(len(members))
    if not effects:
        raise CannotEstimate("no design has events in two of its treatments", "use method='CE'")
    used = np.unique([*of, *against])
    code = np.full(len(data.treatments), -1)
    code[used] = np.arange(len(used))
    dropped = pd.DataFrame(left, columns=["trial_id", "arm_id", "reason"])
    return replace(
        data,
        treatments=tuple(data.treatments[place] for place in used),
        trial=np.array(labels, dtype=object),
        treatment=code[np.array(of)],
        versus=code[np.array(against)],
        y=np.concatenate(effects),
        covariance=tuple(matrices),
        excluded=pd.concat([data.excluded, dropped], ignore_index=True),
        trials_in=np.array(trials),
    )


def _informs(events: np.ndarray, n: np.ndarray, measure: str) -> np.ndarray:
    """Which arms of a design have events over all its trials (and people without, for odds)."""
    if measure == "RD":
        return np.ones(n.shape[1], dtype=bool)
    some = events.sum(axis=0) > 0
    return some & ((n - events).sum(axis=0) > 0) if measure == "OR" else some


def pooled(events: np.ndarray, n: np.ndarray, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """Effects of all arms of a design against its first, pooled over its trials.

    Parameters
    ----------
    events, n : ndarray, shape (n_trials, n_arms)
    measure : {"OR", "RR", "RD"}

    Returns
    -------
    effect : ndarray, shape (n_arms - 1,)
    cov : ndarray, shape (n_arms - 1, n_arms - 1)
    """
    count = n.shape[1]
    weight = 1 / n.sum(axis=1)
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    rest = n - events
    half: dict[tuple[int, int], float] = {}
    for i, j in pairs:
        other = {"OR": rest, "RR": n, "RD": n}[measure][:, j]
        half[i, j] = float((weight * events[:, i] * other).sum())
    size = {(i, j): float((weight * n[:, i] * n[:, j]).sum()) for i, j in pairs}
    if measure == "RD":
        effect = {(i, j): (half[i, j] - half[j, i]) / size[i, j] for i, j in pairs}
    else:
        if min(half.values()) == 0:
            raise CannotEstimate(
                "a pair of treatments has no trial with events to compare", "use method='CE'"
            )
        effect = {pair: float(np.log(half[pair] / half[pair[::-1]])) for pair in pairs}
    listed = list(combinations(range(count), 2))
    cov = np.zeros((len(listed), len(listed)))
    scale = size if measure == "RD" else half
    for a, (i, j) in enumerate(listed):
        cov[a, a] = _variance(events, n, weight, measure, i, j, half, scale)
        for b, (k, m) in enumerate(listed[:a]):
            shared = {i, j} & {k, m}
            if len(shared) == 1:
                arm = shared.pop()
                first, second = (j if arm == i else i), (m if arm == k else k)
                sign = (1 if arm == i else -1) * (1 if arm == k else -1)
                value = _covariance(events, n, weight, measure, arm, first, second, effect)
                value /= scale[arm, first] * scale[arm, second]
                cov[a, b] = cov[b, a] = sign * value
    average = np.zeros((count - 1, len(listed)))
    for a, (i, j) in enumerate(listed):
        for row in range(1, count):
            average[row - 1, a] += ((i == row) - (j == row) - (i == 0) + (j == 0)) / count
    return average @ np.array([effect[pair] for pair in listed]), average @ cov @ average.T


def _variance(
    events: np.ndarray,
    n: np.ndarray,
    weight: np.ndarray,
    measure: str,
    i: int,
    j: int,
    half: dict[tuple[int, int], float],
    scale: dict[tuple[int, int], float],
) -> float:
    x, z = events[:, i], events[:, j]
    y, w = n[:, i] - x, n[:, j] - z
    if measure == "OR":
        R, S = weight * x * w, weight * z * y
        P, Q = weight * (x + w), weight * (z + y)
        up, down = half[i, j], half[j, i]
        parts = (
            (P * R).sum() / up**2 + (P * S + Q * R).sum() / (up * down) + (Q * S).sum() / down**2
        )
        return float(parts / 2)
    if measure == "RR":
        terms = weight**2 * (n[:, i] * n[:, j] * (x + z) - x * z * (n[:, i] + n[:, j]))
        return float(terms.sum() / (half[i, j] * half[j, i]))
    terms = weight**2 * (n[:, j] ** 2 * x * y / n[:, i] + n[:, i] ** 2 * z * w / n[:, j])
    return float(terms.sum() / scale[i, j] ** 2)


def _covariance(
    events: np.ndarray,
    n: np.ndarray,
    weight: np.ndarray,
    measure: str,
    arm: int,
    first: int,
    second: int,
    effect: dict[tuple[int, int], float],
) -> float:
    """Of the two pairs' numerators through the variance of the arm they share.

    With `g = x_i y_j - psi_ij x_j y_i`, `cov(g_ij, g_ih) = var(x_i) E(y_j + psi_ij x_j)
    E(y_h + psi_ih x_h)`, and `p_i q_j = psi_ij p_j q_i` turns it into counts that are unbiased
    also where trials are many and small; likewise for risks.
    """
    x, y, size = events[:, arm], n[:, arm] - events[:, arm], n[:, arm]
    z1, w1, n1 = events[:, first], n[:, first] - events[:, first], n[:, first]
    z2, w2, n2 = events[:, second], n[:, second] - events[:, second], n[:, second]
    if measure == "OR":
        psi1, psi2 = np.exp(effect[arm, first]), np.exp(effect[arm, second])
        terms = x * w1 * w2 + 0.5 * x * (psi1 * z1 * w2 + psi2 * z2 * w1)
    elif measure == "RR":
        rho1, rho2 = np.exp(effect[arm, first]), np.exp(effect[arm, second])
        terms = n1 * n2 * x * (1 - 0.5 * (rho1 * z1 / n1 + rho2 * z2 / n2))
    else:
        terms = n1 * n2 * x * y / size
    return float((weight**2 * terms).sum())
