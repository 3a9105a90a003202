import json

import pytest

from parotid_brachy.lib.dicomweb.access import ArchiveUnreachableError
from parotid_brachy.lib.dicomweb.archive_series import ArchiveSeries
from parotid_brachy.lib.dicomweb.known_series import KnownSeries

ONE, OTHER = ArchiveSeries("1.2.3", "1.2"), ArchiveSeries("1.2.4", "1.2", "patient-1")


class Told:
    """An archive that lists what a test wants, or is away."""

    def __init__(self, *series):
        self.listed = list(series)
        self.asked = 0

    def series(self):
        self.asked += 1
        if self.listed is None:
            message = "the DICOMweb archive cannot be reached"
            raise ArchiveUnreachableError(message)
        return self.listed


@pytest.fixture
def file(tmp_path):
    return tmp_path / "archive.json"


def test_the_list_follows_the_archive(file):
    archive = Told(ONE)
    known = KnownSeries(archive, file)
    known.look()
    assert known.all() == {ONE.uid: ONE}
    archive.listed = [OTHER]
    known.look()
    assert known.all() == {OTHER.uid: OTHER}


def test_the_list_is_the_same_object_as_long_as_nothing_changed(file):
    known = KnownSeries(Told(ONE), file)
    known.look()
    before = known.all()
    known.look()
    assert known.all() is before


def test_the_last_list_stands_while_the_archive_is_away(file):
    archive = Told(ONE, OTHER)
    known = KnownSeries(archive, file)
    known.look()
    archive.listed = None
    with pytest.raises(ArchiveUnreachableError):
        known.look()
    assert known.is_away
    assert set(known.all()) == {ONE.uid, OTHER.uid}
    # Another start, still without the archive.
    assert KnownSeries(archive, file).all() == known.all()
    archive.listed = [ONE]
    known.look()
    assert not known.is_away


def test_the_archive_is_not_asked_again_at_once(file):
    archive = Told(ONE)
    known = KnownSeries(archive, file)
    known.look_if_last_looked_before(60)
    known.look_if_last_looked_before(60)
    assert archive.asked == 1
    known.look_if_last_looked_before(0)
    assert archive.asked == 2


def test_that_the_archive_is_away_is_logged_once(file, caplog):
    archive = Told()
    archive.listed = None
    known = KnownSeries(archive, file)
    for _ in range(3):
        known.look_if_last_looked_before(0)
    assert len([r for r in caplog.records if "cannot be reached" in r.message]) == 1


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"[1]", b'["a"]', b'[{"uid": "1.2"}]', b"\xff", b"[" * 100_000),
        json.dumps([{**ONE.to_json(), "uid": "../../x"}]).encode(),
    ],
)
def test_a_damaged_list_is_asked_anew(file, content):
    file.write_bytes(content)
    known = KnownSeries(Told(ONE), file)
    assert known.all() == {}
    known.look()
    assert known.all() == {ONE.uid: ONE}
