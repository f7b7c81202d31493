"""Max pooling comes before the scale of each channel where that changes no answer, whatever the windows look like."""

import ctypes
import subprocess
from pathlib import Path

import host
import networks
import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional

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


class Pools(nn.Module):
    """A loop whose step pools currents, or the spikes, by a function of torch."""

    def __init__(self, pool, of_spikes):
        super().__init__()
        self.pool, self.of_spikes = pool, of_spikes
        self.conv, self.lif1 = sb.nn.BinaryConv2d(1, 4, 3, padding=1), snn.Leaky(beta=0.8, threshold=0.3)
        self.fc, self.lif2 = sb.nn.BinaryLinear(36, 4), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        mem1, mem2, found = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for x_t in x:
            current = self.conv(x_t)
            spikes, mem1 = self.lif1(current if self.of_spikes else self.pool(current), mem1)
            spikes = self.pool(spikes) if self.of_spikes else spikes
            spikes, mem2 = self.lif2(self.fc(spikes.flatten(1)), mem2)
            found.append(spikes)
        return torch.stack(found)


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2),
        lambda maps: functional.max_pool2d(maps, 2),
        lambda maps: functional.max_pool2d(maps, 3, stride=2, padding=1),
        lambda maps: torch.max_pool2d(maps, (2, 2), (2, 2)),
    ],
)
@pytest.mark.parametrize("of_spikes", [False, True])
def test_functions_of_torch_pool_as_modules_do(pool, of_spikes, tmp_path):
    torch.manual_seed(0)
    net, x = Pools(pool, of_spikes).eval(), networks.spikes(5, 3, 1, 6, 6)
    packed = sb.pack(net, x)
    device, counts = host.Device(packed, tmp_path, sample=x), net(x).sum(0)
    assert bool(counts.any())
    for example in range(3):
        torch.testing.assert_close(device.run(x[:, example])[0], counts[example], rtol=0, atol=0)


def test_functions_of_torch_that_pool_in_another_way(tmp_path):
    net, x = (
        Pools(lambda maps: functional.max_pool2d(maps, 2, ceil_mode=True), True).eval(),
        networks.spikes(5, 3, 1, 6, 6),
    )
    with pytest.raises(sb.export.CExportError, match="a max pooling with ceil_mode or indices"):
        sb.export.to_c(sb.pack(net, x), tmp_path / "c", sample=x)


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
