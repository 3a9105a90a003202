from datetime import datetime, timezone

import pytest
from tests.review.saves import add, approve

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.datastore.approved_export import approved_contours
from parotid_brachy.lib.dicom.contour_content import Origin
from parotid_brachy.lib.errors import ConflictError, NotFoundError
from parotid_brachy.lib.review.store import VersionStore


@pytest.fixture
def store(tmp_path):
    store = VersionStore.open(tmp_path / ".parotid")
    store.register({"a": "a.nii.gz"})
    yield store
    store.close()


@pytest.mark.parametrize(
    ("tags", "origin"),
    [
        (["final"], Origin.MANUAL),
        (["original", "final"], Origin.CORRECTED),
        (["original", "final", "version_1"], Origin.CORRECTED),
        (["final", "version_1"], Origin.MANUAL),
        (["original"], Origin.DRAFT),
    ],
)
def test_how_contours_came_about_follows_from_the_versions_before(store, tags, origin):
    versions = [add(store, "a", tag, tag.encode()) for tag in tags]
    approve(store, versions[-1])
    found = approved_contours(store, "a")
    assert found.origin is origin
    assert found.labels.read_bytes() == tags[-1].encode()
    content = found.content(Side.LEFT, made=datetime.now(timezone.utc), version="1")
    assert (content.reader, content.approval.reviewer) == ("Ann", "Sam")


def test_a_draft_made_later_corrected_nothing(store):
    version = add(store, "a", "final", b"first")
    approve(store, version)
    add(store, "a", "original", b"draft")
    assert approved_contours(store, "a").origin is Origin.MANUAL


def test_only_approved_contours_go_out(store):
    add(store, "a", "final", b"first")
    with pytest.raises(ConflictError, match="not approved"):
        approved_contours(store, "a")
    with pytest.raises(NotFoundError):
        approved_contours(store, "b")
