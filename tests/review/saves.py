"""Saves into a version store, as short as a test wants them."""

import sqlite3
from datetime import datetime, timezone

from sqlalchemy import create_engine, text

from parotid_brachy.lib.review.database import postgres_url
from parotid_brachy.lib.review.records import Kind, Level, Note, ReviewStatus
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.states import Action, CaseState

ANN = Reader("Ann", Role.ANNOTATOR)
SAM = Reader("Sam", Role.REVIEWER)
_KINDS = {"original": Kind.DRAFT, "final": Kind.INITIAL}
_ACTIONS = {
    Kind.DRAFT: Action.DRAFT,
    Kind.INITIAL: Action.SUBMIT,
    Kind.CORRECTION: Action.CORRECT,
}


def add(store, case="a", tag="final", content=b"labels", *, reader=ANN, then=None, **more):
    """Saves one version under a tag and journals it; ``then`` is done in the same change."""
    kind = _KINDS.get(tag, Kind.CORRECTION)
    with store.writing() as writing:
        received = None if kind is Kind.DRAFT else writing.put(b"sent " + content, ".nii.gz")
        file = writing.put(content, ".seg.nrrd")
        with writing.change(reader) as change:
            version = change.add_version(
                case,
                tag=tag,
                kind=kind,
                author=reader.name,
                file=file,
                received=received,
                volumes_ml={"skin": 1.5, "mastoid_process": 0.0},
                **more,
            )
            details = {"version": version.number, "tag": tag, "sha256": file.sha256}
            change.record(_ACTIONS[kind].value, case, details)
            if kind is Kind.INITIAL:
                change.set_state(case, change.facts(case).state, initial_author=reader.name)
            if then is not None:
                then(change)
    return version


def approve(store, version, *, reader=SAM):
    with store.writing() as writing, writing.change(reader) as change:
        change.set_state(
            version.case,
            CaseState.APPROVED,
            reviewer=reader.name,
            approved_version=version.number,
        )
        change.add_note(note_on(version, ReviewStatus.APPROVED, reader=reader))
        change.record("approve", version.case, {"version": version.number, "to": "approved"})


def note_on(version, status=ReviewStatus.NONE, *, comment="", reader=SAM):
    now = datetime.now(timezone.utc)
    return Note(version.case, version.number, reader.name, status, Level.EASY, comment, now)


def tamper(store, database_url, *statements):
    """Changes the database behind the store's back, as somebody would who knows SQL."""
    if database_url is None:
        with sqlite3.connect(store.folder / "store.sqlite") as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
        return
    engine = create_engine(postgres_url(database_url))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def durable_names(store):
    """The names of all files in the folder of durable files."""
    return sorted(path.name for _, files in store.objects.shelves() for path in files)


def row_names(store):
    """The names of all durable files that rows tell of."""
    with store.database.reading() as connection:
        return sorted(connection.execute(text("SELECT name FROM objects")).scalars())
