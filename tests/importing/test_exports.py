"""Exports of RevMan and REDCap; tables as metafor, netmeta and dosresmeta take them."""

from __future__ import annotations

import math

import pytest

from backpain_analysis.evidence.checking import check_evidence
from backpain_analysis.evidence.participants_checking import check_participants
from backpain_analysis.importing import guess_mapping, read_source
from backpain_analysis.importing.headers import time_of
from tests.importing.conftest import imported, rows

RM5 = """<?xml version="1.0" encoding="UTF-8"?>
<COCHRANE_REVIEW ID="1"><COVER_SHEET><TITLE>Exercise for chronic low back pain</TITLE></COVER_SHEET>
<STUDIES_AND_REFERENCES><STUDIES><INCLUDED_STUDIES>
<STUDY ID="STD-A" NAME="Abel 2011" YEAR="2011"/><STUDY ID="STD-B" NAME="Baker 2014" YEAR="2014"/>
</INCLUDED_STUDIES></STUDIES></STUDIES_AND_REFERENCES><ANALYSES_AND_DATA>
<COMPARISON NO="1"><NAME>Pilates versus waiting list</NAME>
<CONT_OUTCOME NO="1" EFFECT_MEASURE="MD"><NAME>Pain (VAS 0-100)</NAME>
<GROUP_LABEL_1>Exercise</GROUP_LABEL_1><GROUP_LABEL_2>Control</GROUP_LABEL_2>
<CONT_SUBGROUP NO="1"><NAME>8 weeks</NAME>
<CONT_DATA STUDY_ID="STD-A" MEAN_1="31.2" SD_1="14.1" TOTAL_1="25" MEAN_2="44.0" SD_2="15.2"
 TOTAL_2="24"/></CONT_SUBGROUP></CONT_OUTCOME>
<DICH_OUTCOME NO="2" EFFECT_MEASURE="RR"><NAME>Adverse events</NAME>
<DICH_DATA STUDY_ID="STD-A" EVENTS_1="2" TOTAL_1="25" EVENTS_2="1" TOTAL_2="24"/></DICH_OUTCOME>
</COMPARISON>
<COMPARISON NO="2"><NAME>Yoga versus usual care</NAME>
<IV_OUTCOME NO="1" EFFECT_MEASURE="MD"><NAME>Disability (RMDQ)</NAME>
<IV_DATA STUDY_ID="STD-B" ESTIMATE="-2.5" SE="0.9"/></IV_OUTCOME>
<IV_OUTCOME NO="2" EFFECT_MEASURE="RR"><NAME>Recurrence</NAME>
<IV_DATA STUDY_ID="STD-B" ESTIMATE="-0.5" SE="0.2"/></IV_OUTCOME></COMPARISON>
</ANALYSES_AND_DATA></COCHRANE_REVIEW>"""


