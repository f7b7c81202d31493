"""What a network is asked for, a class or a number: the loss, the answer and its scores."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanMetric, MeanSquaredError, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

from snntorch_binary._errors import expected
from snntorch_binary.inference.predictions import class_probabilities
from snntorch_binary.learning.losses import LossName, loss_value


class Classification:
    """One of C classes by cross-entropy. A network with a single output decides between two by its sign.

    An answer is the mean over members of their class probabilities, [B, C].
    """

    score = "accuracy"  # what learning curves show

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    def check(self, num_outputs: int) -> None:
        """Refuse a network with another number of outputs.

        Raises:
            ValueError: it has.
        """
        if num_outputs != self.num_classes and (num_outputs, self.num_classes) != (1, 2):
            what = f"{num_outputs}, the outputs of the network"
            raise ValueError(expected("num_classes", what, self.num_classes))

    def check_scores(self, scores: Tensor) -> None:
        """Refuse scores that are not [B, C].

        Raises:
            ValueError: they are of another shape.
        """
        if scores.dim() != 2:
            what = "one that gives class scores [B, C]"
            raise ValueError(expected("readout", what, f"scores of the shape {list(scores.shape)}"))
        self.check(scores.shape[-1])

    def loss_name(self, num_outputs: int) -> LossName:
        """Return the name of the loss of scores [B, num_outputs]."""
        return "binary-cross-entropy" if num_outputs == 1 else "cross-entropy"

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of scores [B, C] or [B, 1]."""
        return loss_value(self.loss_name(scores.shape[-1]))(scores, self.targets(labels))

    def targets(self, labels: Tensor) -> Tensor:
        """Return class labels [B] as int64; any integer type will do, and bool between two classes.

        Raises:
            TypeError: they are of another type, such as numbers of a regression or one-hot.
            ValueError: they are not [B], or a label is not in 0..C-1.
        """
        whole = isinstance(labels, Tensor) and not (labels.is_floating_point() or labels.is_complex())
        if not whole or (labels.dtype == torch.bool and self.num_classes != 2):
            got = str(labels.dtype) if isinstance(labels, Tensor) else type(labels).__name__
            raise TypeError(expected("labels", "class numbers [B] of an integer type", got))
        if labels.dim() != 1:
            raise ValueError(expected("labels", "class numbers [B]", f"the shape {list(labels.shape)}"))
        labels = labels.long()
        if len(labels) and not bool(((labels >= 0) & (labels < self.num_classes)).all()):
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise ValueError(expected("labels", f"in 0..{self.num_classes - 1}", f"the label {int(wrong)}"))
        return labels

    def answer(self, samples: Tensor) -> Tensor:
        """Return class probabilities [B, C] from the scores of K members, [K, B, C] or [K, B, 1]."""
        return class_probabilities(samples).mean(0)

    def metrics(self, prefix: str) -> MetricCollection:
        """Return accuracy, ECE (15 bins, l1) and NLL."""
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(self.num_classes, average="micro"),
                "ece": MulticlassCalibrationError(self.num_classes, n_bins=15, norm="l1"),
                "nll": MeanMetric(),
            },
            prefix=prefix,
            compute_groups=False,
        )

    def update(self, metrics: MetricCollection, probabilities: Tensor, labels: Tensor) -> None:
        """Take an answer into account."""
        labels = self.targets(labels)
        metrics["accuracy"].update(probabilities, labels)
        metrics["ece"].update(probabilities, labels)
        likelihood = probabilities.gather(1, labels[:, None])
        metrics["nll"].update(-likelihood.clamp_min(torch.finfo(torch.float32).tiny).log())


class Regression:
    """Real numbers by squared error: one an example, several, or as many as a picture or a series has.

    An answer is the mean and the standard deviation over members, [B, ..., 2], of one number an example [B, 2]; one
    network alone has no spread.
    """

    score = "rmse"

    def check(self, num_outputs: int) -> None:
        """Refuse a network of local readouts with more than one output.

        Raises:
            ValueError: it has more.
        """
        if num_outputs != 1:
            raise ValueError(expected("net", "a network with one output for a regression", f"{num_outputs} outputs"))

    def check_scores(self, scores: Tensor) -> None:
        """Take scores of any shape [B, ...]."""

    def loss_name(self, num_outputs: int) -> LossName:
        """Return the name of the loss."""
        return "squared-error"

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error of scores [B, ...] for targets of their shape; [B] will do for [B, 1]."""
        values = scores.squeeze(-1) if scores.dim() == 2 and scores.shape[-1] == 1 else scores
        return F.mse_loss(values, self._of_shape(values.shape, targets).to(scores.dtype))

    def targets(self, targets: Tensor) -> Tensor:
        """Return targets [B] or [B, 1] as float numbers [B].

        Raises:
            TypeError: they are no numbers.
            ValueError: they are of another shape, or not finite.
        """
        targets = self._numbers(targets)
        if targets.dim() == 2 and targets.shape[1] == 1:
            targets = targets.squeeze(1)
        if targets.dim() != 1:
            raise ValueError(expected("targets", "real numbers [B] or [B, 1]", f"the shape {list(targets.shape)}"))
        return targets

    def _of_shape(self, shape: torch.Size, targets: Tensor) -> Tensor:
        """Return targets in the shape of what is to be like them."""
        targets = self._numbers(targets)
        if len(shape) == 1 and targets.dim() == 2 and targets.shape[1] == 1:
            targets = targets.squeeze(1)
        if targets.shape != shape:
            what = f"of the shape {list(shape)}, that of the network's answers"
            raise ValueError(expected("targets", what, f"the shape {list(targets.shape)}"))
        return targets

    def _numbers(self, targets: Tensor) -> Tensor:
        if not isinstance(targets, Tensor) or targets.dtype == torch.bool or targets.is_complex():
            got = str(targets.dtype) if isinstance(targets, Tensor) else type(targets).__name__
            raise TypeError(expected("targets", "real numbers [B]", got))
        if not bool(targets.isfinite().all()):
            raise ValueError(expected("targets", "finite", "NaN or infinite values"))
        return targets if targets.is_floating_point() else targets.float()

    def answer(self, samples: Tensor) -> Tensor:
        """Return mean and standard deviation [B, ..., 2] of scores [K, B, ...] of K members; of [K, B, 1] [B, 2]."""
        if samples.dim() == 3 and samples.shape[-1] == 1:
            samples = samples.squeeze(-1)
        return torch.stack([samples.mean(0), samples.std(0, correction=0)], -1)

    def metrics(self, prefix: str) -> MetricCollection:
        """Return the root mean squared error of the mean."""
        return MetricCollection({"rmse": MeanSquaredError(squared=False)}, prefix=prefix)

    def update(self, metrics: MetricCollection, answer: Tensor, targets: Tensor) -> None:
        """Take an answer into account."""
        mean = answer[..., 0]
        metrics["rmse"].update(mean.flatten(), self._of_shape(mean.shape, targets).to(answer.dtype).flatten())


Task = Classification | Regression
