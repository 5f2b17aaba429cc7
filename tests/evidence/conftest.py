"""Made-up tables as CSV files, without a fault, to break one cell at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from backpain_analysis.evidence.checking import check_evidence
from backpain_analysis.evidence.faults import Fault
from backpain_analysis.evidence.participants_checking import check_participants

TABLES = {
    "trials": """\
trial_id,first_author,year,population,design,country,n_randomised,flag,flag_reason,pct_female
doe2020,Doe,2020,chronic_nslbp,parallel,Spain,60,,,55.5
roe2021,Roe,2021,healthy,crossover,Norway,20,caution,"small, single bout",50
""",
    "arms": """\
trial_id,arm_id,exercise_type,comparator_type,sessions_per_week,minutes_per_session,n_randomised
doe2020,a1,pilates,,2.5,60,20
doe2020,a2,yoga,,2,45,20
doe2020,a3,none,waitlist,,,20
roe2021,a1,aerobic_cycling,,,30,20
roe2021,a2,none,no_treatment,,,20
""",
    "outcomes": """\
trial_id,arm_id,outcome,instrument,scale_min,scale_max,higher_is_better,timepoint_weeks,\
timepoint_label,value_type,n,mean,dispersion_type,dispersion,lower,upper
doe2020,a1,pain_intensity,NRS,0,10,no,0,baseline,level,20,6.1,sd,1.5,,
doe2020,a1,pain_intensity,NRS,0,10,no,8,post,level,19,3.2,sd,2.1,,
doe2020,a2,pain_intensity,NRS,0,10,no,8,post,level,18,3.9,ci95,,2.9,4.9
doe2020,a3,pain_intensity,NRS,0,10,no,8,post,level,20,5.5,se,0.4,,
doe2020,a3,disability,RMDQ,0,24,no,8,post,change_from_baseline,20,-1.5,sd,4.2,,
roe2021,a1,pressure_pain_threshold,PPT,,,yes,0,post,level,20,412.7,,,,
""",
    "contrasts": """\
trial_id,arm_id,ref_arm_id,outcome,instrument,timepoint_label,effect_measure,estimate,ci_level,\
ci_low,ci_high,p_value,note
doe2020,a1,a3,disability,RMDQ,post,md,-2.4,95,-4.1,-0.7,<0.01,
doe2020,a2,a3,disability,RMDQ,post,md,-1.1,95,,0.6,,"one-sided, ""noninferior"" or not"
""",
    "appraisals": """\
trial_id,tool,domain,judgement,source
doe2020,RoB1,sequence_generation,low,Made-up review
doe2020,PEDro,total,7,Made-up review
roe2021,RoB1,allocation_concealment,unclear,Made-up review
""",
}


@dataclass(frozen=True)
class Tables:
    """A folder of CSV tables whose cells can be set by the spreadsheet's row and the column."""

    folder: Path

    def rows(self, table: str) -> list[list[str]]:
        with open(self.folder / f"{table}.csv", encoding="utf-8", newline="") as file:
            return list(csv.reader(file))

    def write(self, table: str, rows: list[list[str]]) -> None:
        with open(self.folder / f"{table}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def set(self, table: str, row: int, column: str, value: str) -> None:
        rows = self.rows(table)
        rows[row - 1][rows[0].index(column)] = value
        self.write(table, rows)

    def faults(self) -> list[Fault]:
        return check_evidence(self.folder)

    def only_fault(self) -> Fault:
        faults = self.faults()
        assert len(faults) == 1, [str(fault) for fault in faults]
        return faults[0]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """The two trials in a folder of their own."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in TABLES.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return Tables(folder)


@pytest.fixture
def broken(tables: Tables) -> Callable[..., Fault]:
    """A function that sets one cell and gives the one fault this makes."""

    def set_and_check(table: str, row: int, column: str, value: str) -> Fault:
        tables.set(table, row, column, value)
        fault = tables.only_fault()
        assert (fault.table, fault.file) == (table, f"{table}.csv")
        return fault

    return set_and_check


PARTICIPANT_TABLES = {
    "interventions": """\
trial_id,participant_id,exercise_type,prescribed_sessions_per_week,attended_sessions_per_week,\
minutes_per_session,start_week,end_week,intensity
t1,p1,yoga,2,1.5,60,0,12,low
t1,p2,pilates,2,2,60,0,12,
t1,p3,none,,,,,,
""",
    "scores": """\
trial_id,participant_id,week,instrument,value,scale_min,scale_max
t1,p1,0,NRS,6,0,10
t1,p1,12,NRS,3,0,10
t1,p2,0,NRS,5,0,10
t1,p2,0,RMDQ,12,,
t1,p3,0,NRS,7,0,10
t1,p3,12,NRS,,0,10
""",
    "participants": """\
trial_id,participant_id,age,sex,smoking
t1,p1,50,female,never
t1,p2,61.5,male,
t1,p3,,,current
""",
}


@dataclass(frozen=True)
class ParticipantTables(Tables):
    """Participants' tables of one trial, without a fault, to break."""

    def told(self) -> list[str]:
        return [str(fault) for fault in check_participants(self.folder)]

    def add(self, table: str, *cells: str) -> None:
        self.write(table, [*self.rows(table), list(cells)])


@pytest.fixture
def people(tmp_path: Path) -> ParticipantTables:
    """Three participants in a folder of their own."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in PARTICIPANT_TABLES.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return ParticipantTables(folder)
