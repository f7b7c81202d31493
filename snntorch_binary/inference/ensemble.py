"""An ensemble of frozen binary networks drawn from the posterior."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.convert import freeze, reset
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.inference.arguments import check_input
from snntorch_binary.inference.find_form import form_of, known_step
from snntorch_binary.inference.mixture import members_of, networks_of, passed_of
from snntorch_binary.inference.norms import refit_norms_
from snntorch_binary.inference.predictions import Task, prediction_of
from snntorch_binary.inference.readout import Readout, scores_as
from snntorch_binary.inference.turns import taking_turns
from snntorch_binary.inference.wrapped import Answering, answering


class Ensemble(nn.Module):
    """K networks with fixed weights in ±scale, drawn once from the posterior: plain modules, ready to deploy.

    :meth:`of` makes one of networks and posteriors that were trained apart.

    Args:
        net: a network with binary layers, or a LightningModule of this package around one, whose readout, scale and
            form are then taken where they are not given here; it is left as it was. Of a ``BalancedTrajectory`` the
            members are networks that its training passed.
        num_members: number of networks K, at least 1; 10 by default.
        seed: of the draws; the same seed and posterior give the same members.
        readout: as in :func:`snntorch_binary.predict`.
        readout_scale: as there.
        step: as there; found at the first call where it has to be.
        time_dim: as there.
        data: inputs like those it learned from, from which the batch norms of each member take statistics of its own;
            see :func:`snntorch_binary.refit_norms_`.

    Shape:
        the network's input, or a tuple of its arguments -> class scores of the members [K, B, C].

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
        num_members: int | None = None,
        seed: int = 0,
        *,
        readout: Readout | None = None,
        readout_scale: float | None = None,
        step: bool | None = None,
        time_dim: int | None = None,
        data: Tensor | Iterable[Any] | None = None,
    ) -> None:
        super().__init__()
        own = answering(net, num_members, readout, readout_scale, step, time_dim, count="num_members")
        generator = torch.Generator().manual_seed(seed)
        passed = passed_of(own, own.num_samples)
        drawn = (freeze(own.net, "binary", generator).eval() for _ in range(own.num_samples))
        self._take(map(copy_model, passed) if passed else drawn, own, seed)
        data = own.data if data is None else data
        if data is not None:
            refit_norms_(self, data, step=self.step)

    @classmethod
    def of(
        cls,
        nets: Iterable[nn.Module],
        num_members: int | None = None,
        seed: int = 0,
        *,
        readout: Readout | None = None,
        readout_scale: float | None = None,
        step: bool | None = None,
        time_dim: int | None = None,
        data: Tensor | Iterable[Any] | None = None,
    ) -> Ensemble:
        """Return one ensemble of networks and posteriors that were trained apart: a mixture of posteriors.

        A member is a draw of one of them, by turns, so that each has its share. A network whose weights are not drawn
        (:class:`Sign`, a frozen or a float one) is one member.

        Args:
            nets: networks of one architecture, each as the class takes it.
            num_members: number of members K, at least one a network; by default one a network, of posteriors alone 10
                (where they are more, as many as they are).
            seed: of the draws.
            readout: as the class takes it; where it is not given here, all networks have to say the same.
            readout_scale: as readout.
            step: as readout.
            time_dim: as readout.
            data: as the class takes it; by default a member's norms go by the data of its own network.

        Raises:
            TypeError: something is no network.
            ValueError: there is no network, architectures or readouts differ, or there are not so many members.

        Example:
            >>> import torch, snntorch_binary as sb
            >>> nets = [torch.nn.Sequential(sb.nn.BinaryLinear(16, 3), sb.nn.Leaky(beta=0.9)) for _ in range(3)]
            >>> ensemble = sb.Ensemble.of(nets)  # of three networks trained with ST-BiSNN
            >>> ensemble.predict(torch.rand(25, 8, 16))
            Prediction(3 members, 8 examples, 3 classes)
        """
        networks = networks_of(nets, readout, readout_scale, step, time_dim)
        members = members_of(networks, num_members, seed)
        ensemble = ensemble_of([member for member, _ in members], networks[0], seed, data, cls)
        for member, own in members if data is None else []:
            if own.data is not None:
                refit_norms_(member, own.data, step=own.step)
        return ensemble

    def _take(self, members: Iterable[nn.Module], own: Answering, seed: int) -> None:
        """Take members, which answer all in one way."""
        self.members = nn.ModuleList(members)
        self.seed = seed
        self.readout = own.readout
        self.readout_scale = own.readout_scale
        self.step = known_step(own.net) if own.step is None else own.step
        self.time_dim = own.time_dim
        self.task: Task | None = own.task

    def forward(self, x: Tensor | tuple[Any, ...]) -> Tensor:
        """Return the class scores of each member, [K, B, C]."""
        form = form_of(self.members[0], x, self.step, self.time_dim)
        return torch.stack([scores_as(form, member, x, self.readout, self.readout_scale) for member in self.members])

    @torch.no_grad()
    def predict(self, x: Tensor | tuple[Any, ...], task: Task | None = None, noise: float | Tensor = 0.0) -> Any:
        """Return the ensemble's answer and its uncertainty: a :class:`Prediction`, unless another task is given.

        Args:
            x: the input, or a tuple of the network's arguments; see there.
            task: as in :func:`snntorch_binary.predict`.
            noise: as there.

        Raises:
            TypeError: x is no floating-point tensor and no tuple of arguments that begins with one.
            ValueError: x is not finite or has several arguments for one time step, or the task is unknown or has to be
                given.
        """
        check_input(x)
        with taking_turns(self):
            prediction = prediction_of(self.task if task is None else task, self(x), noise=noise)
            reset(self)
        return prediction


def ensemble_of(
    members: Iterable[nn.Module],
    own: Answering,
    seed: int,
    data: Tensor | Iterable[Any] | None,
    kind: type[Ensemble] = Ensemble,
) -> Ensemble:
    """Return an ensemble of networks with fixed weights, in evaluation mode, which become its own.

    Args:
        members: the networks.
        own: how they answer.
        seed: that they were drawn with.
        data: as the class takes it.
        kind: the class of the ensemble.
    """
    ensemble = kind.__new__(kind)
    nn.Module.__init__(ensemble)
    ensemble._take(members, own, seed)
    if data is not None:
        refit_norms_(ensemble, data, step=ensemble.step)
    return ensemble
