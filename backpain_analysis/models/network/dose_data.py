"""The data of a dose network: contrasts between arms, each an agent at a dose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from backpain_analysis.effects.table import Effects, refuse_evidence
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.dose import DOSE_MEASURES
from backpain_analysis.evidence.faults import as_frame, need_columns
from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.network.contrasts import ONE_TREATMENT, NetworkData
from backpain_analysis.models.network.data import Columns, lumped, network_data

NO_DOSE = "no dose, and not a reference arm"

Comparators = Sequence[str] | Literal["all"] | None
"""Treatments without a dose that stand as nodes of their own; "all" of them, or none."""

ALONE = "no other arm of the trial is left to compare with"


def known_arms(
    effects: Effects,
    *,
    agent: str,
    dose: str,
    reference: str,
    lump: Mapping[str, str] | None,
    comparators: Comparators = None,
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
    comparators : sequence of str, or "all", optional
        Treatments without a dose to keep; "all" that are known to have none.

    Returns
    -------
    Effects
        With `agent, ref_agent, dose, ref_dose`; the dose of comparators is missing.

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
    renamed, sides = dict(lump or {}), {}
    for prefix in ("", "ref_"):
        agents = [renamed.get(name, name) for name in table[f"{prefix}{agent}"]]
        doses = table[f"{prefix}{dose}"].to_numpy(dtype=float, na_value=np.nan)
        sides[prefix] = list(zip(agents, doses, strict=True))
    arms = [arm for side in sides.values() for arm in side if not pd.isna(arm[0])]
    exercising = {name for name, given in arms if given > 0} - {reference}
    others = {name for name, given in arms if given == 0} - exercising - {reference}
    kept = others if comparators == "all" else set(comparators or ()) - exercising - {reference}

    def reason(name: object, given: float) -> str | None:
        """Why an arm cannot enter; None where it can."""
        if name in kept:
            return None
        if pd.isna(name) or not given >= 0:
            return f"{dose} not reported"
        if name == reference:
            return "a reference arm with a dose" if given > 0 else None
        return None if name in exercising else NO_DOSE

    columns: dict[str, Any] = {}
    for prefix, side in sides.items():
        columns[f"{prefix}agent"] = pd.Series(
            [reference if given == 0 and name in exercising else name for name, given in side],
            table.index,
            dtype=object,
        )
    for prefix, side in sides.items():
        columns[f"{prefix}dose"] = [np.nan if name in kept else given for name, given in side]
    reasons = [[reason(*arm) for arm in side] for side in sides.values()]
    return _without(replace(effects, table=table.assign(**columns)), *reasons)


def _without(
    effects: Effects, arm_reason: Sequence[str | None], ref_reason: Sequence[str | None]
) -> Effects:
    """Effects without the arms that have a reason to go."""
    good, sound = (np.array([why is None for why in own]) for own in (arm_reason, ref_reason))
    if len(effects) and good.all() and sound.all():
        return effects
    table = effects.table.reset_index(drop=True)
    trials, arms, references = (
        table[name].to_numpy(dtype=object) for name in ("trial_id", "arm_id", "ref_arm_id")
    )
    asked = ((arms, good, arm_reason), (references, sound, ref_reason))
    pairs, matrices, gone, start = [], [], [], 0
    for V in effects.covariance:
        own = np.arange(start, start + len(V))
        start += len(V)
        trial = trials[own[0]]
        for names, fine, reasons in asked:
            first: dict[str, str] = {}
            for row in own[~fine[own]]:
                first.setdefault(names[row], str(reasons[row]))
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
        raise CannotEstimate("no trial compares two arms of known agent and dose")
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
    kept, moved = table.iloc[rows].reset_index(drop=True), bases >= 0
    if not moved.any():
        return kept
    base = table.iloc[bases].reset_index(drop=True)
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
    comparators: Comparators = None,
) -> Effects:
    """The effects of the agents that trials connect with the reference.

    Parameters
    ----------
    effects, agent, dose, reference, lump, comparators
        As for `dose_network`, which takes what is returned with the same arguments.

    Returns
    -------
    Effects
        The others are listed in `excluded`.

    Raises
    ------
    ValueError
        If no trial has an arm of the reference and one of known dose.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> effects = evidence.effects("pain_intensity", head_to_head=True)
    >>> agents = bp.connected_agents(
    ...     effects,
    ...     dose="sessions_per_week",
    ...     reference="inactive",
    ...     lump=bp.lumping("types"),
    ... )
    >>> agents.n_trials
    22
    """
    require(effects, "Effects")
    options: dict[str, Any] = {"reference": reference, "lump": lump, "comparators": comparators}
    prepared = known_arms(effects, agent=agent, dose=dose, **options)
    members: dict[Any, set[Any]] = defaultdict(set)
    names = prepared.table[["trial_id", "agent", "ref_agent"]].to_numpy()
    for trial, one, other in names:
        members[trial] |= {one, other}
    inside, size = {reference}, 0
    while len(inside) > size:
        size = len(inside)
        linked = [trial for trial, agents in members.items() if agents & inside]
        inside.update(*(members[trial] for trial in linked))
    if len(inside) == 1:
        raise CannotEstimate(
            f"no trial compares {reference!r} with an agent of known {dose}",
            "lump other controls with the reference, or use another dose",
        )
    kept = prepared.table["trial_id"].isin(linked)
    return prepared.select(kept, f"no trial connects it with {reference}")


ONE_NODE = "all arms of the trial have the same agent and dose"


@dataclass(frozen=True)
class DoseNetworkData:
    """Contrasts of a network whose nodes are agents at doses.

    Attributes
    ----------
    network : NetworkData
        Its treatments are the nodes; that of the reference is the reference's name.
    nodes : DataFrame
        `agent, dose` of each treatment of `network`, in their order; the reference has dose 0.
    agents : tuple of str
        In alphabetical order, without the reference and comparators.
    reference : str
        What stands at dose zero.
    comparators : tuple of str
        Treatments without a dose, each with an effect of its own; their dose is missing.
    dose_name, outcome : str
    """

    network: NetworkData
    nodes: pd.DataFrame
    agents: tuple[str, ...]
    reference: str
    dose_name: str
    outcome: str
    comparators: tuple[str, ...] = ()

    @cached_property
    def arms(self) -> pd.DataFrame:
        """`trial_id, agent, dose`, a row an arm; arms of one node of a trial are one."""
        arms = self.network.arms
        own = self.nodes.iloc[arms["treatment"]].reset_index(drop=True)
        return pd.concat([arms[["trial_id"]], own], axis=1)

    @cached_property
    def studied(self) -> dict[str, np.ndarray]:
        """The doses above zero that each agent was studied at, rising."""
        positive = self.nodes[self.nodes["dose"] > 0]
        return {agent: np.sort(own.to_numpy()) for agent, own in positive.groupby("agent")["dose"]}

    @property
    def reference_node(self) -> int | None:
        """Its code; None where no arm of the network has dose zero."""
        zero = np.flatnonzero(self.nodes["dose"] == 0)
        return int(zero[0]) if len(zero) else None

    def design(self, curves: Sequence[Curve]) -> np.ndarray:
        """Columns of every agent's curve, arm minus arm, agent by agent.

        Parameters
        ----------
        curves : sequence of Curve
            One an agent.

        Returns
        -------
        ndarray, shape (n_rows, sum of the curves' terms)
        """
        return self.spread([curve.basis for curve in curves])

    def beside(self) -> np.ndarray:
        """A column a comparator: 1 where the contrast's arm is it, -1 where the other one is."""
        names = self.nodes["agent"].to_numpy()[:, None]
        at = (names == np.array(self.comparators, dtype=object)[None, :]).astype(float)
        at = at.reshape(len(self.nodes), len(self.comparators))
        return at[self.network.treatment] - at[self.network.versus]

    def spread(self, columns: Sequence) -> np.ndarray:
        """`columns[a](doses)` of every agent `a`, arm minus arm, side by side."""
        parts = []
        for agent, own in zip(self.agents, columns, strict=True):
            inside = ((self.nodes["agent"] == agent) & (self.nodes["dose"] > 0)).to_numpy()
            zero = own(np.zeros(1))
            at = np.zeros((len(self.nodes), zero.shape[1]))
            at[inside] = own(self.nodes["dose"].to_numpy()[inside]) - zero
            parts.append(at[self.network.treatment] - at[self.network.versus])
        return np.hstack(parts)

    def counts(self) -> pd.DataFrame:
        """`agent, trials, arms, participants, lowest, highest`: a row an agent, reference last."""
        arms = self.arms
        people = self.nodes.assign(n=self.network.participants.to_numpy())
        rows = []
        for agent in (*self.agents, *self.comparators, self.reference):
            own = arms[arms["agent"] == agent]
            if len(own):
                rows.append(
                    {
                        "agent": agent,
                        "trials": own["trial_id"].nunique(),
                        "arms": len(own),
                        "participants": people.loc[people["agent"] == agent, "n"].sum(min_count=1),
                        "lowest": own["dose"].min(),
                        "highest": own["dose"].max(),
                    }
                )
        return pd.DataFrame(rows)

    def parts(self) -> list[tuple[str, ...]]:
        """Agents (and the reference) that trials connect, the part of the reference first."""
        names = (self.reference, *self.agents, *self.comparators)
        code = self.nodes["agent"].map({name: number for number, name in enumerate(names)})
        code = code.to_numpy()
        links = (code[self.network.treatment], code[self.network.versus])
        graph = coo_array((np.ones(len(links[0])), links), shape=(len(names), len(names)))
        _, part = connected_components(graph, directed=False)
        first = dict.fromkeys(part)
        return [tuple(np.array(names, dtype=object)[part == number]) for number in first]


def dose_network_data(
    data: Effects | pd.DataFrame,
    *,
    trial: str,
    agent: str,
    dose: str,
    mean: str,
    sd: str,
    n: str,
    measure: str,
    reference: str,
    lump: Mapping[str, str] | None,
    comparators: Comparators = None,
) -> DoseNetworkData:
    """The contrasts of an arms table or of `Effects`.

    Raises
    ------
    ValueError
        For missing columns, agents or doses, negative doses, a reference with a dose, agents
        without one, and all that `network_data` refuses: together.
    """
    refuse_evidence(data)
    if isinstance(data, Effects):
        options: dict[str, Any] = {
            "reference": reference,
            "lump": lump,
            "comparators": comparators,
        }
        prepared = known_arms(data, agent=agent, dose=dose, **options)
        frame = prepared.table
        names = pd.concat([frame["agent"], frame["ref_agent"]], ignore_index=True)
        doses = pd.concat([frame["dose"], frame["ref_dose"]], ignore_index=True)
        node = _nodes(names, doses, reference)
        size = len(frame)
        table = frame.assign(node=node[:size].to_numpy(), ref_node=node[size:].to_numpy())
        source, outcome = replace(prepared, table=table), data.outcome
    else:
        data = as_frame(data)
        faults, names, doses = _checked(
            data, trial, agent, dose, reference, dict(lump or {}), comparators
        )
        node = _nodes(names, doses, reference)
        source, outcome = data.assign(node=node.to_numpy()), "outcome"
        _raise_all(source, faults, trial, mean, sd, n, measure)
    network = network_data(source, Columns(trial, "node", mean, sd, n), measure=measure)
    excluded = network.excluded.replace({"reason": {ONE_TREATMENT: ONE_NODE}})
    known = pd.DataFrame({"agent": names, "dose": doses}).groupby(node.to_numpy()).first()
    nodes = known.reindex(list(network.treatments))
    zero = (nodes["dose"] == 0).to_numpy()
    nodes = nodes.assign(agent=nodes["agent"].mask(zero, reference)).reset_index(drop=True)
    dosed = (nodes["dose"] > 0).to_numpy()
    return DoseNetworkData(
        network=replace(network, excluded=excluded),
        nodes=nodes,
        agents=tuple(sorted(set(nodes.loc[dosed, "agent"]))),
        reference=reference,
        dose_name=dose,
        outcome=outcome,
        comparators=tuple(sorted(set(nodes.loc[~zero & ~dosed, "agent"]))),
    )


def _nodes(agents: pd.Series, doses: pd.Series, reference: str) -> pd.Series:
    """A name for each agent at each dose; at dose zero all are the reference."""
    named = agents.astype(str) + " " + doses.map(lambda value: repr(float(value)))
    return named.where(doses > 0, reference).where(doses.notna(), agents.astype(str))


def _checked(
    data: pd.DataFrame,
    trial: str,
    agent: str,
    dose: str,
    reference: str,
    lump: dict[str, str],
    comparators: Comparators,
) -> tuple[list[str], pd.Series, pd.Series]:
    """Faults of agents and doses, and both as columns."""
    need_columns((trial, agent, dose), data)
    names = lumped(data[agent], lump).reset_index(drop=True)
    doses = pd.to_numeric(data[dose], errors="coerce").astype(float).reset_index(drop=True)
    where = [f"row {row}, trial {name!r}" for row, name in enumerate(data[trial])]
    highest = doses.fillna(0.0).groupby(names).max()
    others = set(highest.index[highest == 0]) - {reference}
    kept = others if comparators == "all" else set(comparators or ())
    beside = names.isin(kept)
    doses = doses.mask(beside & (doses == 0))
    wrong = np.flatnonzero((~(doses >= 0) | ~np.isfinite(doses)) & ~(beside & doses.isna()))
    given = data[dose].to_numpy()
    faults = [f"{where[row]}: {dose} is {given[row]}; it must be 0 or more" for row in wrong]
    faults += [f"{where[row]}: no {agent}" for row in np.flatnonzero(names.isna())]
    dosed = np.flatnonzero((names == reference) & (doses > 0))
    faults += [
        f"{where[row]}: {reference!r} is the reference, at dose 0, but has {doses[row]:g}"
        for row in dosed
    ]
    faults += [
        f"{where[row]}: {names[row]!r} is a comparator without a dose, but has {doses[row]:g}"
        for row in np.flatnonzero(beside & (doses > 0))
    ]
    faults += [
        f"{agent} {name!r} has no dose above 0: lump it with the reference "
        f"(lump={{{name!r}: {reference!r}}}), name it in comparators, or leave its arms out"
        for name in sorted(set(doses.groupby(names).max()[lambda x: x == 0].index) - {reference})
    ]
    return faults, names.fillna("missing"), doses


def _raise_all(
    data: pd.DataFrame, faults: list[str], trial: str, mean: str, sd: str, n: str, measure: str
) -> None:
    """Raise the faults together with those of means, SDs and sizes."""
    if not faults:
        return
    try:
        network_data(data, Columns(trial, "node", mean, sd, n), measure=measure)
    except ValueError as others:
        faults = [*faults, *str(others).splitlines()]
    raise ValueError("\n".join(faults))


def check_connected(data: DoseNetworkData) -> None:
    """Refuse agents that no trial connects with the reference.

    A curve of an agent that was only compared with itself would rest on its shape alone.

    Raises
    ------
    ValueError
        That lists the parts.
    """
    parts = data.parts()
    if len(parts) == 1:
        return
    listed = "\n".join(f"  {number}. {', '.join(names)}" for number, names in enumerate(parts, 1))
    raise CannotEstimate(
        f"no trial connects all agents with {data.reference!r}; the network falls into "
        f"{len(parts)} parts",
        f"\n{listed}\nLeave out what is not connected (`connected_agents`), or lump "
        "agents or references",
    )
