"""The contrasts of a network: which treatments each trial compared, and what connects them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from backpain_analysis.effects.table import count_reasons
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.words import RATIO_WORDS

ONE_TREATMENT = "all arms of the trial belong to one treatment of the network"

NOTHING_COMPARED = "no trial compares two different treatments"

SEPARATORS = (":", "|", "/", ";", " vs ", "::", "||")


@dataclass(frozen=True)
class NetworkData:
    """Contrasts of a network, rows of a trial together.

    Attributes
    ----------
    treatments : tuple of str
        In alphabetical order; the codes below count in it.
    trial : ndarray of object, shape (n_rows,)
    treatment, versus : ndarray of int, shape (n_rows,)
        The two treatments of each contrast.
    y : ndarray, shape (n_rows,)
        Effect of `treatment` minus that of `versus`; of ratios, the logarithm.
    covariance : tuple of ndarray
        Sampling covariance of the contrasts of each trial.
    arm_sizes : DataFrame
        `trial_id, treatment` (name), `participants` (missing where not known), a row an arm.
    excluded : DataFrame
        `trial_id, arm_id, reason`.
    measure : str
    outcome : str
        Empty where it is not known.
    events : DataFrame, optional
        `trial_id, treatment` (code), `events, n` of a table of events, before any correction.
    trials_in : ndarray of int, optional
        How many trials each block holds, where blocks are designs (Mantel-Haenszel).
    """

    treatments: tuple[str, ...]
    trial: np.ndarray
    treatment: np.ndarray
    versus: np.ndarray
    y: np.ndarray
    covariance: tuple[np.ndarray, ...]
    arm_sizes: pd.DataFrame
    excluded: pd.DataFrame
    measure: str
    outcome: str = ""
    events: pd.DataFrame | None = None
    trials_in: np.ndarray | None = None

    @property
    def n_trials(self) -> int:
        return len(self.covariance) if self.trials_in is None else int(self.trials_in.sum())

    @property
    def is_ratio(self) -> bool:
        """Whether effects are logarithms of ratios."""
        return self.measure in RATIO_WORDS

    @cached_property
    def participants(self) -> pd.Series:
        """By treatment, in arms of known size; missing where no size is known."""
        known = self.arm_sizes.groupby("treatment")["participants"].sum(min_count=1)
        return known.reindex(self.treatments)

    @cached_property
    def arms(self) -> pd.DataFrame:
        """Which treatments each trial compared: `trial_id, treatment` (code), a row an arm."""
        both = {
            "trial_id": np.concatenate([self.trial, self.trial]),
            "treatment": np.concatenate([self.treatment, self.versus]),
        }
        return pd.DataFrame(both).drop_duplicates(ignore_index=True)

    def to_frame(self) -> pd.DataFrame:
        """The contrasts as a plain table: `trial_id, treatment, versus, yi, vi` and their `n`."""
        names = np.array(self.treatments, dtype=object)
        variances = [np.diag(matrix) for matrix in self.covariance]
        sizes = self.arm_sizes.set_index(["trial_id", "treatment"])["participants"]
        sizes = sizes[~sizes.index.duplicated()]
        ends = {"treatment": names[self.treatment], "versus": names[self.versus]}
        people = {
            f"n_{end}": sizes.reindex(list(zip(self.trial, name, strict=True))).to_numpy()
            for end, name in ends.items()
        }
        effects = {"yi": self.y, "vi": np.concatenate(variances)}
        return pd.DataFrame({"trial_id": self.trial, **ends, **people, **effects})

    def reasons(self) -> pd.DataFrame:
        """How many trials and arms were left out for which reason."""
        return count_reasons(self.excluded)

    def incidence(self) -> np.ndarray:
        """A row a contrast, a column a treatment: 1 for `treatment`, -1 for `versus`."""
        matrix = np.zeros((len(self.y), len(self.treatments)))
        rows = np.arange(len(self.y))
        matrix[rows, self.treatment] = 1.0
        matrix[rows, self.versus] = -1.0
        return matrix

    def consistent(self) -> np.ndarray:
        """Model matrix of the ordinary network: a treatment of each part is left out."""
        _, first = np.unique(self.components(), return_index=True)
        return np.delete(self.incidence(), first, axis=1)

    def designs(self) -> pd.Series:
        """The set of treatments compared, as codes, by trial."""
        grouped = self.arms.sort_values("treatment").groupby("trial_id", sort=False)["treatment"]
        return grouped.agg(tuple).reindex(pd.unique(self.trial))

    def components(self) -> np.ndarray:
        """Number of the connected part that each treatment belongs to, the largest first."""
        return connected(len(self.treatments), self.treatment, self.versus)

    def heterogeneity_term(self) -> RandomTerm:
        """Each arm deviates by its own random effect of variance tau2/2.

        So contrasts of a trial differ from their means with variance tau2 and, if they share an
        arm, correlation one half. Source: Lu & Ades 2004 (doi 10.1002/sim.1875).
        """
        return RandomTerm(self._arm_design, structure="identity", name="trial")

    @cached_property
    def _arm_design(self) -> np.ndarray:
        """1 for the place of a contrast's arm among those of its trial, -1 for the other one."""
        trial, _ = pd.factorize(self.trial)
        size = len(self.treatments)
        arms = np.unique(
            np.concatenate([trial * size + self.treatment, trial * size + self.versus])
        )
        owner = arms // size
        place = np.arange(len(arms)) - np.searchsorted(owner, owner)
        design = np.zeros((len(self.y), int(place.max()) + 1))
        rows = np.arange(len(self.y))
        for codes, sign in ((self.treatment, 1.0), (self.versus, -1.0)):
            design[rows, place[np.searchsorted(arms, trial * size + codes)]] = sign
        return design

    def joined(self, codes: tuple[int, ...]) -> str:
        """Names of treatments side by side, by a separator that no name holds."""
        between = next(
            (s for s in SEPARATORS if not any(s in name for name in self.treatments)), " versus "
        )
        return between.join(self.treatments[code] for code in codes)

    def without(self, trials: set[object]) -> NetworkData:
        """The same data without some trials; treatments that only these had are gone.

        Raises
        ------
        CannotEstimate
            If no trial is left.
        """
        keep = np.array([name not in trials for name in self.trial])
        if not keep.any():
            raise CannotEstimate("no trial is left")
        kept = [name not in trials for name in pd.unique(self.trial)]
        used = np.unique(np.concatenate([self.treatment[keep], self.versus[keep]]))
        code = np.full(len(self.treatments), -1)
        code[used] = np.arange(len(used))
        sizes = self.arm_sizes
        return NetworkData(
            treatments=tuple(self.treatments[place] for place in used),
            trial=self.trial[keep],
            treatment=code[self.treatment[keep]],
            versus=code[self.versus[keep]],
            y=self.y[keep],
            covariance=tuple(V for V, own in zip(self.covariance, kept, strict=True) if own),
            arm_sizes=sizes[~sizes["trial_id"].isin(trials)],
            excluded=self.excluded,
            measure=self.measure,
            outcome=self.outcome,
        )


