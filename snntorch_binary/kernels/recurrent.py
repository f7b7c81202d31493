"""Leaky neurons that get their own spikes of the step before through a linear layer, over a whole sequence.

Every step waits for the one before, so that it is a product and one pass over the neurons; but the gradient of the
weights is one product over all steps, and of a step nothing is kept but its potentials and spikes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from snntorch_binary.kernels.again import gradients
from snntorch_binary.kernels.engine import array, compiled, flat
from snntorch_binary.kernels.events import Events
from snntorch_binary.kernels.product import is_plain, scaled
from snntorch_binary.kernels.surrogates import Surrogate, kernel_form

_RESETS = ("subtract", "zero", "none")


@dataclass(frozen=True)
class How:
    """What such neurons do.

    Attributes:
        reset_mechanism: ``"subtract"``, ``"zero"`` or ``"none"``.
        surrogate: the surrogate gradient.
        joined: whether the currents are added before they join the potential, which rounds differently.
    """

    reset_mechanism: str
    surrogate: Surrogate
    joined: bool


def recurrent_leaky_scan(
    x: Tensor,
    initial: tuple[Tensor, Tensor],
    layer: tuple[Tensor, float | Tensor | None, Tensor | None],
    constants: tuple[Tensor, Tensor],
    how: How,
) -> tuple[Tensor, Tensor] | None:
    """Return spikes and membrane potentials [T, B, ..., N], or ``None`` where no compiled kernel takes them.

    Args:
        x: currents [T, B, ..., N].
        initial: the spikes and potentials [B, ..., N] before the first step.
        layer: weights [N, N], their scale (a number or one of each output; ``None`` of real weights), and bias.
        constants: beta and threshold, as they broadcast to [B, ..., N].
        how: the kind of neurons.
    """
    weight, scale, bias = layer
    tensors = (x, *initial, weight, *constants, *(each for each in (scale, bias) if isinstance(each, Tensor)))
    if (
        x.shape[0] == 0
        or weight.shape != (x.shape[-1],) * 2
        or any(tensor.dtype != torch.float32 for tensor in tensors)
        or not is_plain(x, weight)
    ):
        return None
    if torch._C._len_torch_function_stack() > 0:  # whoever records operations wants to see every step
        return None
    x, initial = x.contiguous(), (initial[0].contiguous(), initial[1].contiguous())
    if kernel_form(how.surrogate) is None or compiled("recurrent", x, *initial) is None:
        return None
    return _RecurrentLeaky.apply(x, *initial, *layer, *constants, how)


def _are_few_spikes(spikes: Tensor) -> bool:
    """Say whether there is nothing but 0 and 1 before the first step, as there is behind every other."""
    return bool(((spikes == 0) | (spikes == 1)).all())


def _product(spikes: Tensor, weight: Tensor, scale: float | Tensor | None, bias: Tensor | None) -> Tensor:
    return F.linear(spikes, weight, bias) if scale is None else scaled(F.linear(spikes, weight), scale, bias)


def _loop(
    how: How,
    x: Tensor,
    spikes: Tensor,
    mem: Tensor,
    weight: Tensor,
    scale: float | Tensor | None,
    bias: Tensor | None,
    beta: Tensor,
    threshold: Tensor,
) -> tuple[Tensor, Tensor]:
    """The same by operations of torch, which can be differentiated twice."""
    all_spikes, potentials = [], []
    for x_t in x.unbind(0):
        reset = how.surrogate.fire(mem - threshold).detach()
        recurrent = _product(spikes, weight, scale, bias)
        if how.reset_mechanism == "zero":
            mem = (1 - reset) * mem
        mem = beta * mem + (x_t + recurrent) if how.joined else (beta * mem + x_t) + recurrent
        if how.reset_mechanism == "subtract":
            mem = mem - reset * threshold
        spikes = how.surrogate(mem - threshold)
        all_spikes.append(spikes)
        potentials.append(mem)
    return torch.stack(all_spikes), torch.stack(potentials)


def _of_each(value: Tensor, neurons: Tensor) -> Any:
    return flat(value.detach().expand_as(neurons).contiguous())


class _RecurrentLeaky(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, spikes: Tensor, mem: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        weight, scale, bias, beta, threshold, how = rest
        kernels = compiled("recurrent")
        assert kernels is not None
        all_spikes, potentials = torch.empty_like(x), torch.empty_like(x)
        arguments = (_of_each(beta, mem), _of_each(threshold, mem), _RESETS.index(how.reset_mechanism), how.joined)
        few = scale is not None and _are_few_spikes(spikes)  # of ±1 every order of a sum is exact
        sums = torch.empty_like(mem)
        rows = (-1, x.shape[-1])
        # Arrays of all steps are made once: to make one of a tensor takes as long as a small step.
        xs, ss, us = (array(each.flatten(1)) for each in (x, all_spikes, potentials))
        table, sums_of_rows = array(weight.detach().T.contiguous()), array(sums.view(rows))
        now, before = flat(spikes), flat(mem)
        for t in range(len(x)):
            if few:
                kernels.sum_of_spikes(now.reshape(rows), table, sums_of_rows)
                recurrent = flat(scaled(sums, scale, bias))
            else:
                recurrent = flat(_product(all_spikes[t - 1] if t else spikes, weight, scale, bias))
            kernels.step_forward(xs[t], recurrent, before, *arguments, how.surrogate.fires_at_threshold, ss[t], us[t])
            now, before = ss[t], us[t]
        ctx.how, ctx.number = how, scale
        tensors = (x, spikes, mem, weight, scale if isinstance(scale, Tensor) else None, bias, beta, threshold)
        ctx.save_for_backward(*tensors, all_spikes, potentials)
        ctx.set_materialize_grads(False)
        return all_spikes, potentials

    @staticmethod
    def backward(ctx: Any, grad_spikes: Tensor | None, grad_mem: Tensor | None) -> tuple[Tensor | None, ...]:
        *inputs, spikes, potentials = ctx.saved_tensors
        if inputs[4] is None:
            inputs[4] = ctx.number
        kernels = None if torch.is_grad_enabled() else compiled("recurrent")
        if kernels is None:
            loop = partial(_loop, ctx.how)
            return (*gradients(loop, inputs, ctx.needs_input_grad, (grad_spikes, grad_mem)), None)
        x, first, rest, weight, scale, _, beta, threshold = inputs
        neurons = x.shape[-1]
        of_scale = scale[:, None] if isinstance(scale, Tensor) else 1.0 if scale is None else scale
        in_force = weight * of_scale
        nothing = flat(torch.empty(0))
        to_beta = torch.zeros_like(rest) if ctx.needs_input_grad[6] else torch.empty(0)
        to_threshold = torch.zeros_like(rest) if ctx.needs_input_grad[7] else torch.empty(0)
        carry, by_next, dx = torch.zeros_like(rest), torch.zeros_like(rest), torch.empty_like(x)
        of_neurons = (_of_each(beta, rest), _of_each(threshold, rest), _RESETS.index(ctx.how.reset_mechanism))
        surrogate = (ctx.how.surrogate.fires_at_threshold, kernel_form(ctx.how.surrogate))
        found = (flat(to_beta), flat(to_threshold))
        given = [None if grad is None else array(grad.contiguous().flatten(1)) for grad in (grad_spikes, grad_mem)]
        us, dxs = array(potentials.flatten(1)), array(dx.flatten(1))  # once, as forward
        to_next, carried, by_rows = flat(by_next), flat(carry), by_next.view(-1, neurons)
        for t in reversed(range(len(x))):
            before = us[t - 1] if t else flat(rest)
            grads = (nothing if grad is None else grad[t] for grad in given)
            kernels.step_backward(us[t], before, *of_neurons, *surrogate, *grads, to_next, dxs[t], carried, *found)
            torch.mm(dx[t].view(-1, neurons), in_force, out=by_rows)
        to_weight = to_scale = to_bias = None
        rows = dx.view(-1, neurons)
        if ctx.needs_input_grad[3] or ctx.needs_input_grad[4]:
            earlier = torch.cat([first[None], spikes[:-1]]).view(-1, neurons)
            events = Events.of(earlier)
            outer = None if events is None else events.outer(rows)
            outer = rows.T @ earlier if outer is None else outer
            to_weight = (outer * of_scale).contiguous()
            if ctx.needs_input_grad[4]:
                to_scale = (outer * weight).sum(1)
        if ctx.needs_input_grad[5]:
            to_bias = rows.sum(0)
        constants = (
            total.sum_to_size(value.shape) if needed else None
            for total, value, needed in (
                (to_beta, beta, ctx.needs_input_grad[6]),
                (to_threshold, threshold, ctx.needs_input_grad[7]),
            )
        )
        return dx, by_next, carry, to_weight, to_scale, to_bias, *constants, None
