"""Convolutions of one, two and three dimensions, as they are and transposed, of more spikes than a byte counts."""

import host
import networks
import pytest
import torch
from torch import nn

import snntorch_binary as sb

CONVOLUTIONS = {
    "a row": lambda: (sb.nn.BinaryConv1d(3, 5, 7, stride=2, padding=3, dilation=2), (3, 40)),
    "a row of gaps": lambda: (sb.nn.BinaryConvTranspose1d(4, 34, 5, stride=3, padding=1, output_padding=1), (4, 11)),
    "a map of gaps": lambda: (sb.nn.BinaryConvTranspose2d(4, 6, 3, stride=(1, 2), padding=1, groups=2), (4, 5, 6)),
    "a volume": lambda: (sb.nn.BinaryConv3d(2, 3, (2, 3, 2), stride=(1, 2, 1), padding=(1, 0, 1)), (2, 3, 7, 4)),
    "a volume of gaps": lambda: (sb.nn.BinaryConvTranspose3d(2, 3, 2, stride=2, dilation=2), (2, 2, 3, 3)),
    "many inputs": lambda: (sb.nn.BinaryConv2d(40, 35, 3, padding=1), (40, 4, 5)),
}


@pytest.mark.parametrize("density", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_every_place_is_counted(convolution, density, tmp_path):
    torch.manual_seed(0)
    layer, shape = CONVOLUTIONS[convolution]()
    x = networks.spikes(4, 2, *shape, density=density)
    packed = sb.pack(nn.Sequential(sb.nn.TimeFirst(layer), nn.Flatten(2)).eval())
    expected = networks.scores_by_step(networks.Case(packed, x, counts=False))
    assert float(expected.abs().max()) > 0
    device = host.Device(packed, tmp_path, sample=x)
    for example in range(2):
        device.call("reset")
        for step in range(4):
            device.step(x[step, example].flatten(), events=example == 1)
            assert torch.equal(device.scores(), expected[step, :, example])
