"""What was tried so that an ensemble from one training is never behind: each thing alone, scored on validation data.

    python -m tests.benchmarks.posterior_trials
    python -m tests.benchmarks.posterior_trials --config nmnist --data-dir D --classes 6,7,8,9 --seeds 0,1,2
    python -m tests.benchmarks.posterior_trials --tenths --lines "ST,ST at 0.003,as shipped"

The network and epochs are those of `compare` on the same set; all lines cost one training but those that say so.
Constants are those that digits had before a posterior began at ST, but for those lines that begin at it and for what is
shipped. Beside ST stands what the ST networks of all seeds are together. With `--tenths` each seed is validated on
another tenth of the training part. On digits a line takes about half a minute of one core for each seed.
"""

import argparse
import copy
import math
import statistics
from dataclasses import replace

import torch

import snntorch_binary as sb
from snntorch_binary.data import SpikeDataset
from snntorch_binary.data.splits import permutation
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.config import find, read_experiment
from snntorch_binary.experiments.data import of_splits
from snntorch_binary.experiments.rules.real_and_binary import FromST
from snntorch_binary.metrics import apply_temperature, evaluate, example_scores, fit_temperature
from snntorch_binary.weights import binary_layers

MEMBERS = 10
BEFORE = {"from_st": None, "base_lr": 1e-3, "init_scale": 3.0}


