"""ST-BiSNN as a LightningModule."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.inference.readout import DEFAULT_READOUT, Readout
from snntorch_binary.lightning.hyperparameters import Group
from snntorch_binary.lightning.rule_of_network import give_rule_, rule_of
from snntorch_binary.lightning.spiking_module import Credit, SpikingModule
from snntorch_binary.optim import parameter_groups
from snntorch_binary.weights import Sign, WeightRule, binary_layers


class STBiSNN(SpikingModule):
    """ST-BiSNN: binary weights by straight-through and surrogate gradients, with Adam.

    A float network becomes binary; its weights are where the latents start. Latents are kept in [-1, 1].

    Args:
        net: the network, float or with weights of a rule without draws, such as :class:`Sign` (whose latents then
            stay as they are).
        num_classes: as in :class:`SpikingModule`.
        lr: learning rate of the real parameters.
        latent_lr: learning rate of the latents.
        rule: the weights' rule, ``Sign()`` by default, or its JSON form; of a binary network its own, which it then
            has to be where it is given.
        scale: scale of the binary layers, for a float network; ``None`` for that of the rule.
        readout: as in :class:`SpikingModule`.
        readout_scale: as in :class:`SpikingModule`.
        step: as in :class:`SpikingModule`.
        cosine: as in :class:`SpikingModule`.
        credit: as in :class:`SpikingModule`.
        paper_exact: the paper's plain step of SGD, without bounds on the latents.
        time_dim: as in :class:`SpikingModule`.
        fuse: as there.

    Raises:
        TypeError: ``rule`` is no rule, or one whose weights are drawn.
        ValueError: an argument is out of its range, or the network follows another rule.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.lightning import STBiSNN
        >>> from snntorch_binary.models import SpikingMLP
        >>> module = STBiSNN(SpikingMLP(64, [32], 10), num_classes=10)
        >>> module(torch.ones(10, 2, 64)).shape
        torch.Size([2, 10])
    """

    default_rule: ClassVar[WeightRule] = Sign()

    def __init__(
        self,
        net: nn.Module,
        num_classes: int | None,
        lr: float = 1e-3,
        latent_lr: float = 3e-3,
        rule: Sign | WeightRule | dict[str, Any] | None = None,
        scale: Literal["fan_in", "channel", "latent"] | float | None = None,
        readout: Readout = DEFAULT_READOUT,
        readout_scale: float | None = None,
        step: bool | None = None,
        cosine: bool = True,
        credit: Credit = "through-time",
        paper_exact: bool = False,
        time_dim: int | None = None,
        fuse: bool = True,
    ) -> None:
        if not latent_lr > 0:
            raise ValueError(expected("latent_lr", "a positive float", latent_lr))
        default = self.default_rule
        own = give_rule_(net, rule_of(rule, default), default, scale)
        super().__init__(net, num_classes, lr, readout, readout_scale, step, cosine, credit, time_dim, fuse)
        self.save_hyperparameters({"rule": own.to_json()})
        self.latent_lr = latent_lr
        self.paper_exact = paper_exact

    def configure_optimizer(self) -> torch.optim.Optimizer:
        """Return Adam (SGD, where ``paper_exact``), with the latents in a group of their own."""
        groups = parameter_groups(self.net, self.latent_lr)
        if self.paper_exact:
            return torch.optim.SGD(groups, lr=self.lr)
        optimizer = torch.optim.Adam(groups, lr=self.lr)
        optimizer.register_step_post_hook(self._keep_latents_small)
        return optimizer

    def learning_rates(self, optimizer: torch.optim.Optimizer) -> dict[str, list[Group]]:
        """Return the group of the latents and that of the real parameters."""
        latents, rest = optimizer.param_groups
        return {"latent_lr": [latents], "lr": [rest]}

    def _latents(self) -> list[nn.Parameter]:
        return list({id(layer.latent): layer.latent for layer in binary_layers(self.net).values()}.values())

    def _keep_latents_small(self, *args: Any) -> None:
        """Keep latents in [-1, 1], where the clipped straight-through gradient can still move them."""
        with torch.no_grad():
            for latent in self._latents():
                latent.clamp_(-1, 1)
