"""Whatever a client answers: it is left out by name, and the others' round is what it would be without it."""

import copy
import logging
import math

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("flwr")

from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict

import snntorch_binary as sb
from snntorch_binary.federated import (
    Average,
    NetworkCoordinator,
    OneBit,
    OneBitChange,
    OnlineCoordinator,
    OnlineDevice,
    OnlineParticipant,
    ProductOfExperts,
    Update,
)
from snntorch_binary.federated.flower import (
    FederatedStrategy,
    InProcessGrid,
    TooFewClientsError,
    client_app,
    run_in_process,
    server_app,
)
from snntorch_binary.federated.flower.answers import shown
from snntorch_binary.federated.flower.records import to_record
from snntorch_binary.nn import BinaryLinear, WTANetwork
from snntorch_binary.weights import Bernoulli

ROGUE = 1  # of three clients
SIZES = [10, 40, 25]


def make_net():
    torch.manual_seed(0)
    return nn.Sequential(BinaryLinear(6, 4, weight=Bernoulli()), nn.BatchNorm1d(4), nn.Linear(4, 3))


class Mover:
    """Moves each client's network by noise of its own, as learning would."""

    def __init__(self, aggregation):
        self.aggregation = aggregation

    def train(self, arrays, task, memory):
        net = make_net()
        net.load_state_dict({**net.state_dict(), **arrays})
        start = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        generator = torch.Generator().manual_seed(100 * task.round + task.client)
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor += 0.3 * torch.rand(tensor.shape, generator=generator)
            elif "num_batches" in name:
                tensor += 1
        sent = self.aggregation.upload(net, start, memory, task)
        return Update(sent, SIZES[task.client], {"loss": 1.0 + task.client})


class Rogue(InProcessGrid):
    """Client 1 answers what a function makes of its reply; other messages than of one type as they should be."""

    def __init__(self, app, alter, kind="train"):
        super().__init__(app, 3)
        self.alter, self.kind = alter, kind

    def _answer(self, message):
        reply = super()._answer(message)
        if message.metadata.dst_node_id == ROGUE + 2 and message.metadata.message_type == self.kind:
            return self.alter(reply, message)
        return reply


def devices(client):
    torch.manual_seed(3)
    spikes = (torch.rand(4, 6, 5) < 0.4).byte()
    net = WTANetwork(5, 0, 2, feedback="none")
    return OnlineDevice(net, spikes, torch.full((4,), client % 2), lr=0.1, seed=client)


METHODS = {
    "average": Average(),
    "product": ProductOfExperts(0.7),
    "one-bit": OneBit(),
    "one-bit-change": OneBitChange(),
    "online": None,
}


def sides(method):
    aggregation = METHODS[method]
    if aggregation is None:
        return OnlineCoordinator(devices(0).net), OnlineParticipant(devices, 3, 1.0)
    return NetworkCoordinator(make_net(), aggregation), Mover(aggregation)


def federate(method, alter, kind="train", rounds=2, **options):
    coordinator, participant = sides(method)
    reports = []
    server = server_app(coordinator, rounds, 3, seed=1, on_round=reports.append, **options)
    run_in_process(server, Rogue(client_app(participant), alter, kind))
    return coordinator.state_dict(), reports


def fails(reply, message):
    return Message(Error(2, "no disk"), reply_to=message)


@pytest.fixture(scope="module")
def without_the_rogue():
    return {method: federate(method, fails) for method in METHODS}


def metrics(**values):
    """Put values into the record of numbers, such as Flower's own check would not let in."""

    def alter(reply, message):
        record = reply.content["metrics"]
        for name, value in values.items():
            record.__dict__["_data"][name.replace("_", "-")] = value
        return reply

    return alter


def without(record, name=None):
    def alter(reply, message):
        if name is None:
            del reply.content[record]
        else:
            del reply.content[record][name]
        return reply

    return alter


def arrays(change):
    """Change the first array that has floats, by its name."""

    def alter(reply, message):
        record = reply.content["arrays"]
        name = next(name for name, array in record.items() if array.dtype == "float32")
        change(record, name)
        return reply

    return alter


