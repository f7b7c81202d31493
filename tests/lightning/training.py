"""What the tests of this folder share: small networks, a quiet trainer, and one run that can be interrupted."""

import os
import random
import signal
import sys
from pathlib import Path

import lightning as L
import snntorch as snn
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from snntorch_binary.lightning import BalancedTrajectory, BayesBiSNN, SpikeDataModule, SpikingModule, STBiSNN
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.models import LocalSpikingMLP, SpikingMLP

RULES = {
    "full-precision": lambda net, **more: SpikingModule(net, 10, 1e-2, **more),
    "st": lambda net, **more: STBiSNN(net, 10, 1e-2, 2e-2, **more),
    "trajectory": lambda net, **more: BalancedTrajectory(net, 10, 1e-2, 2e-2, **more),
    "bayes": lambda net, **more: BayesBiSNN(net, 10, 0.3, rho=0.0, base_lr=1e-2, **more),
}


class SnnTorchNet(nn.Module):
    """A network as in snnTorch's tutorials: a loop over time inside `forward`, spikes and potentials out."""

    def __init__(self, hidden=64):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, hidden), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(hidden, 10), snn.Leaky(beta=0.9)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, potentials = [], []
        for x_t in x:
            spk1, mem1 = self.lif1(self.fc1(x_t), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes), torch.stack(potentials)


def init_hidden_net(hidden=64):
    return nn.Sequential(
        nn.Linear(64, hidden),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(hidden, 10),
        snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )


def make_trainer(epochs=1, callbacks=(), **more):
    return L.Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        **{
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            **more,
        },
    )


class History(L.Callback):
    """Every logged value after every epoch, kept in the checkpoint."""

    def __init__(self):
        self.logged = []

    def state_dict(self):
        return {"logged": self.logged}

    def load_state_dict(self, state_dict):
        self.logged = state_dict["logged"]

    def on_train_epoch_end(self, trainer, pl_module):
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})


class Stop(L.Callback):
    """Ends training at one step: by an exception, or by killing the process."""

    def __init__(self, step, kill=False):
        self.step, self.kill = step, kill

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("stopped")


def checkpoint_in(folder):
    return ModelCheckpoint(dirpath=folder, filename="last", enable_version_counter=False)


def train(rule, folder, stop=None, epochs=4, credit="through-time"):
    """Train (or go on training) a network on digits; return its state, what was logged, and its answers."""
    last = Path(folder) / "last.ckpt"
    torch.manual_seed(0)
    if credit == "through-time":
        module = RULES[rule](SpikingMLP(64, [32], 10), readout_scale=5.0)
    else:
        module = RULES[rule](LocalSpikingMLP(64, [32, 32], 10, burn_in=2), credit=credit)
    if last.exists():
        torch.manual_seed(1)  # what comes must not depend on what was drawn before
    data = SpikeDataModule("digits", batch_size=20, limit_per_class=20)
    history = History()
    callbacks = [history, checkpoint_in(folder)] + ([stop] if stop else [])
    trainer = make_trainer(epochs, callbacks)
    with quiet():
        trainer.fit(module, datamodule=data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    module.eval()
    with torch.no_grad():
        answers = module.answers(next(iter(data.test_dataloader()))[0], final=True)
    return {name: value.clone() for name, value in module.state_dict().items()}, history.logged, answers


if __name__ == "__main__":
    rule, folder = sys.argv[1:]
    step = random.randint(11, 39)  # after the first epoch's checkpoint, before the end
    print(step, flush=True)
    train(rule, folder, Stop(step, kill=True))
