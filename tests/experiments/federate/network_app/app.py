"""A Flower app of the size of a test: a linear layer that three clients teach the sum of two numbers."""

import json
import time
from pathlib import Path

import torch
from flwr.serverapp import ServerApp

from snntorch_binary.experiments.federate.apps import RESTART_WAIT
from snntorch_binary.experiments.federate.checkpoint import RoundCheckpoint
from snntorch_binary.federated import Average, NetworkCoordinator, Update
from snntorch_binary.federated.aggregation import shared_state
from snntorch_binary.federated.flower import client_app, server_app
from snntorch_binary.federated.flower.secure_aggregation import SecureExchange, SecureModifier
from snntorch_binary.federated.protection import SecureAggregation


def make_net():
    torch.manual_seed(0)
    return torch.nn.Linear(2, 1)


class Teacher:
    """Learns for as long as its client is told to, so that a test can kill it meanwhile."""

    def __init__(self, context):
        self.seconds = float(context.node_config.get("seconds", 0.0))
        self.folder = Path(context.run_config["folder"])

    def train(self, arrays, task, memory):
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"round-of-{task.client}").write_text(str(task.round))
        time.sleep(self.seconds)
        memory["visits"] = memory.get("visits", torch.tensor(0)) + 1
        net = make_net()
        net.load_state_dict(arrays)
        x = torch.randn(64, 2, generator=torch.Generator().manual_seed(100 * task.client + task.round))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(5):
            loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return Update(shared_state(net), 64, {"loss": loss.item(), "visits": float(memory["visits"])})


def masked(message, context, call_next):
    if not context.run_config["secure"]:
        return call_next(message, context)
    return SecureModifier(SecureAggregation(), uniform=True)(message, context, call_next)


client = client_app(Teacher, [masked])
server = ServerApp()


@server.main()
def main(grid, context):
    given = context.run_config
    folder = Path(given["folder"])
    checkpoint = RoundCheckpoint(folder)
    coordinator = NetworkCoordinator(make_net(), Average())
    done, accepted, history = 0, {}, []
    found = checkpoint.load()
    if found is not None:
        state = found[0]
        coordinator.load_state_dict(state["state"])
        done, accepted, history = state["round"], state["accepted"], state["history"]
    started_with = coordinator.net.weight.flatten().tolist()

    def after_round(report):
        accepted.update(dict.fromkeys(report.used, report.round))
        entry = {"round": report.round, "used": sorted(report.used), "left_out": report.left_out}
        history.append({**entry, "bytes_up": report.bytes_up, "visits": report.metrics, "from": started_with})
        state = coordinator.state_dict()
        history[-1]["weight"] = coordinator.net.weight.flatten().tolist()
        checkpoint.save({"state": state, "accepted": accepted, "history": history}, report.round, {})

    timeout = float(given["timeout"])
    server_app(
        coordinator,
        int(given["rounds"]),
        int(given["clients"]),
        int(given["seed"]),
        rounds_done=done,
        accepted=accepted,
        wait=RESTART_WAIT,
        timeout=timeout,
        secure=SecureExchange(SecureAggregation(), timeout=timeout) if given["secure"] else None,
        on_round=after_round,
    )(grid, context)
    (folder / "history.json").write_text(json.dumps(history))