def number(value):
    def change(record, name):
        values = record[name].numpy().copy()
        values.flat[0] = value
        record[name] = Array(values)

    return arrays(change)


def as_array(make):
    return arrays(lambda record, name: record.__setitem__(name, Array(np.asarray(make(record[name].numpy())))))


def raw(data=None, stype="numpy.ndarray"):
    """Send other bytes than those of an array: a function makes them of the right ones."""

    def change(record, name):
        array = record[name]
        record[name] = Array(array.dtype, array.shape, stype, array.data if data is None else data(array.data))

    return arrays(change)


def header(descr, shape, data=b""):
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return lambda _: b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def renamed(record, name):
    record["another"] = record.pop(name)


def error(reason):
    return lambda reply, message: Message(Error(2, reason), reply_to=message)


def content(make):
    return lambda reply, message: Message(make(), reply_to=message)


def of_another_type(record):
    """Put a record of settings where one of numbers or arrays should be."""

    def alter(reply, message):
        del reply.content[record]
        reply.content[record] = ConfigRecord({"num-examples": 10})
        return reply

    return alter


NOT_WHOLE = "and not a whole number from 0 to"
CANNOT_BE_SENT = "its answer holds what cannot be sent"
HOSTILE = {
    "examples inf": (metrics(num_examples=math.inf), f"its number of examples is inf {NOT_WHOLE}"),
    "examples -inf": (metrics(num_examples=-math.inf), f"its number of examples is -inf {NOT_WHOLE}"),
    "examples nan": (metrics(num_examples=math.nan), f"its number of examples is nan {NOT_WHOLE}"),
    "examples negative": (metrics(num_examples=-5), f"its number of examples is -5 {NOT_WHOLE}"),
    "examples zero": (metrics(num_examples=0), "it learned from no example"),
    "examples many": (metrics(num_examples=2**40), f"its number of examples is {2**40} {NOT_WHOLE}"),
    "examples of 64 bits": (metrics(num_examples=2**63), f"its number of examples is {2**63} {NOT_WHOLE}"),
    "examples of 5000 digits": (metrics(num_examples=10**5000), CANNOT_BE_SENT),
    "examples bool": (metrics(num_examples=True), CANNOT_BE_SENT),
    "examples word": (metrics(num_examples="ten"), CANNOT_BE_SENT),
    "examples list": (metrics(num_examples=[10]), f"its number of examples is [10] {NOT_WHOLE}"),
    "examples long list": (metrics(num_examples=[10] * 10**5), "its number of examples is [10, 10, 10"),
    "examples empty list": (metrics(num_examples=[]), f"its number of examples is [] {NOT_WHOLE}"),
    "examples 1.5": (metrics(num_examples=1.5), f"its number of examples is 1.5 {NOT_WHOLE}"),
    "examples 1e308": (metrics(num_examples=1e308), f"its number of examples is 1e+308 {NOT_WHOLE}"),
    "examples none": (metrics(num_examples=None), CANNOT_BE_SENT),
    "examples missing": (without("metrics", "num-examples"), f"its number of examples is missing {NOT_WHOLE}"),
    "loss nan": (metrics(loss=math.nan), "its loss is nan and not a finite number"),
    "loss inf": (metrics(loss=math.inf), "its loss is inf and not a finite number"),
    "loss -inf": (metrics(loss=-math.inf), "its loss is -inf and not a finite number"),
    "loss 1e300": (metrics(loss=1e300), "its loss is 1e+300 and not a finite number"),
    "loss list": (metrics(loss=[1.0, 2.0]), "its loss is [1.0, 2.0] and not a finite number"),
    "loss empty list": (metrics(loss=[]), "its loss is [] and not a finite number"),
    "loss word": (metrics(loss="low"), CANNOT_BE_SENT),
    "loss bool": (metrics(loss=True), CANNOT_BE_SENT),
    "loss none": (metrics(loss=None), CANNOT_BE_SENT),
    "another number nan": (metrics(accuracy=math.nan), "its accuracy is nan and not a finite number"),
    "numbers missing": (without("metrics"), "its answer has no metrics"),
    "numbers are settings": (of_another_type("metrics"), "its answer has no metrics"),
    "arrays missing": (without("arrays"), "its answer has no arrays"),
    "arrays are settings": (of_another_type("arrays"), "its answer has no arrays"),
    "no array": (
        content(lambda: RecordDict({"arrays": ArrayRecord(), "metrics": MetricRecord({"num-examples": 5})})),
        "",
    ),
    "array missing": (arrays(lambda record, name: record.__delitem__(name)), ""),
    "array added": (arrays(lambda record, name: record.__setitem__("more", record[name])), "(it differs in more)"),
    "array renamed": (arrays(renamed), "another"),
    "arrays by number": (
        lambda reply, message: Message(
            RecordDict(
                {
                    "arrays": ArrayRecord([array.numpy() for array in reply.content["arrays"].values()]),
                    "metrics": reply.content["metrics"],
                }
            ),
            reply_to=message,
        ),
        "",
    ),
    "a name that is an escape": (
        arrays(lambda record, name: record.__setitem__("\x1b[2J" + 9999 * "x", record[name])),
        "(it differs in ?[2Jxxxxx",
    ),
    "wrong shape": (as_array(lambda values: np.zeros(7, np.float32)), "has shape (7,) and not ("),
    "one dimension more": (as_array(lambda values: values[None]), "has shape (1, "),
    "one number": (as_array(lambda values: np.float32(3.0)), "has shape () and not ("),
    "empty": (as_array(lambda values: values[:0]), "has shape (0"),
    "nan": (number(np.nan), "has NaN or infinite values"),
    "inf": (number(np.inf), "has NaN or infinite values"),
    "float64": (as_array(lambda values: values.astype(np.float64)), "is torch.float64 and not torch.float32"),
    "float16": (as_array(lambda values: values.astype(np.float16)), "is torch.float16 and not torch.float32"),
    "integers": (as_array(lambda values: values.astype(np.int64)), "is torch.int64 and not torch.float32"),
    "bools": (as_array(lambda values: values > 0), "is torch.bool and not torch.float32"),
    "complex": (as_array(lambda values: values.astype(np.complex64)), "is torch.complex64 and not torch.float32"),
    "words": (as_array(lambda values: values.astype(str)), "and no numbers"),
    "dates": (as_array(lambda values: values.astype("M8[s]")), "and no numbers"),
    "fields": (as_array(lambda values: np.zeros(3, [("a", "f4"), ("b", "i8")])), "and no numbers"),
    "longdouble": (as_array(lambda values: values.astype(np.longdouble)), "that torch cannot hold"),
    "objects": (raw(header("|O", (2,), 16 * b"\0")), "and no numbers"),
    "a pickle": (raw(lambda _: b"\x80\x04cposix\nsystem\n."), "cannot be decoded"),
    "no bytes": (raw(lambda _: b""), "cannot be decoded"),
    "noise": (raw(lambda data: bytes(range(256))), "cannot be decoded"),
    "a zip": (raw(lambda _: b"PK\x03\x04" + 60 * b"\0"), "cannot be decoded"),
    "one byte less": (raw(lambda data: data[:-1]), "has another size than it says"),
    "one byte more": (raw(lambda data: data + b"\0"), "has another size than it says"),
    "an exabyte": (raw(header("<f4", (2**28, 2**30))), "has another size than it says"),
    "a negative size": (raw(header("<f4", (-1, -4), 16 * b"\0")), "has another size than it says"),
    "a header of code": (raw(header("<f4", "__import__('os')", 16 * b"\0")), "cannot be decoded"),
    "a deep header": (raw(header("<f4", "x", b"")), "cannot be decoded"),
    "a type of another library": (raw(stype="torch.tensor"), "is no NumPy array"),
    "an error": (fails, "it failed (no disk)"),
    "an error without a word": (error(None), "it failed (unknown)"),
    "an error of spaces": (error(" \n \n"), "it failed (unknown)"),
    "an error of a megabyte": (error("\x1b[2J" + "x" * 10**6), "it failed (?[2Jxxxxxx"),
    "nothing": (content(RecordDict), "its answer has no metrics"),
    "no content": (
        lambda reply, message: reply.__dict__.__setitem__("_content", None) or reply,
        "its answer has no content",
    ),
    "an answer to another question": (
        content(lambda: RecordDict({"config": ConfigRecord({"client": ROGUE})})),
        "its answer has no metrics",
    ),
}


