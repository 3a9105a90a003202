"""What an import may take: bounds for sources, and for the child process that reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImportLimits:
    """Bounds of one import; a hostile source meets them before it fills disk or memory.

    Attributes:
        files: most files of one source.
        unpacked_bytes: most bytes that an archive may unpack to.
        ratio: most bytes that one byte of an archive may unpack to, beyond the first
            ``free_bytes``; a CT packs three to ten times.
        free_bytes: what an archive may unpack to whatever its own size.
        file_bytes: largest file that is read as DICOM.
        survey_memory_bytes: address space of the child that unpacks or looks through files.
        memory_bytes: address space of the child that converts a series.
        written_bytes: largest single file that the child may write.
        survey_s: processor seconds to look at all files of a source, without their pixels.
        convert_s: processor seconds for one series.
        wall_factor: how much longer than its processor time a child may take by the clock.
    """

    files: int = 50_000
    unpacked_bytes: int = 32 * 1024**3
    ratio: int = 200
    free_bytes: int = 64 * 1024**2
    file_bytes: int = 512 * 1024**2
    survey_memory_bytes: int = 2 * 1024**3
    memory_bytes: int = 6 * 1024**3
    written_bytes: int = 4 * 1024**3
    survey_s: int = 900
    convert_s: int = 900
    wall_factor: float = 4.0


IMPORT_LIMITS = ImportLimits()
"""The limits that hold where nobody gives others."""
