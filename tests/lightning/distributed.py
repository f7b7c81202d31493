"""Trains on one or more processes: `python distributed.py FOLDER NUM_PROCESSES` leaves FOLDER/rankR.pt."""

import os
import sys
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset
from training import make_trainer

from snntorch_binary.lightning import BayesBiSNN, STBiSNN
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.models import SpikingMLP
from snntorch_binary.weights import Bernoulli

BATCH = 8
RULES = ("st", "bayes, shared noise", "bayes")


def examples():
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(24, 5, 12, generator=generator) < 0.4).double()
    return TensorDataset(spikes, torch.randint(3, (24,), generator=generator))


def collate(batch):
    return torch.stack([x for x, _ in batch], 1), torch.stack([label for _, label in batch])


def make(rule):
    net = SpikingMLP(12, [16], 3)
    if rule == "st":
        return STBiSNN(net, 3, 1e-2, 1e-2, readout_scale=5.0)
    return BayesBiSNN(
        net,
        3,
        lr=0.3,
        rho=None,
        rule=Bernoulli(init_scale=0.5, shared_noise=rule == "bayes, shared noise"),
        readout_scale=5.0,
    )


def train(rule, num_processes, rank):
    torch.manual_seed(rank)  # processes that agree on nothing when they start
    module = make(rule)
    trainer = make_trainer(
        2,
        devices=num_processes,
        strategy="ddp" if num_processes > 1 else "auto",
        precision="64-true",
        use_distributed_sampler=False,
    )
    mine = range(rank, 24, num_processes)  # so that the processes' batches join to the batch of 8
    trainer.fit(module, DataLoader(examples(), batch_size=BATCH // num_processes, sampler=mine, collate_fn=collate))
    state = {name: value.clone() for name, value in module.net.state_dict().items()}
    drawn = module.net[1].train().weight.detach().clone()
    return {"state": state, "rho": trainer.optimizers[0].param_groups[0].get("rho"), "weight": drawn}


def train_different_networks(num_processes, rank):
    """Return what training says where the last process was given another network."""
    module = STBiSNN(SpikingMLP(12, [16 if rank < num_processes - 1 else 17], 3), 3)
    try:
        make_trainer(1, devices=num_processes, strategy="ddp").fit(module, DataLoader(examples(), collate_fn=collate))
    except ValueError as error:
        return str(error)


def run(folder, num_processes):
    rank = int(os.environ.get("LOCAL_RANK", 0))
    with quiet():
        results = {rule: train(rule, num_processes, rank) for rule in RULES}
        if num_processes > 1:
            results["different networks"] = train_different_networks(num_processes, rank)
    torch.save(results, Path(folder) / f"rank{rank}.pt")


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
