"""Max pooling comes before the scale of each channel where that changes no answer, whatever the windows look like."""

import ctypes
import subprocess
from pathlib import Path

import host
import networks
import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.export import c

# Channels that fill less than a word, one, and more; windows with and without gaps and borders; whether a count is in
# one window alone, so that the convolution takes the maximum itself.
FORMS = [
    (3, {}, {"kernel_size": 2}, True),
    (40, {"padding": 1, "groups": 2}, {"kernel_size": 3, "stride": 4, "padding": 1}, True),
    (33, {"stride": 2, "padding": 2, "dilation": 2}, {"kernel_size": (1, 3)}, True),
    (32, {"padding": 2}, {"kernel_size": 3, "stride": 1, "padding": 1}, False),
    (40, {"stride": 2, "padding": 1}, {"kernel_size": 2, "stride": 1}, False),
    (36, {"dilation": 2, "groups": 2}, {"kernel_size": 2, "stride": 2, "dilation": 2}, False),
]


def _case(outputs, convolution, pooling, signs):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(outputs)
    norm.weight.data.uniform_(0.5, 2).mul_(torch.tensor(signs).repeat(outputs)[:outputs])
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(1, 9)
    layer = sb.nn.BinaryConv2d(4, outputs, 3, **convolution)
    pool, neurons = sb.nn.TimeFirst(nn.MaxPool2d(**pooling)), sb.nn.Leaky(beta=0.9, threshold=1.5)
    net = nn.Sequential(layer, sb.nn.TimeFirst(norm), pool, neurons, nn.Flatten(2)).eval()
    return networks.Case(sb.pack(net), networks.spikes(6, 2, 4, 9, 11))


@pytest.mark.parametrize(("outputs", "convolution", "pooling", "apart"), FORMS)
@pytest.mark.parametrize("signs", [[1.0], [1.0, -1.0]], ids=["up", "up and down"])
def test_counts_are_pooled_where_scales_are_positive(outputs, convolution, pooling, apart, signs, tmp_path):
    case = _case(outputs, convolution, pooling, signs)
    expected = networks.scores_by_step(case)
    assert 0.05 < expected[-1].mean() < 5.9
    device = host.Device(case.packed, tmp_path, sample=case.x)
    code = (device.folder / "net.c").read_text()
    real = len(signs) == 2
    assert ("snnb_pool_sums(" in code, "snnb_pool_real(" in code) == (not real and not apart, real)
    for example in range(case.x.shape[1]):
        device.call("reset")
        for step in range(len(case.x)):
            device.step(case.x[step, example].flatten())
            assert torch.equal(device.scores(), expected[step, :, example])


def test_a_tap_that_sees_nothing_but_the_border_writes_nothing(tmp_path):
    """Windows of 5 over one position, the border counted: nothing is written behind the answer."""
    library = tmp_path / "runtime.so"
    source = Path(c.__file__).parent / "runtime" / "snnb.c"
    subprocess.run([*host.compiler(), "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
    before, after, kernel, ones, padding = (1, 1, 1), (1, 1, 1), (1, 5, 5), (1, 1, 1), (0, 2, 2)
    window = (ctypes.c_uint16 * 21)(*before, *after, *kernel, *ones, *ones, *padding, *ones)
    seen, answer = (ctypes.c_float * 2)(-3.5, 4.5), (ctypes.c_float * 6)(*[-7.0] * 6)
    ctypes.CDLL(str(library)).snnb_pool_real(seen, 2, window, answer)
    assert list(answer) == [-3.5, 4.5, -7.0, -7.0, -7.0, -7.0]
