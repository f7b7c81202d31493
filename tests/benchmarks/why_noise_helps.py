"""Why a posterior answers better under a degraded input: which part of it does.

    python -m tests.benchmarks.why_noise_helps --data-dir D

N-MNIST, digits 6 to 9, the network and constants of `compare nmnist`: each line adds to a network of full precision or
to ST-BiSNN one thing that Bayes-BiSNN has beside its binary weights, noise on weights in training, gains, members; or
one that is commonly used in its place, training on a noisy input or dropout; or centred weights; or learning rates that
do not fall, so that signs go on flipping of which the data say little. Of noise on weights, 0.5, 1 and 2 times
their mean size were tried on validation data (`--part validation --noise 2`). A line takes about a minute of one core
for each seed.
"""

import argparse
import contextlib
from functools import partial

import lightning as L
import torch

import snntorch_binary as sb
from snntorch_binary.data.corruptions import dead_pixels, noise_spikes, spikes_lost
from snntorch_binary.lightning import BalancedTrajectory, BayesBiSNN, SpikeDataModule, SpikingModule, STBiSNN
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.metrics import evaluate
from snntorch_binary.models import SpikingMLP

SENSORS = {
    "clean": None,
    "5 % noise spikes": partial(noise_spikes, strength=0.05),
    "15 % noise spikes": partial(noise_spikes, strength=0.15),
    "30 % dead pixels": partial(dead_pixels, strength=0.3),
    "60 % of spikes lost": partial(spikes_lost, strength=0.6),
}
SCORES = ("accuracy", "ece", "nll")


class NoisyWeights(L.Callback):
    """Add to the parameters of two dimensions, before each step, noise of so many times their mean size."""

    def __init__(self, strength):
        self.strength = strength
        self.noise = []

    def on_train_batch_start(self, trainer, module, batch, index):
        parameters = [parameter for parameter in module.net.parameters() if parameter.ndim == 2]
        sizes = [self.strength * parameter.detach().abs().mean() for parameter in parameters]
        self.noise = [(p, size * torch.randn_like(p)) for p, size in zip(parameters, sizes, strict=True)]
        self.add(1)

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.add(-1)
        self.noise = []

    @torch.no_grad()
    def add(self, sign):
        for parameter, noise in self.noise:
            parameter.add_(noise, alpha=sign)


class NoisyInput(L.Callback):
    """Have a sensor add noise spikes to, or lose spikes of, each training batch."""

    def __init__(self, corrupt):
        self.corrupt = corrupt
        self.generator = torch.Generator().manual_seed(0)

    def on_train_batch_start(self, trainer, module, batch, index):
        batch[0].copy_(self.corrupt(batch[0], generator=self.generator))


def full_precision():
    return SpikingModule(SpikingMLP(2312, [512], 4, drive=3.0), 4, lr=1e-3, readout_scale=5.0)


def st(scale="channel", latent_lr=3e-3, cosine=True):
    net = SpikingMLP(2312, [512], 4, drive=6.0)
    return STBiSNN(net, 4, lr=1e-3, latent_lr=latent_lr, scale=scale, cosine=cosine, readout_scale=5.0)


def balanced(latent_lr=3e-3, cosine=True):
    net = SpikingMLP(2312, [512], 4, drive=3.0)
    return BalancedTrajectory(net, 4, lr=1e-3, latent_lr=latent_lr, cosine=cosine, readout_scale=5.0)


def bayes(scale="channel"):
    constants = {"lr": 0.6, "rho": 1e-6, "base_lr": 1e-3, "limit": 30.0, "rule": sb.Bernoulli(init_scale=3.0)}
    return BayesBiSNN(SpikingMLP(2312, [512], 4, drive=6.0), 4, scale=scale, readout_scale=5.0, **constants)


WEIGHT_NOISE = 1.0

LINES = {
    "full precision": (full_precision, None),
    "full precision, noise on weights": (full_precision, NoisyWeights),
    "full precision, noise spikes in training": (full_precision, lambda: NoisyInput(SENSORS["5 % noise spikes"])),
    "ST": (st, None),
    "ST without gains": (partial(st, "fan_in"), None),
    "ST, noise on latents": (st, NoisyWeights),
    "ST, noise spikes in training": (st, lambda: NoisyInput(SENSORS["5 % noise spikes"])),
    "ST, dropout of the input": (st, lambda: NoisyInput(partial(spikes_lost, strength=0.3))),
    "ST, constant rates": (partial(st, "channel", 1e-2, False), None),
    "balanced ST": (balanced, None),
    "balanced ST, constant rates": (partial(balanced, 1e-2, False), None),
    "Bayes": (bayes, None),
    "Bayes without gains": (partial(bayes, "fan_in"), None),
}


def trained(make, callback, seed, given):
    """Return a module after its training."""
    torch.manual_seed(seed)
    module = make()
    data = SpikeDataModule("nmnist", given.data_dir, 50, classes=(6, 7, 8, 9), seed=seed)
    callbacks = [] if callback is None else [callback(given.noise) if callback is NoisyWeights else callback()]
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    with quiet():
        trainer = L.Trainer(
            max_epochs=given.epochs,
            accelerator="cpu",
            callbacks=callbacks,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            **options,
        )
        trainer.fit(module, data)
    return module.eval()


@torch.no_grad()
def answers(module, x):
    """Return class probabilities [N, C] by prediction; of a posterior also those of one draw."""
    found = module.answers(x, final=True)
    if "mode" in found:
        with sb.sampled(module.net, "binary", torch.Generator().manual_seed(1)):
            found["one draw"] = module(x).softmax(-1)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--noise", type=float, default=WEIGHT_NOISE, help="on weights, in units of their mean size")
    parser.add_argument("--lines", nargs="+", choices=LINES, default=list(LINES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    splits = sb.data.load("nmnist", given.data_dir, classes=(6, 7, 8, 9))
    x, labels = getattr(splits, given.part).__getitems__(range(len(getattr(splits, given.part))))
    for line in given.lines:
        make, callback = LINES[line]
        scores = {}
        for seed in given.seeds:
            module = trained(make, callback, seed, given)
            for sensor, corrupt in SENSORS.items():
                seen = x if corrupt is None else corrupt(x, generator=torch.Generator().manual_seed(0))
                for prediction, probabilities in answers(module, seen).items():
                    found = evaluate(probabilities, labels)
                    scores.setdefault((prediction, sensor), []).append([getattr(found, name) for name in SCORES])
        for (prediction, sensor), of_seeds in scores.items():
            means = torch.tensor(of_seeds).mean(0)
            spread = torch.tensor(of_seeds)[:, 0].std() if len(of_seeds) > 1 else torch.tensor(0.0)
            name = line if prediction == "single" else f"{line}, {prediction}"
            text = f"{name:44} {sensor:20} {100 * means[0]:5.1f} ± {100 * spread:4.1f} %"
            print(f"{text}  ECE {100 * means[1]:4.1f} %  NLL {means[2]:.3f}", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
