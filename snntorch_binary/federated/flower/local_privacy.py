"""Flower's local differential privacy for networks that have more to send than what they have learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp.mod import LocalDpMod

from snntorch_binary.federated.flower.records import ARRAYS, LEARNED, METRICS, NUM_EXAMPLES
from snntorch_binary.federated.protection import LocalPrivacy

Answer = Callable[[Message, Context], Message]

_VECTOR = "learned"
_MOVED = 1e-20  # one more number: Flower divides by the norm of the change, and nothing may have been learned


class LocalPrivacyModifier:
    """A modifier of a client's messages: clips the change of what a network learns, and adds noise to it.

    What learning does not move, such as thresholds and decays, goes back as the server sent it: with noise a neuron
    would be another one. So do integers. Which tensors these are is a matter of the network, not of the examples. The
    number of examples is sent as it is, and no loss.

    Args:
        settings: of clipping and noise.
    """

    def __init__(self, settings: LocalPrivacy) -> None:
        self._modifier = LocalDpMod(settings.clipping_norm, settings.sensitivity, settings.epsilon, settings.delta)

    def __call__(self, message: Message, context: Context, call_next: Answer) -> Message:
        """Answer a message."""
        before = message.content.array_records[ARRAYS]
        reply = call_next(message, context)
        if reply.has_error():
            return reply
        sent = reply.content.array_records[ARRAYS]
        names = [name for name in before if before[name].numpy().dtype.kind == "f"]
        if LEARNED in context.state.config_records:
            learned = context.state.config_records[LEARNED]["names"]
            names = [name for name in names if name in learned]  # type: ignore[operator]  # by its type a number, too
        noisy = self._with_noise(message, context, _vector(before, names, 0.0), _vector(sent, names, _MOVED))
        arrays, end = dict(before), 0
        for name in names:
            values = before[name].numpy()
            begin, end = end, end + values.size
            arrays[name] = Array(noisy[begin:end].reshape(values.shape).astype(values.dtype))
        reply.content[ARRAYS] = ArrayRecord(arrays)
        reply.content[METRICS] = MetricRecord({NUM_EXAMPLES: reply.content.metric_records[METRICS][NUM_EXAMPLES]})
        return reply

    def _with_noise(
        self, message: Message, context: Context, before: Array, after: Array
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return what Flower makes of a client that answers one vector by another."""
        metadata = message.metadata
        asked = Message(
            RecordDict({ARRAYS: ArrayRecord({_VECTOR: before})}),
            dst_node_id=metadata.dst_node_id,
            message_type=metadata.message_type,
        )

        def answer(_: Message, __: Context) -> Message:
            return Message(RecordDict({ARRAYS: ArrayRecord({_VECTOR: after})}), reply_to=message)

        return self._modifier(asked, context, answer).content.array_records[ARRAYS][_VECTOR].numpy()


def _vector(record: ArrayRecord, names: list[str], last: float) -> Array:
    """Return tensors and one more number side by side; Flower leaves single numbers as they are."""
    parts = [record[name].numpy().astype(np.float64).ravel() for name in names]
    return Array(np.concatenate([*parts, [last]]))
