"""Tensors, tasks and answers as Flower's records and back, and the size of a message on the wire."""

from __future__ import annotations

import math
import warnings
from io import BytesIO
from typing import Any

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common.constant import SType
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from torch import Tensor

from snntorch_binary.federated.averaging import State
from snntorch_binary.federated.exchange import Task, Update

ARRAYS, CONFIG, METRICS = "arrays", "config", "metrics"
"""Names of the records in messages."""
MEMORY, LEARNED = "memory", "learned"
"""Names of what is in a client's context: its memory, and the names of the tensors that it learns."""
NUM_EXAMPLES = "num-examples"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""Readers of what ``np.save`` writes in front of an array, by its version; version 3 has names of fields only."""


def to_record(state: State) -> ArrayRecord:
    """Return tensors as a record of NumPy arrays; bits stay packed, one uint8 for eight."""
    return ArrayRecord({name: Array(tensor.detach().cpu().numpy()) for name, tensor in state.items()})


def from_record(record: ArrayRecord) -> State:
    """Return a record as tensors of their own memory.

    Whoever wrote it, no more is read than there is.

    Raises:
        ValueError: an array is none, or not one of numbers.
    """
    for name, array in record.items():
        if array.stype != SType.NUMPY:
            raise ValueError(f"{name} is no NumPy array")
    return {name: decoded(name, array.data) for name, array in record.items()}


def decoded(name: str, data: bytes) -> Tensor:
    """Return what ``np.save`` wrote as a tensor of its own memory.

    Raises:
        ValueError: it wrote something else, or no numbers.
    """
    stream = BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what NumPy only warns of is damaged
            read_header = _HEADERS[np.lib.format.read_magic(stream)]
            shape, fortran, dtype = read_header(stream)
    # Whatever Python's parser makes of a header that NumPy did not write.
    except (ValueError, TypeError, LookupError, SyntaxError, RecursionError, MemoryError, Warning):
        raise ValueError(f"{name} cannot be decoded") from None
    at = stream.tell()
    # Before memory is taken: the header is a stranger's.
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data) - at:
        raise ValueError(f"{name} has another size than it says")
    if dtype.kind not in "biufc":
        raise ValueError(f"{name} is of {dtype} and no numbers")
    try:
        values = np.frombuffer(data, dtype, offset=at).reshape(shape, order="F" if fortran else "C")
        return torch.from_numpy(values.astype(dtype.newbyteorder("="), order="C"))
    except (ValueError, TypeError):  # too many dimensions, or a type that torch has not
        raise ValueError(f"{name} is an array of {dtype} that torch cannot hold") from None


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


def wire_bytes(message: Message) -> int:
    """Return how many bytes a message is on the wire, all of its records, names and headers included.

    Flower sends a message as the tree of its objects, each serialised by itself and equal ones once.
    """
    return sum(len(part.deflate()) for part in get_all_nested_objects(message).values())
