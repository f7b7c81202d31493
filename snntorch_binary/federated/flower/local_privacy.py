"""Flower's local differential privacy for networks that have more to send than what they have learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp.mod import LocalDpMod

from snntorch_binary.federated.flower.records import ARRAYS
from snntorch_binary.federated.settings import LocalPrivacy

Answer = Callable[[Message, Context], Message]


class LocalPrivacyModifier:
    """A modifier of a client's messages: clips what has changed in the network and adds noise to it.

    Thresholds, decays and whatever else learning leaves as it was are sent as they were: with noise a neuron would be
    another one. So are integers, such as the batches that batch norm counts, whatever they have become.

    Args:
        settings: of clipping and noise.
    """

    def __init__(self, settings: LocalPrivacy) -> None:
        self._modifier = LocalDpMod(settings.clipping_norm, settings.sensitivity, settings.epsilon, settings.delta)

    def __call__(self, message: Message, context: Context, call_next: Answer) -> Message:
        """Answer a message."""
        before = message.content.array_records[ARRAYS]
        learned = ArrayRecord(dict(before))

        def answer(_: Message, context: Context) -> Message:
            reply = call_next(message, context)
            if not reply.has_error():
                sent = reply.content.array_records[ARRAYS]
                for name in before.keys() & sent.keys():
                    values = sent[name].numpy()
                    if values.dtype.kind != "f" or np.array_equal(values, before[name].numpy()):
                        del sent[name], learned[name]
            return reply

        metadata = message.metadata
        asked = Message(
            RecordDict({ARRAYS: learned}), dst_node_id=metadata.dst_node_id, message_type=metadata.message_type
        )
        reply = self._modifier(asked, context, answer)
        if not reply.has_error():
            noisy = reply.content.array_records[ARRAYS]
            reply.content[ARRAYS] = ArrayRecord(
                {
                    name: Array(noisy[name].numpy().astype(array.numpy().dtype)) if name in noisy else array
                    for name, array in before.items()
                }
            )
        return reply
