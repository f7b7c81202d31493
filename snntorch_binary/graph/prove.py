"""The proof of a graph: it runs beside the network that it was made of, on fresh inputs of other sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, fx, nn

from snntorch_binary.convert import reset
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.graph.build import Built
from snntorch_binary.graph.errors import LaterStepError, NotAGraphError
from snntorch_binary.graph.events import Recording
from snntorch_binary.graph.marks import DRAWN
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.graph.runs import calling, put_to_rest
from snntorch_binary.graph.samples import fresh, resized, sizes_of, with_size
from snntorch_binary.graph.states import longest
from snntorch_binary.graph.tree import filled, leaves, mapped
from snntorch_binary.weights import binary_layers


def prove(built: Built) -> str:
    """Compare a graph with the network that it was made of, and return what was seen.

    They get the sample's entries in another order, and spikes where these are real numbers or real numbers where they
    are spikes, at other sizes than those recorded, in evaluation and in training mode. Random numbers that the network
    drew are given to the graph. Then, in evaluation mode, they get inputs as long as the sample, and longer ones: a
    graph is made of a few time steps, and a loop may do something else at a later one. What the network does there has
    to give the same graph: silent neurons answer the same whatever it does. Where sums over all steps are
    rounded otherwise, and neurons fire or not by that, the two are compared once more with weights and inputs whose
    sums need no rounding.

    Raises:
        LaterStepError: they differ on inputs of more time steps only.
        NotAGraphError: they differ.
    """
    if built.learns:
        _check_gradients(built)
    inputs = list(_inputs(built))
    longer = list(_longer(built))
    differences = [_compared(built, built.twin, args, training) for args, training in inputs]
    differences += filter(None, (compare(built, built.twin, args) for compare, args in longer))
    if built.learns:
        for compare, args in longer:
            if compare is _at_length:
                _graph_at(built, built.twin, args, True)  # what is done in training alone
    checked = f"compared on {len(inputs)} fresh inputs"
    if not all(difference.close for difference in differences):
        exact = _without_rounding(built.twin)
        for args, training in inputs:
            if not _compared(built, exact, [_coarse(each) for each in args], training).close:
                raise NotAGraphError("its graph over time gives other answers than the network does")
        for compare, args in longer:
            found = compare(built, exact, _coarse(args))
            if found is not None and not found.close:
                raise LaterStepError(_OTHERWISE)
        flips, count = (sum(getattr(each, what) for each in differences) for what in ("flips", "count"))
        return f"{checked}: equal where sums need no rounding, with it {flips} of {count} numbers differ"
    equal = all(difference.equal for difference in differences)
    return f"{checked}: equal {'bit for bit' if equal else 'to rounding'}"


_OTHER_STATISTICS = (
    "its graph over time leaves other running statistics than the network does ({}), as where one batch norm stands at "
    "two places of a step"
)
_OTHERWISE = (
    "what it does at a later time step is not what it does in the first ones; where it waits for a burn-in, or reads "
    "the last steps only, a sample with as many time steps as it is shown shows that"
)
_MOST_HELD = 2**28  # bytes of tensors in a recording of many steps
_LENGTH = 32  # what a loop does at later steps than that, and than those of the sample, is not seen


@dataclass(frozen=True)
class Difference:
    """How two answers differ.

    Attributes:
        equal: not by a bit.
        close: by no more than rounding, and in no whole number.
        flips: how many numbers differ by more.
        count: of how many.
    """

    equal: bool
    close: bool
    flips: int
    count: int


def _inputs(built: Built) -> Iterator[tuple[list[Any], bool]]:
    """Yield inputs of other sizes than those of the recordings, and of the first where it takes no others."""
    generator = torch.Generator().manual_seed(1)
    base = built.sizes[0]
    variable = [len({sizes[dim] for sizes in built.sizes}) > 1 for dim in range(len(base))]
    real = not all(_is_whole(leaf) for leaf in leaves(built.args))
    for more, training in ((1, False), (0, True)):
        wanted = tuple(
            size + (2 if size > 2 else more) if may else size for size, may in zip(base, variable, strict=True)
        )
        both = [resized(built.args, sizes, generator) for sizes in dict.fromkeys((wanted, base))]
        yield [fresh(args, not real, generator) for args in both] if training else both, training


def _longer(built: Built) -> Iterator[tuple[Callable[..., Difference | None], Any]]:
    """Yield inputs that are as long as the sample, and longer ones, along each dimension that may have other sizes.

    With each comes how to compare: what a network does at every step, and by its answers alone where that takes too
    much memory.
    """
    generator = torch.Generator().manual_seed(2)
    own, base = sizes_of(built.args), built.sizes[0]
    held = sum(value.numel() * value.element_size() for value in built.first.values.values())
    steps = longest(built.first)
    for dim, size in enumerate(base):
        if len({sizes[dim] for sizes in built.sizes}) == 1:
            continue
        # What there is of another number of examples is the same; neurons go through as many steps as the other has.
        most = max(_LENGTH, _MOST_HELD * size // max(held, 1)) if steps in (1, size) else 0
        long = max(own[dim], size, _LENGTH)
        for length in dict.fromkeys((own[dim], min(long, most) or long, long)):
            args = resized(built.args, (*base[:dim], length, *base[dim + 1 :]), generator)
            yield (_at_length if length == min(long, most) else _by_answers), args


_MOST_EQUAL = 4
"""Dimensions of one size that are tried with another, in each way."""


def held_sizes(built: Built) -> list[dict[int, int]]:
    """Return which sizes the inputs must have as in the sample, by dimension: of another the graph answers otherwise.

    The recordings have other numbers in the first two dimensions of the first input and those like it. Time may be in
    another, as in ``[B, C, T]``, or be made of one by a layer: a graph holds as many steps as there were then. So the
    network is run on a smaller and a larger size, alone and together with equal ones, of this input or of others, and
    the graph beside it.
    """
    generator = torch.Generator().manual_seed(3)
    base = resized(built.args, built.sizes[0], generator)
    real = not all(_is_whole(leaf) for leaf in leaves(built.args))
    count = len(built.recorded(built.twin, base, False).events)
    varied = [len({sizes[dim] for sizes in built.sizes}) > 1 for dim in range(len(built.sizes[0]))]
    own = sizes_of(built.args)
    tensors = [leaf for leaf in leaves(built.args) if isinstance(leaf, Tensor)]
    found: list[dict[int, int]] = [{} for _ in tensors]

    def follows(dims: dict[int, list[int]], size: int) -> bool | None:
        others = [size // 2, 2 * size] if size > 1 else [2]
        if len(tensors) > 1:  # what is added to a sequence may be spread over its examples, or depend on equal sizes
            others += [1, *(own for place in dims for own in tensors[place].shape)]
        inputs = (with_size(base, dims, other, generator) for other in dict.fromkeys(others) if other != size)
        return _follows(built, (fresh(args, not real, generator) for args in inputs), count)

    for place, tensor in enumerate(tensors):
        for dim, size in enumerate(tensor.shape):
            # Those at one place have been recorded together; where others have that size, too, it is not known which.
            elsewhere = len(tensors) > 1 and any(_dims_of_size(size, one) not in ([], [dim]) for one in tensors)
            known = dim < len(varied) and varied[dim] and size == own[dim]
            if size == 0 or (known and not elsewhere):
                continue
            found_to = [follows(dims, size) for dims in _resized_with(place, dim, tensors)]
            if False in found_to or True not in found_to:
                found[place][dim] = size
    return found


def _resized_with(place: int, dim: int, tensors: list[Tensor]) -> Iterator[dict[int, list[int]]]:
    """Yield what may change its size with a dimension: it alone, and it with others of the same size, by tensor."""
    size = tensors[place].shape[dim]
    equal = [(at, other) for at, one in enumerate(tensors) for other in _dims_of_size(size, one)]
    # The first two dimensions of a single input have been recorded at other sizes.
    others = [each for each in equal if each != (place, dim) and (len(tensors) > 1 or each[1] > 1)][:_MOST_EQUAL]
    for count in range(len(others) + 1):
        for chosen in combinations(others, count):
            dims: dict[int, list[int]] = {place: [dim]}
            for at, other in chosen:
                dims.setdefault(at, []).append(other)
            yield dims


def _dims_of_size(size: int, x: Tensor) -> list[int]:
    return [dim for dim, own in enumerate(x.shape) if own == size]


def _follows(built: Built, inputs: Iterator[Any], count: int) -> bool | None:
    """Say whether the graph is that of the network on some inputs, as far as it takes them; ``None`` if it takes none.

    Answers of neurons that are silent tell nothing, and so the network has to do as many things as it did before.
    """
    taken = None
    for args in inputs:
        try:
            difference = _at_length(built, built.twin, args, count)
            if difference is not None and not difference.close:
                difference = _at_length(built, _without_rounding(built.twin), _coarse(args))
        except (LaterStepError, NotAGraphError):
            return False
        except Exception:  # of the network, which does not take this size
            continue
        if difference is None:
            continue
        if not difference.close:
            return False
        taken = True
    return taken


def _at_length(built: Built, twin: nn.Module, args: Any, count: int | None = None) -> Difference | None:
    """Compare the graph with the network and the graph that it gives, in evaluation mode.

    Args:
        built: the graph.
        twin: the network.
        args: its arguments.
        count: how many things it has to do, where that is known.

    Returns:
        How they differ; ``None`` of what the network does not take.
    """
    found = _graph_at(built, twin, args, False)
    if found is None:
        return None
    recording, graph = found
    if count is not None and len(recording.events) != count:
        raise LaterStepError(_OTHERWISE)
    torch.manual_seed(0)
    with torch.no_grad():
        try:
            after = _Replayed(graph, graph.graph).run(*(leaf for leaf in leaves(args) if isinstance(leaf, Tensor)))
        except Exception as error:  # of the graph, where the network has none
            raise LaterStepError(_OTHERWISE) from error
    return _of_answers(_answer(recording), after)


def _graph_at(built: Built, twin: nn.Module, args: Any, training: bool) -> tuple[Recording, GraphNetwork] | None:
    """Return what the network does with some arguments and the graph that this gives; ``None`` if it takes them not.

    Raises:
        LaterStepError: it is another graph, or none.
    """
    torch.manual_seed(0)
    try:
        recording = built.recorded(twin, args, training)
    except NotAGraphError as error:
        raise LaterStepError(_OTHERWISE) from error
    except Exception:  # such as of a network that has something for each step
        return None
    try:
        return recording, built.of(recording, args, training)
    except NotAGraphError as error:
        raise LaterStepError(_OTHERWISE) from error


def _by_answers(built: Built, twin: nn.Module, args: Any) -> Difference | None:
    """Compare what the graph and the network answer, and nothing of how."""
    if any(event.random for event in built.first.events):
        return None
    put_to_rest(twin.eval())
    with torch.no_grad():
        try:
            before = calling(twin, built.step)(args)
        except Exception:  # such as of a network that has something for each step
            return None
        try:
            after = built.graph.of(twin).graph_answer(*(leaf for leaf in leaves(args) if isinstance(leaf, Tensor)))
        except Exception as error:  # of the graph, where the network has none
            raise LaterStepError(_OTHERWISE) from error
    return _of_answers(_stacked(before) if built.step else before, after)


def _of_answers(before: Any, after: Any) -> Difference:
    try:
        found = [_difference(*pair) for pair in zip(leaves(before), leaves(after), strict=True)]
    except ValueError:  # there are more of them, or they have other shapes
        raise LaterStepError(_OTHERWISE) from None
    return _together(found)


def _is_whole(leaf: Any) -> bool:
    return not isinstance(leaf, Tensor) or bool((leaf == leaf.round()).all())


def _compared(built: Built, twin: nn.Module, inputs: list[Any], training: bool) -> Difference:
    """Compare the graph with the network on the first of some inputs that the network takes."""
    (args, *others) = inputs
    torch.manual_seed(0)
    earlier = _statistics(twin) if training and built.learns else {}
    try:
        recording = built.recorded(twin, args, training)
    except NotAGraphError:
        raise
    except Exception:  # such as of a network that has a layer for each step
        if not others:
            raise
        return _compared(built, twin, others, training)
    graph = built.of(recording, args, training)
    given = [leaf for leaf in leaves(args) if isinstance(leaf, Tensor)]
    torch.manual_seed(0)
    of_network = _statistics(twin) if earlier else {}
    with torch.no_grad():
        for name, buffer in twin.named_buffers():
            if name in earlier and buffer.shape == earlier[name].shape:
                buffer.copy_(earlier[name])
        answer = _Replayed(graph, graph.graph).run(*given)
    before = _answer(recording)
    found = [_difference(one, other) for one, other in zip(leaves(before), leaves(answer), strict=True)]
    difference = _together(found)
    for name in of_network if difference.close else ():
        if not _same_statistics(name, of_network, twin):
            raise NotAGraphError(_OTHER_STATISTICS.format(name))
    return difference


def _together(found: list[Difference]) -> Difference:
    """Return how all outputs differ."""
    equal, close = (all(getattr(each, what) for each in found) for what in ("equal", "close"))
    return Difference(equal, close, sum(each.flips for each in found), sum(each.count for each in found))


def _statistics(network: nn.Module) -> dict[str, Tensor]:
    """Return copies of the buffers that a checkpoint holds, such as running means of batch norms."""
    held = {id(value) for value in network.state_dict(keep_vars=True).values()}
    return {name: buffer.detach().clone() for name, buffer in network.named_buffers() if id(buffer) in held}


def _same_statistics(name: str, of_network: dict[str, Tensor], twin: nn.Module) -> bool:
    """Say whether a buffer is what the network made of it, to a thousandth of what it measures."""
    one, other = of_network[name], dict(twin.named_buffers())[name]
    if one.shape != other.shape or not one.is_floating_point():
        return torch.equal(one, other)
    # A mean may be rounding alone, where what is in front of the norm has none: it is measured by the deviation.
    variance = of_network.get(name.removesuffix("running_mean") + "running_var") if "running_mean" in name else None
    scale = one.abs() if variance is None else variance.abs().sqrt()
    return bool(((one - other).abs() <= 1e-3 * scale.amax() + 1e-12).all()) if one.numel() else True


def _answer(recording: Recording) -> Any:
    """Return what the network answered; one of single time steps with the outputs of all steps stacked."""
    return _stacked(recording.answer) if recording.steps else recording.answer


def _stacked(answers: Any) -> Any:
    rows = zip(*map(leaves, answers), strict=True)
    return filled(answers[0], [torch.stack(row) if isinstance(row[0], Tensor) else row[0] for row in rows])


def _difference(one: Any, other: Any) -> Difference:
    if not isinstance(one, Tensor):
        return Difference(one == other, one == other, int(one != other), 1)
    if not isinstance(other, Tensor) or one.shape != other.shape or one.dtype != other.dtype:
        raise NotAGraphError("its graph over time gives answers of other shapes than the network does")
    one, other = one.detach(), other.detach()
    if torch.equal(one, other):
        return Difference(True, True, 0, one.numel())
    one, other = one.double(), other.double()
    size = float(one.abs().nan_to_num(0, 0, 0).max())
    tolerance = 1e-5 * size + 1e-12
    differ = ~torch.isclose(one, other, rtol=1e-4, atol=tolerance, equal_nan=True)
    flips = int(differ.sum())
    return Difference(False, flips == 0, flips, one.numel())


class _Replayed(fx.Interpreter):
    """Runs a graph, with the random numbers that were drawn when it was recorded."""

    def __init__(self, network: GraphNetwork, graph: fx.Graph) -> None:
        super().__init__(network, graph=graph)

    def run_node(self, n: fx.Node) -> Any:
        return n.meta[DRAWN] if DRAWN in n.meta else super().run_node(n)


@torch.enable_grad()
def _check_gradients(built: Built) -> None:
    """Compare the gradients of the parameters, in evaluation mode."""
    twin = built.twin.eval()
    parameters = [parameter for parameter in twin.parameters() if parameter.requires_grad]
    recording = built.first
    if not parameters or any(event.random for event in recording.events):
        return
    reset(twin)
    before = _answer(recording)
    answer = built.graph.of(twin).graph_answer(*(leaf for leaf in recording.inputs if isinstance(leaf, Tensor)))
    if not all(_difference(one, other).close for one, other in zip(leaves(before), leaves(answer), strict=True)):
        return  # neurons that fire by rounding have other gradients
    try:
        expected = _gradients(before, parameters)
    except RuntimeError:  # the network itself has none, as of what torch differentiates not
        return
    found = _gradients(answer, parameters)
    largest = max(float(grad.abs().max()) for grad in expected if grad.numel())
    for theirs, ours in zip(expected, found, strict=True):
        difference = (theirs - ours).abs().max() if ours.numel() else torch.zeros(())
        if float(difference) > 1e-2 * float(theirs.abs().max()) + 1e-5 * largest:
            raise NotAGraphError("its graph over time gives other gradients than the network does")


def _gradients(answer: Any, parameters: list[nn.Parameter]) -> list[Tensor]:
    """Return the gradients of a fixed weighted sum of all outputs; zeros where there is none."""
    total: Any = 0
    for leaf in leaves(answer):
        if isinstance(leaf, Tensor) and leaf.requires_grad:
            weights = torch.linspace(-1, 1.5, leaf.numel(), dtype=leaf.dtype, device=leaf.device).view(leaf.shape)
            total = total + (leaf * weights).sum()
    if not isinstance(total, Tensor):
        return [torch.zeros_like(parameter) for parameter in parameters]
    found = torch.autograd.grad(total, parameters, allow_unused=True)
    return [
        torch.zeros_like(parameter) if grad is None else grad for grad, parameter in zip(found, parameters, strict=True)
    ]


def _without_rounding(network: nn.Module) -> nn.Module:
    """Return a copy whose weights are so coarse that float32 holds every sum of their products with coarse inputs."""
    twin = copy_model(network)
    with torch.no_grad():
        binary = {id(layer.latent) for layer in binary_layers(twin).values()}  # their products are of ±1
        for parameter in twin.parameters():
            if parameter.dim() > 1 and parameter.is_floating_point() and id(parameter) not in binary:
                step = 2.0 ** (math.floor(math.log2(float(parameter.abs().max()) + 1e-30)) - 6)
                parameter.copy_((parameter / step).round() * step)
    return twin


def _coarse(args: Any) -> Any:
    def change(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
            return leaf
        return (leaf * 16).round() / 16

    return mapped(args, change)
