"""Flower's strategy and ClientApp in one process, without its servers and without Ray."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from copy import copy

from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from snntorch_binary._errors import expected
from snntorch_binary.federated.averaging import State
from snntorch_binary.federated.flower.records import MEMORY, from_record, to_record

_SERVER = 1  # Flower's number for it
_CLIENT_FAILED = 2  # Flower's error code


class InProcessGrid(Grid):
    """Hands each message to a ClientApp at once; every client has a context of its own, which stays.

    A client that raises answers with an error, as in Flower, and gets a copy of what was sent. Flower offers no such
    grid: this one sets its private ``TaskIdentity`` and ``Metadata``.

    Args:
        app: the ClientApp.
        num_clients: K; client k is the node k + 2 with the ``partition-id`` k.

    Raises:
        ValueError: there is no client.
    """

    def __init__(self, app: ClientApp, num_clients: int) -> None:
        if num_clients < 1:
            raise ValueError(expected("num_clients", "a positive integer", num_clients))
        self.app = app
        first = _SERVER + 1
        self.contexts = {
            first + client: Context(
                run_id=0,
                node_id=first + client,
                node_config={"partition-id": client, "num-partitions": num_clients},
                state=RecordDict(),
                run_config={},
            )
            for client in range(num_clients)
        }
        self._run: Run | None = None
        self._replies: dict[str, Message] = {}
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 0, _SERVER, 0

    def memories(self, clients: Iterable[int]) -> dict[int, State]:
        """Return what clients keep from round to round, of those that keep anything."""
        states = {client: self.contexts[_SERVER + 1 + client].state for client in clients}
        return {client: from_record(state.array_records[MEMORY]) for client, state in states.items() if MEMORY in state}

    def set_memories(self, memories: Mapping[int, State]) -> None:
        """Give clients back what they kept."""
        for client, memory in memories.items():
            self.contexts[_SERVER + 1 + client].state[MEMORY] = to_record(memory)

    def set_run(self, run: Run) -> None:
        """Keep a run's description."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run's description.

        Raises:
            RuntimeError: none has been set; nothing here needs one.
        """
        if self._run is None:
            raise RuntimeError("No run was set.")
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a message."""
        return Message(content, dst_node_id, message_type, group_id=group_id, ttl=ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Return the numbers of all nodes."""
        return list(self.contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Have messages answered; return their identifiers."""
        identifiers = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = str(uuid.uuid4())
            self._replies[message.metadata.message_id] = self._answer(message)
            identifiers.append(message.metadata.message_id)
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the answers to messages, once."""
        return [self._replies.pop(identifier) for identifier in message_ids if identifier in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Have messages answered, and return the answers."""
        return self.pull_messages(self.push_messages(messages))

    def _answer(self, message: Message) -> Message:
        received = copy(message)
        received.__dict__["_content"] = _copied(message.content)
        try:
            reply = self.app(received, self.contexts[message.metadata.dst_node_id])
            if not isinstance(reply, Message):
                raise TypeError(expected("reply", "a Message", type(reply).__name__))
            return reply
        except Exception as error:  # whatever a client does wrong, the round goes on without it
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            return Message(Error(_CLIENT_FAILED, reason), reply_to=message)


def _copied(content: RecordDict) -> RecordDict:
    # Of arrays nobody needs a copy: they are read into tensors of their own.
    copies: dict[str, ArrayRecord | MetricRecord | ConfigRecord] = dict(content.array_records)
    copies.update({name: MetricRecord(dict(record)) for name, record in content.metric_records.items()})
    copies.update({name: ConfigRecord(dict(record)) for name, record in content.config_records.items()})
    return RecordDict(copies)


def run_in_process(server: ServerApp, grid: InProcessGrid) -> Context:
    """Run a ServerApp with the clients of a grid, to its end; return its context."""
    context = Context(run_id=0, node_id=_SERVER, node_config={}, state=RecordDict(), run_config={})
    server(grid, context)
    return context
