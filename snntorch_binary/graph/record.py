"""Recording a network by value: it runs once, and every call of a layer and every operation between is written down.

Where a tensor came from is told by the tensor itself, so that lists, loops, resets and helper functions of the user's
need no understanding.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import _SingleLevelFunction
from torch.nn.modules import module as torch_modules
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from snntorch_binary.graph.errors import NotAGraphError, Place
from snntorch_binary.graph.events import STATE, Constant, Event, Given, Kept, Operation, Recording, Result
from snntorch_binary.graph.function_of import bound
from snntorch_binary.graph.operations import DETACHES, READS, SILENT, in_order, of_method, operation_of, without_writing
from snntorch_binary.graph.tree import leaves, mapped, named_leaves
from snntorch_binary.graph.whole import LIBRARIES, is_of_library, is_whole
from snntorch_binary.nn.neurons.known import takes_one_step
from snntorch_binary.nn.view import WeightView
from snntorch_binary.weights import binary_layers

_WEIGHT = "it takes the weight of a binary layer in place of calling the layer, and a graph calls layers"
_OF_EVERY_MODULE = frozenset(nn.Module().__dict__)


def record(
    network: nn.Module,
    args: Any,
    run: Callable[[Any], Any],
    whole: Callable[[nn.Module], bool] = is_whole,
    learns: bool = True,
) -> Recording:
    """Run a network once and return what it did.

    Args:
        network: the network.
        args: a tree with its inputs.
        run: what calls the network with such a tree.
        whole: says which modules are one thing in the graph.
        learns: whether it matters where gradients end.

    Raises:
        NotAGraphError: it does what cannot be followed, such as to decide by the numbers in a tensor.
    """
    recorder, before = _Recorder(network, args, whole, learns), _attributes(network)
    with _hooks(recorder), _autograd(recorder), recorder:
        answer = run(args)
    if recorder.refused is not None:  # also where the network caught it
        raise recorder.refused
    recorder.recording.kept = recorder.kept_since(before)
    recorder.recording.answer = answer
    recorder.recording.output = mapped(answer, recorder.reference)
    return recorder.recording


def _by_place(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return what neurons are given by name in its place: others that stand for them have other names for it."""
    if not kwargs or not takes_one_step(module):
        return args, kwargs
    given = inspect.signature(module.forward).bind(*args, **kwargs)
    return given.args, given.kwargs


@dataclass
class _Call:
    module: nn.Module
    whole: bool
    args: tuple[Any, ...] = ()
    tensors: list[Tensor] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    random: Any = None
    kept: dict[str, Any] = field(default_factory=dict)


