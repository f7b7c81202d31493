"""Flower's strategy and apps in one process: equal to plain averaging, and robust to what clients do wrong."""

import logging
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

pytest.importorskip("flwr")

from lightning import LightningModule

import snntorch_binary as sb
from snntorch_binary.data import SpikeDataset, collate, load
from snntorch_binary.federated import (
    IID,
    Average,
    Dirichlet,
    NetworkCoordinator,
    OneBit,
    OneBitChange,
    ProductOfExperts,
    Task,
    Update,
    chosen_clients,
    round_seed,
    weighted_mean,
)
from snntorch_binary.federated.aggregation import shared_state
from snntorch_binary.federated.flower import InProcessGrid, TooFewClientsError, client_app, run_in_process, server_app
from snntorch_binary.federated.flower.records import from_record, to_record
from snntorch_binary.federated.participant import NetworkParticipant, as_module
from snntorch_binary.lightning import BayesBiSNN, SpikingModule, STBiSNN
from snntorch_binary.models import LocalSpikingMLP, SpikingMLP

CLIENTS = 4


@pytest.fixture(scope="module")
def digits():
    return load("digits", num_steps=4, limit_per_class=30)


def make_full():
    torch.manual_seed(0)
    return SpikingModule(SpikingMLP(64, [16], 10), 10, lr=1e-2)


def make_st():
    torch.manual_seed(0)
    return STBiSNN(SpikingMLP(64, [32], 10, drive=6.0), 10, lr=1e-2, readout_scale=3.0)


def make_bayes():
    torch.manual_seed(0)
    return BayesBiSNN(SpikingMLP(64, [16], 10), 10, rho=None)


def make_fast_bayes():
    torch.manual_seed(0)
    return BayesBiSNN(
        SpikingMLP(64, [32], 10),
        10,
        lr=0.1,
        rho=0.0,
        base_lr=1e-2,
        rule=sb.Bernoulli(init_scale=1.0),
        scale="channel",
        readout_scale=3.0,
    )


def federate(make, aggregation, digits, rounds=3, per_round=2, clients=CLIENTS, participant=None, **options):
    parts = Dirichlet(1.0)(digits.train.labels, clients, seed=0)
    side = participant or NetworkParticipant(make, digits.train, parts, aggregation, collate_fn=collate)
    module = make()
    coordinator = NetworkCoordinator(module.net, aggregation)
    reports = []
    server = server_app(coordinator, rounds, per_round, seed=3, on_round=reports.append, **options)
    grid = InProcessGrid(client_app(side), clients)
    run_in_process(server, grid)
    return module, reports, grid


@pytest.mark.slow
@pytest.mark.parametrize("make", [make_full, make_st, make_bayes])
def test_it_equals_plain_averaging_without_flower(digits, make):
    """The oracle is a loop over clients in plain torch: the same batches, gradients and means."""
    module, reports, _ = federate(make, Average(), digits)
    oracle = make().net
    parts = Dirichlet(1.0)(digits.train.labels, CLIENTS, seed=0)
    side = NetworkParticipant(make, digits.train, parts, Average(), collate_fn=collate)
    for number in range(1, 4):
        chosen = chosen_clients(range(CLIENTS), 2, 3, number)
        assert reports[number - 1].used == chosen
        sent, sizes = [], []
        for client in chosen:
            update = side.train(shared_state(oracle), Task(number, round_seed(3, number), client, CLIENTS, 0), {})
            sent.append(update.arrays)
            sizes.append(len(parts[client]))
        total = sum(sizes)
        mean = {name: sum(n / total * s[name].double() for n, s in zip(sizes, sent, strict=True)) for name in sent[0]}
        oracle.load_state_dict({**oracle.state_dict(), **mean})
    for name, tensor in shared_state(module.net).items():
        torch.testing.assert_close(tensor, oracle.state_dict()[name], rtol=1e-5, atol=1e-6)
    start = make().net.state_dict()
    assert not any(torch.equal(tensor, start[name]) for name, tensor in module.net.named_parameters())


