from tests.postgres import fresh_database


def test_a_database_is_new_and_durable(postgres):
    first, second = fresh_database(postgres), fresh_database(postgres)
    assert first != second
    for url in (first, second):
        name = url.rpartition("/")[2]
        assert postgres.run("psql", "-d", name, "-Atc", "show fsync").strip() == "on"
        tables = "select count(*) from pg_stat_user_tables"
        assert postgres.run("psql", "-d", name, "-Atc", tables).strip() == "0"
        postgres.run("psql", "-d", name, "-c", "create table kept (n int)")
