"""How a network is read: arms with means or events, contrasts of trials, or `Effects`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.effects.arms import contrasts_of_arms, covariance_of_contrasts
from backpain_analysis.effects.table import Effects, refuse_evidence
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.faults import as_frame, need_columns
from backpain_analysis.models.network.contrasts import (
    NOTHING_COMPARED,
    ONE_TREATMENT,
    NetworkData,
    check_connected,
    combined,
    components_table,
    connected,
)
from backpain_analysis.models.results import quantile

__all__ = [
    "ONE_TREATMENT",
    "Columns",
    "NetworkData",
    "check_connected",
    "components_table",
    "connected_part",
    "name_of",
    "network_components",
    "network_data",
]

NO_EVENT = "no event in any arm, or in all arms nothing else: no ratio"

CORRECTION = 0.5
"""Added to every cell of a trial with an empty one (Haldane-Anscombe; Handbook 10.4.4.2)."""

ROUNDING = 0.05
"""Share of the smallest standard error by which printed differences of a trial may not add up."""

MEASURES = ("MD", "SMD", "d", "OR", "RR", "RD", "HR", "IRR", "ROM", "COR")
"""What contrasts may be; of ratios the logarithms."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold what; `yi` makes it a table of contrasts, `events` of events.

    Attributes
    ----------
    trial, treatment, mean, sd, n : str
        A row an arm.
    se, ci : str, (str, str), optional
        Standard error and 95% confidence interval of an arm's mean (where `sd` is missing), or of
        a contrast.
    events : str, optional
    yi, vi, treatment1, treatment2, shared_vi : str
        A row a contrast: effect of the first treatment minus that of the second.
    """

    trial: str = "trial_id"
    treatment: str = "treatment"
    mean: str = "mean"
    sd: str = "sd"
    n: str = "n"
    se: str | None = None
    ci: tuple[str, str] | None = None
    events: str | None = None
    yi: str | None = None
    vi: str | None = None
    treatment1: str = "treatment1"
    treatment2: str = "treatment2"
    shared_vi: str | None = None


def network_components(
    data: Effects | pd.DataFrame,
    *,
    measure: str | None = None,
    lump: Mapping[str, str] | None = None,
    **columns: Any,
) -> pd.DataFrame:
    """The connected parts of a network, the largest first.

    Parameters
    ----------
    data, measure, lump, **columns
        As for `network`.

    Returns
    -------
    DataFrame
        `component` (from 1), `treatment, trials, participants`: a row a treatment.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> effects = evidence.effects("pain_intensity", head_to_head=True)
    >>> bp.network_components(effects, lump=bp.lumping("types")).iloc[:, :3].head(3)
       component           treatment  trials
    0          1     aerobic_running       1
    1          1             aquatic       1
    2          1  core_stabilisation       4
    """
    return components_table(network_data(data, Columns(**columns), measure=measure, lump=lump))


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
    CannotEstimate
        If no trial that compares two treatments has `around`.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> effects = evidence.effects("pain_intensity", head_to_head=True)
    >>> bp.connected_part(effects, "inactive", lump=bp.lumping("types")).n_trials
    37
    """
    require(effects, "Effects")
    given, against = _ends(effects, treatment, lump)
    apart = (given != against).to_numpy()
    if not apart.any():
        raise CannotEstimate(NOTHING_COMPARED)
    codes, treatments = _codes(given[apart], against[apart])
    parts = dict(zip(treatments, connected(len(treatments), *np.split(codes, 2)), strict=True))
    number = 0
    if around is not None:
        if name_of(around) not in parts:
            raise CannotEstimate(
                f"no treatment {name_of(around)!r} in the network",
                f"it has {', '.join(sorted(parts, key=lambda name: (parts[name], name)))}",
            )
        number = parts[name_of(around)]
    members = {name for name, part in parts.items() if part == number}
    inside = given.isin(members).to_numpy() & against.isin(members).to_numpy()
    return effects.select(inside, "no trial connects it to the rest of the network")


def name_of(treatment: object) -> str:
    """A treatment as the network calls it: 1, 1.0 and "1" are one."""
    if isinstance(treatment, (float, np.floating)) and float(treatment).is_integer():
        return str(int(treatment))
    return str(treatment)


