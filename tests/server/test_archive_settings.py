from pathlib import Path

import pytest
from monailabel.config import settings

from parotid_brachy.lib.server.archive_settings import (
    archive_access,
    is_archive,
    studies_folder,
)


@pytest.mark.parametrize(
    ("studies", "is_one"),
    [("http://a/dicom-web", True), ("https://a", True), ("/data", False), ("data", False)],
)
def test_an_archive_is_told_from_a_folder(studies, is_one):
    assert is_archive(studies) is is_one


def test_a_folder_of_studies_is_its_own(tmp_path):
    assert studies_folder({"studies_folder": "/elsewhere"}, str(tmp_path)) == tmp_path


def test_an_archives_contours_are_kept_in_the_accounts_data(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    folder = studies_folder({}, "http://pacs.example.org:8042/dicom-web")
    assert folder.parent == tmp_path / ".local" / "share" / "parotid-brachy"
    assert folder.name.startswith("pacs.example.org-")


def test_a_hostile_address_names_no_other_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for address in ("http://../../etc", "http://..", "http://a/../../b", "http://[::1]/x"):
        folder = studies_folder({}, address)
        assert folder.resolve().parent == (tmp_path / "parotid-brachy").resolve()


def test_the_frameworks_settings_say_how_the_archive_is_reached(monkeypatch):
    for name, value in {
        "MONAI_LABEL_DICOMWEB_USERNAME": "me",
        "MONAI_LABEL_DICOMWEB_PASSWORD": "secret",
        "MONAI_LABEL_QIDO_PREFIX": "/qido/",
        "MONAI_LABEL_WADO_PREFIX": None,
        "MONAI_LABEL_DICOMWEB_SEARCH_FILTER": {"Modality": "CT", "StudyDate": 20240101},
    }.items():
        monkeypatch.setattr(settings, name, value)
    access = archive_access("http://pacs/dicom-web/")
    assert access.root == "http://pacs/dicom-web"
    assert access.credentials == ("me", "secret")
    assert (access.qido_prefix, access.wado_prefix) == ("qido", "")
    assert access.search == {"Modality": "CT", "StudyDate": "20240101"}
    assert access.headers() == {}


def test_a_cloud_archive_never_gets_the_password(monkeypatch):
    monkeypatch.setattr(settings, "MONAI_LABEL_DICOMWEB_USERNAME", "me")
    monkeypatch.setattr(settings, "MONAI_LABEL_DICOMWEB_PASSWORD", "secret")
    assert archive_access("https://healthcare.googleapis.com/v1/x").credentials is None
    assert archive_access("http://healthcare.googleapis.com/v1/x").credentials is not None