class _Recorder(TorchFunctionMode):
    def __init__(self, network: nn.Module, args: Any, whole: Callable[[nn.Module], bool], learns: bool) -> None:
        super().__init__()
        self.whole, self.learns = whole, learns
        self.recording = Recording(network, leaves(args))
        self.names = {id(module): name for name, module in network.named_modules()}
        self.sources: dict[int, Any] = {}
        self.alive: list[Any] = []
        self.from_data: set[int] = set()  # numbers of events that depend on input, parameters or neurons
        self.calls: list[_Call] = []  # those of modules that are under way
        self.inside = 0  # how many of what is one thing in the graph are under way
        self.left: dict[nn.Module, tuple[int, dict[str, Any]]] = {}
        self.times: Counter[nn.Module] = Counter()  # how often each was called
        self.refused: NotAGraphError | None = None
        self.grad = torch.is_grad_enabled()
        self.top = sys._getframe(2)
        self.thread = threading.get_ident()
        layers: Mapping[str, Any] = binary_layers(network)
        for layer in layers.values():
            layer.in_force()  # drawn by now, and not while somebody looks on
        for index, value in enumerate(self.recording.inputs):
            if isinstance(value, Tensor):
                self._remember(value, Given(index))
        for name, module in network.named_modules():
            prefix = f"{name}." if name else ""
            for values in (module.__dict__, module._buffers, module._parameters):
                for key, value in values.items():
                    if isinstance(value, Tensor) and id(value) not in self.sources:
                        self._remember(value, Kept(prefix + key))

    def _remember(self, tensor: Tensor, source: Any) -> None:
        self.sources[id(tensor)] = source
        self.alive.append(tensor)

    def reference(self, value: Any) -> Any:
        """Return where a value comes from; of what is no tensor, itself."""
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self.sources:
            self._remember(value, Constant(len(self.recording.constants)))
            self.recording.constants.append(value)
        return self.sources[id(value)]

    def _refuse(self, reason: str) -> NotAGraphError:
        self.refused = NotAGraphError(reason, self._place()[0])
        return self.refused

    # ---- operations ------------------------------------------------------------------------------------------

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.inside:
            return func(*args, **kwargs)
        name = func.__name__
        if name in READS:
            self._check_read(name, args)
        tensors = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        versions = [tensor._version for tensor in tensors]
        random = torch.get_rng_state()
        out = func(*args, **kwargs)
        if kwargs.get("out", self) is None:  # torch's own functions hand it on
            del kwargs["out"]
        if name == "__setitem__":
            out = args[0]
        if name in DETACHES and not self.learns:  # the same numbers
            self._remember(out, self.reference(args[0]))
            return out
        if name in SILENT or not any(isinstance(leaf, Tensor) for leaf in leaves(out)):
            return out
        if any(isinstance(tensor, WeightView) for tensor in tensors):
            raise self._refuse(_WEIGHT)
        written = [tensor for tensor, version in zip(tensors, versions, strict=True) if tensor._version != version]
        operation = operation_of(func, bool(written), len(args) <= 2 and not kwargs)
        if operation is None or "out" in kwargs or any(tensor is not tensors[0] for tensor in written):
            raise self._refuse(f"{name} writes into a tensor")
        taken, by_name = mapped(args, self.reference), mapped(kwargs, self.reference)
        by_name = of_method(func, operation, by_name)
        if written and operation.function is func:
            taken, by_name = without_writing(func, taken, by_name)
        taken = in_order(func, operation, taken)
        event = self._event(operation, None, taken, by_name, random)
        return self._gave(event, out, tensors, written)

    def _check_read(self, name: str, args: Any) -> None:
        for value in leaves(args):
            source = self.reference(value)
            if isinstance(source, Given) or (isinstance(source, Result) and source.event in self.from_data):
                raise self._refuse(f"a decision or a number depends on data ({name.strip('_')} of a tensor)")

    def apply(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], call: Callable[[], Any]) -> Any:
        """Record a user's autograd Function as one operation."""
        if self.inside or threading.get_ident() != self.thread:
            return call()
        self.inside += 1
        try:
            random = torch.get_rng_state()
            out = call()
            function, args = bound(function, args)
            taken, by_name = mapped(args, self.reference), mapped(kwargs, self.reference)
            event = self._event(Operation("autograd", function.__name__, function), None, taken, by_name, random)
            return self._gave(event, out, [leaf for leaf in leaves(args) if isinstance(leaf, Tensor)], [])
        finally:
            self.inside -= 1

    def _event(
        self, target: Any, module: nn.Module | None, args: tuple[Any, ...], kwargs: dict[str, Any], random: Tensor
    ) -> Event:
        place, path = self._place()
        name = target if isinstance(target, str) else (target.kind == "autograd", target.name)
        event = Event(len(self.recording.events), target, module, tuple(args), dict(kwargs), place, (name, path))
        event.random = not torch.equal(random, torch.get_rng_state())
        event.no_grad = self.grad and not torch.is_grad_enabled()
        self.recording.events.append(event)
        if module is not None or any(map(self._is_from_data, leaves((args, kwargs)))):
            self.from_data.add(event.index)
        return event

    def _is_from_data(self, source: Any) -> bool:
        if isinstance(source, Kept):
            owner, _, key = source.name.rpartition(".")
            return key in self.recording.network.get_submodule(owner)._parameters
        return isinstance(source, Given) or (isinstance(source, Result) and source.event in self.from_data)

    def _gave(self, event: Event, out: Any, tensors: list[Tensor], written: list[Tensor]) -> Any:
        """Note what an event gave, under new tensors where it gave back one of its arguments as it was."""
        if not written:
            same = {id(tensor) for tensor in tensors}
            out = mapped(out, lambda leaf: leaf.view_as(leaf) if id(leaf) in same else leaf)
        for tensor in written:
            self._note(event, (), tensor)
        for path, leaf in named_leaves(out):
            if isinstance(leaf, Tensor):
                self._note(event, path, leaf)
        return out

    def _note(self, event: Event, path: tuple[Any, ...], tensor: Tensor) -> None:
        result = Result(event.index, path)
        self._remember(tensor, result)
        event.shapes[path] = tuple(tensor.shape)
        self.recording.values[result] = tensor

    # ---- calls of modules ------------------------------------------------------------------------------------

    def enter(self, module: nn.Module, args: Any) -> None:
        """Take note that a module is called."""
        if threading.get_ident() != self.thread:
            return
        self.times[module] += 1
        call = _Call(module, bool(self.names.get(id(module))) and not self.inside and self.whole(module))
        self.calls.append(call)
        if call.whole:
            self.inside += 1
            call.args = mapped(args, self.reference)
            call.tensors = [leaf for leaf in leaves(args) if isinstance(leaf, Tensor)]
            call.versions = [tensor._version for tensor in call.tensors]
            call.random, call.kept = torch.get_rng_state(), _kept(module)

    def leave(self, module: nn.Module, kwargs: Any, out: Any) -> Any:
        """Record the call of a module that is a whole."""
        if threading.get_ident() != self.thread:
            return out
        call = self.calls.pop()
        if not call.whole:
            return out
        written = [t for t, version in zip(call.tensors, call.versions, strict=True) if t._version != version]
        args, by_name = _by_place(module, call.args, mapped(kwargs, self.reference))
        event = self._event(self.names[id(module)], module, args, by_name, call.random)
        tensors = call.tensors + [leaf for leaf in leaves(kwargs) if isinstance(leaf, Tensor)]
        out = self._gave(event, out, tensors, written)
        self._note_state(event, module, call.kept, out)
        self.inside -= 1
        return out

    def _note_state(self, event: Event, module: nn.Module, before: dict[str, Any], out: Any) -> None:
        after = {key: value for key, value in _kept(module).items() if before.get(key) is not value}
        after = {key: value for key, value in after.items() if _tensors(value)}
        if not after:
            return
        last, left = self.left.get(module, (-1, {}))
        if left and all(self._is_same(before.get(key), value) for key, value in left.items()):
            event.before = last
        else:
            event.rest = not any(tensor.any() for key in after for tensor in _tensors(before.get(key)))
        event.states = tuple(after)
        self.left[module] = (event.index, after)
        given = {id(leaf) for leaf in leaves(out)}
        for key, value in after.items():
            for path, leaf in named_leaves(value):
                if isinstance(leaf, Tensor) and id(leaf) not in given:
                    self._note(event, (STATE, key, *path), leaf)

    def kept_since(self, before: Mapping[tuple[nn.Module, str], Any]) -> tuple[str, ...]:
        """Return the names under which modules of the user's, called once for all steps, keep what they computed."""
        found = []
        for (module, key), values in _attributes(self.recording.network).items():
            changed = self.times[module] == 1 and list(map(id, values)) != list(map(id, before.get((module, key), ())))
            if changed and any(self._is_computed(self.sources.get(id(value))) for value in values):
                name = self.names.get(id(module), "")
                found.append(f"{name}.{key}" if name else key)
        return tuple(found)

    def _is_computed(self, source: Any) -> bool:
        return isinstance(source, Result) and source.event in self.from_data

    def _is_same(self, one: Any, other: Any) -> bool:
        """Say whether a state is what it was, or the same but for its gradient where that does not matter."""
        sources = self.sources.get(id(one)), self.sources.get(id(other))
        return one is other or (not self.learns and sources[0] is not None and sources[0] == sources[1])

    # ---- where in the user's program -------------------------------------------------------------------------

    def _place(self) -> tuple[Place, tuple[Any, ...]]:
        frame: FrameType | None = sys._getframe(1)
        path, place = [], None
        while frame is not None and frame is not self.top:
            library = frame.f_globals.get("__name__", "").partition(".")[0]
            if library not in LIBRARIES and place is None:
                place = Place(frame.f_code.co_filename, frame.f_lineno)
            if frame.f_code.co_filename != __file__:
                path.append((frame.f_code, frame.f_lasti))
            frame = frame.f_back
        if place is None:
            around = [self.names[id(call.module)] for call in self.calls if self.names.get(id(call.module))]
            place = Place(f"layer {around[-1]!r}" if around else type(self.recording.network).__name__, 0)
        return place, (*path, *(id(call.module) for call in self.calls if not call.whole))


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in leaves(value) if isinstance(leaf, Tensor)]