def test_revman_5(text_file, tmp_path):
    found = imported(text_file("review.rm5", RM5))
    assert rows(
        found.tables["outcomes"], "trial_id", "arm_id", "outcome", "timepoint_weeks", "n", "mean",
        "dispersion", "events",
    ) == [
        ("Abel_2011", "Pilates", "pain_intensity", "8", "25", "31.2", "14.1", ""),
        ("Abel_2011", "waiting_list", "pain_intensity", "8", "24", "44.0", "15.2", ""),
        ("Abel_2011", "Pilates", "adverse_events", "", "25", "", "", "2"),
        ("Abel_2011", "waiting_list", "adverse_events", "", "24", "", "", "1"),
    ]  # fmt: skip
    contrasts = found.tables["contrasts"]
    assert rows(contrasts, "trial_id", "arm_id", "ref_arm_id", "outcome", "effect_measure") == [
        ("Baker_2014", "Yoga", "usual_care", "disability", "md"),
        ("Baker_2014", "Yoga", "usual_care", "recurrence", "rr"),
    ]
    numbers = contrasts[["estimate", "ci_low", "ci_high"]].astype(float).to_numpy()
    assert numbers[0] == pytest.approx([-2.5, -2.5 - 1.959964 * 0.9, -2.5 + 1.959964 * 0.9])
    assert numbers[1] == pytest.approx(
        [math.exp(-0.5), math.exp(-0.5 - 1.959964 * 0.2), math.exp(-0.5 + 1.959964 * 0.2)]
    )
    assert found.tables["trials"]["population"].tolist() == ["chronic_nslbp"] * 2
    for name, table in found.tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    assert check_evidence(tmp_path) == []
    place = found.report.loc[found.report["text"] == "31.2", "cell"].item()
    assert place == "analysis 1.1, Abel 2011"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE r [<!ENTITY a "b">]><COCHRANE_REVIEW>&a;</COCHRANE_REVIEW>', "entities"),
        ('<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><COCHRANE_REVIEW>&a;'
         "</COCHRANE_REVIEW>", "entities"),
        ("<COCHRANE_REVIEW>", "not readable as XML"),
        ("<html/>", "not a RevMan 5 file"),
        ("<COCHRANE_REVIEW/>", "no data of analyses"),
        ("", "not readable as XML"),
    ],
)  # fmt: skip
def test_revman_files_that_are_not_read(text_file, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_source(text_file("bad.rm5", text))
    assert "root:" not in str(caught.value)


def test_revman_web(text_file):
    path = text_file(
        "analyses.csv",
        '"Analysis group","Analysis number","Analysis name","Subgroup","Study","Study year",'
        '"Experimental mean","Experimental SD","Experimental N","Control mean","Control SD",'
        '"Control N"\n1,1,"Pain (VAS 0-100)","Short term","Abel 2011",2011,31,14,25,44,15,24\n',
    )
    found = imported(path, population="other", exercise_type="pilates", comparator_type="waitlist")
    assert rows(found.tables["outcomes"], "arm_id", "timepoint_label", "n", "mean", "note") == [
        ("a1", "followup", "25", "31", "Short term"),
        ("a2", "followup", "24", "44", "Short term"),
    ]


ANALYSES_CSV = """\
Comparison Number,Outcome Number,Subgroup Number,Name,Data Type,Statistical Method,Effect Measure,\
Events 1,Mean 1,SD 1,Total 1,Events 2,Mean 2,SD 2,Total 2,Effect Estimate,SE,\
Group Label 1,Group Label 2,Year of study,User defined order
1,0,0,Yoga versus waiting list,,,,,,,,,,,,,,,,,
1,1,0,Pain (VAS 0-100) at 12 weeks,CON,IV,MD,0,,,60,0,,,62,-9.1,,Exercise,Control,,
1,1,1,Women,,,,0,,,30,0,,,31,-10.1,,,,,
1,1,1,Meyer,,,,0,40.1,18.2,30,0,50.2,19.9,31,-10.1,4.9,,,2011,1
1,1,2,Men,,,,0,,,30,0,,,31,-8.1,,,,,
1,1,2,Okafor,,,,0,38.5,20.1,30,0,46.6,17.4,31,-8.1,4.8,,,2015,2
1,2,0,Recurrence,DIC,MH,RR,4,,,30,9,,,31,0.46,,Exercise,Control,,
1,2,0,Meyer,,,,4,0,0,30,9,0,0,31,0.46,0.5,,,2011,1
2,0,0,Other exercise,,,,,,,,,,,,,,,,,
2,1,0,Disability (RMDQ),GIV,IV,MD,0,,,0,0,,,0,-2.5,,Pilates,Usual care,,
2,1,0,Okafor,,,,0,0,0,0,0,0,0,0,-2.5,0.9,,,2015,1
2,2,0,Recurrence,GIV,IV,RR,0,,,0,0,,,0,0.6,,Pilates,Usual care,,
2,2,0,Okafor,,,,0,0,0,0,0,0,0,0,0.6,0.2,,,2015,1
"""


def test_revman_5_csv_of_analyses(text_file):
    """Headings stand in rows of their own; zeros where a kind of data has no such figure."""
    found = imported(text_file("review.csv", ANALYSES_CSV), population="chronic_nslbp")
    assert rows(
        found.tables["outcomes"], "trial_id", "arm_id", "outcome", "timepoint_weeks", "n", "mean",
        "events", "note",
    ) == [
        ("Meyer", "Yoga", "pain_intensity", "12", "30", "40.1", "", "Women"),
        ("Meyer", "waiting_list", "pain_intensity", "12", "31", "50.2", "", "Women"),
        ("Okafor", "Yoga", "pain_intensity", "12", "30", "38.5", "", "Men"),
        ("Okafor", "waiting_list", "pain_intensity", "12", "31", "46.6", "", "Men"),
        ("Meyer", "Yoga", "recurrence", "", "30", "", "4", ""),
        ("Meyer", "waiting_list", "recurrence", "", "31", "", "9", ""),
    ]  # fmt: skip
    contrasts = found.tables["contrasts"]
    names = ("trial_id", "arm_id", "ref_arm_id", "outcome", "effect_measure", "estimate")
    assert rows(contrasts, *names) == [
        ("Okafor", "Pilates", "Usual_care", "disability", "md", "-2.5")
    ]
    trials = found.tables["trials"]
    assert rows(trials, "trial_id", "first_author", "year") == [
        ("Meyer", "Meyer", "2011"),
        ("Okafor", "Okafor", "2015"),
    ]
    assert found.report.loc[found.report["text"] == "40.1", "cell"].item() == "row 5"


def test_a_csv_of_analyses_without_studies_is_refused(text_file):
    path = text_file("empty.csv", "\n".join(ANALYSES_CSV.splitlines()[:2]) + "\n")
    with pytest.raises(ValueError, match="no data of analyses"):
        read_source(path)


@pytest.mark.parametrize(
    ("event", "when"),
    [
        ("visit_1_week_6_arm_1", ("post", "6")),
        ("Visit 2 month 3", ("post", "13")),
        ("6 weeks (visit 2)", ("post", "6")),
        ("12-week follow-up", ("followup", "12")),
        ("1 week", ("post", "1")),
        ("w4", ("post", "4")),
        ("baseline_arm_1", ("baseline", "0")),
        ("visit_1_arm_1", ("", "")),
        ("Short term (< 3 months)", ("followup", "")),
        ("3 to 6 months", ("", "")),
        ("NRS 0-10 week 8", ("post", "8")),
        ("VAS 0-100 mm, 8 weeks", ("post", "8")),
    ],
)
def test_the_number_of_a_visit_is_not_its_week(event, when):
    assert time_of(event) == when


DECIDED = {
    "population": "chronic_nslbp",
    "outcome": "pain_intensity",
    "instrument": "NRS",
    "scale_min": "0",
    "scale_max": "10",
    "higher_is_better": "no",
    "effect_measure": "md",
    "exercise_type": "yoga",
    "comparator_type": "waitlist",
}


def test_effects_with_their_variances(text_file):
    path = text_file("effects.csv", "study,year,yi,vi\nA,2001,-1.2,0.09\nB,2002,-0.5,0.16\n")
    assert guess_mapping(read_source(path))[0] == "table of pairs or effects"
    found = imported(path, **DECIDED)
    limits = found.tables["contrasts"][["estimate", "ci_low", "ci_high"]].astype(float)
    one, two = limits.to_numpy()
    assert one == pytest.approx([-1.2, -1.2 - 1.959964 * 0.3, -1.2 + 1.959964 * 0.3], abs=1e-6)
    assert two == pytest.approx([-0.5, -0.5 - 1.959964 * 0.4, -0.5 + 1.959964 * 0.4], abs=1e-6)
    why = found.report.loc[found.report["cell"] == "D2", "why"].item()
    assert why == "95% limits: -1.2 ± 1.959964 × 0.3"


def test_pairs_of_treatments_of_a_trial_with_three_arms(text_file):
    path = text_file(
        "pairs.csv",
        "studlab,treat1,mean1,sd1,n1,treat2,mean2,sd2,n2,outcome\n"
        "A,Pilates,30,15,20,Usual care,45,16,21,Pain VAS 0-100\n"
        "A,Pilates,30,15,20,Yoga,35,14,22,Pain VAS 0-100\n",
    )
    found = imported(path, population="other")
    assert rows(found.tables["arms"], "arm_id", "exercise_type", "comparator_type") == [
        ("Pilates", "pilates", ""),
        ("Usual_care", "none", "usual_care"),
        ("Yoga", "yoga", ""),
    ]
    assert rows(found.tables["outcomes"], "arm_id", "n", "mean", "dispersion") == [
        ("Pilates", "20", "30", "15"),
        ("Usual_care", "21", "45", "16"),
        ("Yoga", "22", "35", "14"),
    ]


def test_doses_with_means_and_against_the_first_row(text_file):
    means = text_file("means.csv", "id,dose,n,y,sd\n1,0,30,50,15\n1,2,30,40,14\n2,3,25,42,15\n")
    found = imported(means, **DECIDED)
    assert rows(
        found.tables["arms"], "trial_id", "arm_id", "exercise_type", "sessions_per_week"
    ) == [("1", "0", "none", "0"), ("1", "2", "yoga", "2"), ("2", "3", "yoga", "3")]
    against = text_file("md.csv", "id,dose,md,se\n1,0,0,\n1,2,-10,3\n2,1,0,\n2,3,-13,4\n")
    found = imported(against, **DECIDED)
    assert rows(found.tables["contrasts"], "trial_id", "arm_id", "ref_arm_id", "estimate") == [
        ("1", "2", "0", "-10"),
        ("2", "3", "1", "-13"),
    ]


def test_redcap_wide(text_file, tmp_path):
    path = text_file(
        "backs.csv",
        "record_id,group,age,sex,nrs_baseline,nrs_w4,odi_baseline,notes\n"
        "1,Walking,45,F,6,4,30,\n2,Usual care,50,M,7,,35,moved\n",
    )
    found = imported(path, scale_min="0", scale_max="10", end_week="8")
    assert rows(found.tables["scores"], "participant_id", "week", "instrument", "value") == [
        ("1", "0", "NRS", "6"),
        ("1", "4", "NRS", "4"),
        ("1", "0", "ODI", "30"),
        ("2", "0", "NRS", "7"),
        ("2", "0", "ODI", "35"),
    ]
    assert rows(found.tables["interventions"], "trial_id", "exercise_type") == [
        ("backs", "aerobic_walking"),
        ("backs", "none"),
    ]
    for name, table in found.tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "backs.csv").unlink()
    assert check_participants(tmp_path) == []


