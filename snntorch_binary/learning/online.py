"""One gradient per time step, by autograd or as the explicit three-factor product."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.kernels.engine import array, compiled, flat
from snntorch_binary.kernels.surrogates import kernel_form
from snntorch_binary.learning.activity import ActivityRegularizer
from snntorch_binary.learning.local import LocalNetwork
from snntorch_binary.learning.losses import Loss, kernel_targets, loss_error, loss_value
from snntorch_binary.nn.binary import BinaryLinear
from snntorch_binary.nn.neurons.refractory import Refractory
from snntorch_binary.nn.neurons.synaptic_trace import SynapticTrace
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.weights import binary_layers


def online_gradients(
    net: LocalNetwork,
    x: Tensor,
    targets: Tensor,
    loss: Loss = "cross-entropy",
    activity: ActivityRegularizer | None = None,
    explicit: bool | None = None,
) -> Iterator[Tensor]:
    r"""Go through a sequence and add the gradient of each time step's local losses to the parameters' ``.grad``.

    Step the optimizer at every turn for the online rule of BiSNN, or once at the end to learn from the sum. The
    explicit path needs no autograd: with the error
    :math:`e^l = (g / \sqrt{N_l})\, B^{lT} \partial \ell / \partial r^l`, the gradient of a block's weights is the
    three-factor product

    .. math::
        \frac{\partial L_t}{\partial W_{ij}} = \kappa_l \sum_b e^l_{b,i}\; \sigma'(u^l_{b,i})\; P^l_{b,j}

    of learning signal, post-synaptic and pre-synaptic factor (arXiv 2012.08300). Both paths agree to rounding.

    Args:
        net: the network; its weights may change between two turns.
        x: spikes [T, B, ...].
        targets: what the loss takes, the same at every time step.
        loss: a name or function, see :mod:`snntorch_binary.learning.losses`.
        activity: an optional regulariser of every block.
        explicit: take the path without autograd; ``None`` takes it where it can be taken: where every block is
            ``SynapticTrace``, ``Linear`` or ``BinaryLinear``, ``Refractory`` in this order, behind
            ``TimeFirst(Flatten())`` or not.

    Yields:
        The loss of each time step after the burn-in, [].

    Raises:
        ValueError: the burn-in is not shorter than the sequence, or the explicit path is asked for where it cannot be
            taken.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.learning import LocalNetwork, online_gradients
        >>> block = torch.nn.Sequential(sb.nn.SynapticTrace(), sb.nn.BinaryLinear(20, 64), sb.nn.Refractory())
        >>> net = LocalNetwork([block], num_outputs=2, input_shape=(20,), burn_in=10)
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> x, labels = torch.rand(100, 4, 20).round(), torch.tensor([0, 1, 0, 1])
        >>> for loss in online_gradients(net, x, labels):
        ...     optimizer.step()
        ...     optimizer.zero_grad()
    """
    for layer in binary_layers(net).values():
        reason = layer.rule.why_no_gradient(layer.rule.training_kind)
        if reason is not None:
            raise ValueError(expected("net", "a network whose weights have a gradient at every time step", reason))
    possible = all(_parts(block) is not None for block in net.blocks)
    if explicit and not possible:
        what = "False or None where a block is not SynapticTrace, Linear, Refractory"
        raise ValueError(expected("explicit", what, True))
    if possible if explicit is None else explicit:
        return _explicit(net, x, targets, loss, activity)
    return _by_autograd(net, x, targets, loss, activity)


def _by_autograd(
    net: LocalNetwork, x: Tensor, targets: Tensor, loss: Loss, activity: ActivityRegularizer | None
) -> Iterator[Tensor]:
    value = loss_value(loss)
    for step in net.steps(x):
        total = sum((value(readout, targets) for readout in step.readouts), x.new_zeros(()))
        if activity is not None:
            total = total + sum(activity(spikes) for spikes in step.spikes)
        total.backward()
        yield total.detach()


def _parts(block: nn.Module) -> tuple[SynapticTrace, nn.Linear, Refractory] | None:
    parts = list(block) if isinstance(block, nn.Sequential) else []
    if parts and isinstance(parts[0], TimeFirst) and type(parts[0].module) is nn.Flatten:
        parts = parts[1:]
    if len(parts) != 3:
        return None
    trace, layer, neuron = parts
    # Exact types: a subclass may do anything else.
    if (
        type(trace) is not SynapticTrace
        or type(neuron) is not Refractory
        or type(layer) not in (nn.Linear, BinaryLinear)
        or (isinstance(layer, BinaryLinear) and layer.scale == "latent")  # whose gradient has a part by the scale
    ):
        return None
    assert isinstance(layer, nn.Linear)
    return trace, layer, neuron


def _explicit(
    net: LocalNetwork, x: Tensor, targets: Tensor, loss: Loss, activity: ActivityRegularizer | None
) -> Iterator[Tensor]:
    net.check_length(x)
    value, error = loss_value(loss), loss_error(loss)
    device = x.device.type
    with torch.no_grad():
        blocks = []
        for index, module in enumerate(net.blocks):
            parts = _parts(module)
            assert parts is not None
            blocks.append(_Block(*parts, net.readout_gain(index) * net.readout(index).to(x.dtype), x))
        if activity is None:
            for block in blocks:
                block.expect(loss, targets)
    for t, x_t in enumerate(x.flatten(2).unbind(0)):
        # Not around the yield, which hands control to the caller.
        with torch.no_grad(), torch.autocast(device, enabled=False) if _casts(device) else nullcontext():
            total: float | Tensor = 0.0
            for block in blocks:
                block.advance(x_t)
                x_t = block.spikes
                if t < net.burn_in:
                    continue
                readouts = block.spikes @ block.readout.T
                if block.expected is not None:
                    total = total + block.learn(readouts)
                    continue
                total = total + value(readouts, targets)
                learning_signal = error(readouts, targets) @ block.readout
                if activity is not None:
                    total = total + activity(block.spikes)
                    learning_signal = learning_signal + activity.error(block.spikes)
                post = learning_signal * block.slope
                block.three_factors(post, post * block.scale)
        if t >= net.burn_in:
            yield total if isinstance(total, Tensor) else x.new_tensor(total)


def _casts(device: str) -> bool:
    """Say whether autocast is on, whose context takes longer than looking."""
    return torch.is_autocast_enabled(device)


class _Block:
    """A block of the explicit path and the state of its neurons.

    Args:
        trace: of its inputs.
        layer: its weights.
        neuron: its neurons.
        readout: of its spikes [C, N], gain included.
        x: the input of the network.
    """

    def __init__(self, trace: SynapticTrace, layer: nn.Linear, neuron: Refractory, readout: Tensor, x: Tensor) -> None:
        self.trace, self.layer, self.neuron, self.readout = trace, layer, neuron, readout
        self.p, self.q = x.new_zeros(2, x.shape[1], layer.in_features)
        self.product, self.refractory, self.spikes, self.slope = x.new_zeros(4, x.shape[1], layer.out_features)
        self.scale: float | Tensor = 1.0
        self.form = kernel_form(neuron.surrogate)
        held = layer.latent if isinstance(layer, BinaryLinear) else layer.weight
        self.kernels = None if self.form is None else compiled("online", self.p, held)
        if self.kernels is not None:  # looked at once: a step takes less time than making arrays of its tensors
            self.traces = flat(self.p), flat(self.q)
            self.states = tuple(state.numpy() for state in (self.refractory, self.spikes, self.slope))
            self.sums = self.product.numpy()
            self.nothing, self.number = flat(x.new_empty(0)), flat(x.new_empty(1))
        self.expected: tuple[Any, ...] | None = None

    def expect(self, loss: Loss, targets: Tensor) -> None:
        """Have a kernel compute the loss and its post-synaptic factors, where one can."""
        if self.kernels is None or compiled("online", self.readout) is None:
            return
        known = kernel_targets(loss, targets, self.p.new_empty(len(self.p), len(self.readout)))
        if known is None:
            return
        name, labels, wanted = known
        self.post, self.scaled = torch.empty_like(self.slope), torch.empty_like(self.slope)
        self.expected = getattr(self.kernels, name), array(labels), array(wanted), array(self.readout)
        self.factors = self.states[2], array(self.post), array(self.scaled)

    def learn(self, readouts: Tensor) -> float:
        """Add the gradients of the block's parameters from its readouts [B, C]; return the loss."""
        assert self.expected is not None
        assert self.kernels is not None
        loss, labels, wanted, readout = self.expected
        slope, post, scaled = self.factors
        value = self.kernels.learn(loss, array(readouts), labels, wanted, readout, slope, self._scales(), post, scaled)
        self.three_factors(self.post, self.scaled)
        return float(value)

    def advance(self, x: Tensor) -> None:
        """Take traces and neurons one time step on."""
        layer, neuron = self.layer, self.neuron
        alpha, beta = self.trace.decays
        gamma = math.exp(-1 / neuron.tau_ref)
        if self.kernels is not None:
            self.kernels.filter_step(*self.traces, flat(x.contiguous()), alpha, beta, self.trace.gain)
        else:
            self.p = torch.add(self.q, self.p, alpha=alpha)
            self.q = torch.add(self.trace.gain * x, self.q, alpha=beta)
        if isinstance(layer, BinaryLinear):
            layer.refresh()
            value = layer.draw.value
            assert value is not None
            weight, self.scale = value, layer._scale()
        else:
            weight = layer.weight
        torch.mm(self.p, weight.T, out=self.product)
        if self.kernels is not None:
            self.kernels.fire(
                self.sums,
                self._scales(),
                self.nothing if layer.bias is None else flat(layer.bias),
                *self.states,
                gamma,
                neuron.threshold,
                neuron.surrogate.fires_at_threshold,
                self.form,
            )
            return
        current = self.product * self.scale
        if layer.bias is not None:
            current += layer.bias
        self.refractory = torch.add(self.spikes, self.refractory, alpha=gamma)
        membrane = current.sub_(self.refractory).sub_(neuron.threshold)
        self.spikes = neuron.surrogate.fire(membrane)
        self.slope = neuron.surrogate.derivative(membrane)

    def _scales(self) -> Any:
        if isinstance(self.scale, Tensor):
            return flat(self.scale)
        self.number[0] = self.scale
        return self.number

    def three_factors(self, post: Tensor, scaled: Tensor) -> None:
        """Add the gradients of the block's parameters from its post-synaptic factors [B, N], also times the scale."""
        layer = self.layer
        weight = scaled.T @ self.p
        if isinstance(layer, BinaryLinear):
            derivative = layer.draw.derivative
            if derivative is not None:
                weight.mul_(derivative)
            _add(layer.latent, weight)
            if layer.gain is not None:
                _add(layer.gain, (post * self.product).sum(0) / math.sqrt(layer.fan_in))
        else:
            _add(layer.weight, weight)
        if layer.bias is not None:
            _add(layer.bias, post.sum(0))


def _add(parameter: Tensor, gradient: Tensor) -> None:
    if parameter.requires_grad:
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
