"""`fuse`: a network that goes step by step becomes one that takes all time steps at once, which is faster."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary.convert import reset
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.graph.build import build
from snntorch_binary.graph.each_step import EachStep as EachStep
from snntorch_binary.graph.errors import LaterStepError, NotAGraphError
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.graph.over_time import ANY_LEADING_DIMENSIONS
from snntorch_binary.graph.prove import held_sizes, prove
from snntorch_binary.graph.sequential import flattened as flattened
from snntorch_binary.graph.sequential import is_chain as is_chain
from snntorch_binary.graph.states import longest
from snntorch_binary.graph.whole import is_whole
from snntorch_binary.inference.arguments import arguments_of, check_single
from snntorch_binary.inference.find_form import form_of, known_step
from snntorch_binary.kernels.surrogates import Surrogate
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.nn.neurons.description import NeuronDescription, description_of, is_neuron
from snntorch_binary.nn.neurons.known import takes_one_step
from snntorch_binary.nn.subclasses import leaves_forward
from snntorch_binary.nn.time_first import TimeFirst

# Exact types, as there.
_OF_EXAMPLES = (
    nn.Flatten,
    nn.Unflatten,
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.Dropout1d, nn.Dropout2d, nn.Upsample, nn.PixelShuffle),
)


class Fused(nn.Sequential):
    """What :func:`fuse` returns: a network over whole sequences [T, B, ...], and a report of how it came about.

    Attributes:
        report: for each layer, by its name in the network before, what has become of it.
    """

    report: dict[str, str]

    def summary(self) -> str:
        """Return the report as lines of text."""
        width = max(map(len, self.report), default=0)
        return "\n".join(f"{name:<{width}}  {what}" for name, what in self.report.items())


@overload
def fuse(net: nn.Module | Iterable[nn.Module]) -> Fused: ...


@overload
def fuse(net: nn.Module, sample: Any, *, step: bool | None = None) -> GraphNetwork: ...


def fuse(net: nn.Module | Iterable[nn.Module], sample: Any = None, *, step: bool | None = None) -> Fused | GraphNetwork:
    """Return a network that does all time steps at once, which trains several times faster; answers stay the same.

    Layers then see all time steps in one product, and a neuron is one scan over time. Given equal input currents the
    spikes are snnTorch's bit for bit; a product over all steps may round a sum in another order. The parameters are
    shared with the network as it was: train either.

    With a ``sample`` the network may be any module: one whose ``forward`` loops over time, over the entries of its
    input or a fixed number of steps, or one that takes a single time step a call. It is run a few times on a copy, what
    it does is recorded, the copies of a step are folded into one, and the result is compared with the network on fresh
    inputs of other sizes. What is fused has the network's submodules, its parameters and its ``state_dict`` keys.

    * ``snn.Leaky`` and ``snn.Synaptic`` and the neurons of this package are one scan; other neurons, and layers that
      feed back into earlier ones, go step by step, and the rest is fused all the same.
    * A batch norm takes its statistics from each step by itself in training, as it did; in evaluation it is one call.
    * Every call starts at rest.
    * What ``forward`` keeps on the network, such as ``self.rate = ...``, is not kept; a warning says so. Numbers that
      it reads there are what they were; parameters, buffers and what neurons are set to are followed.

    Without a sample, ``net`` is layers in their order, as in an ``nn.Sequential`` of neurons with ``init_hidden=True``;
    the result is a sequence of layers over time, which ``pack`` and the export take too. A batch norm then takes its
    statistics over time and batch together; the report says so.

    Args:
        net: the network; without a sample an ``nn.Sequential``, or layers and neurons in their order
            (``nn.ModuleList``). Neurons then have ``init_hidden=True`` or are of the kinds above.
        sample: an input as the network takes it, or a tuple of its arguments; of a network that takes one time step a
            call the sequence [T, B, ...]. A few steps and examples are enough, unless its loop does something at a
            later step, such as to count from the tenth on: then as many steps as it is shown. Where it makes its time
            steps of another dimension than the first two, or of windows, inputs have to be as long as the sample.
        step: whether a call is one time step; found out by default.

    Returns:
        A network that answers as ``net`` does, in the same structure. One of single time steps takes [T, B, ...] and
        returns [T, B, ...]. Without a sample it returns what its last layer does: spikes [T, B, ...], or spikes and
        membrane potentials where the last neuron has ``output=True`` or hands out its state.

    Raises:
        TypeError: there is no sample, and ``net`` is no layers in their order.
        ValueError: there is no sample, and a neuron needs its state handed to it and is of a kind that has no
            time-first form; or it occurs twice, and its two places share a state.
        NotAGraphError: (a ``ValueError``) the network does not fold over time; the message says why, with the line of
            your file.

    Example:
        >>> import snntorch as snn, torch, snntorch_binary as sb
        >>> from torch import nn
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.fc, self.lif = nn.Linear(64, 10), snn.Leaky(beta=0.9)
        ...     def forward(self, x):
        ...         mem, spikes = self.lif.init_leaky(), []
        ...         for x_t in x:
        ...             spk, mem = self.lif(self.fc(x_t), mem)
        ...             spikes.append(spk)
        ...         return torch.stack(spikes)
        >>> net = Net()
        >>> fused = sb.fuse(net, torch.rand(3, 2, 64))
        >>> fused.proof
        'compared on 2 fresh inputs: equal bit for bit'
        >>> x = torch.rand(25, 8, 64)
        >>> fused(x).shape, bool((fused(x) == net(x)).all())
        (torch.Size([25, 8, 10]), True)
    """
    if sample is not None:
        found = as_graph(net, sample, step)
        if found._not_kept:
            names = ", ".join(found._not_kept)
            warnings.warn(
                f"{type(net).__name__} keeps what it computes on itself ({names}); what is fused does not: return it, "
                "or go through the network as it is where it is read.",
                stacklevel=2,
            )
        return found
    if isinstance(net, nn.Module) and not is_chain(net):
        what = "an nn.Sequential, an nn.ModuleList, or layers in their order, where there is no sample"
        raise TypeError(expected("net", what, f"a {type(net).__name__}, whose forward says more than its layers"))
    layers = list(flattened(net))
    for name, layer in layers:
        if hasattr(layer, "reset_mem") and sum(other is layer for _, other in layers) > 1:
            raise ValueError(expected("net", "neurons that occur once", f"{type(layer).__name__} {name!r} again"))
    fused, report = [], {}
    for index, (name, layer) in enumerate(layers):
        time_first, what = _time_first(layer, is_last=index == len(layers) - 1)
        fused.append(time_first)
        report[name] = what
    result = Fused(*fused)
    result.report = report
    return result


def as_graph(
    net: Any,
    sample: Any,
    step: bool | None = None,
    whole: Callable[[nn.Module], bool] = is_whole,
    learns: bool = True,
) -> GraphNetwork:
    """Return a network as its graph over time, as :func:`fuse` does.

    Args:
        net: the network.
        sample: an input, or a tuple of arguments.
        step: whether a call is one time step.
        whole: says which modules are one thing in the graph.
        learns: whether the graph has to have the network's gradients, too.
    """
    if not isinstance(net, nn.Module):
        raise TypeError(expected("net", "a module", type(net).__name__))
    check_sample(sample)
    args = arguments_of(sample)
    if step:
        check_single(args, "sample")
    devices = [args[0].device.index] if args[0].device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # what it draws while it is recorded
        if step is None:
            step = False if len(args) > 1 else known_step(net)
        try:
            return _proved(net, args, (lambda: form_of(net, args[0]).step) if step is None else step, whole, learns)
        except (NotAGraphError, MemoryError, torch.cuda.OutOfMemoryError):
            raise
        except Exception as error:  # where the network is right, there is a thing in it that nobody has thought of
            if str(error).startswith("Expected argument") or not _runs(net, args):
                raise
            said = in_one_line(error, 200)
            raise NotAGraphError(f"to follow it ends in a {type(error).__name__} ({said})") from error


def check_sample(sample: Any) -> None:
    """Refuse a sample that no network can be recorded with.

    Raises:
        TypeError: it does not begin with a tensor.
        ValueError: that is empty.
    """
    args = arguments_of(sample)
    if not args or not isinstance(args[0], Tensor):
        raise TypeError(expected("sample", "a tensor, or a tuple of arguments that begins with one", sample))
    if args[0].numel() == 0:
        raise ValueError(expected("sample", "an input with a time step and an example", list(args[0].shape)))


def _proved(
    net: nn.Module,
    args: tuple[Any, ...],
    step: bool | Callable[[], bool],
    whole: Callable[[nn.Module], bool],
    learns: bool,
) -> GraphNetwork:
    built = build(net, args, step, whole, learns)
    try:
        proof = prove(built)
    except LaterStepError:  # of a few steps it cannot be told what a loop does later
        built = build(net, args, built.step, whole, learns, at_length=True)
        proof = prove(built)
    built.graph.held_sizes, built.graph._not_kept = held_sizes(built), built.first.kept
    built.graph.proof, built.graph.stepped = proof, built.step or longest(built.first) > 1
    return built.graph


def _runs(net: nn.Module, args: tuple[Any, ...]) -> bool:
    """Say whether a network takes a sample as it is, or a time step of it."""
    for all_steps in (True, False):
        try:
            twin = copy_model(net)
            reset(twin)
            with torch.no_grad():
                twin(*(args if all_steps else (args[0][0], *args[1:])))
        except Exception:  # of the user's network
            continue
        return True
    return False


def takes_steps(net: nn.Module) -> bool:
    """Say whether a network is layers in their order with a neuron that takes one time step at a time."""
    return is_chain(net) and any(
        getattr(layer, "one_step", False) or (is_neuron(layer) and takes_one_step(layer)) for _, layer in flattened(net)
    )


def _time_first(layer: nn.Module, is_last: bool) -> tuple[nn.Module, str]:
    """Return the time-first form of a layer and what to say of it."""
    kind = type(layer).__name__
    own_forward = isinstance(layer, BinaryLayer) and not leaves_forward(type(layer))
    if (isinstance(layer, (BinaryLayer, TimeFirst)) and not own_forward) or type(layer) in ANY_LEADING_DIMENSIONS:
        return layer, f"{kind}, as it is"
    description = description_of(layer)
    if description is not None and description.over_time is not None:
        if not description.takes_one_step(layer):
            return layer, f"{kind}, as it is"
        hidden = getattr(layer, "init_hidden", hasattr(layer, "step_mode"))  # the second is SpikingJelly's
        twin = description.over_time(layer, getattr(layer, "output", False) or (is_last and not hidden))
        if isinstance(twin, nn.Module):
            return twin, f"{kind}, {_how(twin, description)}"
        if not hidden:
            raise ValueError(expected("net", f"neurons with init_hidden=True where there is {twin}", kind))
        return EachStep(layer, is_last), f"{kind}, step by step: {twin}"
    if type(layer) in _OF_EXAMPLES:
        statistics = ", statistics over time and batch" if isinstance(layer, nn.modules.batchnorm._BatchNorm) else ""
        return TimeFirst(layer), f"{kind}, all steps as one batch{statistics}"
    return EachStep(layer, is_last), f"{kind}, step by step: unknown layer"


def _how(twin: nn.Module, description: NeuronDescription) -> str:
    """Say how a time-first neuron goes through time."""
    if not getattr(twin, "has_scan", False):
        return "one loop over time"
    spike = description.spike and getattr(twin, description.spike.name)
    slow = "" if spike is None or isinstance(spike, Surrogate) else ", its surrogate gradient step by step"
    return f"one scan{slow}"