def test_redcap_long(text_file):
    path = text_file(
        "long.csv",
        "record_id,redcap_event_name,arm,age,sex,pain_nrs\n1,baseline_arm_1,Yoga,45,F,6\n"
        "1,week_8_arm_1,,,,3\n2,baseline_arm_1,Waitlist,50,M,7\n2,month_3_arm_1,,,,six\n",
    )
    found = imported(path, scale_min="0", scale_max="10", end_week="8")
    assert rows(found.tables["scores"], "participant_id", "week", "value") == [
        ("1", "0", "6"),
        ("1", "8", "3"),
        ("2", "0", "7"),
    ]
    assert len(found.tables["interventions"]) == len(found.tables["participants"]) == 2
    left = found.report[found.report["what"] == "left"]
    assert ("F5", "not one number") in rows(left, "cell", "why")


def test_revman_5_with_data_of_other_kinds_and_times_that_are_spans(text_file):
    """Outcomes without figures are not asked for; "< 3 months" is no week; exercise has no type."""
    more = RM5.replace("<NAME>8 weeks</NAME>", "<NAME>Short term (&lt; 3 months)</NAME>")
    more = more.replace("Pilates versus", "Exercise therapy versus").replace(
        "</COMPARISON>\n<COMPARISON NO",
        '<IPD_OUTCOME NO="3"><NAME>Time to recovery</NAME><IPD_DATA STUDY_ID="STD-B" O_E="2.5" '
        'VAR="4"/></IPD_OUTCOME></COMPARISON>\n<COMPARISON NO',
        1,
    )
    grid = read_source(text_file("review.rm5", more))
    _, guess = guess_mapping(grid)
    asked = guess.mapping.undecided()
    assert asked == ["tables.arms 1: exercise_type of 'Exercise therapy'?"]
    found = imported(text_file("review.rm5", more), exercise_type="general_mixed")
    assert rows(found.tables["outcomes"], "outcome", "timepoint_label") == [
        *[("pain_intensity", "followup")] * 2,
        *[("adverse_events", "post")] * 2,
    ]
    assert "timepoint_weeks" not in found.tables["outcomes"]


