"""What a network's form is, told by runs of it, which leave no trace.

It is run a few times on its input, in evaluation mode, and once with one more entry in each of the input's first three
dimensions. A loop over time then calls its layers more often, and the dimensions of the output grow with the dimension
of the input that they stem from. Where there are several arguments the input is the first of them, and others grow with
it where they have to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.inference.evaluated import evaluated
from snntorch_binary.inference.form import Form, begin, unsure_resets
from snntorch_binary.inference.kept_state import KeptState, tensors_of
from snntorch_binary.nn.neurons.known import takes_one_step, to_rest

Arguments = tuple[Any, ...]

_MOST_WAYS = 32
"""So many ways are tried in which arguments may belong together; what then cannot be told is asked for."""


@dataclass
class _Run:
    """What one call did, or the error it ended with.

    Attributes:
        outputs: the tensors returned.
        calls: how often each module was called.
        steps: the number of time steps that neurons were given which take them all at once.
        kept: tensors that modules keep afterwards and did not before, by module.
        error: what was raised.
    """

    outputs: list[Tensor] = field(default_factory=list)
    calls: Counter[nn.Module] = field(default_factory=Counter)
    steps: dict[nn.Module, int] = field(default_factory=dict)
    kept: dict[str, list[Tensor]] = field(default_factory=dict)
    error: Exception | None = None

    def grown(self, other: _Run) -> bool:
        """Say whether another call called some module more often."""
        return any(count > self.calls[module] for module, count in other.calls.items())

    def same_values(self, other: _Run) -> bool:
        mine, others = self.values(), other.values()
        return len(mine) == len(others) and all(map(_equal, mine, others))

    def values(self) -> list[Tensor]:
        return [*self.outputs, *(tensor for tensors in self.kept.values() for tensor in tensors)]


class Probe:
    """Runs of a network that tell its form.

    Args:
        net: the network.
        args: what it is called with; the first is a tensor.
    """

    def __init__(self, net: nn.Module, args: Arguments) -> None:
        self.net, self.args = net, args
        self.x: Tensor = args[0]
        self.resets: tuple[str, ...] = ()
        self.whole = _Run()
        self._more: dict[int, tuple[_Run, Arguments]] = {}

    def form(self, step: bool | None) -> Form:
        """Return the form; ``step`` where it is known."""
        with evaluated(self.net), torch.no_grad():
            whole = self.whole = self.run(self.args)
            self._find_resets(whole)
            if step is None:
                step = self._step(whole)
            return Form(step, 0 if step else self._time_dim(whole), self.resets, not step and self._scored(whole))

    def run(self, args: Arguments, again: Callable[[], None] | None = None) -> _Run:
        """Call the network on an input from rest, and once more after what is given; return what the last call did."""
        found = _Run()
        devices = {arg.device.index for arg in args if isinstance(arg, Tensor) and arg.device.type == "cuda"}
        state = KeptState(self.net)
        try:
            for prepare in (self.rest, again) if again else (self.rest,):
                with torch.random.fork_rng(devices), _noted(self.net, found):  # every call draws the same
                    prepare()
                    before = KeptState(self.net)
                    found.outputs = tensors_of(self.net(*args))
                    found.kept = before.changed()
        except Exception as error:  # whatever a network makes of an input that is not its
            found.error = error
        finally:
            state.put_back()
        return found

    def first_taken(self, ways: Iterable[Arguments]) -> tuple[_Run, Arguments]:
        """Call the network in the first of some ways that it takes; return what that did, and the arguments."""
        for args in ways:
            found = self.run(args)
            if found.error is None:
                break
        return found, args

    def more(self, dim: int) -> tuple[_Run, Arguments]:
        """Call the network on an input with one more entry along a dimension; return what that did, and the arguments.

        Of several ways in which other arguments may grow with it, one by which modules are called more often is taken.
        """
        if dim not in self._more:
            runs = [(self.run(args), args) for args in _one_more(self.args, dim)]
            taken = [each for each in runs if each[0].error is None] or runs
            self._more[dim] = next((each for each in taken if self.whole.grown(each[0])), taken[0])
        return self._more[dim]

    def rest(self) -> None:
        """Put all to rest."""
        begin(self.net, self.resets)

    def rest_known(self) -> None:
        """Put neurons to rest of which we know how many steps they take."""
        for module in self.net.modules():
            reset_state = to_rest(module)
            if reset_state is not None and takes_one_step(module) is not None:
                reset_state()

    def examples(self) -> int | None:
        """Return the number of examples in the input; ``None`` where it cannot be told which dimension that is."""
        with evaluated(self.net), torch.no_grad():
            self.whole = self.run(self.args)
            self._find_resets(self.whole)
            if self.whole.error is not None:
                raise self.whole.error
            found = [dim for dim in _first(self.x)[:2] if self._are_examples(dim)]
        return self.x.shape[found[0]] if len(found) == 1 else None

    # ---- state that nobody knows -----------------------------------------------------------------------------

    def _find_resets(self, whole: _Run) -> None:
        unsure = unsure_resets(self.net)
        kept = whole.kept
        if whole.error is not None and self.x.dim() > 1:
            kept = self.first_taken(_first_steps(self.args))[0].kept
        self.resets = tuple(name for name in unsure if name in kept and _keeps_parameters(self.net.get_submodule(name)))

    def _carries(self, args: Arguments) -> bool:
        """Say whether a call goes on from where modules that we do not know were left by the one before.

        Raises:
            ValueError: it does so even after everything was put to rest.
        """
        once, rested = self.run(args), self.run(args, again=self.rest)
        if once.error is None and rested.error is None and not all(map(_equal, once.outputs, rested.outputs)):
            unknown = [name for name in self._unknown(rested) if name not in self.resets]
            name = (unknown or [""])[-1]
            what = "one whose modules are put to rest by reset_mem(), reset_states(), reset_state() or reset()"
            kind = type(self.net.get_submodule(name)).__name__
            raise ValueError(expected("net", what, f"a {kind}{f' in {name!r}' if name else ''} that keeps a state"))
        return not once.same_values(self.run(args, again=self.rest_known))

    def _unknown(self, found: _Run) -> list[str]:
        return [name for name in found.kept if takes_one_step(self.net.get_submodule(name)) is None]

    # ---- one step a call, or a sequence ----------------------------------------------------------------------

    def _step(self, whole: _Run) -> bool:
        if whole.error is not None:
            return self._step_of_first(whole.error)
        carries = bool(self._unknown(whole)) and self._carries(self.args)
        if any(whole.grown(self.more(dim)[0]) for dim in _first(self.x)):
            return False
        counts = self._counts(whole)
        if not counts:
            return carries and self._step_by_influence()
        if min(counts) > 1:  # so many steps, whatever the input is
            return False
        stepwise = self._is_one_step_of_a_batch()
        if stepwise is None or (stepwise and max(counts) > 1):
            raise _cannot_tell()
        return stepwise

    def _step_of_first(self, error: Exception) -> bool:
        """Say that a network takes one step a call which refuses a whole sequence, or raise what it raised."""
        if self.x.dim() > 1:
            first, args = self.first_taken(_first_steps(self.args))
            if first.error is None and (set(self._counts(first)) == {1}):
                return True
            if first.error is None and not self._counts(first) and self._unknown(first) and self._carries(args):
                return True
        raise error

    def _counts(self, found: _Run) -> list[int]:
        """Return how often each neuron was called that takes one time step a call."""
        return [count for module, count in found.calls.items() if takes_one_step(module)]

    def _is_one_step_of_a_batch(self) -> bool | None:
        """Say whether one time step of the input gives one answer for each example of the batch, if it can be told."""
        if self.x.dim() < 2:
            return False
        first, _ = self.first_taken(_first_steps(self.args))
        more, _ = self.first_taken(step for args in _one_more(self.args, 1) for step in _first_steps(args))
        if first.error is not None or more.error is not None:
            return False
        return True if any(0 in _grown_dims(a, b) for a, b in zip(first.outputs, more.outputs, strict=False)) else None

    def _step_by_influence(self) -> bool:
        """Say whether what stands first in a call has no influence on what follows, though a call has on the next."""
        if self._influences(0) or (self.x.dim() > 2 and self._influences(1)):
            return False
        if not self._influences(0, on_itself=True) or not self._is_one_step_of_a_batch():
            raise _cannot_tell()
        return True

    def _influences(self, dim: int, on_itself: bool = False) -> bool:
        """Say whether the first entry along a dimension of the input changes the others of outputs and states."""
        one, other = self._with_another_first(dim)
        if one.error is not None or other.error is not None:
            raise _cannot_tell()
        size = self.x.shape[dim] + 1
        for before, after in zip(one.values(), other.values(), strict=False):
            if before.shape != after.shape or before.dim() <= dim or before.shape[dim] != size:
                differs = not _equal(before, after)
            elif on_itself:
                differs = not _equal(before.select(dim, 0), after.select(dim, 0))
            else:
                differs = not _equal(before.narrow(dim, 1, size - 1), after.narrow(dim, 1, size - 1))
            if differs:
                return True
        return False

    def _with_another_first(self, dim: int) -> tuple[_Run, _Run]:
        """Run on the input with one more entry along a dimension, and on the same with another first entry."""
        one, (x, *others) = self.more(dim)  # so that there are other entries
        louder, flipped = x.clone(), x.clone()
        louder.select(dim, 0).add_(x.abs().max() + 1)
        flipped.select(dim, 0).neg_().add_(1)
        other, _ = self.first_taken([(louder, *others), (flipped, *others)])  # packed layers take nothing but spikes
        return one, other

    # ---- where time is in the outputs ------------------------------------------------------------------------

    def _time_dim(self, whole: _Run) -> int | None:
        if whole.error is not None:
            raise whole.error
        sequences = [index for index, output in enumerate(whole.outputs) if output.dim() == 3]
        if not sequences:
            return 0  # what reads scores over time refuses such outputs
        grown = [self.more(dim)[0] for dim in _first(self.x)]
        time_in = next((dim for dim, more in enumerate(grown) if more.error is None and whole.grown(more)), None)
        steps = set(whole.calls.values())
        found = {
            self._time_of(whole.outputs[i], [_output(more, i) for more in grown], time_in, steps) for i in sequences
        }
        return found.pop() if len(found) == 1 else None

    def _time_of(self, output: Tensor, grown: list[Tensor | None], time_in: int | None, steps: set[int]) -> int | None:
        """Return the dimension of time of one output, seen beside those of inputs with one more entry.

        Args:
            output: [., ., .].
            grown: the same output where the input has one more entry, by dimension of the input.
            time_in: dimension of time of the input, where a loop goes over it.
            steps: how often modules were called.
        """
        dims = [() if more is None else _grown_dims(output, more) for more in grown] + [()] * 3
        if time_in is None and len(dims[0]) == len(dims[1]) == 1:
            influence = [self._influences(dim) if self.x.dim() > 2 else False for dim in (0, 1)]
            time_in = 1 if influence == [False, True] else 0
        if time_in is None:  # an image, or a number of steps of the network's own
            batch = dims[0] or dims[1]
            if batch == (1,):
                return 0
            others = [dim for dim in (1, 2) if output.shape[dim] in steps] if batch == (0,) else []
            return others[0] if len(others) == 1 else None
        time, batch = dims[time_in], dims[1 if time_in == 0 else 0]
        if len(time) == 1:
            return time[0] if not batch or batch == ((1,) if time[0] == 0 else (0,)) else None
        return 0 if batch == (1,) else None

    def _scored(self, whole: _Run) -> bool:
        """Say whether the first output is [B, C]: one row for each example, not for each time step of a single one."""
        if not whole.outputs or whole.outputs[0].dim() != 2:
            return False
        for dim in _first(self.x):
            more, _ = self.more(dim)
            output = _output(more, 0)
            if output is not None and 0 in _grown_dims(whole.outputs[0], output):
                return not whole.grown(more) and self._rows_apart(dim)
        return False

    def _rows_apart(self, dim: int) -> bool:
        """Say whether the first entry along a dimension of the input changes the first row of the first output only."""
        one, other = (_output(found, 0) for found in self._with_another_first(dim))
        return one is not None and other is not None and _equal(one[1:], other[1:])

    # ---- which of the input's dimensions is that of examples -------------------------------------------------

    def _are_examples(self, dim: int) -> bool:
        """Say whether each entry along a dimension of the input has one of its own in the first output."""
        more, _ = self.more(dim)
        output = _output(more, 0)
        if output is None or self.whole.grown(more):
            return False
        if any(more.steps.get(neurons, 0) > steps for neurons, steps in self.whole.steps.items()):
            return False
        along = _grown_dims(self.whole.outputs[0], output)
        return len(along) == 1 and self._are_apart(dim, along[0])

    def _are_apart(self, dim: int, along: int) -> bool:
        """Say whether the first entry along a dimension of the input changes no other along one of the first output."""
        one, other = (_output(found, 0) for found in self._with_another_first(dim))
        if one is None or other is None:
            return False
        size = one.shape[along] - 1  # of which sums may be rounded in another way, as of other numbers of spikes
        before, after = (output.double().narrow(along, 1, size) for output in (one, other))
        return torch.allclose(before, after, rtol=1e-4, atol=1e-5)


def _cannot_tell() -> ValueError:
    what = "True (one time step a call) or False (a whole sequence), as a run of the network does not tell which"
    return ValueError(expected("step", what, None))


def _first(x: Tensor) -> range:
    return range(min(3, x.dim()))


def _one_more(args: Arguments, dim: int) -> Iterator[Arguments]:
    """Yield arguments with one more entry along a dimension of the first, in each way in which others may grow with it.

    A tensor may belong to the first one by the same dimension, by another of that size, or not at all. That it does not
    comes last, as ``zip`` leaves out what one has too much; of a single entry it comes first, as that is repeated for
    others.
    """
    x, *others = args
    size = x.shape[dim]

    def ways(other: Any) -> list[Any]:
        dims = [each for each in range(other.dim()) if other.shape[each] == size] if isinstance(other, Tensor) else []
        grown = [_longer(other, each) for each in sorted(dims, key=lambda each: each != dim)]
        return [other, *grown] if size == 1 else [*grown, other]

    for chosen in islice(product(*map(ways, others)), _MOST_WAYS):
        yield (_longer(x, dim), *chosen)


def _longer(x: Tensor, dim: int) -> Tensor:
    return torch.cat([x, x.narrow(dim, x.shape[dim] - 1, 1)], dim)


def _first_steps(args: Arguments) -> Iterator[Arguments]:
    """Yield the first entries of a sequence: of the first argument and all that are as long, or of that alone."""
    x, *others = args
    along = [isinstance(other, Tensor) and other.dim() > 0 and len(other) == len(x) for other in others]
    if any(along):
        yield (x[0], *(other[0] if goes else other for other, goes in zip(others, along, strict=True)))
    yield (x[0], *others)


def _grown_dims(one: Tensor, more: Tensor) -> tuple[int, ...]:
    """Return the dimensions that have one more entry."""
    if one.dim() != more.dim():
        return ()
    return tuple(dim for dim in range(one.dim()) if more.shape[dim] == one.shape[dim] + 1)


def _output(found: _Run, index: int) -> Tensor | None:
    return found.outputs[index] if found.error is None and index < len(found.outputs) else None


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(torch.equal(one, other))


def _keeps_parameters(module: nn.Module) -> bool:
    """Say whether a module's ``reset`` changes none of its parameters, by a call of a copy's."""
    twin = copy_model(module)
    try:
        twin.reset()  # type: ignore[operator]
    except Exception:  # a method of others
        return False
    return all(map(_equal, module.parameters(), twin.parameters()))


@contextmanager
def _noted(net: nn.Module, found: _Run) -> Iterator[None]:
    """Take note of the calls of a network's modules."""

    def count(module: nn.Module, _: Any) -> None:
        found.calls[module] += 1

    def look(neurons: nn.Module, args: Any, _: Any) -> None:
        one_step = takes_one_step(neurons) and neurons in found.calls  # those of a fused network are not called
        if not one_step and args and isinstance(args[0], Tensor) and args[0].dim() > 0:
            found.steps[neurons] = len(args[0])

    with ExitStack() as hooks:
        for module in net.modules():
            if module is not net:
                hooks.enter_context(module.register_forward_pre_hook(count))
            if takes_one_step(module) is not None:
                hooks.enter_context(module.register_forward_hook(look))
        yield
