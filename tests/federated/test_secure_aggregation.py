"""Secure aggregation: equal to aggregation in the clear, robust to clients that are lost, and nothing in the clear."""

import logging
import sys

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("flwr")

from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.common import bytes_to_ndarray
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage

from snntorch_binary.federated import Average, NetworkCoordinator, OneBitChange, ProductOfExperts, Update
from snntorch_binary.federated.flower import InProcessGrid, client_app, run_in_process, server_app
from snntorch_binary.federated.flower.secure_aggregation import SecureExchange, SecureModifier
from snntorch_binary.federated.protection import SecureAggregation
from snntorch_binary.nn import BinaryLinear
from snntorch_binary.weights import Bernoulli

CLIENTS = 5
SIZES = [10, 40, 25, 5, 20]


def make_net():
    torch.manual_seed(0)
    return nn.Sequential(BinaryLinear(6, 4, weight=Bernoulli()), nn.BatchNorm1d(4), nn.Linear(4, 3))


class Mover:
    """Moves each client's network by noise of its own, as learning would; some of them do something wrong."""

    def __init__(self, aggregation, wrong=None):
        self.aggregation, self.wrong = aggregation, wrong or {}

    def train(self, arrays, task, memory):
        wrong = self.wrong.get(task.client)
        if wrong == "fails":
            raise RuntimeError("no disk")
        size = 0 if wrong == "empty" else SIZES[task.client]
        net = make_net()
        net.load_state_dict({**net.state_dict(), **arrays})
        start = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        generator = torch.Generator().manual_seed(100 * task.round + task.client)
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor += 0.3 * torch.randn(tensor.shape, generator=generator)
                if name == "2.weight" and wrong == "nan":
                    tensor[0, 0] = float("nan")
                if name == "2.bias" and wrong == "far":
                    tensor[0] += 9.0
        sent = self.aggregation.upload(net, start, memory, task)
        if wrong == "shape":
            sent["2.bias"] = sent["2.bias"].expand(5, 3)
        elif wrong == "half":
            sent["2.bias"] = sent["2.bias"].half()
        elif wrong == "missing":
            del sent["2.bias"]
        return Update(sent, size, {"loss": 1.0})


class Lost(InProcessGrid):
    """Clients that are lost before they answer the message of a stage, counted from 0 in each round."""

    def __init__(self, app, lost):
        super().__init__(app, CLIENTS)
        self.lost, self.seen, self.replies = lost, {}, []

    def _answer(self, message):
        client = message.metadata.dst_node_id - 2
        if message.metadata.message_type == "train":
            stage = self.seen[client] = self.seen.get(client, -1) + 1
            if stage >= self.lost.get(client, 99):
                return Message(Error(2, "lost"), reply_to=message)
        reply = super()._answer(message)
        self.replies.append(reply)
        return reply


def federate(
    aggregation,
    *,
    secure=True,
    masked=None,
    uniform=False,
    clients_uniform=None,
    wrong=None,
    lost=None,
    rounds=1,
    settings=None,
    clients=None,
    sizes=SIZES,
):
    settings = settings or SecureAggregation()
    net = make_net()
    coordinator = NetworkCoordinator(net, aggregation, uniform=uniform)
    exchange = SecureExchange(settings, None if uniform else sizes, timeout=10.0) if secure else None
    modifier = SecureModifier(clients or settings, uniform if clients_uniform is None else clients_uniform)
    mods = [modifier] if (secure if masked is None else masked) else []
    reports = []
    grid = Lost(client_app(Mover(aggregation, wrong), mods), lost or {})
    run_in_process(server_app(coordinator, rounds, CLIENTS, secure=exchange, on_round=reports.append), grid)
    return net, reports, grid


def close(net, other, tolerance=1e-5):
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, other.state_dict()[name], rtol=0, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("aggregation", "uniform"), [(Average(), False), (Average(), True), (ProductOfExperts(0.7), True)]
)
def test_it_equals_aggregation_in_the_clear(aggregation, uniform):
    """Up to Flower's rounding: each client's change, weighted by at most 1, is one of 2^22 values in ±8."""
    masked, reports, _ = federate(aggregation, uniform=uniform, rounds=3)
    clear, clear_reports, _ = federate(aggregation, secure=False, uniform=uniform, rounds=3)
    close(masked, clear, 3 * CLIENTS * 16 / 2**22)
    assert [report.used for report in reports] == [report.used for report in clear_reports]
    assert not any(report.left_out for report in reports)
    assert not torch.allclose(masked[2].weight, make_net()[2].weight, atol=0.05)


