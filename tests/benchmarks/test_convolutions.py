"""A training step of convolutional networks, fused, against the same networks as snnTorch and SpikingJelly run them.

All networks of a row start from the same weights; learning rates are 0, so that the work stays what it is. The floor
is the dense convolutions and matrix products of the step and nothing else, as torch does them.
"""

import importlib.util
import warnings

import pytest
import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb

from .measure import one_thread, report, spikes

__all__ = ["one_thread"]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def leaky(**options):
    return snn.Leaky(beta=0.5, spike_grad=surrogate.atan(), init_hidden=True, **options)


class OverTime(nn.Module):
    """A network of one time step, in the loop over time that snnTorch's tutorials write.

    Events [T, B, ...] come step by step; images [B, ...] are shown ``steps`` times as they are.
    """

    def __init__(self, net, steps):
        super().__init__()
        self.net, self.steps = net, steps

    def forward(self, x):
        utils.reset(self.net)
        return torch.stack([self.net(x[t] if x.dim() == 5 else x)[0] for t in range(self.steps)])


def event_tutorial():
    """2-12C5-MP2-32C5-MP2-10, the network of snnTorch's tutorial on events."""
    return nn.Sequential(
        *(nn.Conv2d(2, 12, 5), nn.MaxPool2d(2), leaky(), nn.Conv2d(12, 32, 5), nn.MaxPool2d(2), leaky()),
        *(nn.Flatten(), nn.Linear(800, 10), leaky(output=True)),
    )


def vgg9():
    """64C3-64C3-AP2-128C3-128C3-AP2-256C3-256C3-256C3-AP2-1024-10, each convolution with a batch norm."""
    layers, channels = [], 3
    for stage in ((64, 64), (128, 128), (256, 256, 256)):
        for size in stage:
            layers += [nn.Conv2d(channels, size, 3, padding=1, bias=False), nn.BatchNorm2d(size), leaky()]
            channels = size
        layers.append(nn.AvgPool2d(2))
    layers += [nn.Flatten(), nn.Linear(256 * 16, 1024), leaky(), nn.Linear(1024, 10), leaky(output=True)]
    return nn.Sequential(*layers)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.neurons1, self.neurons2 = leaky(), leaky()
        self.short = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        inner = self.neurons1(self.norm1(self.conv1(x)))
        return self.neurons2(self.norm2(self.conv2(inner)) + self.short(x))


def residual():
    """A stem of 32 channels and three residual blocks of 32, 64 and 128."""
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), leaky()),
        *(Block(32, 32, 1), Block(32, 64, 2), Block(64, 128, 2)),
        *(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(128, 10), leaky(output=True)),
    )


def spikingjelly_vgg9(net):
    """The same network with SpikingJelly's neurons, all steps of a layer in one call."""
    from spikingjelly.activation_based import functional, layer, neuron

    parts = []
    for part in net:
        if isinstance(part, snn.Leaky):
            parts.append(neuron.LIFNode(tau=2.0, decay_input=False, v_reset=None, step_mode="m"))
        elif isinstance(part, nn.BatchNorm2d):
            parts.append(layer.BatchNorm2d(part.num_features, step_mode="m"))
        else:
            parts.append(layer.SeqToANNContainer(part))
    whole = nn.Sequential(*parts)

    def answer(x):
        functional.reset_net(whole)
        return whole(x.expand(4, *x.shape))

    return whole, answer


NETWORKS = {
    "event tutorial, T=25, B=16, 5 % dense": (event_tutorial, 25, lambda: spikes(25, 16, 2, 34, 34), 2.2),
    "VGG-9, 32x32x3, T=4, B=32": (vgg9, 4, lambda: torch.rand(32, 3, 32, 32), 1.5),
    "residual, 32x32x3, T=4, B=32": (residual, 4, lambda: torch.rand(32, 3, 32, 32), 1.5),
}


