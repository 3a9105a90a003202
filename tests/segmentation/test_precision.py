import pytest
import torch
from torch import nn
from torch.nn import functional

from parotid_brachy.lib.segmentation.precision import mixed_precision

CPU = torch.device("cpu")


def _gradient(weight, image, answer, *, mixed):
    """Of a convolution's weights, as a training computes it."""
    convolution = nn.Conv3d(*weight.shape[1::-1], weight.shape[2], padding="same", bias=False)
    convolution.weight = nn.Parameter(weight.clone())
    if mixed:
        with mixed_precision(CPU):
            found = convolution(image)
    else:
        found = convolution(image)
    (found.float() * answer).sum().backward()
    return convolution.weight.grad, found.dtype


@pytest.mark.parametrize(
    ("kernel", "size"),
    [(3, (2, 4, 4)), (3, (2, 2, 2)), (5, (2, 4, 4)), (5, (4, 8, 8)), (5, (1, 1, 1))],
)
@pytest.mark.parametrize("layout", [torch.channels_last_3d, torch.contiguous_format])
def test_the_gradient_is_right_where_the_kernel_is_larger_than_its_input(kernel, size, layout):
    """bfloat16's comes from memory that nobody wrote, so what lay there before must not matter."""
    torch.manual_seed(0)
    for _ in range(5):
        junk = [torch.full((n,), torch.nan) for n in (1000, 10_000, 100_000)]
        del junk
        image = torch.randn(2, 16, *size).contiguous(memory_format=layout)
        weight = torch.randn(16, 16, *(kernel,) * 3).contiguous(memory_format=layout)
        answer = torch.randn(2, 16, *size)
        expected, _ = _gradient(weight, image, answer, mixed=False)
        found, _ = _gradient(weight, image, answer, mixed=True)
        torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02 * float(expected.std()))


def test_other_convolutions_are_computed_in_bfloat16():
    weight, image = torch.randn(4, 4, 3, 3, 3), torch.randn(1, 4, 3, 4, 5)
    _, dtype = _gradient(weight, image, torch.ones(1, 4, 3, 4, 5), mixed=True)
    assert dtype is torch.bfloat16
    _, small = _gradient(weight, image[:, :, :2], torch.ones(1, 4, 2, 4, 5), mixed=True)
    assert small is torch.float32


def test_precision_is_as_before_afterwards():
    with mixed_precision(CPU):
        pass
    image = torch.randn(1, 1, 4, 4, 4)
    assert functional.conv3d(image, torch.randn(1, 1, 3, 3, 3)).dtype is torch.float32
