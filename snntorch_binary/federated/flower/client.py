"""Any participant as Flower's ClientApp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from snntorch_binary._errors import expected
from snntorch_binary.federated.exchange import Participant
from snntorch_binary.federated.flower.records import (
    ARRAYS,
    CONFIG,
    MEMORY,
    from_record,
    task_of,
    to_record,
    update_content,
)


def client_app(participant: Participant | Callable[[Context], Participant], mods: Sequence[Any] = ()) -> ClientApp:
    """Return the ClientApp of a participant.

    It answers ``query`` messages by the number of its client, the node's ``partition-id``, and ``train`` messages by
    what the participant has learned. What the participant keeps from round to round is in the context's state.

    Args:
        participant: the client's side; or a function that returns it, called at a process's first message.
        mods: Flower's modifiers of messages, such as ``flwr.clientapp.mod.LocalDpMod``.

    Example:
        >>> from snntorch_binary.federated import Update
        >>> class Echo:
        ...     def train(self, arrays, task, memory):
        ...         return Update(arrays, num_examples=1)
        >>> app = client_app(Echo())
    """
    app = ClientApp()
    made: list[Participant] = []

    def side(context: Context) -> Participant:
        if not made:
            if hasattr(participant, "train") and not isinstance(participant, type):
                made.append(participant)
            else:
                made.append(participant(context))
        return made[0]

    @app.query()
    def query(message: Message, context: Context) -> Message:
        return Message(RecordDict({CONFIG: ConfigRecord({"client": _client(context)})}), reply_to=message)

    @app.train(mods=list(mods))
    def train(message: Message, context: Context) -> Message:
        task = task_of(message.content.config_records[CONFIG])
        state = context.state
        memory = from_record(state.array_records[MEMORY]) if MEMORY in state else {}
        update = side(context).train(from_record(message.content.array_records[ARRAYS]), task, memory)
        if memory:
            state[MEMORY] = to_record(memory)
        return Message(update_content(update), reply_to=message)

    return app


def _client(context: Context) -> int:
    number = context.node_config.get("partition-id")
    if number is None:
        raise ValueError(expected("node_config", "with a partition-id, the number of its client", context.node_config))
    return int(number)