def test_local_training_is_the_modules_own():
    """One client, one epoch: by hand with Adam, the same numbers."""
    torch.manual_seed(1)
    x, labels = torch.rand(40, 64), torch.randint(10, (40,))
    data = SpikeDataset(x, labels, num_steps=3, encoder=sb.data.RateEncoder())
    side = NetworkParticipant(make_full, data, [torch.arange(40)], Average(), batch_size=16, collate_fn=collate)
    module = make_full()
    task = Task(2, 11, 0, 1, 0)
    update = side.train(shared_state(module.net), task, {})
    assert update.num_examples == 40
    optimizer = torch.optim.Adam(module.net.parameters(), lr=1e-2)
    data.set_epoch(1)
    from snntorch_binary.kernels.noise import mix

    order = torch.randperm(40, generator=torch.Generator().manual_seed(mix(mix(11, 0), 0)))
    for batch in order.split(16):
        spikes, wanted = data.__getitems__(batch.tolist())
        optimizer.zero_grad()
        nn.functional.cross_entropy(module.net(spikes).mean(0), wanted).backward()
        optimizer.step()
    for name, tensor in shared_state(module.net).items():
        torch.testing.assert_close(update.arrays[name], tensor)


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", [ProductOfExperts(), OneBit(), OneBitChange()])
def test_it_learns(digits, aggregation):
    _, reports, _ = federate(make_fast_bayes, aggregation, digits, rounds=20)
    losses = [sum(found["loss"] for found in report.metrics.values()) for report in reports]
    assert sum(losses[-4:]) < 0.75 * sum(losses[:4])


@pytest.mark.parametrize("aggregation", [OneBit(), OneBitChange()])
def test_bits_are_few_on_the_wire(digits, aggregation):
    _, full, _ = federate(make_bayes, Average(), digits, rounds=1)
    _, bits, _ = federate(make_bayes, aggregation, digits, rounds=1)
    (as_float, *_), (as_bits, *_) = full[0].bytes_up.values(), bits[0].bytes_up.values()
    weights = 64 * 16 + 16 * 10
    assert 4 * weights < as_float < 4 * weights + 5000
    assert as_float - as_bits == pytest.approx(31 / 32 * 4 * weights, abs=1000)  # a tensor more has a header more


def test_clients_draw_weights_of_their_own(digits):
    seen = []

    class Watching(NetworkParticipant):
        def _learn(self, module, part, round, seed):
            seen.append(module.net[1].weight.clone())
            return super()._learn(module, part, round, seed)

    parts = IID()(digits.train.labels, 2, seed=0)
    side = Watching(make_bayes, digits.train, parts, Average(), collate_fn=collate)
    for client in (0, 1, 0):
        side.train(shared_state(make_bayes().net), Task(1, 5, client, 2, 0), {})
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])


class WellBehaved:
    def train(self, arrays, task, memory):
        return Update({name: tensor + 1 for name, tensor in arrays.items()}, 10)


class Misbehaving:
    """Client 1 does what it is told to do wrong, all others answer well."""

    def __init__(self, how):
        self.how = how

    def train(self, arrays, task, memory):
        good = {name: tensor + 1 for name, tensor in arrays.items()}
        if task.client != 1:
            return Update(good, 10)
        if self.how == "raises":
            raise RuntimeError("the disk is full")
        if self.how == "nothing":
            return Update(good, 0)
        first = next(iter(good))
        if self.how == "nan":
            good[first][0] = float("nan")
        elif self.how == "shape":
            good[first] = torch.zeros(3)
        else:
            good["another"] = good.pop(first)
        return Update(good, 10)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raises", "it failed (RuntimeError: the disk is full)"),
        ("nan", "0.weight has NaN or infinite values"),
        ("shape", "0.weight has shape (3,) and not (2, 2)"),
        ("architecture", "its network is another one"),
        ("nothing", "it learned from no example"),
    ],
)
def test_a_client_that_does_wrong_is_left_out_and_named(how, words, caplog):
    net = nn.Sequential(nn.Linear(2, 2))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    reports = []
    server = server_app(NetworkCoordinator(net, Average()), 2, 3, on_round=reports.append)
    with caplog.at_level(logging.WARNING, logger="snntorch_binary.federated"):
        run_in_process(server, InProcessGrid(client_app(Misbehaving(how)), 3))
    for report in reports:
        assert sorted(report.used) == [0, 2]
        assert words in report.left_out[1]
    assert any("goes on without client 1" in line for line in caplog.messages)
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, before[name] + 2)


def test_a_round_without_a_good_answer_changes_nothing(caplog):
    net = nn.Sequential(nn.Linear(2, 2))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}

    class Failing:
        def train(self, arrays, task, memory):
            raise ValueError("no")

    with caplog.at_level(logging.WARNING, logger="snntorch_binary.federated"):
        run_in_process(server_app(NetworkCoordinator(net, Average()), 1, 2), InProcessGrid(client_app(Failing()), 2))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert "changed nothing" in caplog.text


