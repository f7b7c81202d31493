"""Packed inference against fp32 torch and snnTorch: one thread, spikes 5 % dense, interleaved in one process.

Every row asserts that the results are the same, times both sides in turns (CPU time, medians), prints the ratio and
keeps it in ``benchmark.extra_info``, with the least ratio that the project asks for.
"""

import copy
import itertools
import os
import warnings

import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.packed import PackedLayer, SpikeBits

from .measure import BATCH, STEPS, one_thread, report, size_of, spikes, traffic
from .test_convolutions import OverTime, event_tutorial, residual

__all__ = ["one_thread"]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def in_turn(values):
    """Return a function that gives the next of the values at every call: a fixed input would stay in the cache."""
    following = itertools.cycle(values)
    return lambda: next(following)


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs", "least"), [(64, 4096, 4096, 45), (6400, 2312, 512, 15), (1, 4096, 4096, 90)]
)
def test_linear(benchmark, rows, inputs, outputs, least):
    layer = sb.nn.BinaryLinear(inputs, outputs).eval()
    packed = sb.pack(layer)
    xs = [spikes(rows, inputs) for _ in range(16 if rows == 1 else 2)]
    bits = [SpikeBits.of(x) for x in xs]
    weight = torch.where(packed.positive[0], 1.0, -1.0)
    assert torch.equal(packed(bits[0]), layer(xs[0]))
    floats, again, as_bits = in_turn(xs), in_turn(xs), in_turn(bits)
    report(
        benchmark,
        f"packed Linear ({rows}, {inputs}, {outputs})",
        least,
        "F.linear",
        theirs=lambda: F.linear(floats(), weight),
        ours=lambda: packed(as_bits()),
        with_packing=lambda: packed(again()),
        bytes_alone=traffic(size_of(bits[0].words, packed.weight_bits), 4 * rows * outputs),
    )


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize(("channels", "outputs", "size"), [(64, 128, 32), (128, 128, 16)])
def test_convolution(benchmark, channels, outputs, size, batch):
    layer = sb.nn.BinaryConv2d(channels, outputs, 3, padding=1).eval()
    packed = sb.pack(layer)
    xs = [spikes(batch, channels, size, size) for _ in range(8 if batch == 1 else 2)]
    bits = [SpikeBits.of(x, 2) for x in xs]
    weight = torch.where(packed.positive[0], 1.0, -1.0)
    assert torch.equal(packed(bits[0]), layer(xs[0]))
    floats, again, as_bits = in_turn(xs), in_turn(xs), in_turn(bits)
    report(
        benchmark,
        f"packed Conv 3x3 {channels}->{outputs} @{size}x{size}, B={batch}",
        10,
        "F.conv2d",
        repeats=9 if batch == 1 else 5,
        rounds=15 if batch == 1 else 3,
        theirs=lambda: F.conv2d(floats(), weight, padding=1),
        ours=lambda: packed(as_bits()),
        with_packing=lambda: packed(again()),
        bytes_alone=traffic(size_of(bits[0].words, packed.weight_bits), 4 * batch * outputs * size**2),
    )


