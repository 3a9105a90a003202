import pytest

from parotid_brachy.lib.dicom.deidentification.dates import (
    is_time,
    shifted_date,
    shifted_date_time,
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("20240301", "20240229"),
        ("2024.03.01", "20240229"),
        (" 20240101 ", "20231231"),
        ("2024", None),
        ("20240230", None),
        ("20240101-20240105", None),
        ("00010101", None),
        ("Zimmermann", None),
        ("", None),
    ],
)
def test_dates_move(before, after):
    assert shifted_date(before, days=-1) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("20240301", "20240229"),
        ("20240301101530", "20240229101530"),
        ("20240301101530.123456+0100", "20240229101530.123456"),
        ("2024030110-0500", "2024022910"),
        ("202403", None),
        ("2024", None),
        ("20240301999999", None),
        ("20240301101530 Meier", None),
    ],
)
def test_date_times_move_and_lose_their_time_zone(before, after):
    assert shifted_date_time(before, days=-1) == after


def test_times_are_times_and_nothing_else():
    for text in ("08", "0815", "081501", "081501.5", "081501.123456", "235960", "08:15:01"):
        assert is_time(text)
    for text in ("", "24", "081", "081501.", "0815 Meier", "Meier", "081501.1234567"):
        assert not is_time(text)