def connected(size: int, treatment: np.ndarray, versus: np.ndarray) -> np.ndarray:
    """Number of the part that each of `size` treatments belongs to, by their comparisons.

    The part with most treatments is 0.
    """
    links = (np.ones(len(treatment)), (treatment, versus))
    _, part = connected_components(coo_array(links, shape=(size, size)), directed=False)
    order = np.argsort(-np.bincount(part), kind="stable")
    return np.argsort(order)[part]


def components_table(data: NetworkData) -> pd.DataFrame:
    """`component, treatment, trials, participants` of each treatment."""
    trials = data.arms["treatment"].value_counts()
    table = pd.DataFrame(
        {
            "component": data.components() + 1,
            "treatment": data.treatments,
            "trials": trials.reindex(range(len(data.treatments))).to_numpy(),
            "participants": data.participants.to_numpy(),
        }
    )
    return table.sort_values(["component", "treatment"], ignore_index=True)


def check_connected(data: NetworkData) -> None:
    """Refuse a network of several parts.

    Raises
    ------
    CannotEstimate
        That lists the parts.
    """
    if data.components().max() == 0:
        return
    table = components_table(data)
    parts = table.groupby("component")["treatment"].agg(", ".join)
    listed = "\n".join(f"  {number}. {names}" for number, names in parts.items())
    raise CannotEstimate(
        f"the network falls into {len(parts)} parts that no trial connects",
        f"\n{listed}\nAnalyse one part (`connected_part`), lump treatments, or, if "
        "treatments share components, use components='+'",
    )