QUICK = {"no array", "array renamed", "wrong shape", "nan", "integers", "noise", "examples inf", "loss nan"}
"""What is tried with every method each time; the others with one only, as what is read is the same for all."""
CASES = [
    pytest.param(method, name, marks=[] if method == "average" or name in QUICK else pytest.mark.repeated)
    for method in METHODS
    for name in HOSTILE
]


@pytest.mark.parametrize(("method", "name"), CASES)
def test_an_answer_that_does_not_fit_is_left_out_by_name(method, name, without_the_rogue, caplog):
    alter, words = HOSTILE[name]
    wanted, wanted_reports = without_the_rogue[method]
    with caplog.at_level(logging.WARNING, logger="snntorch_binary.federated"):
        state, reports = federate(method, alter)
    for report, of_two in zip(reports, wanted_reports, strict=True):
        assert sorted(report.used) == [0, 2]
        assert words in report.left_out[ROGUE]
        assert len(report.left_out[ROGUE]) <= 310
        assert report.left_out[ROGUE].isprintable()
        assert report.metrics == of_two.metrics
    assert f"Round 1 goes on without client {ROGUE}: {reports[0].left_out[ROGUE]}." in caplog.messages
    for key, tensor in wanted.items():
        assert torch.equal(state[key], tensor), key