def test_zeros_of_revman_web_that_are_no_figures(text_file):
    path = text_file(
        "rows.csv",
        "Analysis group,Analysis number,Analysis name,Study,Study year,GIV Mean,GIV SE,"
        "Experimental cases,Experimental mean,Experimental SD,Experimental N,Control cases,"
        "Control mean,Control SD,Control N\n"
        "1,1,Pain (VAS 0-100),Abel 2011,2011,,,0,31,14,25,0,0,16,24\n"
        "1,2,Adverse events,Abel 2011,2011,,,2,0,0,25,0,0,0,24\n"
        "1,3,Disability (RMDQ),Cole 2019,2019,-2.5,0.9,0,0,0,0,0,0,0,0\n",
    )
    found = imported(path, **DECIDED)
    assert rows(found.tables["outcomes"], "arm_id", "outcome", "n", "mean", "events") == [
        ("a1", "pain_intensity", "25", "31", ""),
        ("a2", "pain_intensity", "24", "0", ""),
        ("a1", "adverse_events", "25", "", "2"),
        ("a2", "adverse_events", "24", "", "0"),
    ]
    assert rows(found.tables["contrasts"], "trial_id", "estimate") == [("Cole_2019", "-2.5")]


def test_covidence_a_row_a_result_with_means_and_events(text_file):
    path = text_file(
        "covidence.csv",
        "Covidence #,Study ID,Reviewer,Outcome,Timepoint,Group name,Mean,SD,N,Events\n"
        "12,Abel 2011,Consensus,Pain (VAS 0-100),8 weeks,Pilates,31,14,25,\n"
        "12,Abel 2011,Consensus,Adverse events,8 weeks,Waiting list,,,24,1\n",
    )
    found = imported(path, population="other")
    names = ("arm_id", "outcome", "value_type", "n", "mean", "events")
    assert rows(found.tables["outcomes"], *names) == [
        ("Pilates", "pain_intensity", "level", "25", "31", ""),
        ("Waiting_list", "adverse_events", "events", "24", "", "1"),
    ]