def stepper(net, answer, x, labels):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)

    def step():
        optimizer.zero_grad()
        found = answer(x)
        F.cross_entropy((found[0] if isinstance(found, tuple) else found).mean(0), labels).backward()
        optimizer.step()

    return step


def products(net, x, steps):
    """The convolutions and matrix products of a training step, forward and backward, all time steps as one batch."""
    calls = []

    def note(layer, given, _):
        calls.append((layer, given[0].shape))

    hooks = [part.register_forward_hook(note) for part in net.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    utils.reset(net)
    with torch.no_grad():
        net(x[0] if x.dim() == 5 else x)
    for hook in hooks:
        hook.remove()
    given = [
        (layer, torch.rand(steps * shape[0], *shape[1:], requires_grad=i > 0)) for i, (layer, shape) in enumerate(calls)
    ]
    grads = [torch.rand_like(layer(inputs)) for layer, inputs in given]

    def multiply():
        for (layer, inputs), grad in zip(given, grads, strict=True):
            layer(inputs).backward(grad)

    return multiply


@pytest.mark.parametrize("row", NETWORKS)
def test_training_step(benchmark, row):
    make, steps, inputs, least = NETWORKS[row]
    x = inputs()
    labels = torch.randint(10, (x.shape[-4],))
    sides = {}

    def fresh():
        torch.manual_seed(0)
        return make()

    plain = OverTime(fresh(), steps)
    sides["theirs"] = stepper(plain, plain, x, labels)
    in_place = OverTime(fresh(), steps)
    sb.binarize_(in_place, sb.Sign())
    sides["in_place"] = stepper(in_place, in_place, x, labels)
    for name, rule in (("ours", sb.Sign()), ("bayes", sb.Bernoulli()), ("full_precision", None)):
        net = OverTime(fresh(), steps)
        if rule is not None:
            sb.binarize_(net, rule)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fused = sb.fuse(net, x[:, :2] if x.dim() == 5 else x[:2])
        sides[name] = stepper(net, fused, x, labels)
    if make is vgg9 and importlib.util.find_spec("spikingjelly"):
        sides["spikingjelly"] = stepper(*spikingjelly_vgg9(fresh()), x, labels)
    sides["dense_products"] = products(fresh(), x, steps)
    found = report(benchmark, f"training step, {row}", least, "snnTorch", repeats=5, rounds=3, **sides)
    floors = {side: found[side] / found["dense_products"] for side in ("ours", "bayes", "full_precision")}
    benchmark.extra_info["times_the_dense_floor"] = floors
    print(f"  times the dense floor: {', '.join(f'{side} {ratio:.2f}' for side, ratio in floors.items())}")


class Recurrent(nn.Module):
    """700-256-20 with recurrent neurons, as for spoken digits."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(700, 256), nn.Linear(256, 20)
        self.lif1 = snn.RLeaky(beta=0.9, linear_features=256, spike_grad=surrogate.atan())
        self.lif2 = snn.Leaky(beta=0.9, spike_grad=surrogate.atan())

    def forward(self, x):
        spikes, mem1 = self.lif1.init_rleaky()
        mem2, found = self.lif2.init_leaky(), []
        for x_t in x:
            spikes, mem1 = self.lif1(self.fc1(x_t), spikes, mem1)
            out, mem2 = self.lif2(self.fc2(spikes), mem2)
            found.append(out)
        return torch.stack(found)


def test_recurrent(benchmark):
    x, labels = spikes(100, 64, 700), torch.randint(20, (64,))
    sides = {}
    for name, rule in (("theirs", None), ("ours", sb.Sign()), ("bayes", sb.Bernoulli()), ("full_precision", None)):
        torch.manual_seed(0)
        net = Recurrent()
        if rule is not None:
            sb.binarize_(net, rule)
        sides[name] = stepper(net, net if name == "theirs" else sb.fuse(net, x[:, :2]), x, labels)
    report(
        benchmark, "training step, 700-256-20, recurrent, T=100, B=64", 3.0, "snnTorch", repeats=5, rounds=3, **sides
    )