def shown(value: object) -> str:
    """A value as a message shows it."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def lumped(column: pd.Series, lump: Mapping[str, str] | None) -> pd.Series:
    """Names of treatments as the network calls them, renamed; missing ones stay missing."""
    codes, values = pd.factorize(column)
    renamed = {name_of(old): name_of(new) for old, new in dict(lump or {}).items()}
    names = [renamed.get(name, name) for name in map(name_of, values)]
    return pd.Series(np.array([*names, None], dtype=object)[codes], column.index, dtype=object)


def network_data(
    data: Effects | pd.DataFrame,
    columns: Columns | None = None,
    *,
    measure: str | None = None,
    lump: Mapping[str, str] | None = None,
) -> NetworkData:
    """The contrasts of a table or of `Effects`; arms of one treatment are combined.

    Parameters
    ----------
    data : Effects or DataFrame
    columns : Columns
    measure : str, optional
        By default "MD", of events "OR".
    lump : mapping, optional

    Raises
    ------
    ValueError
        For missing columns, treatments, means, SDs or sizes, trials with one arm, contrasts of a
        trial that do not add up: all at once.
    CannotEstimate
        If no trial compares two treatments.
    """
    columns = Columns() if columns is None else columns
    refuse_evidence(data)
    if isinstance(data, Effects):
        return _from_effects(data, columns.treatment, lump)
    data = as_frame(data)
    if columns.yi is not None:
        return _from_contrasts(data, columns, measure or "MD", lump)
    if columns.events is not None:
        return _from_events(data, columns, measure or "OR", lump)
    return _from_means(data, columns, measure or "MD", lump)


def _ends(
    effects: Effects, treatment: str, lump: Mapping[str, str] | None
) -> tuple[pd.Series, pd.Series]:
    """The two treatments of each contrast, as the network calls them."""
    table = effects.table
    names = (treatment, f"ref_{treatment}")
    missing = [column for column in ("trial_id", *names, "yi") if column not in table]
    if missing:
        raise ValueError(f"these effects have no column {', '.join(map(repr, missing))}.")
    unknown = table[list(names)].isna().any(axis=1)
    if unknown.any():
        trials = ", ".join(map(shown, dict.fromkeys(table.loc[unknown, "trial_id"])))
        raise ValueError(f"{treatment} is missing in trial {trials}: select other effects.")
    return lumped(table[names[0]], lump), lumped(table[names[1]], lump)


def _from_effects(effects: Effects, treatment: str, lump: Mapping[str, str] | None) -> NetworkData:
    table = effects.table
    given, against = _ends(effects, treatment, lump)
    codes, treatments = _codes(given, against)
    of, against_of = codes[: len(table)], codes[len(table) :]
    key = "ref_arm_id" if "ref_arm_id" in table else f"ref_{treatment}"
    first = ~table[["trial_id", key]].duplicated().to_numpy()
    trial, unsized = table["trial_id"].to_numpy(dtype=object), np.full(len(table), np.nan)
    n, n_ref = (
        table[name].to_numpy(dtype=float, na_value=np.nan) if name in table else unsized
        for name in ("n_arm", "n_ref")
    )
    sizes = _sizes(
        np.concatenate([trial, trial[first]]),
        np.concatenate([given, against[first]]),
        np.concatenate([n, n_ref[first]]),
    )
    return combined(
        treatments,
        trial,
        of,
        against_of,
        table["yi"].to_numpy(dtype=float),
        effects.covariance,
        sizes,
        effects.excluded,
        effects.measure,
        effects.outcome,
        _counts(table, first, np.append(of, against_of[first])),
    )


def _counts(table: pd.DataFrame, first: np.ndarray, codes: np.ndarray) -> pd.DataFrame | None:
    """Events of all arms, where every contrast has them: `trial_id, treatment, events, n`.

    `codes` are of the treatments of all arms, then of the `first` contrasts' reference arms.
    """
    names = ["events", "n_arm", "ref_events", "n_ref"]
    if not set(names) <= set(table) or table[names].isna().any(axis=None):
        return None
    references = table[first]
    arms = {
        "trial_id": [*table["trial_id"], *references["trial_id"]],
        "treatment": codes,
        "events": [*table["events"], *references["ref_events"]],
        "n": [*table["n_arm"], *references["n_ref"]],
    }
    every = pd.DataFrame(arms).astype({"events": float, "n": float})
    return every.groupby(["trial_id", "treatment"], sort=False, as_index=False).sum()


NOTHING_LEFT_OUT = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])


@dataclass(frozen=True)
class _Arms:
    """A table of arms, those of a trial together, in the order of the trials' first rows."""

    table: pd.DataFrame
    columns: Columns
    lump: Mapping[str, str] | None
    order: np.ndarray = field(init=False)
    code: np.ndarray = field(init=False)
    trials: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        code, trials = pd.factorize(self.table[self.columns.trial])
        order = np.argsort(code, kind="stable")
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "code", code[order])
        object.__setattr__(self, "trials", np.asarray(trials, dtype=object))

    def values(self, column: str) -> np.ndarray:
        return self.table[column].to_numpy(dtype=float, na_value=np.nan)[self.order]

    @property
    def treatments(self) -> pd.Series:
        return lumped(self.table[self.columns.treatment], self.lump).iloc[self.order]

    @property
    def first(self) -> np.ndarray:
        return np.flatnonzero(np.diff(self.code, prepend=-1))

    @property
    def ends(self) -> np.ndarray:
        return np.append(self.first[1:], len(self.code))

    def network(
        self,
        y: np.ndarray,
        covariance: list[np.ndarray],
        sizes: np.ndarray,
        measure: str,
        **more: Any,
    ) -> NetworkData:
        """The network of effects of each arm against the first of its trial."""
        baseline = np.repeat(self.first, self.ends - self.first)
        arm = np.arange(len(self.code)) != baseline
        given = self.treatments
        codes, names = _codes(given, given.iloc[:0])
        return combined(
            names,
            self.trials[self.code[arm]],
            codes[arm],
            codes[baseline][arm],
            y[arm],
            covariance,
            _sizes(pd.Series(self.trials[self.code]), given, pd.Series(sizes)),
            more.pop("excluded", NOTHING_LEFT_OUT),
            measure,
            **more,
        )


