"""Participant-level data: who was given which exercise, and who scored what when."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.evidence import participants_overview as overview
from backpain_analysis.evidence.exposure import PERSON, Exposure
from backpain_analysis.evidence.faults import EvidenceError, Fault
from backpain_analysis.evidence.participants_checking import check_participant_tables
from backpain_analysis.evidence.participants_writing import write_folder
from backpain_analysis.evidence.reading import (
    raw_from_frames,
    read_descriptor,
    read_label,
    read_tables,
)
from backpain_analysis.evidence.schema import PARTICIPANT_TABLES
from backpain_analysis.evidence.visits import Scale, known_people, of_instruments, visit_table


def load_participants(path: str | Path | None = None) -> Participants:
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

    Returns
    -------
    Participants

    Raises
    ------
    EvidenceError
        If anything is wrong; it holds all faults at once.
    FileNotFoundError
        If there is nothing at `path`.
    """
    folder = data_dir() / "participants" if path is None else Path(path)
    tables, faults = check_participant_tables(*read_tables(folder, PARTICIPANT_TABLES))
    if faults:
        raise EvidenceError(faults, folder)
    synthetic = read_descriptor(folder).get("synthetic") is True
    return Participants(*tables.values(), *read_label(folder), synthetic=synthetic)


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
        return cls(*tables.values(), name, version, synthetic=synthetic)

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
            :func:`~backpain_analysis.evidence.exposure.participant_doses`). ``cumulative``: what
            the sessions attended add up to by the visit (see
            :func:`~backpain_analysis.evidence.exposure.cumulative_doses`).
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
        return overview.summary(self)

    def retention(self) -> pd.DataFrame:
        """Who was still there at each week: see
        :func:`backpain_analysis.evidence.participants_overview.retention`.
        """
        return overview.retention(self)

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
            f"<Participants {self.name}{version}: {trials} trials, {people} participants, "
            f"{len(self.scores)} scores{made_up}>"
        )

    def _repr_html_(self) -> str:
        return overview.as_html(self)

    def _hash(self) -> str:
        digest = hashlib.sha256()
        frames = (self.interventions, self.scores, self.people)
        for name, table in zip(PARTICIPANT_TABLES, frames, strict=True):
            text = table.to_csv(index=False, lineterminator="\n")
            digest.update(f"{name}\n{text}".encode())
        return digest.hexdigest()