def test_too_few_clients_are_refused_at_once():
    server = server_app(NetworkCoordinator(nn.Linear(2, 2), Average()), 1, 3)
    with pytest.raises(TooFewClientsError, match="A round needs 3 clients, but there are 2"):
        run_in_process(server, InProcessGrid(client_app(Misbehaving("nan")), 2))


@pytest.mark.slow
def test_stragglers_do_not_count():
    net = nn.Linear(2, 2)
    reports = []
    coordinator = NetworkCoordinator(net, Average(), stragglers=0.5)
    run_in_process(server_app(coordinator, 40, 4, on_round=reports.append), InProcessGrid(client_app(WellBehaved()), 4))
    used = [len(report.used) for report in reports]
    for report in reports:
        assert report.left_out == {client: "it was too late" for client in range(4) if client not in report.used}
        assert len(report.bytes_up) == 4
    assert min(used) >= 1
    assert 2.0 < sum(used) / len(used) < 3.0


def test_what_a_client_keeps_comes_back(digits):
    class Counting:
        def train(self, arrays, task, memory):
            memory["visits"] = memory.get("visits", torch.zeros((), dtype=torch.int64)) + 1
            return Update(arrays, 1, {"visits": float(memory["visits"])})

    reports = []
    grid = InProcessGrid(client_app(Counting()), 3)
    run_in_process(server_app(NetworkCoordinator(nn.Linear(1, 1), Average()), 5, 2, on_round=reports.append), grid)
    for client in range(3):
        visits = [report.metrics[client]["visits"] for report in reports if client in report.metrics]
        assert visits == list(range(1, len(visits) + 1))
    assert sum(int(memory["visits"]) for memory in grid.memories(range(3)).values()) == 10


def test_a_class_is_made_from_the_context():
    class Numbered:
        def __init__(self, context):
            self.number = context.node_config["partition-id"]

        def train(self, arrays, task, memory):
            return Update(arrays, 1, {"number": float(self.number)})

    class Server(NetworkCoordinator):
        def __init__(self, context):
            super().__init__(nn.Linear(1, 1), Average())

    reports = []
    run_in_process(server_app(Server, 1, 1, on_round=reports.append), InProcessGrid(client_app(Numbered), 1))
    assert reports[0].metrics == {0: {"number": 0.0}}


@pytest.mark.slow
@pytest.mark.parametrize("named_by_node", [True, False])
def test_a_client_finds_its_factor_again_after_a_server_was_lost(digits, tmp_path, named_by_node):
    """A new run of Flower forgets all contexts; with a folder the rounds are those of one run, without one not."""
    aggregation = ProductOfExperts(0.5)
    parts = Dirichlet(1.0)(digits.train.labels, 3, seed=0)

    def rounds(module, folder, until, done=0, accepted=None):
        side = NetworkParticipant(make_bayes, digits.train, parts, aggregation, collate_fn=collate)
        grid, reports = InProcessGrid(client_app(side, memory=None if named_by_node else folder), 3), []
        for context in grid.contexts.values():
            if named_by_node:
                context.node_config["memory"] = str(folder or "")
        coordinator = NetworkCoordinator(module.net, aggregation)
        options = {"rounds_done": done, "accepted": accepted, "on_round": reports.append}
        run_in_process(server_app(coordinator, until, 2, seed=3, **options), grid)
        return {client: report.round for report in reports for client in report.used}, shared_state(module.net)

    _, whole = rounds(make_bayes(), None, 5)
    results = []
    for folder in (tmp_path, tmp_path, None):  # the second finds what is left of the first, and does not use it
        module = make_bayes()
        accepted, _ = rounds(module, folder, 3)
        results.append(rounds(module, folder, 5, 3, accepted)[1])
    for name, tensor in whole.items():
        assert torch.equal(tensor, results[0][name])
        assert torch.equal(tensor, results[1][name])
    assert any(not torch.equal(tensor, results[2][name]) for name, tensor in whole.items())
    files = list(tmp_path.glob("client*.pt"))
    assert files
    for path in files:
        assert path.stat().st_mode & 0o077 == 0
        path.write_bytes(b"nothing")
    module = make_bayes()
    accepted, _ = rounds(module, None, 3)
    assert not rounds(module, tmp_path, 5, 3, accepted)[0]  # each client fails with a sentence


