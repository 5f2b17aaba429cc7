"""`Effects` made ready for a dose network: arms of known agent and dose, the rest left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from backpain_analysis.effects import Effects
from backpain_analysis.evidence.dose import DOSE_MEASURES

NO_DOSE = "no dose, and not a reference arm"
ALONE = "no other arm of the trial is left to compare with"


def known_arms(
    effects: Effects, *, agent: str, dose: str, reference: str, lump: Mapping[str, str] | None
) -> Effects:
    """Effects between arms whose agent and dose are known.

    Where the reference arm of a trial has to go, its other arms are compared with each other
    instead: with the first of them, by differences of their contrasts.

    Parameters
    ----------
    effects : Effects
    agent : str
        Column of the agent ("treatment" where there is none called "agent"), with its `ref_`.
    dose : str
        One of `DOSE_MEASURES`, or "dose".
    reference : str
        After lumping; its arms have dose zero.
    lump : mapping, optional

    Returns
    -------
    Effects
        With `agent, ref_agent, dose, ref_dose`.

    Raises
    ------
    ValueError
        For unknown columns, or if nothing is left.
    """
    table = effects.table
    agent = "treatment" if agent == "agent" and "agent" not in table else agent
    absent = [c for c in (agent, f"ref_{agent}") if c not in table]
    if absent:
        raise ValueError(f"these effects have no column {', '.join(map(repr, absent))}.")
    if dose not in table or f"ref_{dose}" not in table:
        raise ValueError(f"unknown dose {dose!r}: use one of {', '.join(DOSE_MEASURES)}.")
    renamed = dict(lump or {})
    table = table.assign(
        agent=table[agent].astype(object).replace(renamed),
        ref_agent=table[f"ref_{agent}"].astype(object).replace(renamed),
        dose=table[dose].astype(float),
        ref_dose=table[f"ref_{dose}"].astype(float),
    )
    highest = pd.concat(
        [
            pd.Series(table["dose"].to_numpy(), table["agent"]),
            pd.Series(table["ref_dose"].to_numpy(), table["ref_agent"]),
        ]
    )
    dosed = highest.groupby(level=0).max()
    exercising = set(dosed.index[dosed > 0]) - {reference}
    reasons = {
        prefix: _reasons(table, prefix, dose, reference, exercising) for prefix in ("", "ref_")
    }
    for name in ("agent", "ref_agent"):
        zero = (table[name.replace("agent", "dose")] == 0) & table[name].isin(exercising)
        table[name] = table[name].mask(zero, reference)
    return _without(replace(effects, table=table), reasons[""], reasons["ref_"])


def _reasons(
    table: pd.DataFrame, prefix: str, dose: str, reference: str, exercising: set[str]
) -> pd.Series:
    """Why an arm cannot enter; missing where it can."""
    agents, doses = table[f"{prefix}agent"], table[f"{prefix}dose"]
    known = agents.notna() & (doses >= 0)
    placed = (agents == reference) | agents.isin(exercising)
    reason = pd.Series(None, table.index, dtype=object)
    reason[known & ~placed] = NO_DOSE
    reason[known & (agents == reference) & (doses > 0)] = "a reference arm with a dose"
    reason[~known] = f"{dose} not reported"
    return reason


def _without(effects: Effects, arm_reason: pd.Series, ref_reason: pd.Series) -> Effects:
    """Effects without the arms that have a reason to go."""
    table = effects.table.reset_index(drop=True)
    trials, arms, references = (
        table[name].to_numpy(dtype=object) for name in ("trial_id", "arm_id", "ref_arm_id")
    )
    good, sound = arm_reason.isna().to_numpy(), ref_reason.isna().to_numpy()
    asked = ((arms, good, arm_reason.to_numpy()), (references, sound, ref_reason.to_numpy()))
    pairs, matrices, gone, start = [], [], [], 0
    for V in effects.covariance:
        own = np.arange(start, start + len(V))
        start += len(V)
        trial = trials[own[0]]
        for names, fine, reasons in asked:
            first: dict[str, str] = {}
            for row in own[~fine[own]]:
                first.setdefault(names[row], reasons[row])
            gone += [(trial, name, reason) for name, reason in first.items()]
        kept = _rebased(own, references[own], good, sound)
        if not kept:
            left = dict.fromkeys([*arms[own][good[own]], *references[own][sound[own]]])
            gone += [(trial, name, ALONE) for name in left]
            continue
        T = _transform(kept, own)
        pairs += kept
        matrices.append(T @ np.asarray(V, dtype=float) @ T.T)
    if not pairs:
        raise ValueError("no trial compares two arms of known agent and dose.")
    variances = np.concatenate([np.diag(V) for V in matrices])
    excluded = pd.DataFrame(gone, columns=["trial_id", "arm_id", "reason"])
    return replace(
        effects,
        table=_contrasts(table, pairs).assign(vi=variances),
        covariance=tuple(matrices),
        excluded=pd.concat([effects.excluded, excluded], ignore_index=True),
    )


def _rebased(
    own: np.ndarray, references: np.ndarray, good: np.ndarray, sound: np.ndarray
) -> list[tuple[int, int]]:
    """Rows of one trial that can stay, each with the row whose arm is its new reference, or -1."""
    kept = []
    for reference in dict.fromkeys(references):
        usable = [row for row in own[references == reference] if good[row]]
        if usable and sound[usable[0]]:
            kept += [(row, -1) for row in usable]
        else:
            kept += [(row, usable[0]) for row in usable[1:]]
    return kept


def _transform(kept: list[tuple[int, int]], own: np.ndarray) -> np.ndarray:
    """The matrix that makes the contrasts kept of a trial's own."""
    unit = np.eye(len(own))
    return np.array(
        [unit[row - own[0]] - (unit[base - own[0]] if base >= 0 else 0) for row, base in kept]
    )