def _from_means(
    data: pd.DataFrame, columns: Columns, measure: str, lump: Mapping[str, str] | None
) -> NetworkData:
    if measure not in ("MD", "SMD", "d"):
        cure = " of means; for 'OR', 'RR' and 'RD' name the column of events (events=...)"
        raise ValueError(f"measure {measure!r} is none of 'MD', 'SMD' and 'd'{cure}.")
    data = _with_sd(data, columns)
    rules = (
        (columns.mean, np.isfinite, "known"),
        (columns.sd, lambda x: x > 0, "above 0"),
        (columns.n, lambda x: x > 1, "above 1"),
    )
    _check_arms(data, columns, rules)
    arms = _Arms(data, columns, lump)
    n = arms.values(columns.n)
    mean, sd = arms.values(columns.mean), arms.values(columns.sd)
    y, parts = contrasts_of_arms(mean, sd, n, arms.first, arms.ends, measure)
    return arms.network(y, covariance_of_contrasts(*parts, arms.first, arms.ends), n, measure)


def _with_sd(data: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The SD from the standard error or the 95% interval of a mean, where it is not given.

    `SD = SE sqrt(n)`; the interval is that of Student's t on n - 1 degrees of freedom (Cochrane
    Handbook 6.5.2.2).
    """
    if columns.se is None and columns.ci is None:
        return data
    sources = [columns.n, *([columns.se] if columns.se else []), *(columns.ci or ())]
    need_columns(sources, data)
    n = data[columns.n].to_numpy(dtype=float, na_value=np.nan)
    sd = np.full(len(data), np.nan)
    if columns.sd in data:
        sd = data[columns.sd].to_numpy(dtype=float, na_value=np.nan)
    if columns.se is not None:
        se = data[columns.se].to_numpy(dtype=float, na_value=np.nan)
        sd = np.where(np.isnan(sd), se * np.sqrt(n), sd)
    if columns.ci is not None:
        low, high = (data[c].to_numpy(dtype=float, na_value=np.nan) for c in columns.ci)
        reach = special.stdtrit(np.where(n > 1, n - 1, np.nan), 0.975)
        sd = np.where(np.isnan(sd), (high - low) / (2 * reach) * np.sqrt(n), sd)
    return data.assign(**{columns.sd: sd})


def _from_events(
    data: pd.DataFrame, columns: Columns, measure: str, lump: Mapping[str, str] | None
) -> NetworkData:
    """Log odds ratios, log risk ratios or risk differences of arms with events.

    In a trial with an empty cell (no event, or nobody without one) 1/2 is added to all its cells;
    to risk differences in their variance only. Trials without any event, or with nothing else,
    say nothing of ratios and are left out.
    """
    if measure not in ("OR", "RR", "RD"):
        raise ValueError(f"measure {measure!r} of events is none of 'OR', 'RR', 'RD'.")
    events, n = str(columns.events), columns.n
    need_columns((columns.trial, columns.treatment, events, n), data)
    size = data[n].to_numpy(dtype=float, na_value=np.nan)
    rules = (
        (n, lambda x: x > 0, "above 0"),
        (events, lambda x: (x >= 0) & ~(x > size), f"from 0 to {n}"),
    )
    _check_arms(data, columns, rules)
    names = lumped(data[columns.treatment], lump)
    table = pd.DataFrame(
        {
            columns.trial: data[columns.trial].to_numpy(),
            columns.treatment: names.to_numpy(),
            events: data[events].to_numpy(dtype=float),
            n: size,
        }
    )
    table = table.groupby([columns.trial, columns.treatment], sort=False, as_index=False).sum()
    many = table[columns.trial].map(table[columns.trial].value_counts()) > 1
    lone = table.loc[~many, columns.trial]
    left = [{"trial_id": t, "arm_id": "all", "reason": ONE_TREATMENT} for t in lone]
    sums = table.groupby(columns.trial)[[events, n]].transform("sum")
    silent = (sums[events] == 0) | (sums[events] == sums[n])
    if measure != "RD":
        mute = table.loc[silent & many, columns.trial].drop_duplicates()
        left += [{"trial_id": t, "arm_id": "all", "reason": NO_EVENT} for t in mute]
        many &= ~silent
    if not many.any():
        raise CannotEstimate("no trial compares the events of two treatments")
    arms = _Arms(table[many].reset_index(drop=True), columns, None)
    e, size = arms.values(events), arms.values(n)
    y, own = _of_events(e, size, arms.first, measure)
    y = y - np.repeat(y[arms.first], arms.ends - arms.first)
    V = covariance_of_contrasts(own, np.zeros(len(own)), arms.first, arms.ends)
    given = arms.treatments
    codes, _ = _codes(given, given.iloc[:0])
    counts = pd.DataFrame(
        {"trial_id": arms.trials[arms.code], "treatment": codes, "events": e, "n": size}
    )
    excluded = pd.DataFrame(left, columns=["trial_id", "arm_id", "reason"])
    return arms.network(y, V, size, measure, events=counts, excluded=excluded)


def _of_events(
    events: np.ndarray, n: np.ndarray, first: np.ndarray, measure: str
) -> tuple[np.ndarray, np.ndarray]:
    """What each arm's events are on the measure's scale, and its variance."""
    empty = ((events == 0) | (events == n)).astype(float)
    sizes = np.diff(np.append(first, len(events)))
    add = CORRECTION * np.repeat(np.maximum.reduceat(empty, first), sizes)
    a, b = events + add, n - events + add
    if measure == "OR":
        return np.log(a / b), 1 / a + 1 / b
    if measure == "RR":
        return np.log(a / (a + b)), 1 / a - 1 / (a + b)
    return events / n, a * b / (a + b) ** 3


def _from_contrasts(
    data: pd.DataFrame, columns: Columns, measure: str, lump: Mapping[str, str] | None
) -> NetworkData:
    """Contrasts as trials print them; of a trial with several arms all pairs, or a star.

    From all pairs the covariance of the contrasts against one arm follows,
    `(v_i0 + v_j0 - v_ij) / 2`; from contrasts against one arm with the variance of that arm's own
    mean (`shared_vi`) it is that variance.
    """
    if measure not in MEASURES:
        raise ValueError(f"unknown measure {measure!r}: use one of {', '.join(MEASURES)}.")
    names = [columns.trial, str(columns.yi), columns.treatment1, columns.treatment2]
    optional = [columns.vi, columns.se, *(columns.ci or ()), columns.shared_vi]
    need_columns([*names, *(name for name in optional if name)], data)
    if columns.vi is None and columns.se is None and columns.ci is None:
        raise ValueError("contrasts need their variance (vi=...), standard error (se=...) or ci.")
    yi = data[columns.yi].to_numpy(dtype=float, na_value=np.nan)
    vi = _contrast_variances(data, columns)
    shared = np.full(len(data), np.nan)
    if columns.shared_vi is not None:
        shared = data[columns.shared_vi].to_numpy(dtype=float, na_value=np.nan)
    _check_contrasts(data, columns, yi, vi)
    first, second = (lumped(data[c], None) for c in (columns.treatment1, columns.treatment2))
    parts, matrices, faults = [], [], []
    position = pd.Series(np.arange(len(data))).groupby(data[columns.trial].array, sort=False)
    for label, rows in position.indices.items():
        try:
            star = _star(
                first.to_numpy()[rows], second.to_numpy()[rows], yi[rows], vi[rows], shared[rows]
            )
        except _TrialFault as fault:
            faults.append(f"trial {shown(label)}: {fault}")
            continue
        others, base, y, V = star
        parts.append((np.full(len(y), label, dtype=object), others, base, y))
        matrices.append(V)
    if faults:
        raise ValueError("\n".join(faults))
    trial, of, against, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    given, versus = (lumped(pd.Series(side), lump) for side in (of, against))
    codes, treatments = _codes(given, versus)
    arms = pd.DataFrame(
        {"t": np.concatenate([trial, trial]), "name": pd.concat([given, versus]).to_numpy()}
    ).drop_duplicates()
    return combined(
        treatments,
        trial,
        codes[: len(y)],
        codes[len(y) :],
        y,
        matrices,
        _sizes(arms["t"], arms["name"], pd.Series(np.nan, arms.index)),
        NOTHING_LEFT_OUT,
        measure,
    )


def _contrast_variances(data: pd.DataFrame, columns: Columns) -> np.ndarray:
    vi = np.full(len(data), np.nan)
    if columns.vi is not None:
        vi = data[columns.vi].to_numpy(dtype=float, na_value=np.nan)
    if columns.se is not None:
        se = data[columns.se].to_numpy(dtype=float, na_value=np.nan)
        vi = np.where(np.isnan(vi), np.where(se > 0, se, np.nan) ** 2, vi)
    if columns.ci is not None:
        low, high = (data[c].to_numpy(dtype=float, na_value=np.nan) for c in columns.ci)
        se = (high - low) / (2 * quantile(0.95, np.inf))
        vi = np.where(np.isnan(vi), np.where(se > 0, se, np.nan) ** 2, vi)
    return vi


def _check_contrasts(data: pd.DataFrame, columns: Columns, yi: np.ndarray, vi: np.ndarray) -> None:
    where = [f"row {row}, trial {shown(name)}" for row, name in enumerate(data[columns.trial])]
    faults = [
        f"{where[row]}: {columns.yi} is {yi[row]:g}; it must be known"
        for row in np.flatnonzero(~np.isfinite(yi))
    ]
    faults += [
        f"{where[row]}: the variance is {vi[row]:g}; it must be above 0"
        for row in np.flatnonzero(~(vi > 0) | ~np.isfinite(vi))
    ]
    for name in (columns.trial, columns.treatment1, columns.treatment2):
        faults += [f"row {row}: no {name}" for row in np.flatnonzero(data[name].isna())]
    same = data[columns.treatment1].astype(str) == data[columns.treatment2].astype(str)
    faults += [f"{where[row]}: it compares a treatment with itself" for row in np.flatnonzero(same)]
    if faults:
        raise ValueError("\n".join(faults))


class _TrialFault(ValueError):
    """Contrasts of one trial that cannot be those of one trial."""


def _star(
    first: np.ndarray, second: np.ndarray, y: np.ndarray, v: np.ndarray, shared: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A trial's contrasts against one of its arms, with their covariance.

    Raises
    ------
    _TrialFault
        If pairs are missing or repeated, differences do not add up, or variances cannot be.
    """
    if len(y) == 1:
        return first, second, y, v[:, None]
    arms = list(dict.fromkeys([*second, *first]))
    pairs = {frozenset(pair) for pair in zip(first, second, strict=True)}
    if len(pairs) < len(y):
        raise _TrialFault("the same two treatments are compared twice; give one row a pair")
    if len(y) == len(arms) * (len(arms) - 1) // 2:
        return _from_all_pairs(arms, first, second, y, v)
    common = [arm for arm in arms if all(arm in pair for pair in pairs)]
    if not common or len(y) != len(arms) - 1:
        raise _TrialFault(
            f"{len(arms)} treatments but {len(y)} contrasts: give all pairs "
            f"({len(arms) * (len(arms) - 1) // 2}), or all against one arm with that arm's "
            "variance (shared_vi=...)"
        )
    base = common[0]
    own = shared[np.isfinite(shared)]
    if not len(own):
        raise _TrialFault(
            f"{len(y)} contrasts share the arm {base!r}: give its variance (shared_vi=...), or all "
            "pairs of the trial"
        )
    if np.ptp(own) > 1e-6 * own.max() or not (own[0] > 0 and own[0] < v.min()):
        raise _TrialFault(
            f"the variance of the shared arm ({own[0]:g}) must be one number, above 0 and below "
            f"that of each contrast ({v.min():g})"
        )
    turned = np.where(second == base, 1.0, -1.0)
    others = np.where(second == base, first, second)
    V = np.full((len(y), len(y)), own[0])
    V[np.diag_indices(len(y))] = v
    return others, np.full(len(y), base, dtype=object), turned * y, V


