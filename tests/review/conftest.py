"""Version stores on both kinds of database."""

import pytest
from sqlalchemy import create_engine, text
from tests.postgres import fresh_database

from parotid_brachy.lib.review.store import VersionStore


@pytest.fixture(scope="session")
def reused_postgres_url(postgres):
    """The address of one PostgreSQL database for many tests: making one takes a second."""
    return fresh_database(postgres)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request):
    """What a store is opened with: None for SQLite in the folder, or an empty PostgreSQL."""
    if request.param == "sqlite":
        return None
    url = request.getfixturevalue("reused_postgres_url")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


@pytest.fixture
def folder(tmp_path):
    """The store's folder within a folder of studies."""
    return tmp_path / "studies" / ".parotid"


@pytest.fixture
def store(folder, database_url):
    """A store with the cases a and b."""
    store = VersionStore.open(folder, database_url=database_url)
    store.register({"a": "a.nii.gz", "b": "b.nrrd"})
    yield store
    store.close()


@pytest.fixture
def sqlite_store(folder):
    """The same, on SQLite only: for what does not depend on the database."""
    store = VersionStore.open(folder)
    store.register({"a": "a.nii.gz", "b": "b.nrrd"})
    yield store
    store.close()
