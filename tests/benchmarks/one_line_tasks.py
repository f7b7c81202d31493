"""Recipes for networks as people write them: data, loss, learning rate and epochs of each float network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snntorch_binary.data import load
from tests.benchmarks.one_line_models import (
    VGG,
    Attention,
    Autoencoder,
    NormDropout,
    NorseLoop,
    Ramp,
    ReadmeScript,
    Recurrent,
    Residual,
    Tutorial5,
    Tutorial6,
    Tutorial7,
    residual_18,
)

Part = tuple[Tensor, Tensor]
"""Inputs and targets; examples are the first dimension of both."""
_VALIDATION_SEED = 5


@dataclass(frozen=True)
class Task:
    """A network and how its author trains it.

    Attributes:
        make: makes the float network.
        parts: of a folder of data, what is learned from and what is tested.
        lr: Adam's learning rate.
        epochs: passes over the training part.
        batch_size: examples a step.
        loss: of the network's output and targets.
        scores: of the network's output, class scores [B, C] or real values like the targets.
        time_first: whether inputs are sequences [T, B, ...].
        real: whether targets are real numbers.
        cosine: whether the learning rate falls to zero along a cosine.
    """

    make: Callable[[], nn.Module]
    parts: Callable[[str], tuple[Part, Part]]
    lr: float
    epochs: int
    batch_size: int
    loss: Callable[[Tensor | tuple[Tensor, ...], Tensor], Tensor]
    scores: Callable[[Tensor | tuple[Tensor, ...]], Tensor]
    time_first: bool = False
    real: bool = False
    cosine: bool = False

    def split(self, data_dir: str, tuning: str | None) -> tuple[Part, Part]:
        """Return training and test part; while tuning, a fifth of the training part stands for the test part.

        Args:
            data_dir: the folder of data.
            tuning: ``"random"``, or ``"last"`` for the last fifth: of digits other writers, as in the test part.
        """
        train, test = self.parts(data_dir)
        if tuning is None:
            return train, test
        order = torch.arange(len(train[0]))
        if tuning == "random":
            order = torch.randperm(len(order), generator=torch.Generator().manual_seed(_VALIDATION_SEED))
        cut = len(order) * 4 // 5
        return tuple(part[order[:cut]] for part in train), tuple(part[order[cut:]] for part in train)  # type: ignore[return-value]


# ---- data ------------------------------------------------------------------------------------------------------------


def digits(data_dir: str) -> tuple[Part, Part]:
    from sklearn.datasets import load_digits

    images, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    images = images.float() / 16
    return (images[:1500], labels[:1500]), (images[1500:], labels[1500:])


def digit_images(data_dir: str) -> tuple[Part, Part]:
    (x, y), (x_test, y_test) = digits(data_dir)
    return (x.view(-1, 1, 8, 8), y), (x_test.view(-1, 1, 8, 8), y_test)


def digit_rows(data_dir: str) -> tuple[Part, Part]:
    (x, y), (x_test, y_test) = digits(data_dir)
    return (x.view(-1, 8, 8), y), (x_test.view(-1, 8, 8), y_test)


def images(name: str, train: int, test: int) -> Callable[[str], tuple[Part, Part]]:
    def parts(data_dir: str) -> tuple[Part, Part]:
        splits = load(name, data_dir, num_steps=1, encoder="direct")
        found = []
        for dataset, count in ((splits.train, train), (splits.test, test)):
            rows = [dataset[index] for index in range(count)]
            x = (torch.stack([x[0] for x, _ in rows]) + 1) / 2
            found.append((x.view(count, 1, 28, 28), torch.tensor([int(y) for _, y in rows])))
        return found[0], found[1]

    return parts


def flat_images(name: str, train: int, test: int) -> Callable[[str], tuple[Part, Part]]:
    def parts(data_dir: str) -> tuple[Part, Part]:
        (x, y), (x_test, y_test) = images(name, train, test)(data_dir)
        return (x.flatten(1), y), (x_test.flatten(1), y_test)

    return parts


def events(data_dir: str) -> tuple[Part, Part]:
    splits = load("nmnist", data_dir, classes=[6, 7, 8, 9], num_steps=10)
    found = []
    for dataset in (splits.train, splits.test):
        rows = [dataset[index] for index in range(len(dataset))]
        found.append((torch.stack([x for x, _ in rows]), torch.tensor([int(y) for _, y in rows])))
    return found[0], found[1]


def ramps(data_dir: str) -> tuple[Part, Part]:
    """A slope as a constant current, and the ramp of that slope over 20 steps."""
    slopes = torch.linspace(-1, 1, 1200)[torch.randperm(1200, generator=torch.Generator().manual_seed(1))]
    x = slopes.view(-1, 1, 1).expand(-1, 20, 1)
    y = x * torch.linspace(0, 1, 20).view(1, 20, 1)
    return (x[:1000], y[:1000]), (x[1000:], y[1000:])


def pictures(data_dir: str) -> tuple[Part, Part]:
    (x, _), (x_test, _) = images("mnist", 2000, 400)(data_dir)
    return (x, x), (x_test, x_test)


# ---- recipes ---------------------------------------------------------------------------------------------------------


def mean_potential(output):
    return (output[1] if isinstance(output, tuple) else output).mean(0)


def counts(output):
    return (output[0] if isinstance(output, tuple) else output).sum(0)


def itself(output):
    return output


def of_scores(scores):
    return lambda output, y: F.cross_entropy(scores(output), y)


def at_every_step(output, y):
    """Tutorial 5's loss: cross-entropy of the potentials at every step, summed."""
    return sum(F.cross_entropy(potential, y) for potential in output[1])


