"""Tensors, tasks and answers as Flower's records and back, and the size of a message on the wire."""

from __future__ import annotations

from typing import Any

import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from torch import Tensor

from snntorch_binary.federated.averaging import State
from snntorch_binary.federated.exchange import Task, Update

ARRAYS, CONFIG, METRICS = "arrays", "config", "metrics"
"""Names of the records in messages."""
MEMORY, LEARNED = "memory", "learned"
"""Names of what is in a client's context: its memory, and the names of the tensors that it learns."""
NUM_EXAMPLES = "num-examples"


def to_record(state: State) -> ArrayRecord:
    """Return tensors as a record of NumPy arrays; bits stay packed, one uint8 for eight."""
    return ArrayRecord({name: Array(tensor.detach().cpu().numpy()) for name, tensor in state.items()})


def from_record(record: ArrayRecord) -> State:
    """Return a record as tensors of their own memory."""
    return {name: _tensor(array) for name, array in record.items()}


def _tensor(array: Array) -> Tensor:
    values = array.numpy()
    return torch.from_numpy(values.copy()) if values.shape else torch.tensor(values)


def task_record(task: Task) -> ConfigRecord:
    """Return a task as a record; a seed of 64 bits does not fit Flower's signed integers and travels as text."""
    return ConfigRecord(
        {
            "server-round": task.round,
            "seed": str(task.seed),
            "client": task.client,
            "num-clients": task.num_clients,
            "accepted": task.accepted,
        }
    )


def task_of(record: ConfigRecord) -> Task:
    """Return a record as the task it holds."""
    values: dict[str, Any] = dict(record)
    return Task(
        round=int(values["server-round"]),
        seed=int(values["seed"]),
        client=int(values["client"]),
        num_clients=int(values["num-clients"]),
        accepted=int(values["accepted"]),
    )


def update_content(update: Update) -> RecordDict:
    """Return a client's answer as the content of a message."""
    metrics = MetricRecord({NUM_EXAMPLES: update.num_examples, **{k: float(v) for k, v in update.metrics.items()}})
    return RecordDict({ARRAYS: to_record(update.arrays), METRICS: metrics})


def update_of(content: RecordDict) -> Update:
    """Return the content of a message as the answer it holds."""
    metrics: dict[str, Any] = dict(content.metric_records[METRICS])
    num_examples = int(metrics.pop(NUM_EXAMPLES))
    return Update(from_record(content.array_records[ARRAYS]), num_examples, metrics)


def why_failed(message: Message) -> str:
    """Say in half a sentence why an answer is an error."""
    lines = (message.error.reason or "unknown").strip().splitlines()
    return f"it failed ({lines[-1].strip().rstrip('.')})"


def wire_bytes(message: Message) -> int:
    """Return how many bytes a message is on the wire, all of its records, names and headers included.

    Flower sends a message as the tree of its objects, each serialised by itself and equal ones once.
    """
    return sum(len(part.deflate()) for part in get_all_nested_objects(message).values())