def _contrasts(table: pd.DataFrame, pairs: list[tuple[int, int]]) -> pd.DataFrame:
    """The rows kept, each against the reference arm it has now."""
    rows, bases = np.array(pairs).T
    kept, base = table.iloc[rows].reset_index(drop=True), table.iloc[bases].reset_index(drop=True)
    moved = bases >= 0
    new = {f"ref_{name}": base[name] for name in table if f"ref_{name}" in table}
    new["n_ref"] = base["n_arm"]
    kept = kept.assign(**{name: kept[name].mask(moved, values) for name, values in new.items()})
    return kept.assign(yi=kept["yi"].mask(moved, kept["yi"] - base["yi"]).astype(float))


def connected_agents(
    effects: Effects,
    *,
    agent: str = "agent",
    dose: str,
    reference: str = "usual_care",
    lump: Mapping[str, str] | None = None,
) -> Effects:
    """The effects of the agents that trials connect with the reference.

    Parameters
    ----------
    effects, agent, dose, reference, lump
        As for `dose_network`, which takes what is returned with the same arguments.

    Returns
    -------
    Effects
        The others are listed in `excluded`.

    Raises
    ------
    ValueError
        If no trial has an arm of the reference and one of known dose.
    """
    prepared = known_arms(effects, agent=agent, dose=dose, reference=reference, lump=lump)
    table = prepared.table
    inside = {reference}
    while True:
        linked = table["agent"].isin(inside) | table["ref_agent"].isin(inside)
        trials = table.loc[linked, "trial_id"]
        own = table[table["trial_id"].isin(trials)]
        found = inside | set(own["agent"]) | set(own["ref_agent"])
        if found == inside:
            break
        inside = found
    if len(inside) == 1:
        raise ValueError(
            f"no trial compares {reference!r} with an agent of known {dose}: lump other controls "
            "with the reference, or use another dose."
        )
    return prepared.select(table["trial_id"].isin(trials), f"no trial connects it with {reference}")
