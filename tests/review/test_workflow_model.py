"""Random sequences of what clients ask of a real store, against the model of the desk."""

import atexit
import copy
import hashlib
import itertools
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.review.desk import Desk
from tests.review.reading_room import Folder, RefusedError
from tests.review.test_states_model import PEOPLE, REASONS

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.errors import ConflictError, NotAllowedError, NotFoundError, UsageError
from parotid_brachy.lib.imaging.label_encoding import nrrd_bytes
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.review import journal
from parotid_brachy.lib.review.intake import intake_of, labels_of
from parotid_brachy.lib.review.quarantine import Quarantine
from parotid_brachy.lib.review.records import Level, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.states import ReviewPolicy
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.workflow import Received, Workflow

GRID = Grid((6, 7, 8), (1.0, 1.5, 2.0), (3.0, -4.0, 5.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
KIND_OF = {
    NotAllowedError: "role",
    ConflictError: "state",
    UsageError: "words",
    NotFoundError: "nothing",
}
WHO = st.sampled_from(PEOPLE)
TAGS = st.sampled_from(["final", "final", "version_1", "version_2", "original"])
WISHES = st.sampled_from(["", "", "final", "version_1", "version_2", "version_7", "original"])
WORDS = st.tuples(
    st.sampled_from(["", "approved", "flagged"]),
    st.sampled_from(["", "hard"]),
    st.sampled_from(REASONS).map(str.strip),
)
SERIAL = itertools.count()


class Images:
    """All images have one grid."""

    def grid_of(self, case):
        return GRID


def new_map():
    """A label map that nobody has made before."""
    labels = np.zeros(GRID.shape_kji, np.uint8)
    bits = np.unpackbits(np.array([next(SERIAL)], ">u4").view(np.uint8))
    labels[0].flat[: bits.size] = np.where(bits, GLAND.value, SKIN.value)
    return labels


class WorksAsTold(RuleBasedStateMachine):
    """One case of a store in which the cases of all examples are."""

    store = None
    desk = None

    @initialize(alone=st.sampled_from([False, False, True]), consensus=st.sampled_from([0, 0, 1]))
    def case_arrives(self, alone, consensus):
        cls = type(self)
        if cls.store is None:
            folder = Path(tempfile.mkdtemp(prefix="parotid-model-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            cls.store = VersionStore.open(folder / ".parotid")
            cls.names = []
        self.case = f"case {next(SERIAL)}"
        cls.names.append(self.case)
        self.store.register({name: f"{name}.nii.gz" for name in cls.names})
        quarantine = Quarantine(self.store.folder / "quarantine")
        policy = ReviewPolicy(has_one_reader=alone)
        self.workflow = Workflow(self.store, Images(), quarantine, policy)
        self.desk = Desk(Folder("new", one_reader=alone))
        if consensus:
            self.it_joins_or_leaves_the_consensus_set(is_consensus=True)

    @rule(who=WHO)
    def a_model_drafts(self, who):
        labels = new_map()
        drafted = intake_of(labels, GRID, [GLAND, SKIN], case=self.case)
        self.both(
            lambda desk: desk.draft(who, labels),
            lambda: self.workflow.keep_draft(self.case, drafted, reader(who), info={}),
        )

    @rule(who=WHO, wish=WISHES)
    def somebody_saves(self, who, wish):
        self.save(who, wish, None)

    @rule(who=WHO, wish=WISHES, word=WORDS)
    def somebody_saves_and_says_something(self, who, wish, word):
        self.save(who, wish, word)

    @rule(who=WHO, tag=TAGS, word=WORDS)
    def somebody_says_something(self, who, tag, word):
        self.both(
            lambda desk: desk.review(who, tag, *word),
            lambda: self.workflow.review(self.case, tag, review(word), reader(who)),
        )

    @rule(who=WHO, tag=TAGS)
    def somebody_looks(self, who, tag):
        self.both(lambda desk: desk.look(who, tag), lambda: self.serve(who, tag))

    @rule(senior=WHO, other=WHO)
    def somebody_is_overtaken_between_looking_and_approving(self, senior, other):
        self.somebody_looks(senior, "final")
        self.save(other, "", None)
        self.somebody_says_something(senior, "final", ("approved", "", ""))

    @rule(who=WHO, reason=st.sampled_from(REASONS))
    def somebody_reopens(self, who, reason):
        self.both(
            lambda desk: desk.reopen(who, reason),
            lambda: self.workflow.reopen(self.case, reason, reader(who)),
        )

    @rule(who=WHO, tag=TAGS)
    def somebody_withdraws(self, who, tag):
        self.both(
            lambda desk: desk.withdraw(who, tag),
            lambda: self.workflow.withdraw(self.case, tag, reader(who)),
        )

    @rule(is_consensus=st.booleans())
    def it_joins_or_leaves_the_consensus_set(self, is_consensus):
        eve = reader(PEOPLE[-1])
        self.both(
            lambda desk: desk.set_consensus(is_consensus),
            lambda: self.workflow.set_consensus(self.case, eve, is_consensus=is_consensus),
        )

    @precondition(lambda self: self.desk)
    @invariant()
    def the_store_is_as_the_desk(self):
        case, folder = self.store.case(self.case), self.desk.folder
        assert case.state.value == folder.state
        assert case.is_consensus == folder.is_consensus
        assert case.approved_by == folder.approved_by
        assert case.approved_version == self.desk.approved
        if not folder.is_consensus:
            assert case.initial_author == folder.initial_by
        for tag, number in self.desk.top.items():
            version = self.store.tagged(self.case, tag)
            assert (version and version.number) == number, tag
        (overview,) = self.store.overview(self.case)
        assert {tag: v.number for tag, v in overview.versions.items()} == {
            tag: number for tag, number in self.desk.top.items() if number
        }
        for tag in overview.versions:
            note, slip = overview.notes.get(tag), self.desk.sheets[self.desk.top[tag] - 1].slip
            assert (note and (note.status.value, note.level.value, note.comment)) == slip, tag

    @precondition(lambda self: self.desk)
    @invariant()
    def what_is_approved_stays_as_it_is(self):
        if self.desk.approved is None:
            return
        sheet = self.desk.sheets[self.desk.approved - 1]
        assert self.store.tagged(self.case, sheet.tag).number == self.desk.approved
        self.is_readable(self.desk.approved)
        if not self.desk.folder.one_reader:
            assert self.store.case(self.case).initial_author != self.desk.folder.approved_by

    def teardown(self):
        if self.desk is None:
            return
        versions = self.store.versions(self.case)
        assert [v.number for v in versions] == list(range(1, 1 + len(self.desk.sheets)))
        for number in range(1, 1 + len(versions)):
            self.is_readable(number)
        with self.store.database.reading() as connection:
            assert list(journal.faults(connection)) == []

    def save(self, who, wish, word):
        labels = new_map()
        content = nrrd_bytes(labels, GRID, segments=[GLAND, SKIN])
        received = Received(content, "x.seg.nrrd", review=None if word is None else review(word))
        self.both(
            lambda desk: desk.save(who, wish, labels, word),
            lambda: self.workflow.save(self.case, received, reader(who), tag=wish),
        )

    def serve(self, who, tag):
        version = self.store.tagged(self.case, tag)
        if version is None:
            raise NotFoundError(tag)
        self.store.note_served(self.case, tag, who.name, version.number)

    def is_readable(self, number):
        """A version is what its author sent, and nobody else's."""
        version, sheet = self.store.version(self.case, number), self.desk.sheets[number - 1]
        assert (version.author, version.kind.value, version.tag) == (
            sheet.author,
            sheet.kind,
            sheet.tag,
        )
        assert version.is_withdrawn == sheet.is_withdrawn
        path = self.store.path_of(version.file)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == version.file.sha256
        np.testing.assert_array_equal(labels_of(path, GRID), sheet.content)

    def both(self, told, done):
        """Does something on a copy of the desk and in the store: both do it, or neither."""
        desk = copy.deepcopy(self.desk)
        try:
            told(desk)
            expected = None
            self.desk = desk
        except RefusedError as refused:
            expected = refused.kind
        try:
            done()
            found = None
        except tuple(KIND_OF) as error:
            found = KIND_OF[type(error)]
        assert found == expected


def reader(person):
    return Reader(person.name, Role(person.role))


def review(word):
    status, level, comment = word
    return Review(ReviewStatus(status), Level(level), comment)


TestWorksAsTold = WorksAsTold.TestCase
TestWorksAsTold.settings = settings(max_examples=20, stateful_step_count=40)