class SnnTorchNet(nn.Module):
    """2312-512-10 as snnTorch's users write it."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(2312, 512), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(512, 10), snn.Leaky(beta=0.9)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        recorded = []
        for x_t in x:
            spikes1, mem1 = self.lif1(self.fc1(x_t), mem1)
            spikes2, mem2 = self.lif2(self.fc2(spikes1), mem2)
            recorded.append(spikes2)
        return torch.stack(recorded)


@pytest.fixture
def net():
    """The net with binary weights and its snnTorch twin, whose weights are the same as float numbers."""
    torch.manual_seed(0)
    net = nn.Sequential(
        sb.nn.BinaryLinear(2312, 512, weight=sb.Bernoulli(init_scale=0.5)),
        sb.nn.Leaky(beta=0.9),
        sb.nn.BinaryLinear(512, 10, weight=sb.Bernoulli(init_scale=0.5)),
        sb.nn.Leaky(beta=0.9),
    ).eval()
    twin = SnnTorchNet().eval()
    for layer, frozen in ((twin.fc1, net[0]), (twin.fc2, net[2])):
        layer.weight.copy_(frozen.weight)
        layer.bias.copy_(frozen.bias)
    return net, twin


def test_whole_net(benchmark, net):
    net, twin = net
    packed = sb.pack(net)
    xs = [spikes(STEPS, BATCH, 2312) for _ in range(2)]
    assert torch.equal(packed(xs[0]), net(xs[0]))
    benchmark.extra_info["hidden_rate"] = float(net[:2](xs[0]).mean())
    benchmark.extra_info["flips_to_snntorch"] = float((packed(xs[0]) != twin(xs[0])).float().mean())
    floats, again, booleans = in_turn(xs), in_turn(xs), in_turn([x.bool() for x in xs])
    report(
        benchmark,
        "packed 2312-512-10, T=100, B=64",
        15,
        "snnTorch forward",
        theirs=lambda: twin(floats()).sum(0).argmax(-1),
        ours=lambda: packed(again()).sum(0).argmax(-1),
        from_bool=lambda: packed(booleans()).sum(0).argmax(-1),
        bytes_alone=traffic(size_of(xs[0], *packed.buffers()), 4 * STEPS * BATCH * 10),
    )
    print(f"  hidden rate {benchmark.extra_info['hidden_rate']:.3f}")


def test_ensemble(benchmark, net):
    net, twin = net
    packed = sb.pack(sb.Ensemble(net, num_members=10))
    xs = [spikes(STEPS, BATCH, 2312) for _ in range(2)]
    floats, again = in_turn(xs), in_turn(xs)
    report(
        benchmark,
        "packed ensemble of 10, T=100, B=64",
        1,
        "one snnTorch forward",
        theirs=lambda: twin(floats()),
        ours=lambda: packed.predict(again()),
        bytes_alone=traffic(size_of(xs[0], *packed.buffers()), 10 * 4 * STEPS * BATCH * 10),
    )


@pytest.mark.parametrize(
    ("make", "steps", "inputs"),
    [
        (event_tutorial, 25, lambda: spikes(25, 16, 2, 34, 34)),
        (residual, 4, lambda: torch.rand(32, 3, 32, 32)),
    ],
    ids=["event tutorial, T=25, B=16", "residual, T=4, B=32"],
)
def test_convolutional_ensemble(benchmark, make, steps, inputs, request):
    plain = OverTime(make(), steps).eval()
    net = copy.deepcopy(plain)
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5))
    xs = [inputs() for _ in range(2)]
    sample = xs[0][:, :2] if xs[0].dim() == 5 else xs[0][:2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packed = sb.pack(sb.Ensemble(net, num_members=10), sample)
    floats, again = in_turn(xs), in_turn(xs)
    report(
        benchmark,
        f"packed ensemble of 10, {request.node.callspec.id}",
        1,
        "one snnTorch forward",
        repeats=5,
        rounds=3,
        theirs=lambda: plain(floats()),
        ours=lambda: packed(again()),
    )


def test_memory_and_file(benchmark, net, tmp_path):
    pytest.importorskip("safetensors")
    net, twin = net
    packed = sb.pack(net)
    path = tmp_path / "net.safetensors"
    sb.save_packed(packed, path)
    weights_float = sum(p.numel() * 4 for p in (twin.fc1.weight, twin.fc2.weight))
    weights_packed = sum(layer.weight_bits.numel() * 8 for layer in packed if isinstance(layer, PackedLayer))
    everything_float = sum(parameter.numel() * 4 for parameter in twin.parameters())
    memory, size = weights_float / weights_packed, everything_float / os.path.getsize(path)
    benchmark.extra_info.update(row="memory and file of 2312-512-10", least=30, memory_ratio=memory, file_ratio=size)
    print(f"\nweight memory {memory:.1f}x smaller, file {size:.1f}x smaller than fp32  (least 30x)")
    benchmark.pedantic(sb.load_packed, (path,), rounds=15)
