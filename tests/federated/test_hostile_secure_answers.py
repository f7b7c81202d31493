"""Whatever a client answers in a stage of SecAgg+: it is left out by name, and the others' mean is as it should be."""

import logging

import numpy as np
import pytest
import torch

pytest.importorskip("flwr")

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.common import ndarray_to_bytes
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage

from snntorch_binary.federated import Average, NetworkCoordinator
from snntorch_binary.federated.flower import InProcessGrid, client_app, run_in_process, server_app
from snntorch_binary.federated.flower.secure_aggregation import SecureExchange, SecureModifier
from snntorch_binary.federated.protection import SecureAggregation

from test_secure_aggregation import CLIENTS, SIZES, Mover, close, make_net  # isort: skip

ROGUE = 1
SETUP, KEYS, VECTORS, SHARES = Stage.all()


class Rogue(InProcessGrid):
    """Client 1 answers what a function makes of its reply in one stage."""

    def __init__(self, app, stage, alter):
        super().__init__(app, CLIENTS)
        self.stage, self.alter = stage, alter

    def _answer(self, message):
        reply = super()._answer(message)
        asked = message.content.config_records.get(RECORD_KEY_CONFIGS, {}).get(Key.STAGE)
        if message.metadata.dst_node_id == ROGUE + 2 and asked == self.stage:
            return self.alter(reply, message)
        return reply


def federate(stage=SETUP, alter=lambda reply, message: reply, rounds=1, settings=None):
    settings = settings or SecureAggregation()
    net, reports = make_net(), []
    exchange = SecureExchange(settings, SIZES, timeout=10.0)
    grid = Rogue(client_app(Mover(Average()), [SecureModifier(settings, False)]), stage, alter)
    server = server_app(NetworkCoordinator(net, Average()), rounds, CLIENTS, secure=exchange, on_round=reports.append)
    run_in_process(server, grid)
    return net, reports


@pytest.fixture(scope="module")
def wanted():
    """The network without client 1 from the start, and with everybody."""
    lost = federate(SETUP, lambda reply, message: Message(Error(2, "lost"), reply_to=message))
    everybody = federate()
    assert sorted(lost[1][0].used) == [0, 2, 3, 4]
    assert sorted(everybody[1][0].used) == [0, 1, 2, 3, 4]
    return lost[0], everybody[0]


def put(name, value):
    """Put a value in the place of another, or what a function makes of that."""

    def alter(reply, message):
        record = reply.content[RECORD_KEY_CONFIGS]
        record.__dict__["_data"][name] = value(record[name]) if callable(value) else value
        return reply

    return alter


def without(name):
    return lambda reply, message: reply.content[RECORD_KEY_CONFIGS].__delitem__(name) or reply


def both(*changes):
    def alter(reply, message):
        for change in changes:
            reply = change(reply, message)
        return reply

    return alter


def key_of(curve):
    public = curve.generate().public_key() if curve is ed25519.Ed25519PrivateKey else curve_key(curve)
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def curve_key(curve):
    return ec.generate_private_key(curve).public_key()


def vector(change, which=1):
    """Change the masked vector, or the masked weight in front of it."""

    def alter(parts):
        parts = list(parts)
        parts[which] = change(parts[which])
        return parts

    return put(Key.MASKED_PARAMETERS, alter)


def values(change):
    from io import BytesIO

    return lambda data: ndarray_to_bytes(change(np.load(BytesIO(data), allow_pickle=False)))


def nothing(reply, message):
    return Message(RecordDict(), reply_to=message)


def no_content(reply, message):
    reply.__dict__["_content"] = None
    return reply


def of_another_type(reply, message):
    return Message(RecordDict({RECORD_KEY_CONFIGS: MetricRecord({"pk1": 1})}), reply_to=message)


