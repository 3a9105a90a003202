import errno
import os

import numpy as np
import pytest
import torch

from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.segmentation.memory import is_out_of_memory

A_THOUSAND_TERABYTE = 2**50


def _raised_by(allocate):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        allocate()
    return caught.value


def test_an_allocation_that_fails_is_recognised():
    error = _raised_by(lambda: torch.empty(A_THOUSAND_TERABYTE, dtype=torch.uint8))
    assert type(error) is RuntimeError
    assert is_out_of_memory(error)
    assert is_out_of_memory(_raised_by(lambda: np.empty(A_THOUSAND_TERABYTE, np.uint8)))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 1125899906842624 bytes. Error code 12"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        MemoryError(),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
    ids=lambda error: str(error)[:40],
)
def test_its_many_names_are_known(error):
    assert is_out_of_memory(error)


def test_it_may_be_the_cause_of_another_error():
    error = TrainingError("the training ended")
    assert not is_out_of_memory(error)
    error.__cause__ = MemoryError()
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        TrainingError("loss is nan"),
        ValueError("the case 'out of memory' has no image"),
    ],
)
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)
