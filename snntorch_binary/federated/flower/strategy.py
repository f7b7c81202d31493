"""A Flower strategy around any coordinator: who takes part, who is left out, and how many bytes were sent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from snntorch_binary._errors import expected
from snntorch_binary.federated.aggregation import require_mean
from snntorch_binary.federated.coordinator import NetworkCoordinator
from snntorch_binary.federated.exchange import Coordinator, Task, Update
from snntorch_binary.federated.flower.answers import (
    MOST_EXAMPLES,
    Refused,
    one_each,
    read_answer,
    read_client,
    shown,
)
from snntorch_binary.federated.flower.records import ARRAYS, CONFIG, task_record, to_record, wire_bytes
from snntorch_binary.federated.selection import chosen_clients, round_seed

if TYPE_CHECKING:
    from snntorch_binary.federated.flower.secure_aggregation import SecureAnswers, SecureExchange

_QUERY_TIMEOUT = 60.0  # seconds
log = logging.getLogger("snntorch_binary.federated")


class TooFewClientsError(RuntimeError):
    """There are fewer clients than a round needs; Flower's own strategies wait for ever."""


@dataclass
class RoundReport:
    """What happened in a round.

    Attributes:
        round: its number, from 1.
        chosen: the clients that were asked, in their order.
        used: those whose answers count.
        left_out: why an answer does not count, by client.
        bytes_down: bytes of the message to each client.
        bytes_up: bytes of the message from each client that answered.
        metrics: what each client that counts reported.
    """

    round: int
    chosen: list[int] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)
    bytes_down: dict[int, int] = field(default_factory=dict)
    bytes_up: dict[int, int] = field(default_factory=dict)
    metrics: dict[int, dict[str, float]] = field(default_factory=dict)


