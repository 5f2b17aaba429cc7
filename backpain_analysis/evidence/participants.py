"""Participant-level data: who was given which exercise, and who scored what when."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.datasets.participants import Truth, simulate_tables
from backpain_analysis.display import html_table
from backpain_analysis.evidence.checking import words_of
from backpain_analysis.evidence.dose import PERSON, Exposure, exercise_types, participant_doses
from backpain_analysis.evidence.faults import EvidenceError, Fault
from backpain_analysis.evidence.participants_checking import check_participant_tables
from backpain_analysis.evidence.reading import (
    raw_from_frames,
    read_descriptor,
    read_label,
    read_tables,
)
from backpain_analysis.evidence.schema import PARTICIPANT_TABLES
from backpain_analysis.evidence.visits import Scale, known_people, of_instruments, visit_table
from backpain_analysis.words import exercise_label, number, plural, readable

_WEEKS_SHOWN = 15

_DOSE_COLUMNS = (
    "prescribed_sessions_per_week",
    "attended_sessions_per_week",
    "minutes_per_session",
    "start_week",
    "end_week",
)


def summary(data: Participants) -> pd.DataFrame:
    """The counts a reader wants first.

    Returns
    -------
    pandas.DataFrame
        Columns ``topic``, ``item``, ``count`` (Int64) and ``unit`` (what is counted). Topics:
        size, exercise type, instrument, missing. A participant with two types counts under both.
    """
    interventions, scores = data.interventions, data.scores
    everyone = pd.MultiIndex.from_frame(interventions[PERSON]).unique()
    taken = scores.dropna(subset=["value"])
    exercise = interventions[interventions["exercise_type"] != "none"]
    rows = [
        ("size", "trials", interventions["trial_id"].nunique(), "trials"),
        ("size", "participants", len(everyone), "participants"),
        ("size", "visits with a score", len(taken[[*PERSON, "week"]].drop_duplicates()), "visits"),
        *_tally("exercise type", interventions.drop_duplicates([*PERSON, "exercise_type"])),
        *_tally("instrument", taken.drop_duplicates([*PERSON, "instrument"])),
        (
            "missing",
            "baseline score",
            _without(everyone, taken[taken["week"] <= 0]),
            "participants",
        ),
        ("missing", "any score", _without(everyone, taken), "participants"),
        ("missing", "score of a visit", scores["value"].isna().sum(), "rows"),
        *(("missing", name, exercise[name].isna().sum(), "programmes") for name in _DOSE_COLUMNS),
        *(
            ("missing", name, len(everyone) - data.people[name].notna().sum(), "participants")
            for name in data.people.columns.difference(PERSON, sort=False)
            if data.people[name].notna().any()
        ),
    ]
    frame = pd.DataFrame(rows, columns=["topic", "item", "count", "unit"])
    return frame.astype({"count": "Int64"})


def retention(data: Participants) -> pd.DataFrame:
    """Who was still there at each week.

    Returns
    -------
    pandas.DataFrame
        One row a trial and week (scores' weeks rounded to whole ones, 0 and later):
        ``trial_id``, ``week``, ``participants`` (all of the trial), ``scored`` (with a score that
        week), ``left`` (without a score that week or later), ``pct_left``.
    """
    everyone = data.interventions[PERSON].drop_duplicates().groupby("trial_id").size()
    taken = data.scores.dropna(subset=["value"])
    taken = taken[PERSON].assign(week=taken["week"].round().clip(lower=0)).drop_duplicates()
    scored = taken.groupby(["trial_id", "week"]).size().rename("scored").reset_index()
    last = taken.groupby(PERSON)["week"].max().groupby("trial_id").value_counts()
    staying = last.rename("last_seen").reset_index()
    table = scored.merge(staying, on=["trial_id", "week"], how="left")
    table["last_seen"] = table["last_seen"].fillna(0)
    still = table[::-1].groupby("trial_id")["last_seen"].cumsum()
    table["participants"] = table["trial_id"].map(everyone).astype("int64")
    table["left"] = table["participants"] - still.astype("int64")
    table["pct_left"] = 100 * table["left"] / table["participants"]
    return table[["trial_id", "week", "participants", "scored", "left", "pct_left"]]


def doses(data: Participants) -> pd.DataFrame:
    """Weekly minutes by trial and type of exercise.

    Returns
    -------
    pandas.DataFrame
        ``trial_id``, ``exercise_type``, ``participants``; in minutes/week ``lowest``,
        ``prescribed`` (median) and ``highest`` prescription, ``attended`` (median);
        ``attended_missing`` (participants).
    """
    frame = pd.DataFrame(
        {
            "exercise_type": exercise_types(data.interventions),
            "prescribed": participant_doses(data.interventions),
            "attended": participant_doses(data.interventions, exposure="attended"),
        }
    )
    groups = frame.reset_index().groupby(["trial_id", "exercise_type"], sort=False)
    table = groups[["prescribed", "attended"]].median()
    table.insert(0, "lowest", groups["prescribed"].min())
    table.insert(2, "highest", groups["prescribed"].max())
    table.insert(0, "participants", groups.size())
    table["attended_missing"] = groups["attended"].apply(lambda column: column.isna().sum())
    return table.reset_index()


def as_html(data: Participants) -> str:
    """Counts, who stayed and doses, headed by the data set and its hash."""
    title = f"{data.name} {data.version or ''}".strip()
    if data.synthetic:
        title += " (synthetic: these participants are made up)"
    counts = summary(data)
    weeks = retention(data).groupby("week", as_index=False)[["scored", "left"]].sum()
    more = len(weeks) > _WEEKS_SHOWN
    note = f"The first {_WEEKS_SHOWN} of {len(weeks)} weeks." if more else None
    weeks = weeks.rename(columns={"left": "dropped out"})
    counts["item"] = [
        exercise_label(item) if topic == "exercise type" else readable(item)
        for topic, item in zip(counts["topic"], counts["item"], strict=True)
    ]
    counts["topic"] = counts["topic"].mask(counts["topic"].duplicated(), "")
    minutes = pd.DataFrame(
        {
            "trial": row.trial_id,
            "exercise": exercise_label(row.exercise_type),
            "participants": row.participants,
            "prescribed, median (range)": _median_and_range(row),
            "attended, median": row.attended,
            "attended not known": row.attended_missing,
        }
        for row in doses(data).itertuples()
    )
    return "\n".join(
        [
            html_table(counts, title=title, note=f"Content hash {data.content_hash[:12]}"),
            html_table(weeks.head(_WEEKS_SHOWN), title="Participants seen by week", note=note),
            html_table(minutes, title="Minutes per week by participant"),
        ]
    )


def _median_and_range(row: Any) -> str:
    if row.lowest == row.highest:
        return number(row.prescribed, 0)
    return f"{number(row.prescribed, 0)} ({number(row.lowest, 0)}–{number(row.highest, 0)})"


def _without(everyone: pd.MultiIndex, rows: pd.DataFrame) -> int:
    return int((~everyone.isin(pd.MultiIndex.from_frame(rows[PERSON]))).sum())


def _tally(topic: str, rows: pd.DataFrame) -> list[tuple[str, str, int, str]]:
    """How many participants have each word, the most frequent first."""
    counts = rows[topic.replace(" ", "_")].value_counts()
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    return [(topic, word, count, "participants") for word, count in counts.items()]


def write_folder(data: Participants, path: str | Path) -> Path:
    """The tables as CSV beside their ``datapackage.json``; see :meth:`Participants.to_folder`."""
    folder = Path(path)
    if folder.exists() or folder.is_symlink():
        raise FileExistsError(
            f"{folder} is there already, and is left as it is: name a new folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        tables = {"interventions": data.interventions, "scores": data.scores}
        if len(data.people):
            tables["participants"] = data.people
        for name, table in tables.items():
            table.to_csv(aside / f"{name}.csv", index=False, lineterminator="\n")
        text = json.dumps(_descriptor(data, list(tables)), indent=2, ensure_ascii=False)
        (aside / "datapackage.json").write_text(f"{text}\n", encoding="utf-8")
        aside.chmod(0o755)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder


def _descriptor(data: Participants, tables: list[str]) -> dict:
    """Name, version and the columns' meaning; nothing of the bundled set's origin."""
    own = read_descriptor(data_dir() / "participants")
    head = {"$schema": own["$schema"], "name": data.name}
    if data.version is not None:
        head["version"] = data.version
    resources = [resource for resource in own["resources"] if resource["name"] in tables]
    return {**head, "synthetic": data.synthetic, "resources": resources}


def load_participants(
    path: str | Path | None = None, *, missing: str | Iterable[str] = ()
) -> Participants:
    """Read, check and hold the participants of a folder or workbook.

    Parameters
    ----------
    path
        None for the bundled synthetic set; else a folder with the tables ``interventions``,
        ``scores`` and (may be absent) ``participants``, each as ``.csv`` (UTF-8), ``.parquet``
        or ``.xlsx``, or one ``.xlsx`` workbook with sheets of these names. Columns are those of
        ``data/README.md``: the required ones must be there, the others may be absent (all
        missing), further ones are kept as text. Nothing is written.

        Instead of weeks there may be dates: ``start_date`` and ``end_date`` in
        ``interventions``, ``date`` in ``scores``. Week 0 of a participant is ``start_date`` in
        ``participants`` where given, else the earliest in ``interventions``. ``trial_id`` may
        be absent from ``scores`` and ``participants`` if no id occurs in two trials.
    missing
        Further words that stand for a missing value; ``NA``, ``N/A``, ``n/a`` and ``.`` do.

    Returns
    -------
    Participants

    Raises
    ------
    EvidenceError
        If anything is wrong; it holds all faults at once.
    FileNotFoundError
        If there is nothing at `path`.

    Examples
    --------
    >>> bp.load_participants()
    <Participants backpain-participants-synthetic 2026.11.0: 6 trials, 600 participants, 2584
    scores, synthetic>
    """
    folder = data_dir() / "participants" if path is None else Path(path)
    tables, faults = check_participant_tables(
        *read_tables(folder, PARTICIPANT_TABLES, words_of(missing))
    )
    if faults:
        raise EvidenceError(faults, folder)
    synthetic = read_descriptor(folder).get("synthetic") is True
    name, version = read_label(folder)
    return Participants(*_three(tables), name, version, synthetic=synthetic)


def _three(tables: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return tables["interventions"], tables["scores"], tables["participants"]


@dataclass(frozen=True, eq=False, repr=False)
class Participants:
    """What participants of trials were given, did and scored, validated.

    Made by :func:`load_participants` or :meth:`from_frames`. ``data/README.md`` explains the
    columns of the tables.

    Attributes
    ----------
    interventions : DataFrame
        One row a programme of one participant: exercise type, sessions a week prescribed and
        attended, minutes a session, weeks. A control has one row of type ``none``.
    scores : DataFrame
        One row a score: week since the participant's start, instrument, value.
    people : DataFrame
        One row a participant: age, sex and so on; without rows where nothing is known.
    name : str
        Name of the data set: from its ``datapackage.json``, else of its folder or file.
    version : str or None
        Version from its ``datapackage.json``.
    content_hash : str
        SHA-256 (hex) of the three tables as canonical CSV.
    synthetic : bool
        True if the participants are made up.

    Examples
    --------
    >>> people = bp.load_participants()
    >>> people
    <Participants backpain-participants-synthetic 2026.11.0: 6 trials, 600 participants, 2584
    scores, synthetic>
    """

    interventions: pd.DataFrame
    scores: pd.DataFrame
    people: pd.DataFrame
    name: str = "frames"
    version: str | None = None
    content_hash: str = ""
    synthetic: bool = False

    def __post_init__(self) -> None:
        if not self.content_hash:
            object.__setattr__(self, "content_hash", self._hash())

    @classmethod
    def from_frames(
        cls,
        interventions: pd.DataFrame,
        scores: pd.DataFrame,
        people: pd.DataFrame | None = None,
        *,
        name: str = "frames",
        version: str | None = None,
        synthetic: bool = False,
    ) -> Participants:
        """Participants from tables in memory, checked as :func:`load_participants` checks files.

        Faults number rows as if the frames were spreadsheets: the first row is row 2.

        Raises
        ------
        EvidenceError
            If anything is wrong; it holds all faults at once.
        """
        frames = dict(zip(PARTICIPANT_TABLES, (interventions, scores, people), strict=True))
        faults: list[Fault] = []
        tables, faults = check_participant_tables(raw_from_frames(frames, faults), faults)
        if faults:
            raise EvidenceError(faults, name)
        return cls(*_three(tables), name, version, synthetic=synthetic)

    def visits(
        self,
        instrument: str | Iterable[str] | None = None,
        *,
        dose: str = "minutes_per_week",
        exposure: Exposure = "prescribed",
        scale: Scale = "recorded",
    ) -> pd.DataFrame:
        """The analysis table: one row a participant and visit, baseline included.

        Parameters
        ----------
        instrument
            The instrument whose scores are analysed; may be left out where there is only one.
            Several may be put together on ``scale="0-100"``.
        dose
            One of `DOSE_MEASURES`.
        exposure
            ``prescribed`` or ``attended``: the participant's dose, the same at every visit (see
            :func:`~backpain_analysis.evidence.dose.participant_doses`). ``cumulative``: what
            the sessions attended add up to by the visit (see
            :func:`~backpain_analysis.evidence.dose.cumulative_doses`).
        scale
            ``recorded``: values in units of the instrument. ``0-100``: per cent of the scale;
            of instruments of pain and disability higher = worse.

        Returns
        -------
        DataFrame
            ``trial_id``, ``participant_id``, ``week``, ``value``, ``baseline`` (the last score at
            or before week 0; missing where there is none), ``dose`` (0 without exercise; missing
            where it is not known), ``exercise_type`` (several joined by `` + ``) and the columns
            of ``people`` that hold anything. Rows are in the order of trial, participant and
            week; those without a value, and those before the baseline, are left out.
            ``attrs["scale"]`` holds the limits of the values, where they are known.

        Raises
        ------
        ValueError
            If a word is not known, or the scores of the instruments do not go together.
        """
        return visit_table(
            self.interventions,
            of_instruments(self.scores, instrument),
            known_people(self.people),
            dose=dose,
            exposure=exposure,
            scale=scale,
        )

    def summary(self) -> pd.DataFrame:
        """The counts a reader wants first: see
        :func:`backpain_analysis.evidence.participants_overview.summary`.
        """
        return summary(self)

    def retention(self) -> pd.DataFrame:
        """Who was still there at each week: see
        :func:`backpain_analysis.evidence.participants_overview.retention`.
        """
        return retention(self)

    def to_folder(self, path: str | Path) -> Path:
        """Write the tables as CSV, with a ``datapackage.json``, to a new folder.

        The folder appears whole or not at all; one that is there already is never touched.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        FileExistsError
            If there is anything at `path`.
        """
        return write_folder(self, path)

    def __repr__(self) -> str:
        trials = self.interventions["trial_id"].nunique()
        people = len(self.interventions[PERSON].drop_duplicates())
        version = f" {self.version}" if self.version else ""
        made_up = ", synthetic" if self.synthetic else ""
        return (
            f"<Participants {self.name}{version}: {plural(trials, 'trial')}, "
            f"{people} participants, {len(self.scores)} scores{made_up}>"
        )

    def _repr_html_(self) -> str:
        return as_html(self)

    def _hash(self) -> str:
        digest = hashlib.sha256()
        frames = (self.interventions, self.scores, self.people)
        for name, table in zip(PARTICIPANT_TABLES, frames, strict=True):
            text = table.to_csv(index=False, lineterminator="\n")
            digest.update(f"{name}\n{text}".encode())
        return digest.hexdigest()


def simulate_participants(truth: Truth | None = None, seed: int = 1) -> Participants:
    """Make up participants of trials whose dose effect is known.

    Parameters
    ----------
    truth : Truth, optional
        By default `Truth()`, that of the bundled synthetic set: 600 people in six trials of four
        doses. ``truth.effect(dose, week)`` is what an analysis should find.
    seed : int
        The same truth and seed give the same data.

    Returns
    -------
    Participants
        With ``synthetic`` true. Scores of pain (``VAS``, or ``other`` where `Truth.limits` is
        none and they may leave 0-100) are missing from dropout on. The effect follows the dose
        prescribed; how much of it was attended is drawn independently of everything else.

    Examples
    --------
    >>> bp.simulate_participants(seed=1)
    <Participants synthetic trials of exercise for back pain (seed 1): 6 trials, 600
    participants, 2584 scores, synthetic>
    """
    truth = Truth.given(truth)
    name = f"{truth.name} (seed {seed})"
    return Participants.from_frames(*simulate_tables(truth, seed), name=name, synthetic=True)