NO_SHARES = "it did not send one share of its keys to each of the others"
NOT_ASKED = "it did not send one share for each client it was asked about"
HOSTILE = {
    "setup: nothing": (SETUP, nothing, "its answer has nothing of secure aggregation"),
    "setup: no content": (SETUP, no_content, "its answer has no content"),
    "setup: numbers": (SETUP, of_another_type, "its answer has nothing of secure aggregation"),
    "setup: no pk1": (SETUP, without(Key.PUBLIC_KEY_1), "its public key pk1 is missing or none"),
    "setup: no pk2": (SETUP, without(Key.PUBLIC_KEY_2), "its public key pk2 is missing or none"),
    "setup: pk1 a word": (SETUP, put(Key.PUBLIC_KEY_1, "key"), "its public key pk1 is missing or none"),
    "setup: pk1 a list": (SETUP, put(Key.PUBLIC_KEY_1, [b"key"]), "its public key pk1 is missing or none"),
    "setup: pk1 undecodable": (SETUP, put(Key.PUBLIC_KEY_1, b"key"), "its public key pk1 cannot be decoded"),
    "setup: pk2 empty": (SETUP, put(Key.PUBLIC_KEY_2, b""), "its public key pk2 cannot be decoded"),
    "setup: pk2 a megabyte": (SETUP, put(Key.PUBLIC_KEY_2, b"x" * 10**6), "its public key pk2 is missing or none"),
    "setup: another curve": (SETUP, put(Key.PUBLIC_KEY_1, key_of(ec.SECP256R1())), "pk1 is of another kind"),
    "setup: another scheme": (
        SETUP,
        put(Key.PUBLIC_KEY_1, key_of(ed25519.Ed25519PrivateKey)),
        "pk1 is of another kind",
    ),
    "setup: one key twice": (
        SETUP,
        lambda reply, message: put(Key.PUBLIC_KEY_1, reply.content[RECORD_KEY_CONFIGS][Key.PUBLIC_KEY_2])(
            reply, message
        ),
        "a public key of it is another's as well",
    ),
    "keys: nothing": (KEYS, nothing, "its answer has nothing of secure aggregation"),
    "keys: no ciphertexts": (KEYS, without(Key.CIPHERTEXT_LIST), "its ctxts are missing or no list of bytes"),
    "keys: no destinations": (KEYS, without(Key.DESTINATION_LIST), "its dsts are missing or no list of int"),
    "keys: empty": (KEYS, both(put(Key.CIPHERTEXT_LIST, []), put(Key.DESTINATION_LIST, [])), NO_SHARES),
    "keys: a ciphertext less": (KEYS, put(Key.CIPHERTEXT_LIST, lambda sent: sent[1:]), NO_SHARES),
    "keys: a ciphertext more": (KEYS, put(Key.CIPHERTEXT_LIST, lambda sent: [*sent, b"x"]), NO_SHARES),
    "keys: one client twice": (KEYS, put(Key.DESTINATION_LIST, lambda sent: [sent[0], sent[0], *sent[2:]]), NO_SHARES),
    "keys: for nobody": (KEYS, put(Key.DESTINATION_LIST, lambda sent: [999, *sent[1:]]), NO_SHARES),
    "keys: for nobody but itself": (KEYS, put(Key.DESTINATION_LIST, lambda sent: [ROGUE + 2, *sent[1:]]), NO_SHARES),
    "keys: for words": (KEYS, put(Key.DESTINATION_LIST, ["2"]), "its dsts are missing or no list of int"),
    "keys: for 1.5": (KEYS, put(Key.DESTINATION_LIST, [1.5]), "its dsts are missing or no list of int"),
    "keys: ciphertexts are words": (KEYS, put(Key.CIPHERTEXT_LIST, ["x"]), "its ctxts are missing or no list of bytes"),
    "keys: a megabyte": (
        KEYS,
        put(Key.CIPHERTEXT_LIST, lambda sent: [b"x" * 10**6, *sent[1:]]),
        "its ctxts are longer",
    ),
    "vectors: nothing": (VECTORS, nothing, "its answer has nothing of secure aggregation"),
    "vectors: missing": (VECTORS, without(Key.MASKED_PARAMETERS), "its masked_params are missing or no list of bytes"),
    "vectors: none": (VECTORS, put(Key.MASKED_PARAMETERS, []), "it sent 0 arrays"),
    "vectors: one only": (VECTORS, put(Key.MASKED_PARAMETERS, lambda sent: sent[1:]), "it sent 1 arrays"),
    "vectors: three": (VECTORS, put(Key.MASKED_PARAMETERS, lambda sent: [*sent, sent[1]]), "it sent 3 arrays"),
    "vectors: floats": (VECTORS, vector(values(lambda x: x * 1.0)), "its masked vector is torch.float64 and not"),
    "vectors: weight a float": (VECTORS, vector(values(lambda x: x * 1.0), 0), "its masked weight is torch.float64"),
    "vectors: 32 bits": (VECTORS, vector(values(lambda x: x.astype(np.int32))), "its masked vector is torch.int32"),
    "vectors: shorter": (VECTORS, vector(values(lambda x: x[:-1])), "its masked vector has shape (58,) and not (59,)"),
    "vectors: one number": (VECTORS, vector(values(lambda x: x[:1])), "its masked vector has shape (1,) and not (59,)"),
    "vectors: a table": (VECTORS, vector(values(lambda x: x[None])), "its masked vector has shape (1, 59)"),
    "vectors: two weights": (
        VECTORS,
        vector(values(lambda x: np.array([1, 2])), 0),
        "its masked weight has shape (2,)",
    ),
    "vectors: negative": (VECTORS, vector(values(lambda x: x - 2**33)), "has numbers outside the range of masks"),
    "vectors: too large": (VECTORS, vector(values(lambda x: x + 2**62)), "has numbers outside the range of masks"),
    "vectors: undecodable": (VECTORS, vector(lambda data: b"vector"), "its masked vector cannot be decoded"),
    "vectors: a byte less": (
        VECTORS,
        vector(lambda data: data[:-1]),
        "its masked vector has another size than it says",
    ),
    "vectors: a pickle": (VECTORS, vector(lambda data: b"\x80\x04cposix\nsystem\n."), "cannot be decoded"),
    "vectors: error": (VECTORS, lambda reply, message: Message(Error(2, " "), reply_to=message), "it failed (unknown)"),
}
LAST = {
    "shares: nothing": (nothing, "its answer has nothing of secure aggregation"),
    "shares: missing": (without(Key.SHARE_LIST), "its shares are missing or no list of bytes"),
    "shares: no owners": (without(Key.NODE_ID_LIST), "its nids are missing or no list of int"),
    "shares: none": (both(put(Key.SHARE_LIST, []), put(Key.NODE_ID_LIST, [])), NOT_ASKED),
    "shares: one less": (put(Key.SHARE_LIST, lambda sent: sent[1:]), NOT_ASKED),
    "shares: for nobody": (put(Key.NODE_ID_LIST, lambda sent: [999, *sent[1:]]), NOT_ASKED),
    "shares: one twice": (put(Key.NODE_ID_LIST, lambda sent: [sent[1], *sent[1:]]), NOT_ASKED),
    "shares: for words": (put(Key.NODE_ID_LIST, ["2"]), "its nids are missing or no list of int"),
    "shares: empty": (put(Key.SHARE_LIST, lambda sent: [b"" for _ in sent]), "has a wrong length"),
    "shares: shorter": (put(Key.SHARE_LIST, lambda sent: [each[:-16] for each in sent]), "has a wrong length"),
    "shares: longer": (put(Key.SHARE_LIST, lambda sent: [each + b"x" for each in sent]), "has a wrong length"),
    "shares: a megabyte": (put(Key.SHARE_LIST, lambda sent: [b"x" * 10**6, *sent[1:]]), "its shares are longer"),
    "shares: words": (put(Key.SHARE_LIST, ["x"]), "its shares are missing or no list of bytes"),
}


