"""The evidence: validated tables, held together and never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, wraps
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import pandas as pd

from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.datasets.trials import TrialTruth, simulate_trial_tables
from backpain_analysis.evidence import overview
from backpain_analysis.evidence.checking import check_tables, words_of
from backpain_analysis.evidence.faults import EvidenceError
from backpain_analysis.evidence.plausibility import plausibility
from backpain_analysis.evidence.reading import (
    raw_from_frames,
    read_descriptor,
    read_label,
    read_tables,
)
from backpain_analysis.evidence.schema import TABLES, typed, vocabulary
from backpain_analysis.words import did_you_mean, plural

if TYPE_CHECKING:
    from backpain_analysis.effects.assemble import Analysis
    from backpain_analysis.effects.choice import Measure, Timepoint
    from backpain_analysis.effects.table import Effects


P = ParamSpec("P")
R = TypeVar("R")


def once_per_evidence(
    work: Callable[Concatenate[Evidence, P], R],
) -> Callable[Concatenate[Evidence, P], R]:
    """Make a function remember what it returned for an evidence, as long as that lives.

    Its further arguments must be hashable, and nobody may change what it returns. Several threads
    may ask: at worst each works the same answer out.
    """
    known: WeakKeyDictionary[Evidence, dict[Any, R]] = WeakKeyDictionary()

    @wraps(work)
    def remembered(evidence: Evidence, *args: P.args, **kwargs: P.kwargs) -> R:
        answers = known.setdefault(evidence, {})
        asked = (args, tuple(sorted(kwargs.items())))
        if asked not in answers:
            answers[asked] = work(evidence, *args, **kwargs)
        return answers[asked]

    return remembered


def latest_per_evidence(
    *, arms: int
) -> Callable[
    [Callable[Concatenate[Evidence, P], R]],
    Callable[Concatenate[Evidence, P], R],
]:
    """As `once_per_evidence`, but only the latest questions are remembered.

    As many as the arms of the evidence go into `arms`: so that what takes memory by the arm and is
    asked in many ways takes no more, however large the evidence.
    """

    def decorated(work: Callable[Concatenate[Evidence, P], R]) -> Any:
        known: WeakKeyDictionary[Evidence, dict[Any, R]] = WeakKeyDictionary()
        lock = Lock()

        @wraps(work)
        def remembered(evidence: Evidence, *args: P.args, **kwargs: P.kwargs) -> R:
            answers = known.setdefault(evidence, {})
            asked = (args, tuple(sorted(kwargs.items())))
            with lock:
                if asked in answers:
                    answers[asked] = answers.pop(asked)
                    return answers[asked]
            answer = work(evidence, *args, **kwargs)
            with lock:
                answers[asked] = answer
                while len(answers) * max(len(evidence._tables["arms"]), 1) > arms:
                    del answers[next(iter(answers))]
            return answer

        return remembered

    return decorated


BACK_PAIN = ("acute_lbp", "subacute_lbp", "chronic_nslbp", "recurrent_lbp", "mixed_lbp")
"""The words of ``population`` that are back pain."""

Words = str | Iterable[str] | None


def load_evidence(path: str | Path | None = None, *, missing: str | Iterable[str] = ()) -> Evidence:
    """Read, check and hold the evidence of a folder or workbook.

    Parameters
    ----------
    path
        None for the bundled trials; else a folder with the tables ``trials``, ``arms``,
        ``outcomes``, ``contrasts`` and ``appraisals`` as ``.csv`` (UTF-8) or ``.parquet``, or
        one ``.xlsx`` workbook with sheets of these names. Trials, arms and one of outcomes and
        contrasts are needed. Columns are those of ``data/README.md``: the required ones must be
        there, the others may be absent (all missing), further ones are kept as text. Nothing is
        written. Case, blanks and underscores in the names of files, sheets and columns do not
        matter; ``NA``, ``N/A``, ``n/a`` and ``.`` are missing values.
    missing
        Further words that stand for a missing value, such as ``"NR"``.

    Returns
    -------
    Evidence

    Raises
    ------
    EvidenceError
        If anything is wrong; it holds all faults at once.
    FileNotFoundError
        If there is nothing at `path`.

    Examples
    --------
    >>> bp.load_evidence()
    <Evidence backpain-trials ...: ... trials, ... arms, ... outcomes, ... contrasts,
    ... appraisals>
    """
    if path is None:
        folder = data_dir() / "trials"
        states = (file.stat() for file in sorted(folder.iterdir()))
        return _bundled(folder, tuple((state.st_mtime_ns, state.st_size) for state in states))
    return _read(Path(path), words_of(missing))


@lru_cache(maxsize=1)
def _bundled(folder: Path, states: tuple[tuple[int, int], ...]) -> Evidence:
    """Read the bundled evidence once for each state of its files."""
    return _read(folder)


def _read(folder: Path, missing: Collection[str] = ()) -> Evidence:
    tables, faults = check_tables(*read_tables(folder, missing=missing))
    if faults:
        raise EvidenceError(faults, folder)
    name, version = read_label(folder)
    return Evidence(tables, name, version, read_descriptor(folder).get("synthetic") is True)


def simulate_trials(truth: TrialTruth | None = None, seed: int = 1) -> Evidence:
    """Make up trials of exercise whose true effects are known.

    Parameters
    ----------
    truth : TrialTruth, optional
        By default `TrialTruth()`; `datasets.TRIAL_TRUTHS` holds others by name.
        ``truth.effect(dose, exercise_type)`` is what an analysis should find.
    seed : int
        The same truth and seed give the same trials.

    Returns
    -------
    Evidence
        With ``synthetic`` true. Its tables pass the checks of :func:`load_evidence`; they are
        made so, and are not checked again here (a set takes milliseconds).

    Examples
    --------
    >>> trials = simulate_trials(TrialTruth(trials=8), seed=3)
    >>> trials.synthetic, len(trials.trials)
    (True, 8)
    """
    truth = TrialTruth.given(truth)
    tables = simulate_trial_tables(truth, seed)._asdict()
    made = {name: typed(tables[name], name) for name in TABLES}
    return Evidence(made, f"{truth.name} (seed {seed})", synthetic=True)


class Filtered(NamedTuple):
    """What one condition of a filter did: "population filter removed 29 of 29 trials"."""

    condition: str
    removed: int
    of: int

    def __str__(self) -> str:
        return f"{self.condition} filter removed {self.removed} of {plural(self.of, 'trial')}"


@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """Trials, arms, their results and their appraisals, validated.

    Made by :func:`load_evidence` or :meth:`from_frames`. The attributes ``trials``, ``arms``,
    ``outcomes``, ``contrasts`` and ``appraisals`` are DataFrames whose columns ``data/README.md``
    explains. Each access gives a copy-on-write view: changing it never changes the evidence.

    Attributes
    ----------
    name : str
        Name of the data set: from its ``datapackage.json``, else of its folder or file.
    version : str or None
        Version from its ``datapackage.json``.
    synthetic : bool
        True if the trials are made up: so its ``datapackage.json`` says.
    history : tuple of Filtered
        The conditions of :meth:`filter` and :meth:`without_flags` that were applied, in order,
        each with how many trials it removed of how many; as text it says so.

    Examples
    --------
    >>> evidence = bp.load_evidence()
    >>> evidence
    <Evidence backpain-trials ...: ... trials, ... arms, ... outcomes, ... contrasts,
    ... appraisals>
    >>> evidence.filter(exercise_type="yoga", year=(2010, 2014)).trials["trial_id"].tolist()
    ['saper2013', 'sherman2011', 'tilbrook2011']
    """

    _tables: Mapping[str, pd.DataFrame]
    name: str
    version: str | None = None
    synthetic: bool = False
    history: tuple[Filtered, ...] = ()
    _whole: Evidence | None = None

    @classmethod
    def from_frames(
        cls,
        trials: pd.DataFrame,
        arms: pd.DataFrame,
        outcomes: pd.DataFrame | None = None,
        contrasts: pd.DataFrame | None = None,
        appraisals: pd.DataFrame | None = None,
        *,
        name: str = "frames",
        synthetic: bool = False,
    ) -> Evidence:
        """Evidence from tables in memory, checked as :func:`load_evidence` checks files.

        Faults number rows as if the frames were spreadsheets: the first row is row 2.

        Raises
        ------
        EvidenceError
            If anything is wrong; it holds all faults at once.
        """
        given = (trials, arms, outcomes, contrasts, appraisals)
        frames = dict(zip(TABLES, given, strict=True))
        faults: list = []
        tables, faults = check_tables(raw_from_frames(frames, faults), faults)
        if faults:
            raise EvidenceError(faults, name)
        return cls(tables, name, synthetic=synthetic)

    @property
    def trials(self) -> pd.DataFrame:
        """One row a trial."""
        return self._tables["trials"].copy(deep=False)

    @property
    def arms(self) -> pd.DataFrame:
        """One row an arm."""
        return self._tables["arms"].copy(deep=False)

    @property
    def outcomes(self) -> pd.DataFrame:
        """One row a value of one arm at one time point."""
        return self._tables["outcomes"].copy(deep=False)

    @property
    def contrasts(self) -> pd.DataFrame:
        """One row a difference between two arms as reported."""
        return self._tables["contrasts"].copy(deep=False)

    @property
    def appraisals(self) -> pd.DataFrame:
        """One row a judgement of a trial's risk of bias; an absent domain is unknown, not low."""
        return self._tables["appraisals"].copy(deep=False)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the tables as canonical CSV.

        The same facts in the same order give the same hash, whatever file format they came from.
        """
        digest = hashlib.sha256()
        for name in TABLES:
            text = self._tables[name].to_csv(index=False, lineterminator="\n")
            digest.update(f"{name}\n{text}".encode())
        return digest.hexdigest()

    def filter(
        self,
        *,
        trial_id: Words = None,
        exercise_type: Words = None,
        population: Words = None,
        outcome: Words = None,
        year: tuple[int, int] | None = None,
        flag: Words = None,
        design: Words = None,
        country: Words = None,
    ) -> Evidence:
        """The evidence of the trials that meet every condition given.

        Parameters
        ----------
        trial_id, population, flag, design, country
            A word or several: trials with one of them. A trial where it is missing is left out.
        year
            First and last year, both included. Trials without a year are left out.
        exercise_type
            A word or several: trials with at least one arm of these types. Of these trials the
            arms of these types and the arms without exercise stay (``none``), so that contrasts
            remain; their other exercise arms, and all results of those, go. ``none`` alone
            gives the arms without exercise and nothing else.
        outcome
            A word or several: result rows of these outcomes, and the trials that have some.

        Returns
        -------
        Evidence
            With the same name and version, and a content hash of its own.

        Raises
        ------
        ValueError
            If a word is not in the vocabulary; the message names the nearest known word.
        """
        given: dict[str, Any] = {
            "trial_id": trial_id,
            "population": population,
            "flag": flag,
            "design": design,
            "country": country,
            "year": year,
            "exercise_type": exercise_type,
            "outcome": outcome,
        }
        asked: dict[str, Any] = {
            name: tuple(words)
            if isinstance(words, Iterable) and not isinstance(words, str)
            else words
            for name, words in given.items()
            if words is not None
        }
        known = _filtered.setdefault(self, WeakValueDictionary())
        found = known.get(repr(asked))
        if found is None:
            found = known[repr(asked)] = self._filter(**asked)
        return found

    def _filter(
        self,
        *,
        year: Any = None,
        exercise_type: Words = None,
        outcome: Words = None,
        **conditions: Words,
    ) -> Evidence:
        tables = _consistent(self._tables)
        history = list(self.history)

        def now(condition: str, **changed: pd.DataFrame) -> None:
            before = len(tables["trials"])
            tables.update(_consistent({**tables, **changed}, condition))
            history.append(Filtered(condition, before - len(tables["trials"]), before))

        for column, words in conditions.items():
            own = self._tables["trials"][column].dropna().unique()
            chosen = _known_words(column, words, (*vocabulary("trials", column), *own))
            now(column, trials=tables["trials"][tables["trials"][column].isin(chosen)])
        if year is not None:
            if not isinstance(year, Sequence) or len(year) != 2:
                raise ValueError(f"year = {year!r}: give the first and the last, as (2000, 2020).")
            first, last = year
            if first > last:
                raise ValueError(f"year = ({first}, {last}): the first year must not be later.")
            within = tables["trials"]["year"].between(first, last).fillna(False).astype(bool)
            now("year", trials=tables["trials"][within])
        if exercise_type is not None:
            known = vocabulary("arms", "exercise_type")
            types = _known_words("exercise_type", exercise_type, known)
            arms = tables["arms"]
            wanted = arms["exercise_type"].isin(types)
            having = arms["trial_id"].isin(arms.loc[wanted, "trial_id"])
            kept = wanted | (having & (arms["exercise_type"] == "none"))
            now("exercise_type", arms=arms[kept])
        if outcome is not None:
            there = (self._tables[name]["outcome"].unique() for name in ("outcomes", "contrasts"))
            known = (*vocabulary("outcomes", "outcome"), *chain.from_iterable(there))
            chosen = _known_words("outcome", outcome, known)
            results = {name: tables[name] for name in ("outcomes", "contrasts")}
            now(
                "outcome",
                **{name: rows[rows["outcome"].isin(chosen)] for name, rows in results.items()},
            )
        return self._part(tables, history)

    def without_flags(self, *flags: str) -> Evidence:
        """The evidence without the trials that carry one of these flags; all of it without any.

        ``without_flags("exclude")`` is what analyses start from;
        ``without_flags("exclude", "caution")`` is the sensitivity analysis.

        Raises
        ------
        ValueError
            If a flag is not known.
        """
        if not flags:
            return self
        words = _known_words("flag", flags, vocabulary("trials", "flag"))
        trials = self._tables["trials"]
        kept = _consistent({**self._tables, "trials": trials[~trials["flag"].isin(words)]})
        told = Filtered("flag", len(trials) - len(kept["trials"]), len(trials))
        return self._part(kept, [*self.history, told])

    def _part(self, tables: Mapping[str, pd.DataFrame], history: list[Filtered]) -> Evidence:
        return replace(self, _tables=tables, history=tuple(history), _whole=self.whole)

    @property
    def whole(self) -> Evidence:
        """The evidence that this was filtered from: what one trial says can be read there once."""
        return self if self._whole is None else self._whole

    def coverage(self) -> pd.DataFrame:
        """What each trial reports: see :func:`backpain_analysis.evidence.overview.coverage`."""
        return overview.coverage(self)

    def describe(self) -> pd.DataFrame:
        """The counts a reader wants first: see
        :func:`backpain_analysis.evidence.overview.describe`.
        """
        return overview.describe(self)

    def plausibility(self, *, checked: bool = False) -> pd.DataFrame:
        """What looks wrong and may be right: a warning a row, with its arithmetic.

        See :mod:`backpain_analysis.evidence.plausibility` for the questions that are asked.

        Parameters
        ----------
        checked
            Also warnings whose kind stands in ``checked`` of their trial.

        Returns
        -------
        DataFrame
            ``trial_id``, ``kind``, ``table``, ``rows`` (of the tables held here, the first is
            row 2), ``arithmetic``, ``look``.
        """
        return _warnings(self, checked=checked).copy(deep=False)

    def effects(
        self,
        outcome: str,
        measure: Measure = "MD",
        timepoint: Timepoint = "post",
        analysis: Analysis = "best",
        correlation: float = 0.5,
        *,
        reference: Mapping[str, str] | None = None,
        inactive: Sequence[str] = ("no_treatment", "waitlist", "usual_care", "education_advice"),
        head_to_head: bool = False,
        flags: Sequence[str] = ("exclude",),
        designs: Sequence[str] = ("parallel", "cluster"),
        include_home: bool = False,
        met: Mapping[str, float] | None = None,
        derive: Sequence[str] = ("p_value", "percentage"),
        icc: float | None = None,
        unit: str | None = None,
    ) -> Effects:
        """Effect sizes of an outcome: every exercise arm against its trial's reference arm.

        The rules (which arm, result, time; covariance) stand in
        :func:`backpain_analysis.effects.from_evidence`.

        Parameters
        ----------
        outcome : str
            Such as "pain_intensity", "disability", "recurrence".
        measure : {"MD", "SMD", "RR", "OR", "RD", "PETO", "AS", "HR"}
            "MD" in points of 0-100 (or in `unit`); "SMD" Hedges' g; ratios as logs.
        timepoint : "post", "followup", "latest" or (low, high) in weeks since baseline
        analysis : {"final", "change", "best"}
            Final values, changes, or the reported difference before changes before final values.
        correlation : float
            Between baseline and final values, and the periods of crossover trials.
        reference : mapping, optional
            Arm to compare with, by trial id, over the rule.
        inactive : str or sequence of str
            Comparators that count as inactive, in order of preference.
        head_to_head : bool
            Also trials without an inactive arm, and every arm, as a network needs.
        flags : sequence of str
            Trials with these flags are left out.
        designs : sequence of str
            Designs that enter.
        include_home : bool
            Doses with home sessions, where their minutes are known.
        met : mapping, optional
            MET value by exercise type, over the defaults.
        derive : sequence of str
            What may be derived from what trials print otherwise: of "p_value", "percentage" (the
            usual ones), "limit", "equal_split", "followup", "scale", "pooled_sd" (sensitivity
            analyses only). The column `obtained` marks each row.
        icc : float, optional
            Intracluster correlation of cluster trials that print none.
        unit : str, optional
            MDs in this unit, of results printed in it.

        Returns
        -------
        Effects

        Raises
        ------
        ValueError
            For an unknown word or an option outside its range; all are named.
        CannotEstimate
            If no trial is left, or none measured the outcome.

        Examples
        --------
        >>> found = load_evidence().effects("recurrence", "HR", "latest")
        >>> found.n_trials
        3
        """
        from backpain_analysis import effects

        return effects.from_evidence(
            self,
            outcome,
            measure,
            timepoint,
            analysis,
            correlation,
            reference=reference,
            inactive=inactive,
            head_to_head=head_to_head,
            flags=flags,
            designs=designs,
            include_home=include_home,
            met=met,
            derive=derive,
            icc=icc,
            unit=unit,
        )

    def __repr__(self) -> str:
        there = [name for name in TABLES if name != "appraisals" or len(self._tables[name])]
        sizes = ", ".join(f"{len(self._tables[name])} {name}" for name in there)
        version = f" {self.version}" if self.version else ""
        made_up = ", synthetic" if self.synthetic else ""
        return f"<Evidence {self.name}{version}: {sizes}{made_up}>"

    def _repr_html_(self) -> str:
        return overview.as_html(self)


_filtered: WeakKeyDictionary[Evidence, WeakValueDictionary[str, Evidence]] = WeakKeyDictionary()
"""What each evidence was filtered to: the same conditions give the same object while it lives, so
that what is remembered of it is found again."""


@once_per_evidence
def _warnings(evidence: Evidence, *, checked: bool) -> pd.DataFrame:
    return plausibility(evidence._tables, 2, checked=checked)


def _known_words(what: str, words: Words, known: Iterable[str]) -> list[str]:
    """The words as a list, all of them known."""
    chosen = [words] if isinstance(words, str) else list(words or ())
    known = list(dict.fromkeys(known))
    for word in chosen:
        if word not in known:
            raise ValueError(f"{what}: no {word!r}. {did_you_mean(word, known)}")
    return chosen


def _consistent(tables: Mapping[str, pd.DataFrame], condition: str = "") -> dict[str, pd.DataFrame]:
    """Tables in which every arm has its trial, and every result its arms; no trial without arms.

    After a condition on outcomes, no trial without results either.
    """
    trials, arms = tables["trials"], tables["arms"]
    arms = arms[arms["trial_id"].isin(trials["trial_id"].to_numpy())]
    there = arms["trial_id"].unique()
    known = pd.MultiIndex.from_frame(arms[["trial_id", "arm_id"]])

    def of_known_arms(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
        frame = frame[frame["trial_id"].isin(there)]
        if condition != "exercise_type":  # whole trials were left out, not some of their arms
            return frame
        for name in names:
            frame = frame[pd.MultiIndex.from_frame(frame[["trial_id", name]]).isin(known)]
        return frame

    outcomes = of_known_arms(tables["outcomes"], "arm_id")
    contrasts = of_known_arms(tables["contrasts"], "arm_id", "ref_arm_id")
    if condition == "outcome":
        there = pd.concat([outcomes["trial_id"], contrasts["trial_id"]]).unique()
        arms = arms[arms["trial_id"].isin(there)]
    trials = trials[trials["trial_id"].isin(there)]
    appraisals = tables["appraisals"]
    appraisals = appraisals[appraisals["trial_id"].isin(there)]
    parts = dict(zip(TABLES, (trials, arms, outcomes, contrasts, appraisals), strict=True))
    return {name: frame.reset_index(drop=True) for name, frame in parts.items()}
