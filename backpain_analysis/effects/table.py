"""`Effects`: one row a contrast, with the covariance of the contrasts of a trial."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backpain_analysis.display import html_table
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.dose import DOSE_MEASURES
from backpain_analysis.evidence.faults import as_frame, need_columns
from backpain_analysis.words import author_year, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike


AS_PRESCRIBED = "as prescribed, supervised sessions"
HOME_INCLUDED = "as prescribed, home sessions included"


_REASONS_TOLD = 3

CAUTIONS = {
    "clusters ignored": "clusters were randomised and are not allowed for, so the standard errors "
    "are too small",
    "of the instrument in other trials": "the standard deviation is that of other trials; for "
    "sensitivity analyses only",
}
"""Remarks in `obtained` that a reader of a pooled effect must know, and how they are said."""


@dataclass(frozen=True, repr=False)
class Effects:
    """Effect sizes ready for a model.

    Attributes
    ----------
    table : DataFrame
        A row a contrast (arm against its trial's reference arm), rows of a trial together:
        `trial_id, arm_id, ref_arm_id, label, first_author, year, population, exercise_type,
        ref_exercise_type, comparator_type, treatment, ref_treatment` (exercise type or comparator),
        `reference_kind` ("inactive", "lower dose", "other exercise", "other treatment"),
        `instrument, timepoint_weeks, source, obtained` (what was not printed so, "" for nothing),
        `yi, vi, n_arm, n_ref` and, for every measure in
        `DOSE_MEASURES`, the dose of the arm and `ref_<measure>` of the reference arm.
    covariance : tuple of ndarray
        Sampling covariance of the contrasts of each trial, in the order of the table.
    excluded : DataFrame
        `trial_id, arm_id, reason`: every arm of a trial with this outcome that is not in the
        table (and is no reference in it), and every trial left out as a whole.
    outcome, measure : str
        `measure` "MD" is in points of 0-100 (or in `unit`), "SMD" in standard deviations (Hedges'
        g), ratios are logs.
    unit : str
        Of MDs that are not in points of 0-100; else empty.
    dose_basis : str
        What the doses count.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(
    ...     trial_id=["saper2013", "teut2016", "sherman2011"]
    ... )
    >>> effects = evidence.effects("pain_intensity")
    >>> effects.n_trials
    3
    >>> effects.table[["trial_id", "exercise_type", "yi"]].round(1)
          trial_id   exercise_type    yi
    0    saper2013            yoga  -3.0
    1  sherman2011            yoga -11.0
    2     teut2016            yoga  -4.5
    3     teut2016  tai_chi_qigong  -5.5
    """

    table: pd.DataFrame
    covariance: tuple[np.ndarray, ...]
    excluded: pd.DataFrame
    outcome: str
    measure: str
    unit: str = ""
    dose_basis: str = AS_PRESCRIBED

    def __len__(self) -> int:
        return len(self.table)

    @property
    def trials(self) -> list[str]:
        """Trial ids in the order of the table."""
        return list(dict.fromkeys(self.table["trial_id"]))

    @property
    def n_trials(self) -> int:
        return len(self.covariance)

    @property
    def n_participants(self) -> int:
        """Participants in the arms that enter, each arm once; see `unsized_arms`."""
        return int(np.nansum(self._arm_sizes()))

    @property
    def unsized_arms(self) -> int:
        """How many of these arms are of unknown size, and so not in `n_participants`."""
        return int(np.isnan(self._arm_sizes()).sum())

    def size_of(self, keep: ArrayLike) -> tuple[int, int]:
        """Trials and participants of the contrasts for which `keep` is true, as if selected.

        Parameters
        ----------
        keep : boolean array_like, shape (n_contrasts,)

        Returns
        -------
        (int, int)
            As `n_trials` and `n_participants` of `select(keep, None)`.
        """
        rows = np.flatnonzero(np.asarray(keep, dtype=bool))
        trials = len(self.table["trial_id"].iloc[rows].unique())
        return trials, int(np.nansum(self._arm_sizes(rows)))

    def _arm_sizes(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Participants of each arm of some contrasts, missing where not known."""
        trials, sizes = self.table["trial_id"].array[rows].tolist(), []
        for arm, n in (("arm_id", "n_arm"), ("ref_arm_id", "n_ref")):
            own = self.table[n].to_numpy(dtype=float, na_value=np.nan)[rows]
            arms = zip(trials, self.table[arm].array[rows].tolist(), strict=True)
            sizes += list(dict(zip(reversed(list(arms)), own[::-1], strict=True)).values())
        return np.array(sizes)

    def to_frame(self) -> pd.DataFrame:
        """The contrasts as a plain table for other programs: who, what, effect, variance, people.

        Returns
        -------
        DataFrame
            A row a contrast: `trial, trial_id, arm_id, ref_arm_id, treatment, ref_treatment, dose,
            ref_dose` (where one measure was chosen; else all measures), `timepoint_weeks, n_arm,
            n_ref, yi, vi, obtained`, as far as known.
        """
        doses = [name for measure in DOSE_MEASURES for name in (measure, f"ref_{measure}")]
        doses = ["dose", "ref_dose"] if "dose" in self.table else doses
        wanted = ["label", "trial_id", "arm_id", "ref_arm_id", "treatment", "ref_treatment"]
        wanted += [*doses, "timepoint_weeks", "n_arm", "n_ref", "yi", "vi", "obtained"]
        found = self.table[[name for name in wanted if name in self.table]]
        return found.rename(columns={"label": "trial"}).reset_index(drop=True)

    def select(
        self, keep: ArrayLike | Callable[[pd.DataFrame], pd.Series], reason: str | None
    ) -> Effects:
        """The contrasts for which `keep` is true; the others are listed as excluded.

        Parameters
        ----------
        keep : boolean array_like, shape (n_contrasts,), or a function of the table giving one
        reason : str or None
            What `excluded` says of the others; None where nobody will ask, as when each trial is
            left out in turn, and they are not listed.
        """
        mask = np.asarray(keep(self.table) if callable(keep) else keep, dtype=bool)
        return self._only(mask) if reason is None else self._without({reason: ~mask})

    def _without(self, reasons: Mapping[str, np.ndarray]) -> Effects:
        """The contrasts that no reason excludes; each is excluded for one at most."""
        rows = {reason: np.flatnonzero(excluded) for reason, excluded in reasons.items()}
        gone = np.concatenate(list(rows.values()))
        if not len(gone):
            return self
        mask = np.ones(len(self), dtype=bool)
        mask[gone] = False
        told = {name: self.table[name].array.take(gone) for name in ("trial_id", "arm_id")}
        why = np.repeat(list(rows), [len(own) for own in rows.values()])
        added = pd.DataFrame({**told, "reason": why})
        excluded = pd.concat([self.excluded, added], ignore_index=True)
        return replace(self._only(mask), excluded=excluded)

    def _only(self, keep: np.ndarray) -> Effects:
        table = self.table.take(np.flatnonzero(keep))
        table.index = pd.RangeIndex(len(table))
        return replace(self, table=table, covariance=tuple(matrices_of(self.covariance, keep)))

    def against_inactive(self) -> Effects:
        """Contrasts whose reference arm did no exercise: what "the effect of exercise" means."""
        return self.select(
            lambda t: t["reference_kind"] == "inactive", "compared with a lower dose, not inactive"
        )

    def with_arms(self, arms: pd.DataFrame, columns: str | Sequence[str]) -> Effects:
        """Add what is known of the arms: each column, and `ref_` it for the reference arm.

        Parameters
        ----------
        arms : DataFrame
            With `trial_id, arm_id` and the columns, as `Evidence.arms`.
        columns : str or sequence of str

        Raises
        ------
        ValueError
            If the arms have no such column, or one of them stands there twice.
        """
        arms, columns = as_frame(arms), [columns] if isinstance(columns, str) else list(columns)
        need_columns(["trial_id", "arm_id", *columns], arms)
        names = list(zip(arms["trial_id"], arms["arm_id"], strict=True))
        places = {name: place for place, name in enumerate(names)}
        if len(places) < len(names):
            twice = next(name for place, name in enumerate(names) if places[name] != place)
            raise ValueError(f"arms: {twice[1]!r} of trial {twice[0]!r} stands there twice.")
        known = arms[columns].set_axis(pd.RangeIndex(len(arms)))
        added: dict[str, Any] = {}
        for prefix, arm in (("", "arm_id"), ("ref_", "ref_arm_id")):
            pairs = zip(self.table["trial_id"], self.table[arm], strict=True)
            own = known.reindex([places.get(pair, -1) for pair in pairs])
            added |= {f"{prefix}{name}": own[name].array for name in columns}
        table = self.table.drop(columns=[c for c in columns if c in self.table])
        return replace(self, table=table.assign(**added))

    def one_per_trial(self) -> Effects:
        """One effect a trial: several arms against one reference arm are combined.

        The combined effect is the generalised least squares mean of the trial's contrasts,
        `1'V^-1 y / 1'V^-1 1`, with variance `1 / 1'V^-1 1` (Gleser & Olkin 2009). What tells the
        arms apart (type, dose) is kept where it is the same in all of them, else missing.
        """
        if all(len(V) == 1 for V in self.covariance):
            return self
        ends = np.cumsum([len(V) for V in self.covariance])
        first = ends - [len(V) for V in self.covariance]
        several = [place for place, V in enumerate(self.covariance) if len(V) > 1]
        parts = [slice(first[place], ends[place]) for place in several]
        values = {name: column.tolist() for name, column in self.table.items()}
        table, covariance = self.table.take(first), list(self.covariance)
        table.index = pd.RangeIndex(len(table))
        combined: dict[Hashable, dict[int, Any]] = defaultdict(dict)
        for place, own in zip(several, parts, strict=True):
            for name, column in values.items():
                if len({None if pd.isna(value) else value for value in column[own]}) > 1:
                    combined[name][place] = np.nan
            weight = np.linalg.solve(covariance[place], np.ones(len(covariance[place])))
            variance = 1 / weight.sum()
            covariance[place] = np.array([[variance]])
            author, year = (values[name][own.start] for name in ("first_author", "year"))
            row = {
                "yi": variance * (weight @ np.array(values["yi"][own], dtype=float)),
                "vi": variance,
                "n_arm": sum(values["n_arm"][own]),
                "n_ref": values["n_ref"][own.start],
                "label": author_year(author, year),
                "arm_id": "+".join(values["arm_id"][own]),
                "ref_arm_id": values["ref_arm_id"][own.start],
            }
            for name, value in row.items():
                combined[name][place] = value
        for name, own_values in combined.items():
            kept = [own_values.get(place, values[name][row]) for place, row in enumerate(first)]
            dtype = table[name].dtype
            plain = isinstance(dtype, np.dtype) and dtype.kind in "biu"  # hold nothing missing
            table[name] = pd.Series(kept, dtype=None if plain else dtype)
        return replace(self, table=table, covariance=tuple(covariance))

    def with_dose(self, measure: str) -> Effects:
        """Contrasts whose dose of both arms is known, as columns `dose` and `ref_dose`.

        Raises
        ------
        ValueError
            If `measure` is none of `DOSE_MEASURES`.
        """
        if measure not in DOSE_MEASURES:
            raise ValueError(f"unknown dose {measure!r}: use one of {', '.join(DOSE_MEASURES)}.")
        dose, reference = (
            self.table[name].to_numpy(dtype=float) for name in (measure, f"ref_{measure}")
        )
        distinct = self._without(
            {
                f"{measure} not reported": np.isnan(dose) | np.isnan(reference),
                f"both arms have the same {measure}": dose == reference,
            }
        )
        table = distinct.table.assign(
            dose=distinct.table[measure], ref_dose=distinct.table[f"ref_{measure}"]
        )
        return replace(distinct, table=table)

    def excluded_counts(self) -> pd.DataFrame:
        """How many arms (and trials) were left out for which reason."""
        return count_reasons(self.excluded)

    def obtained_counts(self) -> pd.DataFrame:
        """How many contrasts (and trials) rest on something that was not printed so.

        Returns
        -------
        DataFrame
            `obtained, trials, contrasts`, the most frequent first; numbers in a remark are left
            out, so that remarks of a kind are counted together.
        """
        if "obtained" not in self.table:
            return pd.DataFrame(columns=["obtained", "trials", "contrasts"])
        parts = self.table[["trial_id"]].assign(obtained=self.table["obtained"].str.split("; "))
        parts = parts.explode("obtained").query("obtained != ''")
        kinds = parts.assign(obtained=parts["obtained"].map(_kind)).drop_duplicates()
        by_row = kinds.groupby("obtained", sort=False)
        counts = by_row.agg(trials=("trial_id", "nunique"))
        counts["contrasts"] = parts["obtained"].map(_kind).value_counts().reindex(counts.index)
        return counts.sort_values("contrasts", ascending=False, kind="stable").reset_index()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of a pooled effect must know of these contrasts, in sentences."""
        notes = []
        kinds = list(self.table.get("reference_kind", ()))
        lower = kinds.count("lower dose")
        if lower and lower < len(kinds):
            notes.append(
                f"{lower} of {len(kinds)} contrasts {'is' if lower == 1 else 'are'} of a dose "
                "against a lower dose of the same exercise, not against no exercise: "
                "against_inactive() leaves such contrasts out."
            )
        if "obtained" in self.table:
            remarks = list(zip(self.table["trial_id"], self.table["obtained"], strict=True))
            for words, said in CAUTIONS.items():
                if trials := len({trial for trial, remark in remarks if words in str(remark)}):
                    notes.append(f"{plural(trials, 'trial')}: {said}.")
        return tuple(notes)

    def plot(self, **options: Any) -> Axes:
        """Forest plot: see `figures.forest`."""
        from backpain_analysis import figures

        return figures.forest(self, **options)

    def __repr__(self) -> str:
        return (
            f"<Effects: {self.outcome}, {self.measure}, {plural(len(self), 'contrast')} of "
            f"{plural(self.n_trials, 'trial')}, {plural(self.n_participants, 'participant')}>"
        )

    def _repr_html_(self) -> str:
        wanted = ["label", "exercise_type", "instrument", "timepoint_weeks", "dose", "ref_dose"]
        shown = self.table[[name for name in (*wanted, "yi", "vi") if name in self.table]]
        note = (
            f"{plural(len(self), 'contrast')} of {plural(self.n_trials, 'trial')}, "
            f"{plural(self.n_participants, 'participant')}; "
            f"{plural(len(self.excluded), 'arm')} left out (see .excluded)."
        )
        if "dose" in self.table:
            note += f" Doses {self.dose_basis}."
        note = " ".join([note, *self.notes])
        unit = f", {self.unit}" if self.unit else ""
        return html_table(shown, title=f"{self.outcome}, {self.measure}{unit}", note=note)


def matrices_of(covariance: Iterable[np.ndarray], keep: np.ndarray) -> Iterator[np.ndarray]:
    """The covariance of some contrasts, a matrix a trial that has any of them.

    Parameters
    ----------
    covariance : iterable of ndarray
        Of the contrasts of each trial.
    keep : ndarray of bool, shape (n_contrasts,)
    """
    first = 0
    for matrix in covariance:
        inside = keep[first : first + len(matrix)]
        first += len(matrix)
        if inside.all():
            yield matrix
        elif inside.any():
            yield matrix[np.ix_(inside, inside)]


def refuse_evidence(data: object) -> None:
    """Models take the effects of one outcome, not the evidence of all, and not none at all.

    Raises
    ------
    ValueError
    CannotEstimate
        Of effects without any; it says why arms were left out.
    """
    if callable(getattr(data, "effects", None)):
        raise ValueError(
            "this is the evidence of every outcome: choose one first, as in "
            "evidence.effects('pain_intensity')."
        )
    if isinstance(data, Effects) and data.table.empty:
        why = count_reasons(data.excluded).head(_REASONS_TOLD)
        told = [f"{plural(row.arms, 'arm')}: {row.reason}" for row in why.itertuples()]
        if unit := re.search(r"\(unit (\w+)\)", "; ".join(told)):
            told.append(f"unit={unit[1]!r} takes differences in it")
        if why["reason"].str.contains("time asked for").any():
            told.append("timepoint='followup' or 'latest' asks for another time")
        raise CannotEstimate(f"no effect on {data.outcome} is left", "; ".join(told))


def _kind(remark: str) -> str:
    return re.sub(r"\s+(?:<?=?\s*\d[\d.]*|<\s*\.\d+)(?=\s|$)", "", remark)


def count_reasons(excluded: pd.DataFrame) -> pd.DataFrame:
    """Reasons with the number of trials and arms each left out, the most frequent first.

    Parameters
    ----------
    excluded : DataFrame
        With `trial_id`, `arm_id`, `reason`.

    Returns
    -------
    DataFrame
        `reason, trials, arms`.

    Examples
    --------
    >>> effects = (
    ...     bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
    ... )
    >>> bp.count_reasons(effects.excluded).columns.tolist()
    ['reason', 'trials', 'arms']
    """
    excluded = as_frame(excluded)
    need_columns(["trial_id", "arm_id", "reason"], excluded)
    counts = excluded.groupby("reason", sort=False).agg(
        trials=("trial_id", "nunique"), arms=("arm_id", "size")
    )
    return counts.sort_values("arms", ascending=False, kind="stable").reset_index()
