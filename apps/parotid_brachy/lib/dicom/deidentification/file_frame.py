"""What stands round a data set in its file (PS3.10, section 7): preamble, meta, name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from parotid_brachy.lib.dicom.deidentification.well_known import is_well_known
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.atomic import write_atomically

IMPLEMENTATION_UID: Final = UID("2.25.301174253849060297281920873423871230116")
IMPLEMENTATION_VERSION: Final = "PAROTID_BRACHY_1"
_PREAMBLE: Final = b"\0" * 128


def framed(dataset: Dataset, source: FileDataset) -> FileDataset:
    """A data set as a file of its own, with nothing of the source's but the transfer syntax.

    Raises:
        InputRefusedError: a transfer syntax that the standard does not know.
    """
    syntax = _syntax(source)
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    framed_dataset = FileDataset("", dataset, file_meta=meta, preamble=_PREAMBLE)
    framed_dataset.is_little_endian = syntax != ExplicitVRBigEndian
    framed_dataset.is_implicit_VR = syntax == ImplicitVRLittleEndian
    return framed_dataset


def file_bytes(dataset: FileDataset) -> bytes:
    """The file of a de-identified object."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, write_like_original=False)
    return buffer.getvalue()


def write_object(dataset: FileDataset, folder: Path) -> Path:
    """Writes an object under a name of its own, its new UID, whole or not at all.

    Raises:
        OSError: the folder is missing, full or not writable.
    """
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    write_atomically(path, file_bytes(dataset))
    return path


def _syntax(source: FileDataset) -> UID:
    meta = getattr(source, "file_meta", None)
    stated = str(meta.get("TransferSyntaxUID", "") or "") if meta is not None else ""
    if not stated:
        return ImplicitVRLittleEndian if source.is_implicit_VR else ExplicitVRLittleEndian
    syntax = UID(stated.strip(" \0"))
    if not is_well_known(syntax) or not syntax.is_transfer_syntax:
        raise InputRefusedError("a transfer syntax of no standard. Export it uncompressed.")
    return ExplicitVRLittleEndian if syntax == DeflatedExplicitVRLittleEndian else syntax