@pytest.mark.parametrize("method", METHODS)
def test_there_are_enough_of_them_and_none_is_refused_for_another_reason(method):
    assert len(HOSTILE) >= 49
    _, reports = federate(method, lambda reply, message: reply)
    assert all(sorted(report.used) == [0, 1, 2] for report in reports)


def test_a_loss_that_is_not_said_is_none():
    """As of clients with local differential privacy: their answers count."""
    _, reports = federate("average", without("metrics", "loss"))
    assert sorted(reports[0].used) == [0, 1, 2]
    assert reports[0].metrics[ROGUE] == {}


def test_arrays_of_another_order_of_bytes_or_memory_are_the_same_numbers():
    def alter(reply, message):
        record = reply.content["arrays"]
        for number, name in enumerate(list(record)):
            values = record[name].numpy()
            record[name] = Array(
                np.asfortranarray(values) if number % 2 else values.astype(values.dtype.newbyteorder(">"))
            )
        return reply

    (one, reports), (other, _) = federate("average", alter), federate("average", lambda reply, message: reply)
    assert sorted(reports[0].used) == [0, 1, 2]
    for name, tensor in other.items():
        assert torch.equal(one[name], tensor)


def test_a_client_counts_no_more_than_it_said_at_first(without_the_rogue):
    """The number in the first answer that counted; where the server knows better, what it knows."""
    rounds = []

    def grows(reply, message):
        rounds.append(reply)
        return metrics(num_examples=SIZES[ROGUE] + (len(rounds) == 2))(reply, message)

    _, reports = federate("average", grows, rounds=3)
    assert [sorted(report.used) for report in reports] == [[0, 1, 2], [0, 2], [0, 1, 2]]
    assert f"its number of examples is 41 {NOT_WHOLE} 40" in reports[1].left_out[ROGUE]
    state, reports = federate("average", metrics(num_examples=41), num_examples=SIZES)
    assert all(f"is 41 {NOT_WHOLE} 40" in report.left_out[ROGUE] for report in reports)
    for key, tensor in without_the_rogue["average"][0].items():
        assert torch.equal(state[key], tensor)
    _, reports = federate("average", metrics(num_examples=40), num_examples=SIZES)
    assert sorted(reports[0].used) == [0, 1, 2]


