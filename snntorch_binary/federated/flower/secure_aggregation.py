"""Flower's secure aggregation (SecAgg+): a server that follows the protocol learns the mean of what clients send.

Flower has it for its older interface: a workflow on the server and a modifier of messages on the client, which pass
keys, shares of keys, masked vectors, and the shares that take the masks away. This file is the bridge to it. A client
masks its weighted change of the network, all floating-point tensors as one vector; integer tensors, such as counters of
batch norm, stay the server's, and clients report no loss. A client that fails says why in the clear.

A client whose messages are not what they should be is left out like one that is lost: before it has shared its keys
nobody needs it, and later others take its masks away, as long as there are enough of them. Where there are not, or
where shares or vectors of the right form are wrong, the round is given up.

What Flower's protocol does not withstand: a server that lies about which clients there are; one that tries all seeds of
its masks, which have 32 bits; and a client that masks another weight or vector than it should, of which only a mean
beyond the clipping range is noticed. Where clients are lost, the mean may be of two.

References:
    Bell, Bonawitz, Gascón, Lepoint, Raykova, *Secure single-server aggregation with (poly)logarithmic overhead*, CCS
    2020.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import InvalidToken
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid
from torch import Tensor

from snntorch_binary._logging import says_at_least
from snntorch_binary.federated.averaging import State, why_refused
from snntorch_binary.federated.flower.answers import Refused, read_answer, shown
from snntorch_binary.federated.flower.records import ARRAYS, CONFIG, from_record, task_of, wire_bytes
from snntorch_binary.federated.flower.secure_answers import MASK_RANGE, read_stage
from snntorch_binary.federated.protection import FEWEST_SUMMED, SecureAggregation
from snntorch_binary.kernels.noise import mix

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of what Flower imports
    from flwr.client.mod import secaggplus_mod
    from flwr.common import Code, FitIns, FitRes, Parameters, Status, ndarrays_to_parameters, parameters_to_ndarrays
    from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
    from flwr.compat.common.recorddict_compat import fitres_to_recorddict
    from flwr.server.compat.legacy_context import LegacyContext
    from flwr.server.workflow import SecAggPlusWorkflow
    from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
    from flwr.server.workflow.constant import Key as WorkflowKey

Answer = Callable[[Message, Context], Message]
_TARGET_RANGE = 2**22  # of a client's numbers
_AGREED = "secure"  # of the context's state: what the server asked for at the start of a round


@dataclass
class SecureAnswers:
    """What came of a round.

    Attributes:
        mean: of the networks of some nodes; the network they started from where there is no mean.
        nodes: those in the mean, none where there is no mean.
        why_not: why others are not in it; of those in it, why shares that they sent at last do not count.
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
        weights: what each client counts, by its number: its examples; ``None`` is uniform.
        timeout: seconds to wait for clients in each of the four stages.
    """

    def __init__(
        self, settings: SecureAggregation, weights: Sequence[float] | None = None, timeout: float = 3600.0
    ) -> None:
        self.settings = settings
        self.weights = weights
        self.timeout = timeout

    def ask(self, grid: Grid, messages: Sequence[Message]) -> SecureAnswers:
        """Have the messages of a round, one a node, answered."""
        asked = {message.metadata.dst_node_id: message.content for message in messages}
        any_content = next(iter(asked.values()))
        tasks = [task_of(content.config_records[CONFIG]) for content in asked.values()]
        start = from_record(any_content.array_records[ARRAYS])
        counted = _CheckedGrid(grid, _numbers(start))
        collected = _Collected(asked)
        context = LegacyContext(
            Context(run_id=0, node_id=0, node_config={}, state=RecordDict(), run_config={}),
            strategy=cast(Any, collected),
        )
        context.state[MAIN_CONFIGS_RECORD] = ConfigRecord({WorkflowKey.CURRENT_ROUND: tasks[0].round})
        context.state[MAIN_PARAMS_RECORD] = ArrayRecord()
        workflow = _Workflow(
            asked,
            float(self.settings.num_shares),
            float(self.settings.reconstruction_threshold),
            max_weight=self._largest([task.client for task in tasks]),
            clipping_range=float(self.settings.clipping_range),
            quantization_range=_TARGET_RANGE,
            modulus_range=MASK_RANGE,
            timeout=self.timeout,
        )
        halted = "too few clients were left for a secure mean"
        # What went wrong is said of each client.
        with says_at_least(logging.CRITICAL, "flwr"), np.errstate(divide="ignore", invalid="ignore"):
            try:
                workflow(cast(Grid, counted), context)
            # Whatever wrong shares of keys make of Flower and cryptography; nobody knows whose fault it is.
            except (ValueError, TypeError, AssertionError, ArithmeticError, UnsupportedAlgorithm) as error:
                halted = shown(f"the masked vectors could not be added ({error})")
        mean = collected.mean
        if mean is not None and not bool(mean.isfinite().all()):  # their weights are 0 in Flower's 22 bits
            mean, halted = None, "the clients that were left count too little beside the largest"
        # Of changes within the clipping range the mean is, too, but for rounding: else masks are left in it.
        elif mean is not None and not bool((mean.abs() <= 1.01 * self.settings.clipping_range).all()):
            mean, halted = None, "a masked vector or a share of its key is wrong"
        nodes = [] if mean is None else collected.nodes
        why_not = {node: why.reason for node, why in counted.refused.items() if not (why.failed and node in nodes)}
        if not nodes:
            why_not = dict.fromkeys(asked, halted) | why_not
        network = start if mean is None else _moved(start, mean)
        return SecureAnswers(network, nodes, why_not, counted.up, counted.down)

    def _largest(self, clients: Sequence[int]) -> float:
        """Return the largest weight; a client that nobody knows will answer with an error."""
        known = [self.weights[client] for client in clients if 0 <= client < len(self.weights)] if self.weights else []
        return max(known, default=1.0)


class SecureModifier:
    """The client's side: a modifier of its messages.

    Args:
        settings: of the protocol; a server that asks for less is refused.
        uniform: let every client count the same, whatever its number of examples; as on the server.
    """

    def __init__(self, settings: SecureAggregation, uniform: bool) -> None:
        self.settings = settings
        self.uniform = uniform

    def __call__(self, message: Message, context: Context, call_next: Answer) -> Message:
        """Answer a message of any stage.

        Raises:
            ValueError: the server's protocol is another one than this client's, or what was learned cannot be sent.
        """
        if RECORD_KEY_CONFIGS not in message.content.config_records:
            raise ValueError("this client's settings have secure_aggregation, the server's have none")
        self._check(dict(message.content.config_records[RECORD_KEY_CONFIGS]), context)
        with ExitStack() as until_masked:

            def answer(message: Message, context: Context) -> Message:
                update = read_answer(call_next(message, context)).update
                if isinstance(update, Refused):
                    raise ValueError(update.reason)
                start = from_record(message.content.array_records[ARRAYS])
                refused = why_refused(update.arrays, start)
                if refused is not None:
                    raise ValueError(refused)
                task = task_of(message.content.config_records[CONFIG])
                weight = 1 if self.uniform else update.num_examples
                if weight > float(cast(float, context.state.config_records[_AGREED][Key.MAX_WEIGHT])):
                    raise ValueError("it has more examples than the server knows of")
                change = _change(start, update.arrays, self.settings.clipping_range)
                until_masked.enter_context(_rounding(mix(task.seed, task.client)))
                sent = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([change.numpy()]), weight, {})
                content = fitres_to_recorddict(sent, keep_input=False)
                return Message(content, reply_to=message)

            try:
                reply = secaggplus_mod(message, context, answer)
            except InvalidToken:  # of cryptography, which says no more
                raise ValueError("it cannot read the shares that another client sent it") from None
        for record in reply.content.metric_records.values():
            record["num_examples"] = 1  # the weight travels masked
        return reply

    def _check(self, given: dict[str, Any], context: Context) -> None:
        """Refuse a protocol that hides less than this client's, or in which its numbers would mean something else."""
        if given.get(Key.STAGE) != Stage.SETUP:
            return
        num_clients = given.get(Key.SAMPLE_NUMBER, 0)
        if num_clients < FEWEST_SUMMED:
            raise ValueError(f"the server asks for a mean of {num_clients} clients, which hides nobody")
        shares, threshold = _shares_and_threshold(self.settings, num_clients)
        wanted = {
            Key.SHARE_NUMBER: shares,
            Key.THRESHOLD: threshold,
            Key.CLIPPING_RANGE: float(self.settings.clipping_range),
            Key.TARGET_RANGE: _TARGET_RANGE,
            Key.MOD_RANGE: MASK_RANGE,
        }
        if self.uniform:
            wanted[Key.MAX_WEIGHT] = 1.0
        for key, value in wanted.items():
            if given.get(key) != value:
                raise ValueError(f"the server has {key} {given.get(key)} and this client {value}: settings differ")
        context.state[_AGREED] = ConfigRecord({Key.MAX_WEIGHT: float(given[Key.MAX_WEIGHT])})


