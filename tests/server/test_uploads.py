import io

import pytest
from fastapi import UploadFile

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.server.uploads import upload_ending, write_upload


def test_of_an_uploads_name_only_the_ending_counts():
    assert upload_ending("../../CASE.NII.GZ", (".nii.gz", ".nrrd")) == ".nii.gz"
    for name in (None, "", "case.py", "case.nii.gz/..", "case.nii.gz\0.py"):
        with pytest.raises(UsageError, match="upload"):
            upload_ending(name, (".nii.gz", ".nrrd"))


def test_an_upload_is_written_where_the_server_says(tmp_path):
    upload = UploadFile(io.BytesIO(b"content"), filename="../../elsewhere.nrrd")
    path = write_upload(upload, tmp_path / "image" / "image.nrrd")
    assert path.read_bytes() == b"content"
    assert [found.name for found in tmp_path.rglob("*") if found.is_file()] == ["image.nrrd"]
