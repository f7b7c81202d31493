"""Any participant as Flower's ClientApp."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from snntorch_binary._errors import expected
from snntorch_binary._files import DamagedFileError, read_tensors, replacing, tensor_bytes
from snntorch_binary.federated.averaging import State
from snntorch_binary.federated.exchange import Participant
from snntorch_binary.federated.flower.records import (
    ARRAYS,
    CONFIG,
    LEARNED,
    MEMORY,
    from_record,
    task_of,
    to_record,
    update_content,
)


def client_app(
    participant: Participant | Callable[[Context], Participant], mods: Sequence[Any] = (), memory: Path | None = None
) -> ClientApp:
    """Return the ClientApp of a participant.

    It answers ``query`` messages by the number of its client, the node's ``partition-id``, and ``train`` messages by
    what the participant has learned. What the participant keeps from round to round is in the context's state, which
    Flower drops at the end of a run, and in a file where the node's configuration names a folder ``memory`` or one is
    given here: after a server was lost, a run that goes on from its checkpoint finds it again.

    Args:
        participant: the client's side; or a function that returns it, called at a process's first message.
        mods: Flower's modifiers of messages, such as ``flwr.clientapp.mod.LocalDpMod``.
        memory: folder for what clients keep, where the node's configuration names none; of one run only.

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
        if CONFIG not in message.content.config_records:
            raise ValueError("the server's settings have secure_aggregation, this client's have none")
        task = task_of(message.content.config_records[CONFIG])
        kept = _KeptMemory(context, memory)
        remembered = kept.load(known=task.accepted > 0)
        update = side(context).train(from_record(message.content.array_records[ARRAYS]), task, remembered)
        kept.save(remembered)
        if update.learned is not None:
            context.state[LEARNED] = ConfigRecord({"names": sorted(update.learned)})
        return Message(update_content(update), reply_to=message)

    return app


class _KeptMemory:
    """What a client keeps from round to round, in a run's state and in a file."""

    def __init__(self, context: Context, default: Path | None) -> None:
        folder = str(context.node_config.get("memory", default or ""))
        self._state = context.state
        self._file: Path | None = None
        if folder:
            of_run = [str(context.run_config.get(name, "")) for name in ("config", "method", "seed")]
            digest = hashlib.sha256(json.dumps(of_run).encode()).hexdigest()[:16]
            self._file = Path(folder) / f"client{_client(context)}-{digest}.pt"

    def load(self, known: bool) -> State:
        """Return it; of a server that has never used this client's answers, nothing that is left of another run."""
        if MEMORY in self._state:
            return from_record(self._state.array_records[MEMORY])
        if known and self._file is not None and self._file.exists():
            try:
                return read_tensors(self._file)
            except DamagedFileError:
                raise ValueError(f"{self._file} is damaged; remove it, and this client starts anew") from None
        return {}

    def save(self, memory: State) -> None:
        if not memory:
            return
        self._state[MEMORY] = to_record(memory)
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            for left in self._file.parent.glob(f".{self._file.name}.*.part"):  # by a process that was killed
                left.unlink(missing_ok=True)
            content = tensor_bytes(memory)
            with replacing(self._file) as temporary:
                temporary.touch(mode=0o600)  # what it holds never leaves the client
                temporary.write_bytes(content)


def _client(context: Context) -> int:
    number = context.node_config.get("partition-id")
    if number is None:
        raise ValueError(expected("node_config", "with a partition-id, the number of its client", context.node_config))
    return int(number)
