"""A packed ensemble: the members' class scores from one pass over the spikes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.convert import reset
from snntorch_binary.inference.arguments import arguments_of
from snntorch_binary.inference.find_form import form_of
from snntorch_binary.inference.form import Form
from snntorch_binary.inference.predictions import Task, prediction_of
from snntorch_binary.inference.readout import (
    DEFAULT_READOUT,
    Readout,
    check_readout,
    check_readout_scale,
    logits,
    scores_as,
)
from snntorch_binary.packed.spikes import SpikeBits


class PackedEnsemble(nn.Module):
    """K packed networks; answers as the :class:`snntorch_binary.Ensemble` that it was packed from.

    Args:
        net: a sequence of packed layers that computes all members together, or a ``ModuleList`` of packed members,
            such as graphs.
        num_members: K.
        readout: see :func:`snntorch_binary.inference.logits`.
        readout_scale: see :func:`snntorch_binary.inference.logits`.
        step: whether the members take one time step at a time.
        time_dim: dimension of time in their outputs.
        seed: with which the members were drawn.
        task: what their outputs say, see :func:`snntorch_binary.predict`; a packed file does not hold it.
        scored: whether the members are graphs that read themselves out over time, as the network was seen to do that
            they were made of; ``None`` to find it out.

    Shape:
        spikes, or :class:`SpikeBits` where the first layer takes them, or a tuple of the network's arguments, as in the
        sample that it was packed with -> class scores of the members [K, B, C].

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(16, 3, weight=sb.Bernoulli()), sb.nn.Leaky(beta=0.9))
        >>> packed = sb.pack(sb.Ensemble(net, num_members=5, seed=0))
        >>> x = (torch.rand(25, 8, 16) < 0.1).float()
        >>> packed(x).shape, packed.predict(x).probs.shape
        (torch.Size([5, 8, 3]), torch.Size([8, 3]))
    """

    def __init__(
        self,
        net: nn.Sequential | nn.ModuleList,
        num_members: int,
        *,
        readout: Readout = DEFAULT_READOUT,
        readout_scale: float | None = None,
        step: bool | None = False,
        time_dim: int | None = None,
        seed: int = 0,
        task: Task | None = None,
        scored: bool | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.num_members = num_members
        self.readout = check_readout(readout)
        self.readout_scale = check_readout_scale(readout_scale)
        self.step = step
        self.time_dim = time_dim
        self.seed = seed
        self.task = task
        self.scored = scored

    @torch.no_grad()
    def forward(self, x: Tensor | SpikeBits | tuple[Any, ...]) -> Tensor:
        """Return the class scores of each member, [K, B, C]."""
        if not isinstance(self.net, nn.ModuleList):
            outputs = self.net(*arguments_of(x)).unbind(0)
            return torch.stack([logits(output, self.readout, self.readout_scale) for output in outputs])
        form = self._form(x)
        return torch.stack([scores_as(form, member, x, self.readout, self.readout_scale) for member in self.net])

    def _form(self, x: Tensor | SpikeBits | tuple[Any, ...]) -> Form:
        """Return the form of the members."""
        if self.scored is not None:
            return Form(False, self.time_dim, scored=self.scored)
        return form_of(self.net[0], x, self.step, self.time_dim)

    @torch.no_grad()
    def predict(
        self, x: Tensor | SpikeBits | tuple[Any, ...], task: Task | None = None, noise: float | Tensor = 0.0
    ) -> Any:
        """Return the ensemble's answer and its uncertainty; see :meth:`snntorch_binary.Ensemble.predict`."""
        prediction = prediction_of(self.task if task is None else task, self(x), noise=noise)
        reset(self)
        return prediction

    def extra_repr(self) -> str:
        """Say how many members answer, and how."""
        return f"num_members={self.num_members}, readout={self.readout!r}, seed={self.seed}"
