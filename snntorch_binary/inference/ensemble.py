"""An ensemble of frozen binary networks drawn from the posterior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import freeze, reset
from snntorch_binary.inference.predict import Prediction
from snntorch_binary.inference.readout import Readout, check_readout, logits
from snntorch_binary.inference.run import check_input, is_stepwise, run


class Ensemble(nn.Module):
    """K networks with fixed weights in ±scale, drawn once from the posterior: plain modules, ready to deploy.

    Args:
        net: a network with binary layers; it is left as it was.
        num_members: number of networks K, at least 1.
        seed: of the draws; the same seed and posterior give the same members.
        readout: see :func:`snntorch_binary.inference.logits`.
        readout_scale: see :func:`snntorch_binary.inference.logits`.
        step: whether the network takes one time step at a time; implied by ``init_hidden=True`` and by Norse cells.

    Shape:
        the network's input -> class scores of the members [K, B, C].

    Raises:
        ValueError: an argument is out of its range, or the network has no binary layer.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(16, 3, weight=sb.Bernoulli()), sb.nn.Leaky(beta=0.9))
        >>> ensemble = sb.Ensemble(net, num_members=5, seed=0)
        >>> x = torch.rand(25, 8, 16)
        >>> ensemble(x).shape, ensemble.predict(x).probs.shape
        (torch.Size([5, 8, 3]), torch.Size([8, 3]))
    """

    def __init__(
        self,
        net: nn.Module,
        num_members: int = 10,
        seed: int = 0,
        *,
        readout: Readout = "rate",
        readout_scale: float | None = None,
        step: bool | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(num_members, int) or num_members < 1:
            raise ValueError(expected("num_members", "an integer of at least 1", num_members))
        generator = torch.Generator().manual_seed(seed)
        self.members = nn.ModuleList(freeze(net, "binary", generator).eval() for _ in range(num_members))
        self.seed = seed
        self.readout = check_readout(readout)
        self.readout_scale = readout_scale
        self.step = is_stepwise(net) if step is None else step

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores of each member, [K, B, C]."""
        return torch.stack(
            [logits(run(member, x, self.step), self.readout, self.readout_scale) for member in self.members]
        )

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Return the ensemble's class probabilities and their uncertainty.

        Raises:
            TypeError: x is not a floating-point tensor.
            ValueError: x is not finite.
        """
        check_input(x)
        prediction = Prediction(self(x).softmax(-1))
        reset(self)
        return prediction