def _attributes(network: nn.Module) -> dict[tuple[nn.Module, str], list[Any]]:
    """Return what modules of the user's keep beside their parameters, also in lists."""
    users = (module for module in network.modules() if not is_of_library(module))
    return {(module, key): leaves(value) for module in users for key, value in _kept(module).items()}


def _kept(module: nn.Module) -> dict[str, Any]:
    """Return what a module keeps beside its parameters: tensors, and what may become one."""
    if type(module).__module__.startswith("torch.nn."):
        return {}
    own = {key: value for key, value in module.__dict__.items() if key not in _OF_EVERY_MODULE}
    for values in [value for value in own.values() if isinstance(value, dict)]:  # as SpikingJelly keeps its states
        own.update({key: getattr(module, key) for key in values if isinstance(key, str) and hasattr(module, key)})
    return {**own, **module._buffers}


@contextmanager
def _hooks(recorder: _Recorder) -> Iterator[None]:
    """Let a recorder hear of every call of a module."""

    def enter(module: nn.Module, args: Any) -> None:
        recorder.enter(module, args)

    def leave(module: nn.Module, args: Any, kwargs: Any, out: Any) -> Any:
        return recorder.leave(module, kwargs, out)

    handles = [
        register_module_forward_pre_hook(enter),
        register_module_forward_hook(leave, with_kwargs=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
            # Which torch leaves there, and takes for a hook when it compiles.
            getattr(torch_modules, "_global_forward_hooks_with_kwargs", {}).pop(handle.id, None)


@contextmanager
def _autograd(recorder: _Recorder) -> Iterator[None]:
    """Let a recorder hear of every autograd Function, whose gradient is not that of the operations inside."""
    # What `Function.apply` calls in its turn: a class's `apply` that was taken before goes there, too.
    function: Any = _SingleLevelFunction
    before = vars(function).get("apply")

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        def call() -> Any:
            if before is not None:
                return before.__func__(cls, *args, **kwargs)
            return super(function, cls).apply(*args, **kwargs)

        return recorder.apply(cls, args, kwargs, call)

    function.apply = classmethod(apply)
    try:
        yield
    finally:
        if before is None:
            del function.apply
        else:
            function.apply = before
