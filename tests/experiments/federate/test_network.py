"""One server and three client processes over loopback: a client is killed, and the server is restarted."""

import json
import shutil
import time
from importlib import metadata

import pytest
import torch
from loopback import ROOT, Loopback

from snntorch_binary.federated import chosen_clients

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("flower-superlink") is None, reason="Flower is not installed"),
]

ROUNDS = 4
KILLED = 1


def seed_of_selection():
    """Return a seed under which the client that will be killed takes part in round 2 and, of three, in no later one."""
    for seed in range(1000):
        rounds = [chosen_clients([0, 1, 2], 2, seed, round) for round in range(2, ROUNDS + 1)]
        if KILLED in rounds[0] and not any(KILLED in chosen for chosen in rounds[1:]):
            return seed
    raise AssertionError


def state_of(folder):
    path = folder / "last.ckpt"
    return torch.load(path, weights_only=True) if path.exists() else {"round": 0, "history": []}


def wait_for(what, net, seconds=360):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, net.logs()
        time.sleep(0.1)


@pytest.fixture(autouse=True)
def _version():
    flower = metadata.version("flwr").split(".")
    if (int(flower[0]), int(flower[1])) < (1, 42):
        pytest.skip("the options of Flower's processes are those of 1.42")


def test_a_killed_client_and_a_restarted_server(tmp_path):
    out = tmp_path / "out"
    app = ROOT / "tests/experiments/federate/network_app"
    config = {"folder": str(out), "rounds": ROUNDS, "clients": 2, "seed": seed_of_selection(), "timeout": 45.0}
    with Loopback(tmp_path) as net:
        net.start_link()
        for client in range(3):
            net.start_node(client, 3, seconds=2.0, memory=tmp_path / "memory")
        net.run(app, **config)

        wait_for(lambda: state_of(out)["round"] == 1, net)
        net.kill(net.nodes[KILLED])
        wait_for(lambda: state_of(out)["round"] == 2, net)
        second = state_of(out)["history"][1]
        assert list(second["left_out"]) == [KILLED], second
        assert len(second["used"]) == 1

        net.kill(net.link)  # in the middle of round 3, with the process of the ServerApp
        before = state_of(out)
        assert before["round"] == 2
        net.start_link()
        net.run(app, **config)
        wait_for(lambda: (out / "history.json").exists(), net)
        history = json.loads((out / "history.json").read_text())

    assert [entry["round"] for entry in history] == [1, 2, 3, 4]
    assert history[:2] == json.loads(json.dumps(before["history"]))
    assert history[2]["from"] == before["state"]["weight"].flatten().tolist() == history[1]["weight"]
    assert all(KILLED not in entry["used"] for entry in history[1:])
    assert all(entry["used"] and min(entry["bytes_up"].values()) > 0 for entry in history)
    distance = [sum(abs(value - 1) for value in entry["weight"]) for entry in history]
    assert distance[-1] < distance[0]
    for client in "02":  # counts on where it was, though Flower has forgotten its context
        visits = [entry["visits"][client]["visits"] for entry in history if client in entry["visits"]]
        assert visits == sorted(set(visits))
    assert not net.processes()


def test_a_client_is_killed_after_it_has_shared_masks(tmp_path):
    """Secure aggregation over real messages: the two that are left take its masks away."""
    out = tmp_path / "out"
    config = {"folder": str(out), "rounds": 3, "clients": 3, "seed": 0, "timeout": 45.0, "secure": 1}
    with Loopback(tmp_path) as net:
        net.start_link()
        for client in range(3):
            net.start_node(client, 3, seconds=8.0)
        net.run(ROOT / "tests/experiments/federate/network_app", **config)
        wait_for(lambda: state_of(out)["round"] == 1, net)
        wait_for(lambda: (out / f"round-of-{KILLED}").read_text() == "2", net)
        net.kill(net.nodes[KILLED])
        wait_for(lambda: state_of(out)["round"] == 2, net)
        net.kill(net.link)
    first, second = state_of(out)["history"]
    assert first["used"] == [0, 1, 2]
    assert list(second["left_out"]) == [KILLED], second
    assert second["used"] == [0, 2]
    distance = [sum(abs(value - 1) for value in entry["weight"]) for entry in (first, second)]
    assert distance[1] < distance[0]
