"""Reads a plain tar archive that nobody vouches for, one ordinary file after the other.

:mod:`tarfile` as a whole follows links, long names and sparse files, each of them a way to fool its
caller; an archive of a store needs none of these, and so nothing but plain headers is taken.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from parotid_brachy.lib.errors import InputRefusedError

_BLOCK: Final = tarfile.BLOCKSIZE
_PLAIN: Final = (tarfile.REGTYPE, tarfile.AREGTYPE)


@dataclass(frozen=True)
class Member:
    """One file of an archive, to be read before the next one.

    Attributes:
        name: as the archive has it; no path to be trusted.
        size_bytes: of the content.
    """

    name: str
    size_bytes: int
    _file: IO[bytes]

    def read(self, *, at_most: int) -> bytes:
        """The whole content.

        Raises:
            InputRefusedError: it is longer than ``at_most``, or the archive ends before it does.
        """
        if self.size_bytes > at_most:
            message = f"the archive's {self.name[:100]!r}: {self.size_bytes} bytes are too many"
            raise InputRefusedError(message)
        return self._part(self.size_bytes)

    def chunks(self) -> Iterator[bytes]:
        """The content, part by part.

        Raises:
            InputRefusedError: the archive ends before it does.
        """
        left = self.size_bytes
        while left:
            part = self._part(min(left, 1024**2))
            left -= len(part)
            yield part

    def _part(self, size_bytes: int) -> bytes:
        part = self._file.read(size_bytes)
        if len(part) != size_bytes:
            message = f"the archive ends within {self.name[:100]!r}"
            raise InputRefusedError(message)
        return part


def members(file: IO[bytes]) -> Iterator[Member]:
    """The files of an archive in their order, whether they were read or not.

    Raises:
        InputRefusedError: no plain tar archive, or something else than ordinary files in it.
    """
    end = file.seek(0, os.SEEK_END)
    place = 0
    while True:
        file.seek(place)
        block = file.read(_BLOCK)
        if block == bytes(_BLOCK):
            return
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            message = f"no plain tar archive, or cut off, at byte {place}"
            raise InputRefusedError(message) from error
        start = place + _BLOCK
        if header.type not in _PLAIN or not 0 <= header.size <= end - start:
            message = (
                f"the archive's {header.name[:100]!r} is no ordinary file that is wholly there"
            )
            raise InputRefusedError(message)
        yield Member(header.name, header.size, file)
        place = start + -(-header.size // _BLOCK) * _BLOCK
