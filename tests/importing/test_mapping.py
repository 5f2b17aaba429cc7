"""The mapping: kept, read again, and refused with every reason; folders that are written."""

from __future__ import annotations

import pytest

from backpain_analysis.evidence.faults import EvidenceError
from backpain_analysis.importing import (
    guess_mapping,
    import_file,
    mapping_text,
    read_mapping,
    read_source,
    write_imported,
)
from tests.importing.conftest import decided, imported

SHEET = "Study,Group,n,NRS 0-10 post mean,NRS 0-10 post SD\nA,Pilates,20,3,1\nA,Waitlist,21,5,2\n"


@pytest.fixture
def mapping(text_file):
    path = text_file("mine.csv", SHEET)
    return decided(guess_mapping(read_source(path))[1], population="other")


def test_a_mapping_is_kept_and_the_import_repeated(mapping, tmp_path):
    (tmp_path / "mapping.yml").write_text(mapping_text(mapping, "mine.csv"), "utf-8")
    again = read_mapping(tmp_path / "mapping.yml")
    assert again == mapping
    one, two = (import_file(tmp_path / "mine.csv", how) for how in (mapping, again))
    assert one.report.equals(two.report) and one.tables["arms"].equals(two.tables["arms"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tables:", "tabels:", "tabels: Extra inputs are not permitted"),
        ("  outcomes:", "  outcome:", "tables: no 'outcome'. Did you mean 'outcomes'?"),
        ("exercise_type:", "exercise_typ:", "no 'exercise_typ'. Did you mean 'exercise_type'?"),
        ("Pilates: pilates", "Pilates: pilate", "no 'pilate'. Did you mean 'pilates'?"),
        ("value: other", "value: others", "no 'others'. Did you mean 'other'?"),
        ("value: other", "valeu: other", "valeu: Extra inputs are not permitted"),
        ("value: other", "value: other\n      column: Study", "give either column or value"),
        ("trial_id: Study", "trial: Study", "ids must be trial_id"),
        ("trial_id: Study", "trial_id: Study\n  trial_id: Study", "'trial_id' stands twice"),
        ("trial_id: Study", "trial_id: &a Study\n  x: *a", "an alias"),
        ("ids:", "decimal: ';'\nids:", "decimal: Input should be '.' or ','"),
        ("ids:", "ids: [", "not readable as YAML"),
        ("ids:", "ids: !!python/object:os.system x\nidz:", "ids"),
    ],
)
def test_a_mapping_that_is_wrong_says_where(mapping, tmp_path, old, new, message):
    text = mapping_text(mapping, "mine.csv")
    assert old in text
    (tmp_path / "mapping.yml").write_text(text.replace(old, new), "utf-8")
    with pytest.raises(EvidenceError) as caught:
        read_mapping(tmp_path / "mapping.yml")
    assert message in str(caught.value)
    assert "Mend the mapping" in str(caught.value)


def test_texts_of_a_mapping_are_never_numbers_or_booleans(mapping, tmp_path):
    text = mapping_text(mapping, "x").replace(
        "Pilates: pilates", "Pilates: pilates\n        1: none\n        yes: none"
    )
    (tmp_path / "mapping.yml").write_text(text, "utf-8")
    arm = read_mapping(tmp_path / "mapping.yml").tables["arms"][0]
    assert set(arm["exercise_type"].words) == {"Pilates", "1", "yes", "Waitlist"}


def test_a_sheet_that_no_longer_fits_says_all_of_it(mapping, text_file):
    path = text_file("mine.csv", SHEET.replace("NRS 0-10 post SD", "NRS 0-10 post sd dev"))
    with pytest.raises(EvidenceError, match=r"no such column \(mapping, tables.outcomes.sd\)"):
        import_file(path, mapping)
    path = text_file("mine.csv", SHEET + "B,Tango,9,3,1\nB,Bed rest,9,3,1\nB,Tango,9,4,1\n")
    with pytest.raises(EvidenceError) as caught:
        import_file(path, mapping)
    told = [(fault.row, fault.column, fault.value) for fault in caught.value.faults]
    expected = [(4, "Group", "Tango"), (5, "Group", "Bed rest")]
    assert set(told) == set(expected) and len(told) == 4


def test_folders_are_written_whole_and_replaced_only_when_asked(mapping, tmp_path):
    found = import_file(tmp_path / "mine.csv", mapping)
    out = write_imported(found, mapping, "mine.csv", tmp_path / "out")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(FileExistsError, match="--force"):
        write_imported(found, mapping, "mine.csv", out)
    (out / "trials.csv").write_text("changed by hand")
    write_imported(found, mapping, "mine.csv", out, force=True)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    (out / "precious.docx").write_text("mine")
    with pytest.raises(FileExistsError, match="more than an import"):
        write_imported(found, mapping, "mine.csv", out, force=True)
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(FileExistsError):
        write_imported(found, mapping, "mine.csv", tmp_path / "link", force=True)
    assert (out / "precious.docx").read_text() == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "mine.csv", "out"]


def test_rows_of_an_arm_that_contradict_each_other_are_told(text_file):
    head = "Study,Year,Group,n,NRS 0-10 post mean,Outcome\n"
    text = head + "A,2001,Yoga,20,3,Pain\nA,2002,Yoga,21,5,Pain\n"
    found = imported(text_file("two.csv", text), population="other")
    assert found.tables["trials"]["year"].tolist() == ["2001"]
    line = found.report[(found.report["cell"] == "B3") & (found.report["table"] == "trials")]
    assert line[["what", "why"]].values.tolist() == [["left", "another row of it says 2001"]]
    assert found.tables["outcomes"]["mean"].tolist() == ["3", "5"]


def test_formulas_in_texts_are_not_run_by_a_spreadsheet(text_file, tmp_path):
    text = SHEET.replace("Pilates", '"=HYPERLINK(""http://x"",""Pilates"")"')
    path = text_file("mine.csv", text)
    mapping = decided(guess_mapping(read_source(path))[1], population="other")
    out = write_imported(import_file(path, mapping), mapping, path.name, tmp_path / "out")
    assert "'=HYPERLINK" in (out / "import_report.csv").read_text()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"no workbook", "not readable as an XLSX workbook"),
        ("a.csv", b"\x00\x01\x02", "is not text"),
        ("a.csv", b'a,b\n"open,1\n', "nothing|not readable|no rows"),
        ("a.csv", b"\n\n", "nothing is in it"),
    ],
)
def test_hostile_files_are_one_message(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EvidenceError, match=message):
        read_source(tmp_path / name)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="name the file to import"):
        read_source(tmp_path / "absent.xlsx")
    with pytest.raises(EvidenceError, match="not a regular file"):
        read_source(tmp_path)
