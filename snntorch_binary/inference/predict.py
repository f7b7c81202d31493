"""From a posterior over binary weights to an answer with its uncertainty."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.inference.arguments import arguments_of
from snntorch_binary.inference.norms import NormsOfDraws
from snntorch_binary.inference.predictions import (
    AnyPrediction,
    LabelPrediction,
    Prediction,
    RealPrediction,
    Task,
    prediction_of,
)
from snntorch_binary.inference.readout import Readout
from snntorch_binary.inference.sample import sample_scores
from snntorch_binary.inference.wrapped import answering


@overload
def predict(
    net: nn.Module,
    x: Tensor | tuple[Any, ...],
    num_samples: int | None = None,
    *,
    readout: Readout | None = None,
    readout_scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
    generator: torch.Generator | None = None,
    data: Tensor | Iterable[Any] | None = None,
    task: Literal["classes"] | None = None,
) -> Prediction: ...


@overload
def predict(
    net: nn.Module,
    x: Tensor | tuple[Any, ...],
    num_samples: int | None = None,
    *,
    readout: Readout | None = None,
    readout_scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
    generator: torch.Generator | None = None,
    data: Tensor | Iterable[Any] | None = None,
    task: Literal["labels"],
) -> LabelPrediction: ...


@overload
def predict(
    net: nn.Module,
    x: Tensor | tuple[Any, ...],
    num_samples: int | None = None,
    *,
    readout: Readout | None = None,
    readout_scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
    generator: torch.Generator | None = None,
    data: Tensor | Iterable[Any] | None = None,
    task: Literal["real"],
    noise: float | Tensor = 0.0,
) -> RealPrediction: ...


def predict(
    net: nn.Module,
    x: Tensor | tuple[Any, ...],
    num_samples: int | None = None,
    *,
    readout: Readout | None = None,
    readout_scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
    generator: torch.Generator | None = None,
    data: Tensor | Iterable[Any] | None = None,
    task: Task | None = None,
    noise: float | Tensor = 0.0,
) -> AnyPrediction:
    r"""Average what networks drawn from the posterior answer: class probabilities, unless another task is given.

    .. math::
        p(y | x) \approx \frac1K \sum_{k=1}^K \mathrm{softmax}(\mathrm{net}_{w_k}(x))_y, \qquad w_k \sim q(w)

    Every network sees the same input x and runs in evaluation mode; the neurons' state and the mode are
    restored afterwards.

    Args:
        net: a network with binary layers: snnTorch style with a loop inside ``forward`` and ``(spk, mem)`` outputs, an
            ``nn.Sequential`` of neurons with ``init_hidden=True``, or our time-first layers. Of a LightningModule of
            this package it is the network inside, and what is not given here is the module's.
        x: its input; [T, B, ...] where the network takes one step at a time or is time-first. A tuple holds the
            arguments of a ``forward`` that takes several: first such an input, then further tensors, each of the shape
            and on the device that the network wants it, and numbers, words or ``None``, which are handed on as they
            are. A network of one time step a call takes one argument.
        num_samples: networks drawn, at least 1 (10 by default). Where no weight is random (:class:`Sign`) one is
            enough and is used.
        readout: see :func:`snntorch_binary.inference.logits`; by default spike counts where the network returns spikes
            first, else the mean over time of what it returns first.
        readout_scale: see :func:`snntorch_binary.inference.logits`.
        step: whether the network takes one time step at a time. By default its layers tell it where we know them, and
            else a few runs before the first answer; where these cannot, it has to be given.
        time_dim: dimension of time in the network's outputs, 0 in [T, B, C] and 1 in [B, T, C]; found in the same way.
        generator: where the draws come from; torch's global generator by default.
        data: inputs like those it learned from, from which the batch norms of each network take statistics of its own;
            see :func:`snntorch_binary.refit_norms_`. A network with batch norms answers far better with them. Each has
            as many arguments as x.
        task: what the outputs say: ``"classes"``, one of C (of a network with one output one of two, by its sign);
            ``"labels"``, each yes or no by itself; or ``"real"``, values as they are. By default what the
            LightningModule says, else classes; for a network with one output it has to be given.
        noise: with ``"real"``, the standard deviation of targets around the function; see :class:`RealPrediction`.

    Returns:
        A :class:`Prediction` with ``probs``, ``entropy``, ``mutual_information``, ``mode_probs`` and ``samples``; of
        labels a :class:`LabelPrediction`, of real values a :class:`RealPrediction`, whose ``mean``, ``disagreement``,
        ``std`` and ``interval()`` are values.

    Raises:
        TypeError: x is no floating-point tensor and no tuple of arguments that begins with one.
        ValueError: an argument is out of its range or has to be given, x is not finite or has several arguments for one
            time step, data have another number of arguments, or the network has no binary layer.

    Example:
        >>> import torch, snntorch as snn, snntorch_binary as sb
        >>> net = torch.nn.Sequential(torch.nn.Linear(16, 3), snn.Leaky(beta=0.9, init_hidden=True))
        >>> _ = sb.binarize_(net, sb.Bernoulli())
        >>> prediction = sb.predict(net, torch.rand(25, 8, 16), num_samples=5)
        >>> prediction.probs.shape, prediction.entropy.shape
        (torch.Size([8, 3]), torch.Size([8]))

        Of a network with two inputs, ``forward(self, spikes, context)``:

        >>> class Net(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.fc, self.context = sb.nn.BinaryLinear(16, 3, weight=sb.Bernoulli()), torch.nn.Linear(4, 3)
        ...         self.lif = sb.nn.Leaky(beta=0.9)
        ...     def forward(self, spikes, context):
        ...         return self.lif(self.fc(spikes) + self.context(context))
        >>> sb.predict(Net(), (torch.rand(25, 8, 16), torch.rand(8, 4)))
        Prediction(10 members, 8 examples, 3 classes)
    """
    own = answering(net)
    task = own.task if task is None else task
    data = own.data if data is None else data
    norms = None if data is None else NormsOfDraws(data, own.step if step is None else step)
    _check_same_count(x, norms)
    mode, samples = sample_scores(
        net,
        x,
        num_samples,
        readout=readout,
        readout_scale=readout_scale,
        step=step,
        time_dim=time_dim,
        generator=generator,
        norms=norms,
    )
    return prediction_of(task, samples, mode, noise)


def _check_same_count(x: Any, norms: NormsOfDraws | None) -> None:
    """Refuse data of which it would be guessed what the network's other arguments are.

    Raises:
        ValueError: inputs among the data have not as many arguments as x.
    """
    count = len(arguments_of(x))
    for data in () if norms is None else norms.inputs:
        found = len(arguments_of(data))
        if found != count:
            what = f"batches ((x, ...), ...) whose first is a tuple of {count} arguments, as `x` is"
            raise ValueError(
                expected("data", what if count > 1 else "batches of one input, as `x` is", f"one of {found}")
            )
