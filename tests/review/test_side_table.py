from datetime import date

import pytest

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.review.clinical_facts import ClinicalFacts, facts_of
from parotid_brachy.lib.review.side_table import read_side_table


@pytest.fixture
def read(tmp_path):
    def run(text, encoding="utf-8"):
        (tmp_path / "sides.csv").write_bytes(text.encode(encoding))
        return read_side_table(tmp_path / "sides.csv")

    return run


def test_facts_are_found_by_any_of_the_words_that_a_case_has(read):
    table = read("patient_id,side,surgery_date,seed_plan\n17,left,2023-04-05,plan a\n18,R,,\n")
    row = table.row_of("1.2.3", "17")
    assert row.line == 2
    assert row.facts == ClinicalFacts(Side.LEFT, date(2023, 4, 5), "plan a")
    assert table.row_of("18").facts == ClinicalFacts(Side.RIGHT)
    assert table.row_of("19", "") is None


def test_lines_that_nobody_asked_for_are_told(read):
    table = read("case,side\na,left\n\nb,right\nc,left\n")
    assert table.unused() == [2, 4, 5]
    table.row_of("b")
    assert table.unused() == [2, 5]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_spreadsheets_other_habits_are_understood(read, encoding):
    table = read("Side; PATIENT_ID \r\nLinks;x\r\n".replace("Links", "LEFT"), encoding)
    assert table.row_of("x").facts.side is Side.LEFT
    assert read("series_uid,surgery_date\n1.2,20230405\n").row_of("1.2").facts == ClinicalFacts(
        surgery_date=date(2023, 4, 5)
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it is empty"),
        ("side\nleft\n", "the header needs one of patient_id"),
        ("patient_id\n1\n", "the header needs"),
        ("patient_id,case,side\n", "the header needs"),
        ("patient_id,side,side\n", "the header needs"),
        ("patient_id,side,birthday\n", "'birthday'"),
        ("patient_id,side\n1,up\n", "line 2: side 'up' is neither left nor right"),
        ("patient_id,surgery_date\n1,2023-02-30\n", "line 2: date '2023-02-30'"),
        ("patient_id,surgery_date\n1,05.04.2023\n", "line 2: date '05.04.2023'"),
        ("patient_id,surgery_date\n1,2023-0405\n", "line 2: date"),
        ("patient_id,surgery_date\n1,1850-01-01\n", "line 2: date 1850-01-01 is before 1950"),
        ("patient_id,seed_plan\n1," + "x" * 200 + "\n", "line 2: seed plan"),
        ("patient_id,seed_plan\n1,a\x1b[2J\n", "line 2: seed plan"),
        ("patient_id,side\n1,left\n,left\n", "line 3: no patient_id"),
        ("patient_id,side\n1,left\n2,left\n1,right\n", "line 4: the same patient_id as line 2"),
        ("patient_id,side\n1,left,3\n", "line 2: 3 columns, the header has 2"),
        ('patient_id,side\n1,"left\n', "line 2"),
    ],
)
def test_what_must_not_be_in_a_table_is_named_with_its_line(read, text, fault):
    with pytest.raises(UsageError, match=r"sides\.csv: ") as refusal:
        read(text)
    assert fault in str(refusal.value)


def test_all_bad_lines_are_named_at_once(read):
    with pytest.raises(UsageError, match=r"line 2.*line 4"):
        read("patient_id,side\n1,up\n2,left\n3,down\n")


def test_other_encodings_and_missing_files_are_told(read, tmp_path):
    with pytest.raises(UsageError, match="not in UTF-8"):
        read("patient_id,side\nMüller,left\n", "latin-1")
    with pytest.raises(UsageError, match="cannot be read"):
        read_side_table(tmp_path / "nowhere.csv")


def test_facts_come_back_from_what_is_noted():
    facts = ClinicalFacts(Side.RIGHT, date(2023, 4, 5), "plan")
    assert facts_of({"facts": facts.to_json()}) == facts
    assert facts_of({}) == ClinicalFacts()
    assert not ClinicalFacts()
    assert ClinicalFacts().to_json() == {}


@pytest.mark.parametrize(
    "noted", [3, "left", {"side": "up"}, {"side": 3}, {"surgery_date": "soon"}, {"side": []}]
)
def test_notes_that_are_no_facts_state_nothing(noted):
    assert facts_of({"facts": noted}) == ClinicalFacts()
