"""Three networks, each as snnTorch, SpikingJelly and this package write it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

import snntorch_binary as sb

BETA = 0.9
Part = Callable[[nn.Module], nn.Module]


@dataclass(frozen=True)
class Library:
    """How a library writes a network.

    Attributes:
        neuron: makes a leaky integrate-and-fire neuron that subtracts its threshold.
        layer: makes of a layer one that takes what neurons give.
        reset: brings a network to rest.
        step_by_step: whether a call is one time step.
    """

    neuron: Callable[[], nn.Module]
    layer: Part
    reset: Callable[[nn.Module], object]
    step_by_step: bool


def ours() -> Library:
    """Return this package's way, all time steps at once."""
    return Library(lambda: sb.nn.Leaky(BETA), sb.nn.TimeFirst, lambda net: None, False)


def snntorch() -> Library:
    """Return snnTorch's, a loop over time."""
    import snntorch as snn

    def reset(net: nn.Module) -> None:
        for module in net.modules():
            if isinstance(module, snn.Leaky):
                module.reset_mem()

    return Library(
        lambda: snn.Leaky(beta=BETA, spike_grad=snn.surrogate.atan(), init_hidden=True),
        lambda layer: layer,
        reset,
        True,
    )


def spikingjelly(backend: str) -> Library:
    """Return SpikingJelly's, several steps a call."""
    from spikingjelly.activation_based import functional, layer, neuron

    def lif() -> nn.Module:
        made = neuron.LIFNode(tau=1 / (1 - BETA), decay_input=False, v_reset=None, step_mode="m")
        made.backend = backend  # which the constructor of one of its versions does not take
        return made

    return Library(lif, layer.SeqToANNContainer, functional.reset_net, False)


def libraries() -> Iterator[tuple[str, Callable[[], Library]]]:
    """Yield the peers that are installed."""
    if importlib.util.find_spec("snntorch"):
        yield "snnTorch", snntorch
    if importlib.util.find_spec("spikingjelly"):
        yield "SpikingJelly, torch", lambda: spikingjelly("torch")
        if importlib.util.find_spec("cupy"):
            yield "SpikingJelly, cupy", lambda: spikingjelly("cupy")


class OverTime(nn.Module):
    """A network that is given [T, B, ...] and returns [T, B, C]."""

    def __init__(self, body: nn.Module, library: Library) -> None:
        super().__init__()
        self.body, self.library = body, library

    def forward(self, x: Tensor) -> Tensor:
        """Answer from rest."""
        self.library.reset(self)
        if not self.library.step_by_step:
            answer: Tensor = self.body(x)
            return answer
        return torch.stack([self.body(x_t) for x_t in x])


class Block(nn.Module):
    """Two convolutions with norms around which the input is led."""

    def __init__(self, channels: int, library: Library) -> None:
        super().__init__()

        def convolution() -> nn.Sequential:
            conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            return nn.Sequential(library.layer(conv), library.layer(nn.BatchNorm2d(channels)))

        self.first, self.second = nn.Sequential(convolution(), library.neuron()), convolution()
        self.last = library.neuron()

    def forward(self, x: Tensor) -> Tensor:
        """Return spikes of the sum."""
        spikes: Tensor = self.last(self.second(self.first(x)) + x)
        return spikes


def fully_connected(library: Library) -> nn.Module:
    """784-256-256-10."""
    sizes = (784, 256, 256, 10)
    parts = [[library.layer(nn.Linear(a, b)), library.neuron()] for a, b in pairwise(sizes)]
    return nn.Sequential(*(part for pair in parts for part in pair))


def convolutional(library: Library) -> nn.Module:
    """The network of snnTorch's tutorial on event data: 2-12C5-MP2-32C5-MP2-10."""
    wrap = library.layer
    return nn.Sequential(
        *(wrap(nn.Conv2d(2, 12, 5)), library.neuron(), wrap(nn.MaxPool2d(2))),
        *(wrap(nn.Conv2d(12, 32, 5)), library.neuron(), wrap(nn.MaxPool2d(2))),
        *(wrap(nn.Flatten()), wrap(nn.Linear(800, 10)), library.neuron()),
    )


def residual(library: Library) -> nn.Module:
    """Three residual blocks of 32 channels."""
    wrap = library.layer
    return nn.Sequential(
        *(wrap(nn.Conv2d(3, 32, 3, padding=1)), wrap(nn.BatchNorm2d(32)), library.neuron()),
        *(Block(32, library) for _ in range(3)),
        *(wrap(nn.AvgPool2d(8)), wrap(nn.Flatten()), wrap(nn.Linear(512, 10)), library.neuron()),
    )


@dataclass(frozen=True)
class Work:
    """A training step: a network, and the shape [T, B, ...] and density of its input."""

    make: Callable[[Library], nn.Module]
    shape: tuple[int, ...]
    density: float

    def small(self) -> Work:
        """Return the same with two time steps and two examples."""
        return Work(self.make, (2, 2, *self.shape[2:]), self.density)

    def step(self, library: Library, device: torch.device, rule: sb.Sign | sb.Bernoulli | None) -> Callable[[], None]:
        """Return a function that takes a training step."""
        torch.manual_seed(0)
        body = self.make(library)
        if rule is not None:
            sb.binarize_(body, rule)
        net = OverTime(body, library).to(device)
        x = (torch.rand(self.shape) < self.density).float().to(device)
        labels = torch.randint(10, (self.shape[1],)).to(device)
        optimizer: torch.optim.Optimizer
        if isinstance(rule, sb.Bernoulli):
            optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=1e-3, rho=0.0)
        else:
            optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)

        def step() -> None:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x).mean(0), labels).backward()
            optimizer.step()

        return step


WORKS = {
    "784-256-256-10, T=100, B=64": Work(fully_connected, (100, 64, 784), 0.05),
    "2-12C5-MP2-32C5-MP2-10, T=25, B=64": Work(convolutional, (25, 64, 2, 34, 34), 0.05),
    "residual, 32 channels, T=4, B=64": Work(residual, (4, 64, 3, 32, 32), 0.3),
}