QUICK = ("nothing", "no pk1", "undecodable", "twice", "no ciphertexts", "for nobody", "one only", "floats", "missing")
"""Words in the names of what is tried each time."""


def often(names):
    return [
        pytest.param(name, marks=[] if any(word in name for word in QUICK) else pytest.mark.repeated) for name in names
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", often(HOSTILE))
def test_an_answer_that_does_not_fit_is_left_out_by_name(name, wanted, caplog):
    stage, alter, words = HOSTILE[name]
    with caplog.at_level(logging.WARNING, logger="snntorch_binary.federated"):
        net, (report,) = federate(stage, alter)
    assert sorted(report.used) == [0, 2, 3, 4]
    assert words in report.left_out[ROGUE]
    assert f"goes on without client {ROGUE}: " in caplog.text
    close(net, wanted[0])


@pytest.mark.parametrize("name", often(LAST))
def test_shares_that_do_not_fit_are_not_used_and_the_vector_is(name, wanted, caplog):
    """The others' are enough to take all masks away."""
    alter, words = LAST[name]
    with caplog.at_level(logging.WARNING, logger="snntorch_binary.federated"):
        net, (report,) = federate(SHARES, alter)
    assert sorted(report.used) == [0, 1, 2, 3, 4]
    assert not report.left_out
    assert f"goes on without the shares of client {ROGUE}: " in caplog.text
    assert words in caplog.text
    close(net, wanted[1])


def flipped(sent):
    return [each[:30] + bytes([each[30] ^ 1]) + each[31:] for each in sent]


GIVEN_UP = {
    "keys: ciphertexts undecodable by those they are for": (
        KEYS,
        put(Key.CIPHERTEXT_LIST, flipped),
        "it cannot read the shares",
    ),
    "vectors: other numbers": (VECTORS, vector(values(lambda x: (x * 3 + 5**12) % 2**32)), "is wrong"),
    "shares: other numbers": (SHARES, put(Key.SHARE_LIST, flipped), ""),
    "shares: number 0": (SHARES, put(Key.SHARE_LIST, lambda sent: [bytes(4) + each[4:] for each in sent]), ""),
}


@pytest.mark.parametrize("name", often(GIVEN_UP))
def test_a_round_in_which_nobody_knows_what_is_wrong_is_given_up(name, caplog):
    stage, alter, words = GIVEN_UP[name]
    with caplog.at_level(logging.WARNING, logger="snntorch_binary.federated"):
        net, reports = federate(stage, alter, rounds=2)
    for report in reports:
        assert not report.used
        assert sorted(report.left_out) == list(range(CLIENTS))
        assert any(words in reason for reason in report.left_out.values())
    assert "Round 2 changed nothing" in caplog.text
    close(net, make_net(), 0.0)


def test_with_every_share_needed_a_round_is_given_up():
    settings = SecureAggregation(reconstruction_threshold=1.0)
    net, (report,) = federate(SHARES, without(Key.SHARE_LIST), settings=settings)
    assert not report.used
    assert "its shares are missing" in report.left_out[ROGUE]
    assert report.left_out[0] == "too few clients were left for a secure mean"
    close(net, make_net(), 0.0)


def test_whoever_copies_anothers_key_takes_it_along(wanted):
    keys = {}

    class Copies(InProcessGrid):
        def _answer(self, message):
            reply = super()._answer(message)
            config = reply.content.config_records.get(RECORD_KEY_CONFIGS, ConfigRecord())
            if Key.PUBLIC_KEY_1 in config:
                node = message.metadata.dst_node_id
                keys[node] = config[Key.PUBLIC_KEY_1]
                if len(keys) == 2:
                    config[Key.PUBLIC_KEY_1] = next(iter(keys.values()))
            return reply

    net, reports = make_net(), []
    grid = Copies(client_app(Mover(Average()), [SecureModifier(SecureAggregation(), False)]), CLIENTS)
    exchange = SecureExchange(SecureAggregation(), SIZES, timeout=10.0)
    run_in_process(
        server_app(NetworkCoordinator(net, Average()), 1, CLIENTS, secure=exchange, on_round=reports.append), grid
    )
    assert len(reports[0].used) == 3
    assert set(reports[0].left_out.values()) == {"a public key of it is another's as well"}
    assert not torch.equal(net[2].weight, make_net()[2].weight)