def test_netmeta_with_long_names_and_three_arms_a_row(text_file):
    path = text_file(
        "te.csv",
        '"","TE","seTE","treat1.long","treat2.long","treat1","treat2","studlab"\n'
        '"1",-1.9,0.5,"Pilates","Usual care","pila","uc","Abel 2011"\n',
    )
    found = imported(path, **DECIDED)
    assert rows(found.tables["contrasts"], "arm_id", "ref_arm_id", "estimate") == [
        ("pila", "uc", "-1.9")
    ]
    assert rows(found.tables["arms"], "arm_label", "exercise_type", "comparator_type") == [
        ("Pilates", "pilates", ""),
        ("Usual care", "none", "usual_care"),
    ]
    wide = text_file(
        "wide.csv",
        "studlab,Treatment1,y1,sd1,n1,Treatment2,y2,sd2,n2,Treatment3,y3,sd3,n3\n"
        "Abel 2011,Pilates,3,1,25,Usual care,4,1,24,Yoga,3.3,1,22\n"
        "Bo 2012,Yoga,3,1,25,Usual care,4,1,24,,,,\n",
    )
    found = imported(wide, **DECIDED)
    assert rows(found.tables["outcomes"], "trial_id", "arm_id", "n", "mean") == [
        ("Abel_2011", "Pilates", "25", "3"),
        ("Abel_2011", "Usual_care", "24", "4"),
        ("Abel_2011", "Yoga", "22", "3.3"),
        ("Bo_2012", "Yoga", "25", "3"),
        ("Bo_2012", "Usual_care", "24", "4"),
    ]


