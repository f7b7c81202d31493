"""FL-SNN's devices and base station as the two sides of a federation, for Flower or any other carrier."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from snntorch_binary._errors import expected
from snntorch_binary.federated.averaging import State, why_refused
from snntorch_binary.federated.exchange import Task, Update
from snntorch_binary.federated.fl_snn.device import OnlineDevice
from snntorch_binary.federated.fl_snn.selective import Share, average, num_selected
from snntorch_binary.federated.fl_snn.synapses import (
    biases_and_feedback,
    set_biases_and_feedback_,
    set_synapses_,
    synapses,
)
from snntorch_binary.nn.wta.network import WTANetwork

INDICES, WEIGHTS = "indices", "weights"
"""Names of a share's tensors in a message, beside those of biases and feedback weights."""


class OnlineParticipant:
    """A device that learns for τ local steps a round and goes on in the next one where it stopped.

    All that it is in the middle of is in the client's memory, which Flower keeps in ``context.state``.

    Args:
        make_device: returns the device of a client, by its number.
        tau: local steps τ in a round, at least 1.
        rate: weights per synapse and local step, see :func:`snntorch_binary.federated.num_selected`.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, make_device: Callable[[int], OnlineDevice], tau: int, rate: float) -> None:
        num_selected(tau, rate, 1)
        self._make_device = make_device
        self._devices: dict[int, OnlineDevice] = {}
        self.tau, self.rate = tau, rate

    def train(self, arrays: State, task: Task, memory: State) -> Update:
        """Take over what was exchanged, learn for τ local steps, and send the basis functions that moved most."""
        if task.client not in self._devices or not memory:
            self._devices[task.client] = self._make_device(task.client)
        device = self._devices[task.client]
        if memory:
            device.load_state_dict(memory)
        device.receive(share_of(arrays))
        device.advance(self.tau)
        share = device.share(num_selected(self.tau, self.rate, device.net.basis.num))
        memory.update({name: value.clone() for name, value in device.state_dict().items()})
        return Update(state_of(share), len(device.labels))


class OnlineCoordinator:
    """The base station: averages what devices send, each basis function over those that sent it.

    The first round starts from all of the network; in later ones devices get what was exchanged, and keep their own of
    the rest. Devices count the same, whatever their number of examples: all learn for as many steps.

    Args:
        net: the network from which all devices start. It follows what is exchanged.
    """

    def __init__(self, net: WTANetwork) -> None:
        self.net = net
        num_basis = net.basis.num
        self._mean = Share(torch.arange(num_basis), synapses(net), biases_and_feedback(net))

    def arrays(self) -> State:
        """Return what was exchanged last."""
        return state_of(self._mean)

    def why_refused(self, update: Update) -> str | None:
        """Say why an answer cannot be used: another network, NaN, indices of no basis function; or ``None``."""
        sent = dict(update.arrays)
        indices = sent.pop(INDICES, torch.empty(0))
        num_basis = self.net.basis.num
        if indices.dtype != torch.int64 or indices.dim() != 1 or not 1 <= len(indices) <= num_basis:
            return f"it does not say which of {num_basis} basis functions it sent"
        if not bool(((indices >= 0) & (indices < num_basis)).all()) or len(indices.unique()) < len(indices):
            return f"its basis functions {indices.tolist()} are not different ones of {num_basis}"
        return why_refused(sent, {WEIGHTS: synapses(self.net)[:, indices], **biases_and_feedback(self.net)})

    def combine(self, updates: Mapping[int, Update], round: int, seed: int) -> list[int]:
        """Average a round's answers; all of them count."""
        self._mean = average([share_of(update.arrays) for update in updates.values()])
        values = synapses(self.net)
        values[:, self._mean.indices] = self._mean.weights
        set_synapses_(self.net, values)
        set_biases_and_feedback_(self.net, self._mean.rest)
        return list(updates)

    def state_dict(self) -> State:
        """Return the network, and what was exchanged last."""
        return {**self.net.state_dict(), **{f"last.{name}": value for name, value in self.arrays().items()}}

    def load_state_dict(self, state: State) -> None:
        """Go on from there."""
        own = self.net.state_dict().keys()
        self.net.load_state_dict({name: state[name] for name in own})
        self._mean = share_of({name.removeprefix("last."): state[name] for name in state.keys() - own})


def state_of(share: Share) -> State:
    """Return a share as tensors by name."""
    return {INDICES: share.indices, WEIGHTS: share.weights, **share.rest}


def share_of(arrays: State) -> Share:
    """Return tensors by name as the share they are.

    Raises:
        ValueError: they are none.
    """
    rest = dict(arrays)
    if INDICES not in rest or WEIGHTS not in rest:
        raise ValueError(expected("arrays", f"with {INDICES} and {WEIGHTS}", ", ".join(sorted(arrays)) or "none"))
    return Share(rest.pop(INDICES), rest.pop(WEIGHTS), rest)
