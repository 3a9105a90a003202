"""Passwords for tests, hashed quickly."""

import pytest

PASSWORD = "correct horse battery"


@pytest.fixture
def quick_hashes(monkeypatch):
    """A password's hash takes a millisecond, in place of a quarter of a second."""
    monkeypatch.setattr("parotid_brachy.lib.review.readers._COST", 4)
