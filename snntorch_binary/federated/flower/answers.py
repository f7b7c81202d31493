"""What nodes send, read as data of strangers: an answer is what it should be, or half a sentence says why it is not.

Nobody else looks into a message of a node. Nothing here raises for what a message holds, and reading costs no more
memory than the message.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import torch
from flwr.app import ConfigRecord, Message, MetricRecord

from snntorch_binary._errors import in_one_line
from snntorch_binary.federated.averaging import State
from snntorch_binary.federated.exchange import Update
from snntorch_binary.federated.flower.records import ARRAYS, CONFIG, METRICS, NUM_EXAMPLES, from_record, wire_bytes

MOST_EXAMPLES = 2**31 - 1
"""What a client may count where nobody knows better."""
_LARGEST = torch.finfo(torch.float32).max  # of a metric: sums of them stay finite
_LONGEST_REASON = 300  # characters
_SHOWN = 30  # characters of a value that does not fit


@dataclass(frozen=True)
class Refused:
    """What does not count.

    Attributes:
        reason: why not, in half a sentence.
        failed: the node said so itself, by an error in the place of an answer.
    """

    reason: str
    failed: bool = False


@dataclass(frozen=True)
class Answer:
    """A client's answer to a task.

    Attributes:
        update: what it holds, or why it does not count.
        num_bytes: of the message on the wire, 0 for an error.
    """

    update: Update | Refused
    num_bytes: int


class UnfitError(ValueError):
    """What a node sent is not what it should be; the message is the reason."""


def one_each(replies: Iterable[Message], asked: Collection[int]) -> dict[int, Message | Refused]:
    """Return the reply of each node that was asked and has answered.

    Of a node that answers more than once, nobody knows which answer is meant. Where a node is lost the SuperLink
    answers in its place, under a number of its own.
    """
    found: dict[int, Message | Refused] = {}
    for reply in replies:
        node = reply.metadata.src_node_id
        if node in asked:
            found[node] = Refused("it answered more than once") if node in found else reply
    return found


def read_client(reply: Message, num_clients: int | None = None) -> int | Refused:
    """Return which client a node says it is.

    Args:
        reply: to the question.
        num_clients: K, where the server knows it; client numbers are less.
    """
    if reply.has_error():
        return Refused(why_failed(reply), failed=True)
    num_bytes = bytes_of(reply)
    if isinstance(num_bytes, Refused):
        return num_bytes
    try:
        record = _record(reply, CONFIG, ConfigRecord)
        most = (2**31 if num_clients is None else num_clients) - 1
        return _whole("the number of its client", record.get("client"), 0, most)
    except UnfitError as unfit:
        return Refused(str(unfit))


def read_answer(reply: Message, most_examples: int = MOST_EXAMPLES) -> Answer:
    """Return a client's answer.

    Args:
        reply: to a task.
        most_examples: the client has no more than so many.
    """
    if reply.has_error():
        return Answer(Refused(why_failed(reply), failed=True), 0)
    num_bytes = bytes_of(reply)
    if isinstance(num_bytes, Refused):
        return Answer(num_bytes, 0)
    try:
        metrics = dict(_record(reply, METRICS, MetricRecord))
        num_examples = _whole("its number of examples", metrics.pop(NUM_EXAMPLES, None), 0, most_examples)
        if num_examples == 0:
            raise UnfitError("it learned from no example")
        numbers = {name: _number(name, value) for name, value in metrics.items()}
        return Answer(Update(_arrays(reply), num_examples, numbers), num_bytes)
    except UnfitError as unfit:
        return Answer(Refused(shown(str(unfit))), num_bytes)


def bytes_of(reply: Message) -> int | Refused:
    """Return how many bytes a reply is on the wire."""
    if not reply.has_content():
        return Refused("its answer has no content")
    try:
        return wire_bytes(reply)
    except Exception:  # of Flower's and of protobuf, which say each in its own way what they cannot send
        return Refused("its answer holds what cannot be sent")


def why_failed(reply: Message) -> str:
    """Say in half a sentence why an answer is an error."""
    lines = str(reply.error.reason or "").strip().splitlines()
    return shown(f"it failed ({lines[-1].strip().rstrip('.') if lines else 'unknown'})")


def shown(text: str) -> str:
    """Return what a stranger wrote as half a sentence that a terminal and a file can show."""
    return in_one_line(text[: 10 * _LONGEST_REASON], _LONGEST_REASON)


def _record(reply: Message, name: str, kind: type) -> ConfigRecord | MetricRecord:
    record = reply.content.get(name)
    if not isinstance(record, kind):
        raise UnfitError(f"its answer has no {name}")
    return record  # type: ignore[return-value]  # one of the kinds


def _arrays(reply: Message) -> State:
    if ARRAYS not in reply.content.array_records:
        raise UnfitError(f"its answer has no {ARRAYS}")
    try:
        return from_record(reply.content.array_records[ARRAYS])
    except ValueError as error:
        raise UnfitError(str(error)) from None


def _whole(what: str, value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise UnfitError(f"{what} is {_value(value)} and not a whole number from {least} to {most}")
    return value


def _number(name: str, value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not -_LARGEST <= value <= _LARGEST:  # type: ignore[operator]  # a number
        raise UnfitError(f"its {name} is {_value(value)} and not a finite number")
    return float(value)  # type: ignore[arg-type]  # a number


def _value(value: object) -> str:
    if value is None:
        return "missing"
    if type(value) is int and value.bit_length() > 4 * _SHOWN:  # Python writes no number of more than 4300 digits
        return f"an integer of {value.bit_length()} bits"
    return in_one_line(repr(value[:_SHOWN] if isinstance(value, list | str | bytes) else value), _SHOWN)
