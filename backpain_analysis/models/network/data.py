"""The data of a network: contrasts of treatments, one block a trial; what connects them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from backpain_analysis.effects.arms import contrasts_of_arms, covariance_of_contrasts
from backpain_analysis.effects.table import Effects, count_reasons
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate


def network_components(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    treatment: str = "treatment",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    measure: str = "MD",
    lump: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The connected parts of a network, the largest first.

    Parameters
    ----------
    data, trial, treatment, mean, sd, n, measure, lump
        As for `network`.

    Returns
    -------
    DataFrame
        `component` (from 1), `treatment, trials, participants`: a row a treatment.
    """
    columns = {"trial": trial, "treatment": treatment, "mean": mean, "sd": sd, "n": n}
    return components_table(network_data(data, **columns, measure=measure, lump=lump))


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
    ValueError
        That lists the parts.
    """
    table = components_table(data)
    if table["component"].max() == 1:
        return
    parts = table.groupby("component")["treatment"].agg(", ".join)
    listed = "\n".join(f"  {number}. {names}" for number, names in parts.items())
    raise CannotEstimate(
        f"the network falls into {len(parts)} parts that no trial connects",
        f"\n{listed}\nAnalyse one part (`connected_part`), lump treatments, or, if "
        "treatments share components, use components='+'",
    )


def connected_part(
    effects: Effects,
    around: str | None = None,
    *,
    treatment: str = "treatment",
    lump: Mapping[str, str] | None = None,
) -> Effects:
    """The effects of one connected part of a network; the others are listed as excluded.

    Parameters
    ----------
    effects : Effects
    around : str, optional
        A treatment of the part (after lumping); by default the part with most treatments.
    treatment, lump
        As for `network`.

    Raises
    ------
    ValueError
        If no trial that compares two treatments has `around`.
    """
    parts = network_components(effects, treatment=treatment, lump=lump)
    number = 1
    if around is not None:
        found = parts.loc[parts["treatment"] == around, "component"]
        if found.empty:
            raise CannotEstimate(
                f"no treatment {around!r} in the network", f"it has {', '.join(parts['treatment'])}"
            )
        number = found.iloc[0]
    members = set(parts.loc[parts["component"] == number, "treatment"])
    table = effects.table
    names = table[treatment].astype(str).replace(dict(lump or {}))
    against = table[f"ref_{treatment}"].astype(str).replace(dict(lump or {}))
    inside = np.array([name in members for name in names]) & (against.isin(members).to_numpy())
    return effects.select(inside, "no trial connects it to the rest of the network")


ONE_TREATMENT = "all arms of the trial belong to one treatment of the network"


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
        Effect of `treatment` minus that of `versus`.
    covariance : tuple of ndarray
        Sampling covariance of the contrasts of each trial.
    arm_sizes : DataFrame
        `trial_id, treatment` (name), `participants` (missing where not known), a row an arm.
    excluded : DataFrame
        `trial_id, arm_id, reason`.
    measure : str
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

    @property
    def n_trials(self) -> int:
        return len(self.covariance)

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

    def designs(self) -> pd.Series:
        """The set of treatments compared, as codes, by trial."""
        grouped = self.arms.sort_values("treatment").groupby("trial_id", sort=False)["treatment"]
        return grouped.agg(tuple).reindex(pd.unique(self.trial))

    def components(self) -> np.ndarray:
        """Number of the connected part that each treatment belongs to, the largest first."""
        size = len(self.treatments)
        links = (np.ones(len(self.y)), (self.treatment, self.versus))
        _, part = connected_components(coo_array(links, shape=(size, size)), directed=False)
        order = np.argsort(-np.bincount(part), kind="stable")
        return np.argsort(order)[part]

    def heterogeneity_term(self) -> RandomTerm:
        """Each arm deviates by its own random effect of variance tau2/2.

        So contrasts of a trial differ from their means with variance tau2 and, if they share an
        arm, correlation one half. Source: Lu & Ades 2004 (doi 10.1002/sim.1875).
        """
        arms = self.arms
        place = arms.groupby("trial_id", sort=False).cumcount().to_numpy()
        index = pd.MultiIndex.from_frame(arms)
        design = np.zeros((len(self.y), int(place.max()) + 1))
        rows = np.arange(len(self.y))
        for codes, sign in ((self.treatment, 1.0), (self.versus, -1.0)):
            where = index.get_indexer(pd.MultiIndex.from_arrays([self.trial, codes]))
            design[rows, place[where]] = sign
        return RandomTerm(design, structure="identity", name="trial")


def network_data(
    data: Effects | pd.DataFrame,
    *,
    trial: str,
    treatment: str,
    mean: str,
    sd: str,
    n: str,
    measure: str,
    lump: Mapping[str, str] | None,
) -> NetworkData:
    """The contrasts of an arms table or of `Effects`; arms of one treatment are combined.

    Raises
    ------
    ValueError
        For missing columns, treatments, means, SDs or sizes, trials with one arm: all at once.
    """
    renamed = dict(lump or {})
    if isinstance(data, Effects):
        return _from_effects(data, treatment, renamed)
    return _from_arms(data, trial, treatment, mean, sd, n, measure, renamed)


def _from_effects(effects: Effects, treatment: str, lump: dict[str, str]) -> NetworkData:
    table = effects.table
    columns = (treatment, f"ref_{treatment}")
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"these effects have no column {', '.join(map(repr, missing))}.")
    unknown = table[table[list(columns)].isna().any(axis=1)]
    if len(unknown):
        names = ", ".join(map(repr, dict.fromkeys(unknown["trial_id"])))
        raise ValueError(f"{treatment} is missing in trial {names}: select other effects.")
    given, against = (table[column].astype(str).replace(lump) for column in columns)
    codes, names = _codes(given, against)
    references = table.assign(of=against).drop_duplicates(["trial_id", "ref_arm_id"])
    sizes = pd.concat(
        [
            _sizes(table["trial_id"], given, table["n_arm"]),
            _sizes(references["trial_id"], references["of"], references["n_ref"]),
        ],
        ignore_index=True,
    )
    return _combined(
        names,
        table["trial_id"].to_numpy(dtype=object),
        codes[: len(table)],
        codes[len(table) :],
        table["yi"].to_numpy(dtype=float),
        effects.covariance,
        sizes,
        effects.excluded,
        effects.measure,
    )


def _from_arms(
    data: pd.DataFrame,
    trial: str,
    treatment: str,
    mean: str,
    sd: str,
    n: str,
    measure: str,
    lump: dict[str, str],
) -> NetworkData:
    _check_arms(data, trial, treatment, mean, sd, n, measure)
    trial_codes, trials = pd.factorize(data[trial])
    order = np.argsort(trial_codes, kind="stable")
    trial_codes = trial_codes[order]
    numbers = {name: data[name].to_numpy(dtype=float)[order] for name in (mean, sd, n)}
    given = data[treatment].astype(str).iloc[order].replace(lump)
    first = np.flatnonzero(np.diff(trial_codes, prepend=-1))
    ends = np.append(first[1:], len(trial_codes))
    baseline = np.repeat(first, ends - first)
    arm = np.arange(len(trial_codes)) != baseline
    y, parts = contrasts_of_arms(numbers[mean], numbers[sd], numbers[n], first, ends, measure)
    codes, names = _codes(given, given.iloc[:0])
    return _combined(
        names,
        trials.to_numpy(dtype=object)[trial_codes[arm]],
        codes[arm],
        codes[baseline][arm],
        y[arm],
        covariance_of_contrasts(*parts, first, ends),
        _sizes(data[trial].iloc[order], given, data[n].iloc[order]),
        pd.DataFrame(columns=["trial_id", "arm_id", "reason"]),
        measure,
    )


def _sizes(trial: pd.Series, treatment: pd.Series, n: pd.Series) -> pd.DataFrame:
    columns = {"trial_id": trial, "treatment": treatment, "participants": n}
    table = pd.DataFrame({name: column.to_numpy() for name, column in columns.items()})
    return table.astype({"participants": float})


def _codes(given: pd.Series, against: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    codes, names = pd.factorize(pd.concat([given, against]), sort=True)
    return codes, tuple(names)


def _check_arms(
    data: pd.DataFrame, trial: str, treatment: str, mean: str, sd: str, n: str, measure: str
) -> None:
    if measure not in ("MD", "SMD"):
        raise ValueError(f"measure {measure!r} is neither 'MD' nor 'SMD'.")
    missing = [c for c in (trial, treatment, mean, sd, n) if c not in data]
    if missing:
        raise ValueError(
            f"no column {', '.join(map(repr, missing))}; the data have {', '.join(data.columns)}."
        )
    faults = []
    for column, rule, right in (
        (mean, lambda x: np.isfinite(x), "known"),
        (sd, lambda x: x > 0, "above 0"),
        (n, lambda x: x > 1, "above 1"),
    ):
        values = data[column].to_numpy(dtype=float, na_value=np.nan)
        faults += [
            f"row {row}, trial {data[trial].iloc[row]!r}: {column} is {values[row]:g}; it must be "
            f"{right}"
            for row in np.flatnonzero(~rule(values))
        ]
    for column in (trial, treatment):
        faults += [f"row {row}: no {column}" for row in np.flatnonzero(data[column].isna())]
    arms = data[trial].value_counts(sort=False)
    faults += [f"trial {name!r} has one arm; it compares nothing" for name in arms[arms < 2].index]
    if faults:
        raise ValueError("\n".join(faults))


def _combined(
    names: tuple[str, ...],
    trial: np.ndarray,
    treatment: np.ndarray,
    versus: np.ndarray,
    y: np.ndarray,
    covariance: tuple[np.ndarray, ...] | list[np.ndarray],
    sizes: pd.DataFrame,
    excluded: pd.DataFrame,
    measure: str,
) -> NetworkData:
    """Network data in which no trial has two arms of one treatment."""
    frame = pd.DataFrame({"trial": trial, "treatment": treatment, "versus": versus})
    plain = frame.groupby("trial", sort=False)["versus"].transform("nunique").eq(1)
    plain &= ~frame.duplicated(["trial", "treatment"], keep=False)
    plain &= frame["treatment"] != frame["versus"]
    plain = plain.groupby(frame["trial"], sort=False).transform("all").to_numpy()
    rows, matrices, left = [], [], []
    position = frame.groupby("trial", sort=False).indices
    if plain.all():
        parts = [(frame["trial"].to_numpy(), treatment, versus, y)]
        matrices = list(covariance)
    else:
        parts = []
        for (label, where), V in zip(position.items(), covariance, strict=True):
            if plain[where[0]]:
                merged = (treatment[where], versus[where], y[where], np.asarray(V, dtype=float))
            else:
                merged = _merge(treatment[where], versus[where], y[where], V)
            if merged is None:
                left.append({"trial_id": label, "arm_id": "all", "reason": ONE_TREATMENT})
                continue
            given, against, effect, V = merged
            parts.append((np.full(len(effect), label, dtype=object), given, against, effect))
            matrices.append(V)
    if not matrices:
        raise CannotEstimate("no trial compares two different treatments")
    rows = [np.concatenate(column) for column in zip(*parts, strict=True)]
    used = np.unique(np.concatenate([rows[1], rows[2]]))
    recode = np.full(len(names), -1)
    recode[used] = np.arange(len(used))
    kept = tuple(names[code] for code in used)
    dropped = pd.DataFrame(left, columns=["trial_id", "arm_id", "reason"])
    return NetworkData(
        treatments=kept,
        trial=rows[0],
        treatment=recode[rows[1]],
        versus=recode[rows[2]],
        y=rows[3],
        covariance=tuple(matrices),
        arm_sizes=sizes,
        excluded=pd.concat([excluded, dropped], ignore_index=True) if left else excluded,
        measure=measure,
    )


def _merge(
    treatment: np.ndarray, versus: np.ndarray, y: np.ndarray, V: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """One contrast a treatment of a trial, by generalised least squares; None if none is left.

    With the trial's contrasts written as differences of its treatments' means, `y = A m + e`, the
    estimates are `(A'V^-1 A)^-1 A'V^-1 y` (Gleser & Olkin 2009 for arms of one treatment).
    """
    nodes, codes = np.unique(np.concatenate([treatment, versus]), return_inverse=True)
    incidence = np.zeros((len(y), len(nodes)))
    rows = np.arange(len(y))
    incidence[rows, codes[: len(y)]] += 1.0
    incidence[rows, codes[len(y) :]] -= 1.0
    _, part = connected_components(np.abs(incidence.T @ incidence) > 0, directed=False)
    kept, against = [], []
    for number in np.unique(part):
        members = np.flatnonzero(part == number)
        base = codes[len(y) :][np.isin(codes[len(y) :], members)]
        reference = base[0] if len(base) else members[0]
        others = members[members != reference]
        kept.extend(others)
        against.extend([reference] * len(others))
    if not kept:
        return None
    A = incidence[:, kept]
    weighted = np.linalg.solve(np.asarray(V, dtype=float), A)
    merged = np.linalg.inv(A.T @ weighted)
    return nodes[kept], nodes[against], merged @ (weighted.T @ y), merged