def test_a_client_that_answers_twice_or_for_another_is_left_out(without_the_rogue):
    class Twice(InProcessGrid):
        def send_and_receive(self, messages, *, timeout=None):
            replies = list(super().send_and_receive(messages, timeout=timeout))
            return [*replies, *(copy.copy(each) for each in replies if each.metadata.src_node_id == ROGUE + 2)]

    coordinator, participant = sides("average")
    reports = []
    grid = Twice(client_app(participant), 3)
    run_in_process(server_app(coordinator, 1, 3, seed=1, on_round=reports.append), grid)
    assert sorted(reports[0].used) == [0, 2]  # the question which client it is was the first
    grid = Twice(client_app(participant), 3)
    strategy = FederatedStrategy(coordinator, 3, 0)
    messages = list(
        strategy.configure_train(1, to_record(coordinator.arrays()), ConfigRecord(), InProcessGrid(grid.app, 3))
    )
    strategy.aggregate_train(1, grid.send_and_receive(messages))
    assert strategy._report.left_out == {ROGUE: "it answered more than once"}
    del reports[:]

    def as_another(reply, message):
        reply.metadata.__dict__["_src_node_id"] = 999
        return reply

    state, reports = federate("average", as_another)
    assert reports[0].left_out == {ROGUE: "it was lost or did not answer in time"}
    for key, tensor in without_the_rogue["average"][0].items():
        assert torch.equal(state[key], tensor)


def config(**values):
    def alter(reply, message):
        record = reply.content["config"]
        for name, value in values.items():
            record.__dict__["_data"][name] = value
        return reply

    return alter


OTHER_CLIENTS = {
    "no config": (without("config"), "its answer has no config"),
    "settings are numbers": (
        content(lambda: RecordDict({"config": MetricRecord({"client": ROGUE})})),
        "its answer has no config",
    ),
    "nothing": (content(RecordDict), "its answer has no config"),
    "client missing": (without("config", "client"), "the number of its client is missing"),
    "client a word": (config(client="one"), "the number of its client is 'one'"),
    "client a number as a word": (config(client="1"), "the number of its client is '1'"),
    "client bytes": (config(client=b"1"), "the number of its client is b'1'"),
    "client a list": (config(client=[1]), "the number of its client is [1]"),
    "client a long word": (config(client="x" * 10**6), "the number of its client is 'xxxx"),
    "client 1.5": (config(client=1.5), "the number of its client is 1.5"),
    "client 1.0": (config(client=1.0), "the number of its client is 1.0"),
    "client nan": (config(client=math.nan), "the number of its client is nan"),
    "client true": (config(client=True), "the number of its client is True"),
    "client none": (config(client=None), CANNOT_BE_SENT),
    "client -1": (config(client=-1), "the number of its client is -1 and not a whole number from 0 to"),
    "client 2**63": (config(client=2**64), CANNOT_BE_SENT),
    "client 10**5000": (config(client=10**5000), CANNOT_BE_SENT),
    "client another": (config(client=0), "it says that it is client 0, which node 2 is"),
    "an error": (fails, "it failed (no disk)"),
    "no content": (
        lambda reply, message: reply.__dict__.__setitem__("_content", None) or reply,
        "its answer has no content",
    ),
}


@pytest.mark.parametrize("name", OTHER_CLIENTS)
def test_a_node_that_is_no_client_takes_no_part(name, without_the_rogue, caplog):
    """All three are asked for in a round: it goes on with the two that are left."""
    alter, words = OTHER_CLIENTS[name]
    with caplog.at_level(logging.WARNING, logger="snntorch_binary.federated"):
        state, reports = federate("average", alter, kind="query")
    assert [sorted(report.used) for report in reports] == [[0, 2], [0, 2]]
    assert not any(report.left_out for report in reports)
    said = [line for line in caplog.messages if f"Node {ROGUE + 2} takes no part: {words}" in line]
    assert len(said) == 1
    for key, tensor in without_the_rogue["average"][0].items():
        assert torch.equal(state[key], tensor)


