"""Flower's secure aggregation (SecAgg+): the server learns the mean of what clients send, and nothing else of them.

Flower has it for its older interface: a workflow on the server and a modifier of messages on the client, which pass
keys, shares of keys, masked vectors, and the shares that take the masks away. This file is the bridge to it. A client
masks its weighted change of the network, all floating-point tensors as one vector; integer tensors, such as counters of
batch norm, stay the server's, and clients report no loss. The masks are as strong as Flower's, with seeds of 32 bits.

References:
    Bell, Bonawitz, Gascón, Lepoint, Raykova, *Secure single-server aggregation with (poly)logarithmic overhead*, CCS
    2020.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid
from torch import Tensor

from snntorch_binary.federated.averaging import State
from snntorch_binary.federated.flower.records import (
    ARRAYS,
    CONFIG,
    from_record,
    task_of,
    update_of,
    why_failed,
    wire_bytes,
)
from snntorch_binary.federated.settings import SecureAggregation
from snntorch_binary.kernels.noise import mix

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of what Flower imports
    from flwr.client.mod import secaggplus_mod
    from flwr.common import Code, FitIns, FitRes, Parameters, Status, ndarrays_to_parameters, parameters_to_ndarrays
    from flwr.compat.common.recorddict_compat import fitres_to_recorddict
    from flwr.server.compat.legacy_context import LegacyContext
    from flwr.server.workflow import SecAggPlusWorkflow
    from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key

Answer = Callable[[Message, Context], Message]


@dataclass
class SecureAnswers:
    """What came of a round.

    Attributes:
        mean: of the networks of some nodes.
        nodes: those in the mean, none where there is no mean.
        why_not: why others are not in it.
        bytes_up: bytes of the messages from each node, of all stages.
        bytes_down: bytes of those to each node.
    """

    mean: State
    nodes: list[int]
    why_not: dict[int, str]
    bytes_up: dict[int, int]
    bytes_down: dict[int, int]


class SecureExchange:
    """The server's side of a round: asks clients by SecAgg+, and answers in each one's place with the mean of all.

    A client that is lost, or fails, is left out of the mean as long as enough others are there to take its masks away.

    Args:
        settings: of the protocol.
        max_weight: what the client that counts most counts: its number of examples, or 1.
        timeout: seconds to wait for clients in each of the four stages.
    """

    def __init__(self, settings: SecureAggregation, max_weight: float, timeout: float) -> None:
        self.settings = settings
        self.max_weight = max_weight
        self.timeout = timeout

    def ask(self, grid: Grid, messages: Sequence[Message]) -> SecureAnswers:
        """Have the messages of a round, one a node, answered."""
        asked = {message.metadata.dst_node_id: message.content for message in messages}
        any_content = next(iter(asked.values()))
        round_number = task_of(any_content.config_records[CONFIG]).round
        start = from_record(any_content.array_records[ARRAYS])
        counted = _CountingGrid(grid)
        collected = _Collected(asked)
        context = LegacyContext(
            Context(run_id=0, node_id=0, node_config={}, state=RecordDict(), run_config={}),
            strategy=cast(Any, collected),
        )
        context.state[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: round_number})
        context.state[MAIN_PARAMS_RECORD] = ArrayRecord()
        workflow = _Workflow(
            asked,
            float(self.settings.num_shares),
            float(self.settings.reconstruction_threshold),
            max_weight=self.max_weight,
            clipping_range=float(self.settings.clipping_range),
            timeout=self.timeout,
        )
        workflow(cast(Grid, counted), context)
        nodes = collected.nodes
        why_not = {node: why for node, why in counted.errors.items() if node not in nodes}
        if not nodes:
            why_not = dict.fromkeys(asked, "too few clients were left for a secure mean") | why_not
        return SecureAnswers(_moved(start, collected.mean), nodes, why_not, counted.up, counted.down)


class SecureModifier:
    """The client's side: a modifier of its messages.

    Args:
        settings: of the protocol, the server's.
        uniform: let every client count the same, whatever its number of examples.
    """

    def __init__(self, settings: SecureAggregation, uniform: bool) -> None:
        self.settings = settings
        self.uniform = uniform

    def __call__(self, message: Message, context: Context, call_next: Answer) -> Message:
        """Answer a message of any stage.

        Raises:
            ValueError: a value has changed by more than can be sent, or is NaN.
        """
        with ExitStack() as until_masked:

            def answer(message: Message, context: Context) -> Message:
                update = update_of(call_next(message, context).content)
                asked = message.content
                start = from_record(asked.array_records[ARRAYS])
                change = _change(start, update.arrays, self.settings.clipping_range)
                task = task_of(asked.config_records[CONFIG])
                until_masked.enter_context(_rounding(mix(task.seed, task.client)))
                weight = 1 if self.uniform else update.num_examples
                sent = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([change.numpy()]), weight, {})
                content = fitres_to_recorddict(sent, keep_input=False)
                return Message(content, reply_to=message)

            reply = secaggplus_mod(message, context, answer)
        for record in reply.content.metric_records.values():
            record.clear()  # the weight travels masked
            record["num_examples"] = 1
        return reply


class _Workflow(SecAggPlusWorkflow):
    """Flower's workflow with contents of our own, and without clients that are lost before they share keys.

    As it is, it waits for shares of those clients' keys, which nobody has, and gives the round up.
    """

    def __init__(self, contents: Mapping[int, RecordDict], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._contents = contents

    def setup_stage(self, grid: Grid, context: LegacyContext, state: Any) -> bool:
        super().setup_stage(grid, context, state)
        state.nid_to_fitins = dict(self._contents)
        return self._without_lost(state)

    def share_keys_stage(self, grid: Grid, context: LegacyContext, state: Any) -> bool:
        super().share_keys_stage(grid, context, state)
        return self._without_lost(state)

    def _without_lost(self, state: Any) -> bool:
        there = set(state.active_node_ids)
        state.sampled_node_ids = set(there)
        state.nid_to_neighbours = {node: state.nid_to_neighbours[node] & there for node in there}
        return bool(there) and self._check_threshold(state)


class _Collected:
    """As much of a strategy as the workflow needs: whom to ask, and where the mean goes."""

    def __init__(self, nodes: Iterable[int]) -> None:
        self._asked = list(nodes)
        self.nodes: list[int] = []
        self.mean: Tensor | None = None  # of changes

    def configure_fit(self, server_round: int, parameters: Parameters, client_manager: Any) -> list[Any]:
        return [(SimpleNamespace(node_id=node), FitIns(Parameters([], ""), {})) for node in self._asked]

    def aggregate_fit(self, server_round: int, results: list[Any], failures: list[Any]) -> tuple[None, dict[str, Any]]:
        self.nodes = [proxy.node_id for proxy, _ in results]
        self.mean = torch.from_numpy(parameters_to_ndarrays(results[0][1].parameters)[0])
        return None, {}


class _CountingGrid:
    """Counts the bytes of all messages, and keeps the nodes' errors."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self.up: dict[int, int] = {}
        self.down: dict[int, int] = {}
        self.errors: dict[int, str] = {}

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        messages = list(messages)
        for message in messages:
            node = message.metadata.dst_node_id
            self.down[node] = self.down.get(node, 0) + wire_bytes(message)
        replies = list(self._grid.send_and_receive(messages, timeout=timeout))
        for reply in replies:
            node = reply.metadata.src_node_id
            if reply.has_error():
                self.errors.setdefault(node, why_failed(reply))
            else:
                self.up[node] = self.up.get(node, 0) + wire_bytes(reply)
        return replies


def _summed(state: State) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}


def _change(start: State, sent: State, limit: float) -> Tensor:
    """Return a client's change as one vector in float64."""
    changes = []
    for name, tensor in _summed(start).items():
        change = (sent[name].double() - tensor.double()).flatten()
        largest = change.abs().max().item() if len(change) else 0.0
        if not largest <= limit:
            raise ValueError(f"{name} changed by {largest:.3g}, which is more than clipping_range {limit:g}")
        changes.append(change)
    return torch.cat(changes)


def _moved(start: State, mean: Tensor | None) -> State:
    """Return the network of a mean change."""
    moved, at = dict(start), 0
    if mean is None:
        return moved
    for name, tensor in _summed(start).items():
        change = mean[at : at + tensor.numel()].reshape(tensor.shape)
        moved[name] = (tensor.double() + change).to(tensor.dtype)
        at += tensor.numel()
    return moved


@contextmanager
def _rounding(seed: int) -> Iterator[None]:
    """Seed the draws of Flower's stochastic rounding, so that equal settings give equal results."""
    before = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(before)
