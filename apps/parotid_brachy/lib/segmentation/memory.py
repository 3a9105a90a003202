"""Recognising that memory ran out, on a GPU or on a CPU."""

from __future__ import annotations

import re
from typing import Final

import torch

_TYPES: Final = (MemoryError, torch.OutOfMemoryError)
# The same thing has many names: CUDA's, its libraries', the C++ standard's, those of torch's
# allocators on Linux and on Windows, and the kernel's.
_TEXTS: Final = re.compile(
    r"out of memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED"
    r"|CUDNN_STATUS_\w*ALLOC(?:ATION)?_FAILED"
    r"|can'?t allocate memory"
    r"|cannot allocate memory"
    r"|not enough memory"
    r"|std::bad_alloc"
    r"|could not create a memory object",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; also where that is only the cause of the error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _TYPES):
            return True
        # torch.AcceleratorError is a RuntimeError; processes fail with an OSError.
        if isinstance(cause, (RuntimeError, OSError)) and _TEXTS.search(str(cause)):
            return True
        cause = cause.__cause__
    return False