class FederatedStrategy(Strategy):
    """Flower's rounds around a :class:`snntorch_binary.federated.Coordinator`.

    A round's clients are a function of (seed, round). A client that fails, does not answer in time, or whose answer is
    not what it should be is left out with a line that names it, and the round goes on; where nobody is left, the global
    state stays as it is. A node that does not say which client it is, or says that it is one that another node is,
    takes no part; rounds for which too few are left then go on with fewer.

    Args:
        coordinator: the server's side.
        clients_per_round: how many clients are asked in a round.
        seed: of the selection, and of all that clients and server do.
        rounds_done: rounds that lie behind; Flower counts its own from 1 again.
        accepted: the last round in which a client's answer counted, by client, of the rounds that lie behind.
        wait: seconds to wait for enough clients to connect before it is an error.
        num_examples: how many examples each of the K clients has, where the server knows it. Elsewhere a client has
            what it says at first, in the first of its answers that counts. An answer that says more does not count.
        secure: how clients are asked where the server is to learn the mean of their answers only.
        on_round: called with the report after each round.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        clients_per_round: int,
        seed: int,
        *,
        rounds_done: int = 0,
        accepted: dict[int, int] | None = None,
        wait: float = 0.0,
        num_examples: Sequence[int] | None = None,
        secure: SecureExchange | None = None,
        on_round: Callable[[RoundReport], None] | None = None,
    ) -> None:
        if clients_per_round < 1:
            raise ValueError(expected("clients_per_round", "a positive integer", clients_per_round))
        if rounds_done < 0:
            raise ValueError(expected("rounds_done", "an integer of at least 0", rounds_done))
        if secure is not None and isinstance(coordinator, NetworkCoordinator):
            require_mean(coordinator.aggregation, coordinator.uniform)
        self.coordinator = coordinator
        self.clients_per_round = clients_per_round
        self.seed = seed
        self.rounds_done = rounds_done
        self.accepted = dict(accepted or {})
        self.wait = wait
        self.secure = secure
        self.on_round = on_round
        self._num_clients = None if num_examples is None else len(num_examples)
        self._most_examples = dict(enumerate(num_examples or ()))
        self._client_of: dict[int, int] = {}  # by node
        self._strangers: dict[int, Refused] = {}  # why nodes take no part
        self._report = RoundReport(rounds_done)
        self._asked: dict[int, int] = {}  # clients of the round, by node
        self._secured: SecureAnswers | None = None

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Choose the clients of a round, and say what they are asked for.

        Raises:
            TooFewClientsError: there are fewer than a round needs.
        """
        number = self.rounds_done + server_round
        nodes = self._wait_for_clients(grid)
        chosen = chosen_clients(sorted(nodes), min(self.clients_per_round, len(nodes)), self.seed, number)
        self._report = RoundReport(number, chosen)
        self._asked = {nodes[client]: client for client in chosen}
        messages = []
        for client in chosen:
            task = Task(number, round_seed(self.seed, number), client, len(nodes), self.accepted.get(client, 0))
            content = RecordDict({ARRAYS: arrays, CONFIG: task_record(task)})
            message = Message(content, dst_node_id=nodes[client], message_type=MessageType.TRAIN)
            messages.append(message)
        if self.secure is not None:
            self._secured = self.secure.ask(grid, messages)
            return []
        self._report.bytes_down = dict(zip(chosen, map(wire_bytes, messages), strict=True))
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Let the coordinator make one state of the answers that can be used."""
        report = self._report
        answers: dict[int, Update] = {}
        for node, reply in one_each(replies, self._asked).items():
            client = self._asked[node]
            update = reply if isinstance(reply, Refused) else self._read(reply, client)
            if isinstance(update, Refused):
                report.left_out[client] = update.reason
            else:
                answers[client] = update
        if self._secured is not None:
            answers = self._read_secured(self._secured)
        for client in report.chosen:
            if client not in answers and client not in report.left_out:
                report.left_out[client] = "it was lost or did not answer in time"
        for client in sorted(report.left_out):
            reason = report.left_out[client]
            log.warning("Round %d goes on without client %d: %s.", report.round, client, reason)
        # Replies come in any order; the result must not depend on it.
        updates = {client: answers[client] for client in report.chosen if client in answers}
        if updates:
            report.used = self.coordinator.combine(updates, report.round, round_seed(self.seed, report.round))
            report.metrics = {client: dict(updates[client].metrics) for client in report.used}
            report.left_out |= {client: "it was too late" for client in updates if client not in report.used}
            self.accepted.update(dict.fromkeys(report.used, report.round))
            for client in report.used:
                self._most_examples.setdefault(client, updates[client].num_examples)
        else:
            log.warning("Round %d changed nothing: no answer could be used.", report.round)
        if self.on_round is not None:
            self.on_round(report)
        return to_record(self.coordinator.arrays()), None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask no client: the server evaluates."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return nothing: the server evaluates."""
        return None

    def summary(self) -> None:
        """Log what the strategy does."""
        log.info("%d clients a round, seed %d", self.clients_per_round, self.seed)

    def _read(self, reply: Message, client: int) -> Update | Refused:
        """Return a client's answer, or why it does not count."""
        answer = read_answer(reply, self._most_examples.get(client, MOST_EXAMPLES))
        if answer.num_bytes:
            self._report.bytes_up[client] = answer.num_bytes
        if isinstance(answer.update, Refused):
            return answer.update
        reason = self.coordinator.why_refused(answer.update)
        return answer.update if reason is None else Refused(shown(reason))

    def _read_secured(self, secured: SecureAnswers) -> dict[int, Update]:
        """Return what counts as each client's answer: the mean of all."""
        report = self._report
        report.bytes_up = {self._asked[node]: count for node, count in secured.bytes_up.items() if count}
        report.bytes_down = {self._asked[node]: count for node, count in secured.bytes_down.items()}
        for node, reason in secured.why_not.items():
            if node in secured.nodes:
                log.warning(
                    "Round %d goes on without the shares of client %d: %s.", report.round, self._asked[node], reason
                )
            else:
                report.left_out[self._asked[node]] = reason
        return {self._asked[node]: Update(secured.mean, num_examples=1) for node in secured.nodes}

    def _wait_for_clients(self, grid: Grid) -> dict[int, int]:
        """Return the node of each client, once there are enough of them."""
        until = time.monotonic() + self.wait
        while True:
            nodes = self._nodes(grid)
            if nodes and len(nodes) + len(self._strangers) >= self.clients_per_round:
                return nodes
            if time.monotonic() >= until:
                why_not = "".join(f"; node {node}: {why.reason}" for node, why in sorted(self._strangers.items()))
                raise TooFewClientsError(
                    f"A round needs {self.clients_per_round} clients, but there are {len(nodes)}{why_not}; start more "
                    "of them, or lower clients_per_round."
                )
            time.sleep(min(0.5, self.wait))

    def _nodes(self, grid: Grid) -> dict[int, int]:
        """Return the node of each client that is there now, asking those not seen before which one they are."""
        there = sorted(grid.get_node_ids())
        known = {self._client_of[node]: node for node in there if node in self._client_of}
        strangers = {node: why for node, why in self._strangers.items() if node in there}
        decided = self._client_of.keys() | {node for node, why in strangers.items() if not why.failed}
        new = [node for node in there if node not in decided]
        questions = [Message(RecordDict(), dst_node_id=node, message_type=MessageType.QUERY) for node in new]
        replies = one_each(grid.send_and_receive(questions, timeout=_QUERY_TIMEOUT), new) if new else {}
        for node in sorted(replies):  # not as they come: of two that say the same, the same one always counts
            reply = replies[node]
            client = reply if isinstance(reply, Refused) else read_client(reply, self._num_clients)
            if not isinstance(client, Refused) and client in known:
                client = Refused(f"it says that it is client {client}, which node {known[client]} is")
            if isinstance(client, Refused):
                if strangers.get(node) != client:
                    log.warning("Node %d takes no part: %s.", node, client.reason)
                strangers[node] = client
            else:
                strangers.pop(node, None)
                self._client_of[node] = client
                known[client] = node
        self._strangers = strangers
        return known
