"""LocallyConnected2d against a loop over places, and against a convolution where all places share a kernel."""

import pytest
import torch
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.nn import LocallyConnected2d


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_every_place_has_its_own_kernel(padding):
    layer = LocallyConnected2d(3, 4, (5, 6), kernel_size=3, padding=padding)
    x = torch.randn(2, 3, 5, 6)
    padded = F.pad(x, [padding] * 4)
    y = layer(x)
    assert y.shape == (2, 4, 3 + 2 * padding, 4 + 2 * padding)
    for row in range(y.shape[2]):
        for column in range(y.shape[3]):
            around = padded[:, :, row : row + 3, column : column + 3].flatten(1)
            expected = around @ layer.weight[:, row, column].T + layer.bias[:, row, column]
            torch.testing.assert_close(y[:, :, row, column], expected)


def test_equal_kernels_are_a_convolution():
    layer, convolution = LocallyConnected2d(3, 4, (6, 6), 3, padding=1), torch.nn.Conv2d(3, 4, 3, padding=1)
    with torch.no_grad():
        layer.weight.copy_(convolution.weight.flatten(1)[:, None, None])
        layer.bias.copy_(convolution.bias[:, None, None])
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(layer(x), convolution(x))


def test_binarize_reports_it_as_left_real():
    net = torch.nn.Sequential(LocallyConnected2d(1, 2, (4, 4), 3), torch.nn.Flatten(), torch.nn.Linear(8, 2))
    report = sb.binarize_(net, sb.Sign())
    assert report.converted == ("2",)
    assert "no binary form" in report.skipped["0"]


def test_bad_sizes():
    with pytest.raises(ValueError, match="within the padded image"):
        LocallyConnected2d(1, 2, (2, 2), 3)
    with pytest.raises(ValueError, match=r"\['B', 1, 4, 4\]"):
        LocallyConnected2d(1, 2, (4, 4), 3)(torch.zeros(1, 4, 4))
