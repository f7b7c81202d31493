"""A network in training as its graph over time: where it goes step by step and folds, batches take less time."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import in_one_line
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.fuse import as_graph
from snntorch_binary.graph.errors import NotAGraphError
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.inference.arguments import Inputs
from snntorch_binary.inference.find_form import form_of, known_step
from snntorch_binary.inference.form import Form
from snntorch_binary.inference.kept_state import tensors_of
from snntorch_binary.inference.run import run_as


class OverTime:
    """The network itself, or its graph over time from the first input on.

    Args:
        net: the network.
        step: whether it takes one time step a call; found out where it is not given.
        time_dim: dimension of time in its outputs; found out where it is not given.

    Attributes:
        said: in a sentence what has become of the network; empty where nothing has, or before it is known.
    """

    def __init__(self, net: nn.Module, step: bool | None, time_dim: int | None) -> None:
        self.net, self.step, self.time_dim = net, step, time_dim
        self.said = ""
        self._graph: GraphNetwork | None = None
        self._made_for: Any = None
        self._measured = False

    def __getstate__(self) -> dict[str, Any]:  # a copy records its own network
        return {**self.__dict__, "_graph": None, "_made_for": None}

    def of(self, x: Inputs) -> tuple[nn.Module, bool | None, int | None]:
        """Return what answers an input: a module, and its ``step`` and ``time_dim``."""
        if not isinstance(x, Tensor):
            return self.net, self.step, self.time_dim
        made_for = (x.device, x.dtype, x.dim())
        if made_for != self._made_for:
            self._graph = self._recorded(x)
            self._made_for = made_for
        if self._graph is None or not self._graph.takes(x):
            return self.net, self.step, self.time_dim
        self._graph.training = self.net.training
        form = form_of(self.net, x, self.step, self.time_dim)
        return self._graph, False, None if form.scored else form.time_dim

    def measure(self, x: Inputs) -> bool:
        """Compare, once, how long a step takes on a batch with and without the graph; return whether this was it."""
        if self._measured:
            return False
        self._measured = True
        if not isinstance(x, Tensor) or self.of(x)[0] is self.net:
            return bool(self.said)
        self.said = "All time steps are trained at once."
        try:
            ratio = self._speed_up(x)
        except Exception:  # such as too little memory for two networks; it is training that matters
            return True
        how = f"{ratio:.1f} times faster" if ratio >= 1 else f"{1 / ratio:.1f} times slower"
        self.said = f"All time steps are trained at once, {how} on the first batch than step by step."
        return True

    def _speed_up(self, x: Tensor) -> float:
        assert self._graph is not None
        form = form_of(self.net, x, self.step, self.time_dim)
        devices = [x.device] if x.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.enable_grad():
            each, at_once = copy_model(self.net), copy_model(self._graph)
            seconds = [(_seconds(each, form, x), _seconds(at_once, Form(step=False), x)) for _ in range(2)]
        return seconds[-1][0] / seconds[-1][1]  # the first is compilation

    def _recorded(self, x: Tensor) -> GraphNetwork | None:
        step = self.step
        try:
            if step is None and known_step(self.net) is False:
                return None  # it takes all time steps as it is
            found = as_graph(self.net, x, step)
        except NotAGraphError as error:
            self.said = f"{error} It is trained as it is."
            return None
        except Exception as error:  # whatever a user's network does; what is wrong with it, it says itself when it runs
            why = in_one_line(f"{type(error).__name__}: {error}", 300)
            self.said = f"The network could not be followed over time, and is trained as it is: {why}"
            return None
        return found if found.stepped else None


def _seconds(net: nn.Module, form: Form, x: Tensor) -> float:
    _wait(x)
    start = time.perf_counter()
    learned = [value.sum() for value in tensors_of(run_as(form, net, x)) if value.requires_grad]
    if learned:
        torch.stack(learned).sum().backward()
    _wait(x)
    return time.perf_counter() - start


def _wait(x: Tensor) -> None:
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