def combined(
    names: tuple[str, ...],
    trial: np.ndarray,
    treatment: np.ndarray,
    versus: np.ndarray,
    y: np.ndarray,
    covariance: tuple[np.ndarray, ...] | list[np.ndarray],
    sizes: pd.DataFrame,
    excluded: pd.DataFrame,
    measure: str,
    outcome: str = "",
    events: pd.DataFrame | None = None,
) -> NetworkData:
    """Network data in which no trial has two arms of one treatment.

    Raises
    ------
    CannotEstimate
        If no trial compares two different treatments.
    """
    code, _ = pd.factorize(trial)
    first = np.unique(code, return_index=True)[1]
    plain = (versus == versus[first[code]]) & (treatment != versus)
    _, where, counts = np.unique(
        code * len(names) + treatment, return_inverse=True, return_counts=True
    )
    plain &= counts[where] == 1
    left: list[dict] = []
    if plain.all():
        rows = [trial, treatment, versus, y]
        matrices = list(covariance)
    else:
        rows, matrices, left = _merged(trial, treatment, versus, y, covariance, plain)
    if not matrices:
        raise CannotEstimate(NOTHING_COMPARED)
    used = np.unique(np.concatenate([rows[1], rows[2]]))
    recode = np.full(len(names), -1)
    recode[used] = np.arange(len(used))
    dropped = pd.DataFrame(left, columns=["trial_id", "arm_id", "reason"])
    if events is not None:
        events = events[events["treatment"].isin(used)]
        events = events.assign(treatment=recode[events["treatment"].to_numpy()])
    return NetworkData(
        treatments=tuple(names[code] for code in used),
        trial=rows[0],
        treatment=recode[rows[1]],
        versus=recode[rows[2]],
        y=rows[3],
        covariance=tuple(matrices),
        arm_sizes=sizes,
        excluded=pd.concat([excluded, dropped], ignore_index=True) if left else excluded,
        measure=measure,
        outcome=outcome,
        events=events,
    )


def _merged(
    trial: np.ndarray,
    treatment: np.ndarray,
    versus: np.ndarray,
    y: np.ndarray,
    covariance: tuple[np.ndarray, ...] | list[np.ndarray],
    plain: np.ndarray,
) -> tuple[list[np.ndarray], list[np.ndarray], list[dict]]:
    """The rows with arms of one treatment of a trial combined, and the trials that are left out."""
    parts: list[tuple[np.ndarray, ...]] = []
    matrices: list[np.ndarray] = []
    left: list[dict] = []
    position = pd.Series(np.arange(len(y))).groupby(trial, sort=False).indices
    for (label, where), V in zip(position.items(), covariance, strict=True):
        merged: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None
        if plain[where].all():
            merged = (treatment[where], versus[where], y[where], np.asarray(V, dtype=float))
        else:
            merged = _merge(treatment[where], versus[where], y[where], V)
        if merged is None:
            left.append({"trial_id": label, "arm_id": "all", "reason": ONE_TREATMENT})
            continue
        given, against, effect, V = merged
        parts.append((np.full(len(effect), label, dtype=object), given, against, effect))
        matrices.append(V)
    rows = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return rows, matrices, left


def _merge(
    treatment: np.ndarray, versus: np.ndarray, y: np.ndarray, V: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """One contrast a treatment of a trial, by generalised least squares; None if none is left.

    With the trial's contrasts written as differences of its treatments' means, `y = A m + e`, the
    estimates are `(A'V^-1 A)^-1 A'V^-1 y` (Gleser & Olkin 2009 for arms of one treatment).
    """
    nodes, codes = np.unique(np.concatenate([treatment, versus]), return_inverse=True)
    of, against_of = codes[: len(y)], codes[len(y) :]
    if (of == against_of).all():
        return None
    incidence = np.zeros((len(y), len(nodes)))
    rows = np.arange(len(y))
    incidence[rows, of] += 1.0
    incidence[rows, against_of] -= 1.0
    n_parts, part = connected_components(np.abs(incidence.T @ incidence) > 0, directed=False)
    kept, against = [], []
    for number in range(n_parts):
        members = np.flatnonzero(part == number).tolist()
        reference = next((code for code in against_of.tolist() if code in members), members[0])
        others = [code for code in members if code != reference]
        kept.extend(others)
        against.extend([reference] * len(others))
    A = incidence[:, kept]
    weighted = np.linalg.solve(np.asarray(V, dtype=float), A)
    merged = np.linalg.inv(A.T @ weighted)
    return nodes[kept], nodes[against], merged @ (weighted.T @ y), merged
