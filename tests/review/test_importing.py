import hashlib
from datetime import datetime, timezone

import pytest
from tests.review.old_folder import NOON, OldFolder, map_bytes, review, same
from tests.review.studies import ANNA, GRID, SENIOR, label_map, open_desk, sent

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.errors import NotFoundError, StoreFullError
from parotid_brachy.lib.review.importing import import_into
from parotid_brachy.lib.review.intake import intake_of
from parotid_brachy.lib.review.itksnap import Label, found_in_itksnap
from parotid_brachy.lib.review.legacy import read_legacy_folder
from parotid_brachy.lib.review.records import Level, ReviewStatus
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.states import CaseState, ReviewPolicy
from parotid_brachy.lib.review.writing import Writing

ADMIN = Reader("adam", Role.ADMIN)
TWO_READERS = ReviewPolicy()


@pytest.fixture
def old(tmp_path):
    folder = OldFolder(tmp_path / "studies")
    folder.image("case_a")
    return folder


@pytest.fixture
def desk(old):
    opened = open_desk(old.folder)
    yield opened
    opened.store.close()


def imported(desk, old, policy=TWO_READERS, found=None):
    old.write_list()
    return import_into(
        desk.store,
        read_legacy_folder(old.folder).found if found is None else found,
        grid_of=desk.images.grid_of,
        actor=ADMIN,
        policy=policy,
    )


def reasons(complaints):
    return {one.source: one.reason for one in complaints}


def test_a_version_keeps_what_was_known_of_the_map(desk, old):
    content = map_bytes()
    old.label("case_a", "final", content)
    report = imported(desk, old)
    (version,) = report.kept
    assert (version.tag, version.author) == ("final", "anna")
    assert version.created == datetime.fromtimestamp(NOON, timezone.utc)
    assert version.received.sha256 == hashlib.sha256(content).hexdigest()
    assert version.info["client_id"] == "anna"
    assert version.info["import"] == {"file": "labels/final/case_a.nii.gz"}
    assert same(desk.kept(version), SKIN.value, GLAND.value)
    assert report.refused == report.reservations == []


A_CORRECTION_AFTER = {"ts": NOON + 5000}


@pytest.mark.parametrize(
    ("labels", "state"),
    [
        ({"original": {}}, CaseState.DRAFTED),
        ({"original": {}, "final": {}}, CaseState.SUBMITTED),
        ({"final": review("flagged")}, CaseState.RETURNED),
        ({"final": review(comment="look")}, CaseState.SUBMITTED),
        ({"final": {}, "version_1": {}}, CaseState.IN_REVIEW),
        ({"final": review("flagged"), "version_1": A_CORRECTION_AFTER}, CaseState.IN_REVIEW),
        ({"final": review("approved")}, CaseState.APPROVED),
        ({"final": {}, "version_1": {}, "version_2": review("approved")}, CaseState.APPROVED),
        (
            {"final": review("approved"), "version_1": review("flagged", at=NOON + 2000)},
            CaseState.RETURNED,
        ),
        ({"original": review("flagged")}, CaseState.DRAFTED),
    ],
)
def test_the_state_follows_from_tags_and_reviews(desk, old, labels, state):
    for at, (tag, info) in enumerate(labels.items(), start=2):
        old.label("case_a", tag, map_bytes(at=at), **info)
    assert len(imported(desk, old).kept) == len(labels)
    assert desk.store.case("case_a").state is state


def test_an_approval_keeps_who_and_when(desk, old):
    old.label("case_a", "final", map_bytes(at=2), **review("flagged", by="stefan", at=NOON + 10))
    said = review("approved", level="hard", comment="good", at=NOON + 900)
    old.label("case_a", "version_1", map_bytes(at=3), **said)
    imported(desk, old)
    case = desk.store.case("case_a")
    approved = desk.store.tagged("case_a", "version_1")
    assert (case.approved_by, case.approved_version) == ("sofia", approved.number)
    assert case.approved_at == datetime.fromtimestamp(NOON + 900, timezone.utc)
    assert (case.initial_author, case.reviewer) == ("anna", "sofia")
    flag, approval = desk.store.notes("case_a")
    assert flag.status is ReviewStatus.NONE, "clients show one verdict on a case"
    assert (approval.status, approval.level) == (ReviewStatus.APPROVED, Level.HARD)
    assert (approval.reviewer, approval.comment) == ("sofia", "good")
    kinds = {(one.kind, one.before, one.after) for one in desk.store.handovers_without_agreement(9)}
    assert kinds == {("initial_to_approved", 1, 2)}


