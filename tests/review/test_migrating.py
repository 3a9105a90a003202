import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from tests.review.saves import tamper

from parotid_brachy.lib.errors import StoreError
from parotid_brachy.lib.review import migrating, schema
from parotid_brachy.lib.review.store import VersionStore


def test_the_revisions_make_the_tables_that_the_program_works_with(store):
    with store.database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_names_are_sorted_by_code_point_in_every_column_that_is_a_key(store):
    with store.database.reading() as connection:
        look, names = inspect(connection), 0
        for table in schema.metadata.tables.values():
            for column in look.get_columns(table.name):
                if table.c[column["name"]].type is schema.Name:
                    assert column["type"].collation == "C", (table.name, column["name"])
                    names += 1
    assert names > 10


def test_a_new_store_is_at_the_newest_revision(store):
    with store.database.reading() as connection:
        assert migrating.revisions(connection) == [migrating.newest_revision()]


def test_there_is_one_line_of_revisions(store):
    script = ScriptDirectory(str(migrating._FOLDER))
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1


def test_a_store_of_a_newer_program_is_refused_and_left_as_it_is(store, folder, database_url):
    tamper(store, database_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer version of this program"):
        VersionStore.open(folder, database_url=database_url)
    with store.database.reading() as connection:
        assert migrating.revisions(connection) == ["9999"]


def test_a_store_of_the_first_revision_is_brought_up_to_date_with_all_that_is_in_it(
    store, folder, database_url
):
    entries = store.journal()
    tamper(
        store,
        database_url,
        "DROP TABLE split_patients",
        "DROP TABLE seed_plans",
        "UPDATE alembic_version SET version_num = '0001'",
    )
    store.close()
    again = VersionStore.open(folder, database_url=database_url)
    assert again.journal() == entries
    assert again.placed() == {}
    assert again.seed_plans("a") == []
    assert [case.id for case in again.cases().items] == ["a", "b"]
    again.close()