def test_of_a_client_that_the_server_does_not_know_nothing_is_asked(caplog):
    with caplog.at_level(logging.WARNING, logger="snntorch_binary.federated"):
        _, reports = federate("average", config(client=3), kind="query", num_examples=SIZES)
    assert sorted(reports[0].used) == [0, 2]
    assert "the number of its client is 3 and not a whole number from 0 to 2" in caplog.text


def test_a_node_whose_question_failed_is_asked_again(caplog):
    calls = []

    def once(reply, message):
        calls.append(reply)
        return fails(reply, message) if len(calls) == 1 else reply

    _, reports = federate("average", once, kind="query")
    assert [sorted(report.used) for report in reports] == [[0, 2], [0, 1, 2]]


def test_where_nobody_is_a_client_one_sentence_says_why():
    class Strange(InProcessGrid):
        def _answer(self, message):
            return Message(RecordDict(), reply_to=message)

    coordinator, participant = sides("average")
    with pytest.raises(
        TooFewClientsError, match="there are 0; node 2: its answer has no config; node 3: its answer has"
    ):
        run_in_process(server_app(coordinator, 1, 3), Strange(client_app(participant), 3))


@pytest.mark.parametrize("method", METHODS)
def test_a_round_of_bad_answers_only_changes_nothing(method, caplog):
    class AllBad(InProcessGrid):
        def _answer(self, message):
            reply = super()._answer(message)
            return metrics(num_examples=math.inf)(reply, message) if message.metadata.message_type == "train" else reply

    coordinator, participant = sides(method)
    before = {name: tensor.clone() for name, tensor in coordinator.state_dict().items()}
    reports = []
    server = server_app(coordinator, 2, 3, on_round=reports.append)
    with caplog.at_level(logging.WARNING, logger="snntorch_binary.federated"):
        run_in_process(server, AllBad(client_app(participant), 3))
    assert [report.used for report in reports] == [[], []]
    assert "Round 2 changed nothing" in caplog.text
    for name, tensor in coordinator.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_an_app_that_answers_no_message_is_left_out(without_the_rogue):
    class Silent(InProcessGrid):
        def __init__(self, app):
            super().__init__(app, 3)
            self.honest = app

            def answer(message, context):
                rogue = context.node_config["partition-id"] == ROGUE and message.metadata.message_type == "train"
                return None if rogue else self.honest(message, context)

            self.app = answer

    coordinator, participant = sides("average")
    reports = []
    run_in_process(server_app(coordinator, 2, 3, seed=1, on_round=reports.append), Silent(client_app(participant)))
    assert "`reply` to be a Message, but got NoneType" in reports[0].left_out[ROGUE]
    for key, tensor in without_the_rogue["average"][0].items():
        assert torch.equal(coordinator.state_dict()[key], tensor)


def neurons():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), sb.nn.Leaky(beta=0.9), sb.nn.TimeFirst(nn.BatchNorm1d(3)))


class Echo:
    def __init__(self, **changes):
        self.changes = changes

    def train(self, arrays, task, memory):
        sent = {name: tensor.clone() for name, tensor in arrays.items()}
        if task.client == ROGUE:
            for name, value in self.changes.items():
                sent[name.replace("_x_", ".")] = torch.full_like(sent[name.replace("_x_", ".")], value)
        return Update(sent, 5)


@pytest.mark.parametrize(
    ("change", "words", "keep_fixed"),
    [
        ({"1_x_reset_mechanism_val": 7.0}, "its values are none of this network (", False),
        ({"1_x_reset_mechanism_val": -1e9}, "its values are none of this network (", False),
        ({"1_x_reset_mechanism_val": 1.0}, "1.reset_mechanism_val is not what it was sent, and nobody learns it", True),
        ({"1_x_beta": 0.8}, "1.beta is not what it was sent, and nobody learns it", True),
        ({"0_x_weight": 3e38}, "0.weight has values beyond 1e+18", False),
    ],
)
@pytest.mark.parametrize("gradient_noise", [0.0, 1.0])
def test_values_that_no_network_has_are_left_out(change, words, keep_fixed, gradient_noise):
    """They once chose how the server's neurons reset, or stopped it there."""
    net, reports = neurons(), []
    coordinator = NetworkCoordinator(net, Average(), gradient_noise=gradient_noise, keep_fixed=keep_fixed)
    server = server_app(coordinator, 1, 3, on_round=reports.append)
    run_in_process(server, InProcessGrid(client_app(Echo(**change)), 3))
    assert sorted(reports[0].used) == [0, 2]
    assert words in reports[0].left_out[ROGUE]
    for name, tensor in neurons().state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], tensor)