def spike_rate_loss(output, y):
    """Tutorial 6's: cross-entropy of the spikes at every step (`ce_rate_loss`)."""
    return sum(F.cross_entropy(spikes, y) for spikes in output[0]) / len(output[0])


def spike_count_loss(output, y):
    """Tutorial 7's: squared error of spike counts, 80 % for the true class, 20 % for others (`mse_count_loss`)."""
    target = len(output) * (0.2 + 0.6 * F.one_hot(y, 4))
    return F.mse_loss(output.sum(0), target.float()) / len(output)


def squared_error(output, y):
    return F.mse_loss(output, y)


TASKS = {
    "readme": Task(ReadmeScript, digits, 2e-3, 20, 50, of_scores(mean_potential), mean_potential, cosine=True),
    "tutorial 5": Task(Tutorial5, flat_images("mnist", 20_000, 4000), 5e-4, 1, 128, at_every_step, mean_potential),
    "tutorial 6": Task(Tutorial6, images("mnist", 6400, 2000), 1e-2, 1, 128, spike_rate_loss, counts),
    "tutorial 7": Task(Tutorial7, events, 2e-2, 3, 64, spike_count_loss, counts, time_first=True),
    "norm and dropout": Task(NormDropout, digit_images, 2e-3, 15, 50, of_scores(mean_potential), mean_potential),
    "residual": Task(Residual, images("fashion-mnist", 4000, 1000), 2e-3, 5, 64, of_scores(itself), itself),
    "residual 18": Task(residual_18, images("fashion-mnist", 4000, 1000), 2e-3, 5, 64, of_scores(itself), itself),
    "vgg 9": Task(VGG, images("fashion-mnist", 4000, 1000), 2e-3, 5, 64, of_scores(itself), itself),
    "recurrent": Task(Recurrent, digit_rows, 2e-3, 15, 50, of_scores(mean_potential), mean_potential, time_first=True),
    "ramp": Task(Ramp, ramps, 2e-3, 15, 50, squared_error, itself, time_first=True, real=True),
    "autoencoder": Task(Autoencoder, pictures, 2e-3, 5, 50, squared_error, itself, real=True),
    "norse": Task(NorseLoop, digits, 2e-3, 10, 50, of_scores(mean_potential), mean_potential),
    "attention": Task(Attention, digit_rows, 2e-3, 15, 50, of_scores(mean_potential), mean_potential),
}
