"""What tests of several areas share."""

import hypothesis
import pytest
from tests.postgres import fresh_database, postgres_server

# A failing example is printed, to be written down as a test; nothing is kept in the repository.
hypothesis.settings.register_profile("ours", database=None, deadline=None, print_blob=True)
hypothesis.settings.load_profile("ours")


@pytest.fixture
def nnunets_variables_restored(monkeypatch):
    """A training sets nnU-Net's environment variables; the next test is not to find them."""
    for name in ("raw", "preprocessed", "results", "n_proc_DA"):
        monkeypatch.setenv(f"nnUNet_{name}", "0")


@pytest.fixture(scope="session")
def postgres():
    """A throw-away PostgreSQL server."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres):
    """The address of a new, empty PostgreSQL database."""
    return fresh_database(postgres)