@pytest.mark.parametrize(
    ("head", "cells"),
    [
        ("slab,ai,n1i,ci,n2i", "Abel 2011,2,25,1,24"),
        ("study,event.e,n.e,event.c,n.c", "Abel 2011,2,25,1,24"),
    ],
)
def test_events_of_two_groups(text_file, head, cells):
    found = imported(text_file("two.csv", f"{head}\n{cells}\n"), **DECIDED)
    assert rows(found.tables["outcomes"], "arm_id", "n", "events") == [
        ("a1", "25", "2"),
        ("a2", "24", "1"),
    ]


def test_doses_with_limits_authors_and_minutes(text_file):
    ratios = text_file(
        "rr.csv",
        "id,author,year,dose,rr,lb,ub,cases,n\n1,Abel,2011,0,1,,,10,100\n"
        "1,Abel,2011,120,0.8,0.6,1.1,8,100\n",
    )
    found = imported(ratios, **DECIDED)
    contrast = ("arm_id", "ref_arm_id", "effect_measure", "estimate", "ci_low", "ci_high")
    assert rows(found.tables["contrasts"], *contrast) == [("120", "0", "rr", "0.8", "0.6", "1.1")]
    assert rows(found.tables["arms"], "sessions_per_week", "minutes_per_session") == [
        ("1", "0"),
        ("1", "120"),
    ]
    assert rows(found.tables["trials"], "first_author", "year") == [("Abel", "2011")]
    logs = text_file("log.csv", "id,dose,logRR,lb,ub\n1,0,0,,\n1,2,-0.2,-0.9,0.5\n")
    found = imported(logs, **DECIDED)
    assert "ci_low" not in found.tables["contrasts"]  # limits of a logarithm are none of the ratio
    left = found.report[found.report["what"] == "left"]
    assert {"D3", "E3"} <= set(left["cell"])


def test_rows_of_a_trial_whose_arms_nothing_names_are_asked_for(text_file):
    path = text_file("r.csv", "study,code,mean,sd,n\nAbel 2011,1,31,14,25\nAbel 2011,2,45,16,24\n")
    told = guess_mapping(read_source(path))[1].mapping.undecided()
    assert any("outcomes.arm_id: which arm" in line for line in told)


def test_redcap_raw_with_repeated_instruments_boxes_and_arms_of_events(text_file):
    path = text_file(
        "raw.csv",
        "record_id,redcap_event_name,redcap_repeat_instrument,redcap_repeat_instance,age,sex,"
        "pain___1,pain_nrs,pain_complete\n1,enrolment_arm_1,,,45,2,0,6,2\n"
        "1,week_6_arm_1,,,,,,4,2\n1,week_6_arm_1,diary,1,,,,5,2\n2,enrolment_arm_2,,,50,1,1,7,2\n",
    )
    _, guess = guess_mapping(read_source(path))
    assert "rows of repeated instruments (diary) do not count" in guess.assumed
    asked = "\n".join(guess.mapping.undecided())
    assert "exercise_type of 'enrolment_arm_1', 'week_6_arm_1', 'enrolment_arm_2'?" in asked
    assert "sex of '2', '1'?" in asked
    found = imported(
        path, scale_min="0", scale_max="10", end_week="8", exercise_type="yoga", sex="female"
    )
    assert rows(found.tables["scores"], "participant_id", "week", "value") == [
        ("1", "0", "6"),
        ("1", "6", "4"),
        ("2", "0", "7"),
    ]


def test_people_in_a_wide_table_of_other_programs(text_file):
    path = text_file("spss.csv", "id,allocated group,sex,vas_t0,vas_t1\n1,walking,f,60,40\n")
    kind, guess = guess_mapping(read_source(path))
    assert kind == "REDCap"
    assert "tables.scores 2.week: which week since the start?" in guess.mapping.undecided()
    found = imported(path, scale_min="0", scale_max="100", end_week="8", week="6")
    assert rows(found.tables["scores"], "week", "value") == [("0", "60"), ("6", "40")]
    assert found.tables["interventions"]["exercise_type"].tolist() == ["aerobic_walking"]