@pytest.mark.parametrize(
    ("labels", "state", "words"),
    [
        ({"final": review("approved", by="anna")}, CaseState.IN_REVIEW, "own contours"),
        ({"original": review("approved")}, CaseState.DRAFTED, "a model's draft"),
        (
            {"final": review("approved"), "version_1": A_CORRECTION_AFTER},
            CaseState.IN_REVIEW,
            "version_1 was saved after that",
        ),
    ],
)
def test_an_approval_that_does_not_hold_is_told_and_not_shown(desk, old, labels, state, words):
    for at, (tag, info) in enumerate(labels.items(), start=2):
        old.label("case_a", tag, map_bytes(at=at), **info)
    report = imported(desk, old)
    assert words in reasons(report.reservations)["case_a"]
    assert desk.store.case("case_a").state is state
    assert {note.status for note in desk.store.notes("case_a")} <= {ReviewStatus.NONE}


def test_a_team_of_one_reader_approves_its_own(desk, old):
    old.label("case_a", "final", map_bytes(), **review("approved", by="anna"))
    imported(desk, old, ReviewPolicy(has_one_reader=True))
    assert desk.store.case("case_a").state is CaseState.APPROVED


def test_approvals_by_people_unknown_hold(desk, old):
    entry = review("approved", by="")
    old.label("case_a", "final", map_bytes(), **{**entry, "client_id": ""})
    imported(desk, old)
    assert desk.store.case("case_a").approved_by == "unknown"


def test_importing_again_keeps_nothing_twice(desk, old):
    old.label("case_a", "original", map_bytes(at=2))
    old.label("case_a", "final", map_bytes(at=3), **review("approved"))
    assert len(imported(desk, old).kept) == 2
    length = desk.store.journal_length()
    again = imported(desk, old)
    assert (again.kept, again.refused) == ([], [])
    assert again.already_kept >= 2  # the store's own published files lie in labels/ as well
    assert desk.store.journal_length() == length
    assert desk.store.case("case_a").state is CaseState.APPROVED


def test_what_the_old_server_made_since_is_added(desk, old):
    old.label("case_a", "final", map_bytes(at=2))
    imported(desk, old)
    old.label("case_a", "final", map_bytes(at=3), ts=NOON + 9)
    old.label("case_a", "version_1", map_bytes(at=4), ts=NOON + 10, **review("approved"))
    report = imported(desk, old)
    assert [one.tag for one in report.kept] == ["final", "version_1"]
    assert same(desk.kept(desk.store.tagged("case_a", "final")), 3, 7, at=3)
    assert desk.store.case("case_a").state is CaseState.APPROVED
    assert len(desk.store.versions("case_a")) == 3


def test_a_case_that_was_worked_on_here_is_left_alone(desk, old):
    desk.workflow.save("case_a", sent(), ANNA)
    old.label("case_a", "final", map_bytes(at=5), **review("approved"))
    report = imported(desk, old)
    assert report.kept == []
    words = reasons(report.refused)["labels/final/case_a.nii.gz"]
    assert "anna worked on it here" in words
    assert same(desk.kept(desk.store.tagged("case_a", "final")), 3, 7)
    assert desk.store.case("case_a").state is CaseState.SUBMITTED


def test_work_after_an_import_is_not_undone_by_the_next(desk, old):
    old.label("case_a", "final", map_bytes(at=2))
    imported(desk, old)
    desk.workflow.save("case_a", sent(3, at=6), SENIOR, tag="version_1")
    old.label("case_a", "final", map_bytes(at=4), ts=NOON + 9)
    report = imported(desk, old)
    assert "sofia worked on it here" in reasons(report.refused)["labels/final/case_a.nii.gz"]
    assert desk.store.case("case_a").state is CaseState.IN_REVIEW


def test_a_draft_made_here_stays_the_newest_and_contours_are_still_taken(desk, old):
    draft = intake_of(label_map(7, at=6), GRID, [GLAND], case="case_a")
    desk.workflow.keep_draft("case_a", draft, ANNA, info={})
    old.label("case_a", "original", map_bytes(at=2))
    old.label("case_a", "final", map_bytes(at=3))
    report = imported(desk, old)
    assert [one.tag for one in report.kept] == ["final"]
    assert "newer draft" in reasons(report.refused)["labels/original/case_a.nii.gz"]
    assert same(desk.kept(desk.store.tagged("case_a", "original")), 7, at=6)


def test_a_consensus_case_takes_no_older_contours(desk, old):
    desk.workflow.set_consensus("case_a", ADMIN, is_consensus=True)
    old.label("case_a", "final", map_bytes())
    assert "consensus" in reasons(imported(desk, old).refused)["labels/final/case_a.nii.gz"]


