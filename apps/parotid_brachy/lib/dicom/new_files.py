"""What every DICOM file written here begins with, and the small pieces that all are made of."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, generate_uid

_IMPLEMENTATION_UID: Final = UID("2.25.126479381256348722461298374658127364")


def new_file(sop_class: UID, syntax: UID) -> FileDataset:
    """An object without content, under a new SOP instance UID.

    Args:
        sop_class: of the object's kind.
        syntax: little-endian transfer syntax that it is to be encoded in.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.is_little_endian, dataset.is_implicit_VR = True, syntax.is_implicit_VR
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    return dataset


def encoded(dataset: FileDataset) -> bytes:
    """The object as a file's content."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, write_like_original=False)
    return buffer.getvalue()


def item(**elements: object) -> Dataset:
    """An item of a sequence, its elements by keyword."""
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def date_and_time(at: datetime) -> tuple[str, str]:
    """In the local time zone, as DICOM's dates without an offset are."""
    local = at.astimezone()
    return local.strftime("%Y%m%d"), local.strftime("%H%M%S")