@pytest.mark.parametrize("method", ["average", "product", "one-bit", "one-bit-change"])
def test_what_nobody_learns_may_be_a_whole_layer(method):
    """Its latents travel as bits, or as they are."""
    net = make_net()
    net[0].latent.requires_grad_(False)
    coordinator, reports = NetworkCoordinator(net, METHODS[method], keep_fixed=True), []

    class Honest(Mover):
        def train(self, arrays, task, memory):
            update = super().train(arrays, task, memory)
            if update.arrays["0.weight"].shape == arrays["0.weight"].shape:
                update.arrays["0.weight"] = arrays["0.weight"]
            return update

    server = server_app(coordinator, 1, 3, on_round=reports.append)
    run_in_process(server, InProcessGrid(client_app(Honest(METHODS[method])), 3))
    assert sorted(reports[0].used) == [0, 1, 2]


def test_a_mean_variance_is_not_negative():
    net = neurons()
    run_in_process(
        server_app(NetworkCoordinator(net, Average()), 1, 3),
        InProcessGrid(client_app(Echo(**{"2_x_module_x_running_var": -10.0})), 3),
    )
    assert torch.equal(net[2].module.running_var, torch.zeros(3))


@pytest.mark.slow
def test_a_whole_federation_ends_though_a_client_sends_what_it_likes(tmp_path, monkeypatch):
    """From the settings on: what nobody learns is the server's, and one loss of NaN is not the round's."""
    pytest.importorskip("lightning")
    from small_federation import run, same, written

    answer, alters = InProcessGrid._answer, []

    def rogue(self, message):
        reply = answer(self, message)
        hostile = message.metadata.dst_node_id == ROGUE + 2 and message.metadata.message_type == "train"
        return alters[-1](reply, message) if hostile else reply

    monkeypatch.setattr(InProcessGrid, "_answer", rogue)
    results = []
    for number, alter in enumerate([fails, metrics(loss=math.nan), number_of("2.reset_mechanism_val", 1.0)]):
        alters.append(alter)
        results.append(run(written(tmp_path, seeds=[0]), tmp_path / str(number)))
        for found in results[-1]:
            assert all(entry["used"] == [0] and math.isfinite(entry["loss"]) for entry in found.history)
            for entry in found.history:
                entry["left_out"], entry["bytes_up"], entry["answers"] = None, None, None
    assert same(results[1], results[0])
    assert same(results[2], results[0])


def number_of(name, value):
    def alter(reply, message):
        values = reply.content["arrays"][name].numpy()
        reply.content["arrays"][name] = Array(np.full_like(values, value))
        return reply

    return alter


def test_nobody_evaluates_but_the_server():
    strategy = FederatedStrategy(NetworkCoordinator(make_net(), Average()), 3, 0)
    grid = InProcessGrid(client_app(Mover(Average())), 3)
    assert list(strategy.configure_evaluate(1, ArrayRecord(), ConfigRecord(), grid)) == []
    message = Message(RecordDict(), 2, "evaluate")
    message.metadata.__dict__["_message_id"] = "1"
    hostile = Message(RecordDict({"metrics": MetricRecord({"loss": math.nan})}), reply_to=message)
    assert strategy.aggregate_evaluate(1, [hostile]) is None


def test_what_a_stranger_wrote_is_one_short_line():
    assert shown("a\x1b[31m\n b\r\t\u202ec") == "a?[31m b ?c"
    assert len(shown("x" * 10**7)) <= 310