def fit(module, data, experiment, seed, epochs, cosine=True):
    """Train a module in place by its own optimizer."""
    optimizer = module.configure_optimizer()
    loader = data.train(experiment.batch_size, seed)
    steps = epochs * len(loader)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if cosine else None
    module.train()
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        for x, labels in loader:
            loss = module.loss(x, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
    return module.eval()


@torch.no_grad()
def probabilities(module, nets, data):
    """Return class probabilities [K, N, C] of networks that are read as a module reads its own, and the labels."""
    own, found, labels = module.net, [], None
    for net in nets:
        module.net = net.eval()
        answered = answers(data.validation(), lambda x: {"one": module(x).softmax(-1)})
        found.append(answered["one"])
        labels = answered["labels"]
    module.net = own
    return torch.stack(found), labels


def draws(net, count, seed=0, sharpness=1.0, antithetic=False):
    """Return networks drawn from a posterior, whose natural parameters are first multiplied by a sharpness.

    Args:
        net: the network.
        count: how many.
        seed: of the draws.
        sharpness: the factor.
        antithetic: whether the second of two draws flips what the first does not.
    """
    generator, nets, numbers = torch.Generator().manual_seed(seed), [], {}
    for number in range(count):
        plain = sb.freeze(net, "mode")
        for name, layer in binary_layers(net).items():
            if not antithetic or number % 2 == 0:
                numbers[name] = torch.rand(layer.latent.shape, generator=generator)
            u = 1 - numbers[name] if antithetic and number % 2 else numbers[name]
            sign = torch.where(u < torch.sigmoid(2 * sharpness * layer.latent.detach()), 1.0, -1.0)
            weight = plain.get_submodule(name).weight
            weight.data = weight.data.abs() * sign
        nets.append(plain)
    return nets


def another_tenth(data, number):
    """Return data of which another tenth of the training and validation part is held out."""
    splits = data.splits
    inputs, labels = (
        torch.cat([getattr(part, name) for part in (splits.train, splits.validation)]) for name in ("inputs", "labels")
    )
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(1)
        held[members[permutation(len(members), f"tenths {int(label)}")][number % 10 :: 10]] = True
    parts = {
        name: SpikeDataset(
            inputs[chosen],
            labels[chosen],
            num_steps=splits.num_steps,
            encoder=splits.train.encoder,
            seed=splits.train.seed,
            fixed=name == "validation",
        )
        for name, chosen in (("train", ~held), ("validation", held))
    }
    return of_splits(replace(splits, **parts))


class Trials:
    """The lines of the table, for one seed.

    Args:
        experiment: the experiment.
        seed: the seed.
        tenths: whether another tenth is held out for each seed.
    """

    def __init__(self, experiment, seed, tenths=False):
        self.experiment, self.seed, self.tenths = experiment, seed, tenths
        self.data = another_tenth(experiment.load(seed), seed) if tenths else experiment.load(seed)
        self._before = None

    def module(self, rule="bayes", epochs=None, cosine=True, seed=None, change=None, **constants):
        """Return a trained module, with some constants of its rule changed."""
        own = replace(self.experiment.rule(rule), **(BEFORE | constants if rule == "bayes" else constants))
        seed = self.seed if seed is None else seed
        module = self.experiment.make_module(own, self.data, seed)
        epochs = epochs or self.experiment.epochs
        if change is not None:
            change(module)
        if own.first(epochs) is not None:
            before, count = own.first(epochs)
            earlier = fit(
                self.experiment.make_module(before, self.data, seed), self.data, self.experiment, seed, count, cosine
            )
            module.net.load_state_dict(sb.freeze(earlier.net).state_dict())
            epochs -= count
        return fit(module, self.data, self.experiment, seed, epochs, cosine)

    @property
    def before(self):
        if self._before is None:
            self._before = self.module()
        return self._before

    def members(self, module, **how):
        return probabilities(module, draws(module.net, MEMBERS, **how), self.data)[0]

    def st(self, lr=1e-3):
        module = self.module("st", lr=lr)
        return probabilities(module, [module.net], self.data)[0]

    def as_it_was(self):
        return self.members(self.before)

    def as_shipped(self):
        own = self.experiment.rule("bayes")
        return self.other(**{name: getattr(own, name) for name in BEFORE})

    def antithetic(self):
        return self.members(self.before, antithetic=True)

    def forty_members(self):
        return probabilities(self.before, draws(self.before.net, 40), self.data)[0]

    def sharper(self, sharpness):
        return self.members(self.before, sharpness=sharpness)

    def two_draws_a_step(self):
        return self.members(self.module(change=lambda module: setattr(module, "num_train_samples", 2)))

    def without_cosine(self):
        return self.members(self.module(cosine=False))

    def other(self, **constants):
        return self.members(self.module(**constants))

    def wider(self):
        wide = self.experiment.network.with_arguments({"hidden_sizes": [512]})
        return Trials(replace(self.experiment, network=wide), self.seed, self.tenths).as_it_was()

    def longer(self):
        return self.members(self.module(epochs=self.experiment.epochs + 20))

    def from_st(self, share, **constants):
        """A share of the epochs by ST, then a posterior that begins at its network."""
        return self.other(from_st=FromST(share, latent_lr=self.experiment.rule("st").latent_lr), **constants)

    def snapshots(self, cycles):
        """One training along a schedule of several cosines; draws of the posterior at the end of each by turns."""
        module = self.experiment.make_module(self.experiment.rule("bayes"), self.data, self.seed)
        found = []
        for cycle in range(cycles):
            fit(module, self.data, self.experiment, self.seed + 100 * cycle, self.experiment.epochs // cycles)
            found.append(copy.deepcopy(module.net))
        return self._mixture(module, found)

    def several(self, count):
        """Several posteriors of a share of the training each."""
        epochs = self.experiment.epochs // count
        modules = [self.module(epochs=epochs, seed=self.seed + 100 * number) for number in range(count)]
        return self._mixture(modules[0], [module.net for module in modules])

    def _mixture(self, module, nets):
        each = math.ceil(MEMBERS / len(nets))
        members = [draws(net, each, seed=number) for number, net in enumerate(nets)]
        chosen = [net for turn in zip(*members, strict=True) for net in turn][:MEMBERS]
        return probabilities(module, chosen, self.data)[0]


LINES = {
    "ST": Trials.st,
    "ST at 0.003": lambda of: of.st(lr=3e-3),
    "ST at 0.006": lambda of: of.st(lr=6e-3),
    "as it was": Trials.as_it_was,
    "as shipped": Trials.as_shipped,
    "antithetic members": Trials.antithetic,
    "40 members": Trials.forty_members,
    "posterior 1.5 times as sharp": lambda of: of.sharper(1.5),
    "posterior twice as sharp": lambda of: of.sharper(2.0),
    "posterior half as sharp": lambda of: of.sharper(0.5),
    "two draws a step (two passes each)": Trials.two_draws_a_step,
    "one rate without a cosine": Trials.without_cosine,
    "rho 1e-5": lambda of: of.other(rho=1e-5),
    "rho 1e-4": lambda of: of.other(rho=1e-4),
    "start of 1": lambda of: of.other(init_scale=1.0),
    "steps of 0.1": lambda of: of.other(lr=0.1),
    "bound of 6": lambda of: of.other(limit=6.0),
    "gains": lambda of: of.other(scale="channel"),
    "no gains": lambda of: of.other(scale="fan_in"),
    "gains at 0.003": lambda of: of.other(base_lr=3e-3),
    "gains at 0.006": lambda of: of.other(base_lr=6e-3),
    "from ST after half of the epochs": lambda of: of.from_st(0.5),
    "from ST after a quarter": lambda of: of.from_st(0.25),
    "from ST after an eighth": lambda of: of.from_st(0.125),
    "from ST after an eighth and gains at 0.006": lambda of: of.from_st(0.125, base_lr=6e-3),
    "snapshots of two cosines": lambda of: of.snapshots(2),
    "snapshots of three cosines": lambda of: of.snapshots(3),
    "two posteriors of half of the epochs": lambda of: of.several(2),
    "20 epochs more": Trials.longer,
    "512 neurons": Trials.wider,
}


def scores(mean, labels):
    """Return accuracy, NLL and calibration error, and the NLL that temperature scaling would leave, in-sample."""
    log = mean.clamp_min(1e-38).log()
    scaled = apply_temperature(log, fit_temperature(log, labels))
    found = evaluate(mean, labels)
    return found.accuracy, found.nll, float(example_scores(scaled, labels).nll.mean()), found.ece


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--classes", type=lambda text: tuple(map(int, text.split(","))))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--tenths", action="store_true", help="each seed is validated on another tenth")
    parser.add_argument("--lines", default=",".join(LINES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    path = find(given.config, None, "through-time")
    experiment = read_experiment(path, None, data_dir=given.data_dir, classes=given.classes)
    if given.classes:
        experiment = replace(experiment, num_folds=None)
    seeds = [int(seed) for seed in given.seeds.split(",")]
    trials = [Trials(experiment, seed, given.tenths) for seed in seeds]
    labels = [torch.cat([labels for _, labels in of.data.validation()]) for of in trials]
    print(f"{'':42} accuracy        NLL            scaled  ECE (%)")
    for line in given.lines.split(","):
        members = [LINES[line](of) for of in trials]
        show(line, [scores(of.mean(0), known) for of, known in zip(members, labels, strict=True)])
        if line == "ST" and not given.tenths:
            show(f"ST x {len(seeds)}", [scores(torch.cat(members).mean(0), labels[0])])


def show(line, found):
    columns = list(zip(*found, strict=True))
    means = [statistics.fmean(values) for values in columns]
    spread = [statistics.stdev(values) if len(values) > 1 else 0.0 for values in columns]
    print(
        f"{line:42} {100 * means[0]:.2f} ± {100 * spread[0]:.2f}    {means[1]:.4f} ± {spread[1]:.4f}"
        f"  {means[2]:.4f}  {100 * means[3]:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