@pytest.mark.slow
def test_equal_settings_give_equal_networks():
    """Whatever the state of NumPy's random numbers, which Flower rounds with."""
    nets = []
    for seed in (1, 2):
        np.random.seed(seed)
        nets.append(federate(Average(), rounds=2)[0])
    one, other = nets
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("fails", "it failed (RuntimeError: no disk)"),
        ("nan", "2.weight has NaN or infinite values"),
        ("far", "it failed (ValueError: a number changed by more than clipping_range 8)"),
        ("shape", "2.bias has shape (5, 3) and not (3,)"),
        ("half", "2.bias is torch.float16 and not torch.float32"),
        ("missing", "its network is another one (it differs in 2.bias)"),
        ("empty", "it learned from no example"),
    ],
)
def test_a_client_that_cannot_answer_is_left_out_of_the_mean(caplog, wrong, words):
    with caplog.at_level(logging.WARNING):
        net, (report,), _ = federate(Average(), wrong={1: wrong})
    assert sorted(report.used) == [0, 2, 3, 4]
    assert words in report.left_out[1]
    assert "goes on without client 1" in caplog.text
    clear, _, _ = federate(Average(), secure=False, wrong={1: "fails"})
    close(net, clear)


def test_a_client_of_another_number_does_not_stop_the_server():
    _, (report,), _ = federate(Average(), sizes=SIZES[:4], wrong={4: "fails"})
    assert sorted(report.used) == [0, 1, 2, 3]
    assert "it failed" in report.left_out[4]


@pytest.mark.parametrize("lost", [{3: 0}, {3: 1}, {3: 2}, {1: 0, 3: 2}, {1: 2, 3: 2}, {1: 1, 3: 3}])
def test_clients_that_are_lost_in_any_stage_are_left_out(lost):
    """Before or after they have shared keys, or with masks that others must take away; in the last stage they count."""
    net, (report,), _ = federate(Average(), lost=lost)
    early = {client for client, stage in lost.items() if stage < 3}
    assert report.left_out == dict.fromkeys(early, "it failed (lost)")
    assert set(report.used) == set(range(CLIENTS)) - early
    clear, _, _ = federate(Average(), secure=False, wrong=dict.fromkeys(early, "fails"))
    close(net, clear)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_a_round_without_enough_clients_changes_nothing(caplog, stage):
    lost = dict.fromkeys([0, 1, 3], stage)
    with caplog.at_level(logging.WARNING):
        net, (report,), _ = federate(Average(), lost=lost)
    assert not report.used
    assert sorted(report.left_out) == list(range(CLIENTS))
    assert report.left_out[2] == "too few clients were left for a secure mean"
    assert "changed nothing" in caplog.text
    close(net, make_net(), 0.0)


def test_fewer_shares_than_clients():
    """Three neighbours each instead of all five; one of them is lost with its masks in the others' vectors."""
    settings = SecureAggregation(num_shares=0.6, reconstruction_threshold=0.6)
    net, (report,), _ = federate(Average(), lost={0: 2}, settings=settings)
    assert sorted(report.used) == [1, 2, 3, 4]
    close(net, federate(Average(), secure=False, wrong={0: "fails"})[0])


def test_nothing_travels_in_the_clear():
    """No reply has arrays, a loss or a number of examples; what is masked is uniform, and new each time."""
    vectors = []
    for _ in range(2):
        _, (report,), grid = federate(Average())
        assert report.metrics[0] == {}
        for reply in grid.replies:
            content = reply.content
            assert not any(len(record) for record in content.array_records.values())
            for record in content.metric_records.values():
                assert dict(record) == {"num_examples": 1}
            for record in content.config_records.values():
                if Key.MASKED_PARAMETERS in record:
                    _, vector = map(bytes_to_ndarray, record[Key.MASKED_PARAMETERS])  # after the weight
                    vectors.append(torch.from_numpy(vector.copy()))
    assert len(vectors) == 2 * CLIENTS
    numbers = torch.cat(vectors).double() / 2**32
    assert 0 <= numbers.min() < numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 6 * (1 / 12 / len(numbers)) ** 0.5
    assert abs(numbers.var() - 1 / 12) < 0.02
    assert len({tuple(vector.tolist()) for vector in vectors}) == 2 * CLIENTS


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clients": SecureAggregation(clipping_range=4.0)}, "has clipping_range 8.0 and this client 4.0"),
        ({"clients": SecureAggregation(reconstruction_threshold=1.0)}, "has threshold 3 and this client 5"),
        ({"clients": SecureAggregation(num_shares=0.6)}, "has share_num 5 and this client 3"),
        ({"clients_uniform": True}, "has max_weight 40"),
        ({"masked": False}, "the server's settings have secure_aggregation, this client's have none"),
        ({"secure": False, "masked": True}, "this client's settings have secure_aggregation, the server's have none"),
    ],
)
def test_a_client_refuses_another_protocol_than_its_own(options, words):
    """A server cannot talk it into less protection, and no two sides mean different numbers."""
    net, (report,), _ = federate(Average(), **options)
    assert not report.used
    assert all(words in reason for reason in report.left_out.values())
    close(net, make_net(), 0.0)


