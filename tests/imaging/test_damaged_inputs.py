"""Hundreds of damaged inputs: each refused with its reason, or proven whole."""

import tracemalloc

import pytest
from tests.imaging.damage import Damaged, Outcome, outcome_of, write_damaged

from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.imaging.files import read_volume


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> list[Damaged]:
    return write_damaged(tmp_path_factory.mktemp("damaged"))


def test_there_are_enough_of_every_format(damaged):
    assert len(damaged) >= 300
    for name in (
        "NIfTI",
        "NIfTI gzip",
        "NRRD",
        "NRRD gzip",
        "MetaImage",
        "MetaImage zlib",
        "DICOM",
    ):
        assert sum(one.kind.startswith(f"{name}:") for one in damaged) >= 15


def test_every_damaged_input_is_refused_with_a_reason_or_is_whole(damaged):
    outcomes = [(one.kind, *outcome_of(one)) for one in damaged]
    wrong = [found for found in outcomes if found[1] not in (Outcome.REFUSED, Outcome.WHOLE)]
    assert wrong == []
    refused = sum(outcome is Outcome.REFUSED for _, outcome, _ in outcomes)
    assert refused >= 300


def test_no_header_makes_the_reader_allocate_more_than_the_file_is_worth(damaged):
    hungry = ("lying", "unpacks to", "endless", "Rows", "Columns", "too long")
    chosen = [one for one in damaged if any(word in one.kind for word in hungry)]
    assert len(chosen) > 30
    tracemalloc.start()
    try:
        for one in chosen:
            tracemalloc.reset_peak()
            with pytest.raises(ParotidBrachyError):
                read_volume(one.path)
            _, peak = tracemalloc.get_traced_memory()
            assert peak < 32 * 1024**2, one.kind
    finally:
        tracemalloc.stop()