def _from_all_pairs(
    arms: list[str], first: np.ndarray, second: np.ndarray, y: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    place = {name: number for number, name in enumerate(arms)}
    size = len(arms)
    means, variance = np.zeros(size), np.zeros((size, size))
    for a, b, effect, var in zip(first, second, y, v, strict=True):
        i, j = place[a], place[b]
        means[i] += effect / size
        means[j] -= effect / size
        variance[i, j] = variance[j, i] = var
    limit = ROUNDING * np.sqrt(v.min())
    for a, b, effect in zip(first, second, y, strict=True):
        implied = means[place[a]] - means[place[b]]
        if abs(effect - implied) > limit + 1e-12:
            raise _TrialFault(
                f"the differences do not add up: {a} minus {b} is {effect:g}, by the other pairs "
                f"{_by_others(arms, place, first, second, y, a, b):g}"
            )
    V = (variance[1:, :1] + variance[:1, 1:] - variance[1:, 1:]) / 2
    if np.linalg.eigvalsh(V)[0] <= 1e-10 * np.diag(V).max():
        raise _TrialFault(
            "the variances cannot be those of one trial: the variance of a difference is larger "
            "or smaller than the other pairs allow"
        )
    others = np.array(arms[1:], dtype=object)
    return others, np.full(size - 1, arms[0], dtype=object), means[1:] - means[0], V


def _by_others(
    arms: list[str],
    place: dict[str, int],
    first: np.ndarray,
    second: np.ndarray,
    y: np.ndarray,
    a: str,
    b: str,
) -> float:
    """What the paths through one other arm say of a minus b, on average."""
    effect = np.zeros((len(arms), len(arms)))
    for one, two, value in zip(first, second, y, strict=True):
        effect[place[one], place[two]] = value
        effect[place[two], place[one]] = -value
    middle = [place[name] for name in arms if name not in (a, b)]
    return float(np.mean([effect[place[a], m] + effect[m, place[b]] for m in middle]))


def all_pairs(data: NetworkData) -> pd.DataFrame:
    """The contrasts of every two arms of each trial, as `network` reads them back.

    Returns
    -------
    DataFrame
        `trial_id, treatment1, treatment2, yi, vi`.
    """
    rows, start = [], 0
    for V in data.covariance:
        own = slice(start, start + len(V))
        start += len(V)
        arms = [data.versus[own][0], *data.treatment[own]]
        y = np.append(0.0, data.y[own])
        full = np.zeros((len(arms), len(arms)))
        full[1:, 1:] = V
        for i, j in combinations(range(len(arms)), 2):
            variance = full[i, i] + full[j, j] - 2 * full[i, j]
            names = (data.treatments[arms[i]], data.treatments[arms[j]])
            rows.append((data.trial[own][0], *names, y[i] - y[j], variance))
    return pd.DataFrame(rows, columns=["trial_id", "treatment1", "treatment2", "yi", "vi"])


def _sizes(trial: ArrayLike, treatment: ArrayLike, n: ArrayLike) -> pd.DataFrame:
    columns = {"trial_id": np.asarray(trial), "treatment": np.asarray(treatment)}
    return pd.DataFrame({**columns, "participants": np.asarray(n, dtype=float)})


def _codes(given: pd.Series, against: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    codes, names = pd.factorize(np.concatenate([given, against]), sort=True)
    return codes, tuple(names)


def _check_arms(data: pd.DataFrame, columns: Columns, rules: Any) -> None:
    trial, treatment = columns.trial, columns.treatment
    need_columns((trial, treatment, *(rule[0] for rule in rules)), data)
    faults = []
    for column, rule, right in rules:
        values = data[column].to_numpy(dtype=float, na_value=np.nan)
        faults += [
            f"row {row}, trial {shown(data[trial].iloc[row])}: {column} is {values[row]:g}; it "
            f"must be {right}"
            for row in np.flatnonzero(~rule(values))
        ]
    for column in (trial, treatment):
        faults += [f"row {row}: no {column}" for row in np.flatnonzero(data[column].isna())]
    codes, names = pd.factorize(data[trial])
    lonely = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(names)) < 2)
    faults += [f"trial {shown(names[k])} has one arm; it compares nothing" for k in lonely]
    if faults:
        raise ValueError("\n".join(faults))