def test_rounding_is_as_fine_as_the_clients_of_the_round_allow():
    """One heavy client that is not asked does not make the others' changes coarse."""
    aggregation, reports = Average(), []
    net = make_net()
    exchange = SecureExchange(SecureAggregation(), [*SIZES, 10**9], timeout=10.0)
    grid = InProcessGrid(client_app(Mover(aggregation), [SecureModifier(SecureAggregation(), False)]), CLIENTS)
    server = server_app(NetworkCoordinator(net, aggregation), 1, CLIENTS, secure=exchange, on_round=reports.append)
    run_in_process(server, grid)
    assert len(reports[0].used) == CLIENTS
    close(net, federate(Average(), secure=False)[0])


def test_a_round_whose_clients_count_nothing_beside_the_largest_changes_nothing(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SIZES", [1, 1, 1, 1, 10**8])
    net, reports = make_net(), []
    exchange = SecureExchange(SecureAggregation(), SIZES, timeout=10.0)
    grid = Lost(client_app(Mover(Average()), [SecureModifier(SecureAggregation(), False)]), {4: 2})
    server = server_app(NetworkCoordinator(net, Average()), 1, CLIENTS, secure=exchange, on_round=reports.append)
    run_in_process(server, grid)
    assert reports[0].left_out[0] == "the clients that were left count too little beside the largest"
    close(net, make_net(), 0.0)


def test_a_vector_of_another_length_is_left_out_and_not_the_round(monkeypatch):
    from snntorch_binary.federated.flower import secure_aggregation

    change, calls = secure_aggregation._change, []

    def longer(*arguments):
        calls.append(arguments)
        vector = change(*arguments)
        return torch.cat([vector, vector[:1]]) if len(calls) == 2 else vector

    monkeypatch.setattr(secure_aggregation, "_change", longer)
    _, reports, _ = federate(Average(), rounds=2)
    assert list(reports[0].left_out.values()) == ["its masked vector has shape (60,) and not (59,)"]
    assert len(reports[0].used) == CLIENTS - 1
    assert len(reports[1].used) == CLIENTS


def test_a_client_does_not_let_its_masks_be_made_small():
    modifier = SecureModifier(SecureAggregation(), uniform=True)
    asked = {
        Key.STAGE: Stage.SETUP,
        Key.SAMPLE_NUMBER: 5,
        Key.SHARE_NUMBER: 5,
        Key.THRESHOLD: 3,
        Key.CLIPPING_RANGE: 8.0,
        Key.TARGET_RANGE: 2**22,
        Key.MOD_RANGE: 2**32,
        Key.MAX_WEIGHT: 1.0,
    }
    for key, value in ((None, None), (Key.MOD_RANGE, 2), (Key.TARGET_RANGE, 1), (Key.SAMPLE_NUMBER, 2)):
        content = RecordDict({RECORD_KEY_CONFIGS: ConfigRecord({**asked, **({key: value} if key else {})})})
        grid = InProcessGrid(client_app(Mover(Average()), [modifier]), 1)
        reply = grid._answer(Message(content, dst_node_id=2, message_type="train"))
        assert reply.has_error() == (key is not None)
    assert "which hides nobody" in reply.error.reason


def test_an_aggregation_that_needs_single_answers_is_refused():
    class Median(Average):
        def combine(self, net, uploads, weights, seed):
            raise NotImplementedError

    for aggregation, words in ((Median(), "which Median needs"), (OneBitChange(), "which OneBitChange needs")):
        with pytest.raises(ValueError, match=words):
            federate(aggregation)
    with pytest.raises(ValueError, match="`uniform` to be True"):
        federate(ProductOfExperts())


def test_bytes_are_those_of_all_stages():
    _, (masked,), _ = federate(Average())
    _, (clear,), _ = federate(Average(), secure=False)
    assert masked.bytes_up.keys() == masked.bytes_down.keys() == clear.bytes_up.keys()
    numbers = sum(tensor.numel() for tensor in make_net().state_dict().values() if tensor.is_floating_point())
    assert all(count > 8 * numbers for count in masked.bytes_up.values())  # eight bytes a masked number
    assert all(count > clear.bytes_down[client] for client, count in masked.bytes_down.items())