def test_tensors_travel_as_they_are():
    state = {
        "a": torch.randn(2, 3),
        "bits": torch.tensor([3, 255], dtype=torch.uint8),
        "n": torch.tensor(5),
        "flag": torch.tensor(True),
    }
    back = from_record(to_record(state))
    for name, tensor in state.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)


def test_a_plain_network_learns_too():
    torch.manual_seed(0)
    x = torch.randn(120, 4)
    labels = (x[:, 0] > 0).long()
    data = torch.utils.data.TensorDataset(x, labels)

    def make():
        torch.manual_seed(0)
        return as_module(nn.Linear(4, 2), 2, lr=0.05)

    module = make()
    side = NetworkParticipant(make, data, IID()(labels, 3, 0), Average())
    run_in_process(server_app(NetworkCoordinator(module.net, Average()), 8, 3), InProcessGrid(client_app(side), 3))
    assert (module.net(x).argmax(-1) == labels).float().mean() > 0.9


def test_what_clients_cannot_train_is_refused():
    with pytest.raises(ValueError, match="clients make no training_step, but got LightningModule"):
        as_module(LightningModule(), 2)
    learns_online = SpikingModule(LocalSpikingMLP(4, [8], 2), 2, credit="online")
    with pytest.raises(ValueError, match="SpikingModule with credit 'through-time' or 'local'"):
        as_module(learns_online, 2)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"aggregation": Average}, "`aggregation` to be an Aggregation, such as Average.., but got the class Average"),
        ({"aggregation": "average"}, "but got 'average'"),
        ({"epochs": "1"}, "`epochs` to be a positive integer, but got '1'"),
        ({"labels": [0, 1]}, "`labels` to be of all examples, up to number 3, but got 2 labels"),
        ({"parts": [[0, 1], []]}, "`parts` to be at least one example for each client, but got none for client 1"),
    ],
)
def test_wrong_arguments_are_found_out_at_once(changes, sentence):
    given = {"make_module": make_full, "dataset": None, "parts": [[0, 1], [2, 3]], "aggregation": Average(), **changes}
    with pytest.raises((TypeError, ValueError), match=sentence):
        NetworkParticipant(**given)
    if isinstance(given["aggregation"], type):
        with pytest.raises(TypeError, match="such as Average"):
            NetworkCoordinator(nn.Linear(2, 2), given["aggregation"])


def test_a_plain_network_from_make_module_is_one_sentence(caplog):
    data = torch.utils.data.TensorDataset(torch.randn(6, 4), torch.arange(6) % 2)
    side = NetworkParticipant(lambda: nn.Linear(4, 2), data, [range(3), [3, 4, 5]], Average())
    grid = InProcessGrid(client_app(side), 2)
    run_in_process(server_app(NetworkCoordinator(nn.Linear(4, 2), Average()), 1, 2), grid)
    assert "returns a SpikingModule (as_module makes one of a plain network), but got Linear" in caplog.text


def test_a_module_that_learns_online_is_refused_whoever_made_it():
    side = NetworkParticipant(
        lambda: SpikingModule(LocalSpikingMLP(4, [8], 2), 2, credit="online"), None, [[0, 1]], Average()
    )
    with pytest.raises(ValueError, match="SpikingModule with credit 'through-time' or 'local'"):
        side.train({}, Task(1, 0, 0, 1, 0), {})


def test_weighted_mean_is_what_the_coordinator_takes():
    net = nn.Linear(1, 1)
    coordinator = NetworkCoordinator(net, Average(), uniform=True)
    updates = {
        client: Update({k: v + client for k, v in shared_state(net).items()}, 1 + 9 * client) for client in (0, 1)
    }
    wanted = weighted_mean([update.arrays for update in updates.values()])
    assert coordinator.combine(updates, 1, 0) == [0, 1]
    torch.testing.assert_close(dict(net.state_dict()), wanted)


@pytest.mark.slow
def test_nothing_is_said_to_anybody():
    script = "import os, snntorch_binary.federated.flower; print(os.environ['FLWR_TELEMETRY_ENABLED'])"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLWR_")}
    for asked, wanted in ((None, "0"), ("1", "1")):
        given = environment if asked is None else {**environment, "FLWR_TELEMETRY_ENABLED": asked}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, env=given, check=True
        )
        assert done.stdout.strip() == wanted