def _shares_and_threshold(settings: SecureAggregation, num_clients: int) -> tuple[int, int]:
    """Return what Flower makes of the two proportions."""
    shares = round(settings.num_shares * num_clients)
    if shares < num_clients and shares % 2 == 0:
        shares += 1
    if shares <= 2:
        shares = num_clients
    return shares, max(round(settings.reconstruction_threshold * shares), 2)


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


class _CheckedGrid:
    """Hands Flower's workflow only what can be used, counts the bytes of all messages, and keeps why nodes are refused.

    Args:
        grid: which carries the messages.
        num_values: numbers in a masked vector.
    """

    def __init__(self, grid: Grid, num_values: int) -> None:
        self._grid = grid
        self._num_values = num_values
        self.up: dict[int, int] = {}
        self.down: dict[int, int] = {}
        self.refused: dict[int, Refused] = {}

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        asked = {message.metadata.dst_node_id: message for message in messages}
        for node, message in asked.items():
            self.down[node] = self.down.get(node, 0) + wire_bytes(message)
        # What was asked is read before it is sent: clients of this process take it apart.
        configs = {node: dict(message.content.config_records[RECORD_KEY_CONFIGS]) for node, message in asked.items()}
        replies = list(self._grid.send_and_receive(asked.values(), timeout=timeout))
        usable = []
        for node, answer in read_stage(configs, replies, self._num_values).items():
            self.up[node] = self.up.get(node, 0) + answer.num_bytes
            if isinstance(answer.reply, Refused):
                self.refused.setdefault(node, answer.reply)
            else:
                usable.append(answer.reply)
        return usable


def _numbers(state: State) -> int:
    return sum(tensor.numel() for tensor in _summed(state).values())


def _summed(state: State) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}


def _change(start: State, sent: State, limit: float) -> Tensor:
    """Return a client's change as one vector in float64."""
    changes = []
    for name, tensor in _summed(start).items():
        change = (sent[name].double() - tensor.double()).flatten()
        largest = change.abs().max().item() if len(change) else 0.0
        if not largest <= limit:  # by how much stays with the client
            raise ValueError(f"a number changed by more than clipping_range {limit:g}")
        changes.append(change)
    return torch.cat(changes)


def _moved(start: State, mean: Tensor) -> State:
    """Return the network of a mean change."""
    moved, at = dict(start), 0
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