def test_one_refused_map_stops_no_other(desk, old):
    old.image("case_b")
    desk.store.register(desk.images.files())
    old.label("case_a", "original", b"junk")
    old.label("case_a", "final", map_bytes())
    old.label("case_b", "final", map_bytes(), label_info=[{"name": "liver", "idx": 3}])
    old.objects["case_c"] = {"image": {"ext": ".nii.gz", "info": {}}, "labels": {}}
    old.label("case_c", "final", map_bytes())
    report = imported(desk, old)
    assert [(one.case, one.tag) for one in report.kept] == [("case_a", "final")]
    refused = reasons(report.refused)
    assert len(refused) == 3
    assert "case_b: case_b.nii.gz: values [7]" in refused["labels/final/case_b.nii.gz"]
    assert "case_c" in refused["labels/final/case_c.nii.gz"]


def test_slicers_numbers_in_old_entries_become_the_structures_that_they_named(desk, old):
    label_info = [{"name": "parotid_gland", "idx": 1}, {"name": "skin", "idx": 2}]
    old.label("case_a", "final", map_bytes(1, 2), label_info=label_info)
    (version,) = imported(desk, old).kept
    assert same(desk.kept(version), GLAND.value, SKIN.value)


def test_values_without_names_are_the_apps_and_that_is_said(desk, old):
    old.file("case_a", "final", map_bytes())
    old.write_list().write_text("")
    report = import_into(
        desk.store,
        read_legacy_folder(old.folder).found,
        grid_of=desk.images.grid_of,
        actor=ADMIN,
    )
    assert same(desk.kept(report.kept[0]), SKIN.value, GLAND.value)
    assert "Have a look" in reasons(report.reservations)["labels/final/case_a.nii.gz"]
    assert desk.store.case("case_a").state is CaseState.SUBMITTED


def test_the_old_files_stay_byte_for_byte(desk, old):
    old.label("case_a", "final", map_bytes())
    old.file("case_a", "final", map_bytes(7, at=4), ".nrrd")
    old.write_list()
    before = {p: p.read_bytes() for p in old.folder.rglob("*") if p.is_file()}
    before = {p: content for p, content in before.items() if ".parotid" not in p.parts}
    imported(desk, old)
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_case_is_kept_whole_or_not_at_all(desk, old, monkeypatch):
    old.label("case_a", "original", map_bytes(at=2))
    old.label("case_a", "final", map_bytes(at=3))
    real, calls = Writing.put, []

    def full(self, content, ending):
        calls.append(ending)
        if len(calls) == 3:
            raise StoreFullError("no room")
        return real(self, content, ending)

    monkeypatch.setattr(Writing, "put", full)
    with pytest.raises(StoreFullError):
        imported(desk, old)
    assert desk.store.versions("case_a") == []
    assert desk.store.case("case_a").state is CaseState.NEW
    monkeypatch.undo()
    assert len(imported(desk, old).kept) == 2


def test_each_version_and_what_became_of_the_case_is_journalled(desk, old):
    old.label("case_a", "final", map_bytes(), **review("approved"))
    imported(desk, old)
    version, case = desk.store.journal(case="case_a")
    assert (version.action, version.actor) == ("import", "adam")
    assert version.details["file"] == "labels/final/case_a.nii.gz"
    assert version.details["author"] == "anna"
    assert (case.details["to"], case.details["approved_by"]) == ("approved", "sofia")


def test_notes_that_are_no_notes_are_left_behind(desk, old):
    old.label("case_a", "final", map_bytes(), junk="x" * 70_000)
    (version,) = imported(desk, old).kept
    assert set(version.info) == {"import"}


def test_maps_of_itk_snaps_are_initial_contours(desk, old, tmp_path):
    path = tmp_path / "case_a.nii.gz"
    path.write_bytes(map_bytes(2, 5))
    labels = [Label(2, "skin"), Label(5, "Auricula"), Label(6, "parotid_gland"), Label(9, "x")]
    found = found_in_itksnap(labels, [path], reader="anna")
    (version,) = imported(desk, old, found=found).kept
    assert same(desk.kept(version), SKIN.value, 1)
    assert list(version.volumes_ml) == ["auricula", "skin"], "a palette's other names are not empty"
    assert desk.store.case("case_a").initial_author == "anna"
    unknown = found_in_itksnap([Label(2, "skin"), Label(5, "Ohr")], [path], reader="anna")
    assert "'Ohr' (value 5)" in imported(desk, old, found=unknown).refused[0].reason


def test_a_case_of_which_there_is_no_image_is_refused(desk, old):
    def no_image(case):
        message = f"{case}: there is no image"
        raise NotFoundError(message)

    old.label("case_a", "final", map_bytes())
    old.write_list()
    found = read_legacy_folder(old.folder).found
    report = import_into(desk.store, found, grid_of=no_image, actor=ADMIN)
    assert report.refused[0].reason == "case_a: there is no image"
