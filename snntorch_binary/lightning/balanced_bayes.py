"""A posterior of balanced latents as a LightningModule."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import nn

from snntorch_binary.inference.readout import DEFAULT_READOUT, NUM_SAMPLES, Readout
from snntorch_binary.lightning.draws import AnswersWithDraws
from snntorch_binary.lightning.spiking_module import Credit
from snntorch_binary.lightning.st_bisnn import STBiSNN
from snntorch_binary.weights import BalancedBernoulli, WeightRule


class BalancedBayes(AnswersWithDraws, STBiSNN):
    """A Bernoulli posterior whose latents are real weights, with Adam, answering with an ensemble.

    A float network becomes binary; its weights are where the latents start. Latents are kept in [-1, 1].

    Args:
        net: the network, float or with weights of :class:`BalancedBernoulli` (whose latents then stay as they are).
        num_classes: as in :class:`SpikingModule`.
        lr: learning rate of the real parameters.
        latent_lr: learning rate of the latents.
        rule: the weights' rule, ``BalancedBernoulli()`` by default, or its JSON form; of a binary network its own,
            which it then has to be where it is given.
        scale: scale of the binary layers, for a float network; ``None`` for that of the rule.
        num_validation_samples: members of the ensemble in validation.
        num_test_samples: members of the ensemble in test and predict.
        readout: as in :class:`SpikingModule`.
        readout_scale: as in :class:`SpikingModule`.
        step: as in :class:`SpikingModule`.
        cosine: as in :class:`SpikingModule`.
        credit: as in :class:`SpikingModule`.
        time_dim: as in :class:`SpikingModule`.
        fuse: as there.

    Raises:
        TypeError: ``rule`` is no rule that draws by real latents.
        ValueError: an argument is out of its range, or the network follows another rule.

    Example:
        >>> import torch
        >>> from snntorch_binary.lightning import BalancedBayes
        >>> from snntorch_binary.models import SpikingMLP
        >>> module = BalancedBayes(SpikingMLP(64, [32], 10), num_classes=10)
        >>> sorted(module.eval().answers(torch.ones(10, 2, 64), final=True))
        ['draw', 'ensemble', 'mode']
    """

    default_rule: ClassVar[WeightRule] = BalancedBernoulli()

    def __init__(
        self,
        net: nn.Module,
        num_classes: int | None,
        lr: float = 1e-3,
        latent_lr: float = 3e-3,
        rule: BalancedBernoulli | WeightRule | dict[str, Any] | None = None,
        scale: Literal["fan_in", "channel", "latent"] | float | None = None,
        num_validation_samples: int = 3,
        num_test_samples: int = NUM_SAMPLES,
        readout: Readout = DEFAULT_READOUT,
        readout_scale: float | None = None,
        step: bool | None = None,
        cosine: bool = True,
        credit: Credit = "through-time",
        time_dim: int | None = None,
        fuse: bool = True,
    ) -> None:
        super().__init__(
            net,
            num_classes,
            lr,
            latent_lr,
            rule,
            scale,
            readout,
            readout_scale,
            step,
            cosine,
            credit,
            time_dim=time_dim,
            fuse=fuse,
        )
        self._answer_with(num_validation_samples, num_test_samples)
