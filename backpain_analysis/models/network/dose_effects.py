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
    table, rows, matrices, gone = effects.table, [], [], []
    groups = table.groupby("trial_id", sort=False)
    for (trial, own), V in zip(groups, effects.covariance, strict=True):
        for arm, reasons in (("arm_id", arm_reason), ("ref_arm_id", ref_reason)):
            bad = own.loc[reasons[own.index].notna(), arm].drop_duplicates()
            gone += [(trial, name, reasons[index]) for index, name in bad.items()]
        kept, T = _rebased(own, arm_reason[own.index], ref_reason[own.index])
        if len(kept):
            rows.append(kept.assign(yi=T @ own["yi"].to_numpy(dtype=float)))
            matrices.append(T @ np.asarray(V, dtype=float) @ T.T)
            continue
        good = own.loc[arm_reason[own.index].isna(), "arm_id"].tolist()
        good += own.loc[ref_reason[own.index].isna(), "ref_arm_id"].drop_duplicates().tolist()
        gone += [(trial, name, ALONE) for name in good]
    if not rows:
        raise ValueError("no trial compares two arms of known agent and dose.")
    left = pd.DataFrame(gone, columns=["trial_id", "arm_id", "reason"])
    kept = pd.concat(rows, ignore_index=True)
    variances = np.concatenate([np.diag(V) for V in matrices])
    return replace(
        effects,
        table=kept.assign(vi=variances),
        covariance=tuple(matrices),
        excluded=pd.concat([effects.excluded, left], ignore_index=True),
    )


def _rebased(
    own: pd.DataFrame, arm_reason: pd.Series, ref_reason: pd.Series
) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of one trial that can stay, and the matrix that makes them of the old ones."""
    good = arm_reason.isna().to_numpy()
    rows, transform = [], []
    unit = np.eye(len(own))
    for _, place in own.reset_index(drop=True).groupby("ref_arm_id", sort=False).indices.items():
        usable = [number for number in place if good[number]]
        if not usable:
            continue
        if pd.isna(ref_reason.iloc[usable[0]]):
            rows += [own.iloc[number] for number in usable]
            transform += [unit[number] for number in usable]
            continue
        base, *others = usable
        for number in others:
            rows.append(_against(own.iloc[number], own.iloc[base]))
            transform.append(unit[number] - unit[base])
    kept = pd.DataFrame(rows, columns=own.columns).astype(own.dtypes)
    return kept, np.array(transform).reshape(len(rows), len(own))


def _against(row: pd.Series, base: pd.Series) -> pd.Series:
    """The row with the arm of another row as its reference arm."""
    row = row.copy()
    row["ref_arm_id"], row["n_ref"] = base["arm_id"], base["n_arm"]
    for name in row.index:
        if f"ref_{name}" in row.index and name != "arm_id":
            row[f"ref_{name}"] = base[name]
    return row


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
