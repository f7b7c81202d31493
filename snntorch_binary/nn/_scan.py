"""Neurons over a whole sequence at once, with the backward pass through time written by hand.

Each scan computes what its neuron's ``step`` computes in a loop, spikes bit for bit, and leaves autograd one
node in place of ten for every time step. Nothing is saved but inputs and outputs, and both passes are made of
ordinary differentiable operations, so that ``torch.func.vmap`` and second derivatives need no further code.
They go step by step even where an operation could take all steps together: one step fits into the cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snntorch_binary.nn.surrogate import Surrogate

__all__ = ["exponential_filter", "leaky_scan", "srm_scan"]


def exponential_filter(x: Tensor, decay: Tensor, initial: Tensor) -> Tensor:
    """y_t = decay y_{t-1} + x_t over the steps of ``x`` [T, B, ...], from y_{-1} = ``initial`` [B, ...]."""
    return _ExponentialFilter.apply(x, decay, initial)


def leaky_scan(
    x: Tensor, mem: Tensor, beta: Tensor, threshold: Tensor, reset_mechanism: str, surrogate: Surrogate
) -> tuple[Tensor, Tensor]:
    """Spikes and membrane potentials [T, B, ...] of a leaky neuron with delayed reset, from ``mem`` on."""
    return _Leaky.apply(x, mem, beta, threshold, reset_mechanism, surrogate)


def srm_scan(
    x: Tensor, decays: tuple[float, float, float], threshold: float, surrogate: Surrogate, detach: bool
) -> tuple[Tensor, Tensor]:
    """Spikes and membrane potentials [T, B, ...] of an SRM from rest; decays are (alpha, beta, gamma)."""
    return _SRM.apply(x, decays, threshold, surrogate, detach)


class _ExponentialFilter(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, decay: Tensor, initial: Tensor) -> Tensor:
        y = initial
        ys = []
        for x_t in x.unbind(0):
            y = decay * y + x_t
            ys.append(y)
        return torch.stack(ys)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        _, decay, initial = inputs
        ctx.save_for_backward(decay, initial, output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        decay, initial, y = ctx.saved_tensors
        ys, grads = (initial, *y.unbind(0)), grad.unbind(0)
        carry = to_decay = torch.zeros_like(initial)
        ds = []
        for t in reversed(range(len(grads))):
            d = carry + grads[t]
            ds.append(d)
            if ctx.needs_input_grad[1]:
                to_decay = to_decay + d * ys[t]
            carry = decay * d
        return torch.stack(ds[::-1]), to_decay.sum_to_size(decay.shape), carry


class _Leaky(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, mem: Tensor, beta: Tensor, threshold: Tensor, reset_mechanism: str, surrogate: Surrogate
    ) -> tuple[Tensor, Tensor]:
        spikes = surrogate.fire(mem - threshold)
        all_spikes, all_mem = [], []
        for x_t in x.unbind(0):
            # With a delayed reset the spike of the last step is the reset of this one.
            if reset_mechanism == "zero":
                mem = (1 - spikes) * mem
            mem = beta * mem + x_t
            if reset_mechanism == "subtract":
                # Fused, yet exact: the product with 0 or 1 has no rounding.
                mem = torch.addcmul(mem, spikes, threshold, value=-1)
            spikes = surrogate.fire(mem - threshold)
            all_spikes.append(spikes)
            all_mem.append(mem)
        return torch.stack(all_spikes), torch.stack(all_mem)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _, initial, beta, threshold, ctx.reset_mechanism, ctx.surrogate = inputs
        ctx.save_for_backward(initial, beta, threshold, *output)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad_spikes: Tensor | None, grad_mem: Tensor | None) -> tuple[Tensor | None, ...]:
        initial, beta, threshold, spikes, mem = ctx.saved_tensors
        subtract, zero = ctx.reset_mechanism == "subtract", ctx.reset_mechanism == "zero"
        _, _, learn_beta, learn_threshold, *_ = ctx.needs_input_grad
        mems = (initial, *mem.unbind(0))
        # A reset carries no gradient, in second derivatives either.
        resets = (ctx.surrogate.fire(initial - threshold), *spikes.detach().unbind(0))
        grads_spikes = None if grad_spikes is None else grad_spikes.unbind(0)
        grads_mem = None if grad_mem is None else grad_mem.unbind(0)

        d = to_beta = to_threshold = torch.zeros_like(initial)
        ds = []
        for t in reversed(range(len(mems) - 1)):
            # On entry d is the gradient of the potential of this step (mems[t + 1]) from all later ones.
            if grads_mem is not None:
                d = d + grads_mem[t]
            if grads_spikes is not None:
                fired = grads_spikes[t] * ctx.surrogate.derivative(mems[t + 1] - threshold)
                d = d + fired
                if learn_threshold:
                    to_threshold = to_threshold - fired
            ds.append(d)
            if learn_threshold and subtract:
                to_threshold = to_threshold - d * resets[t]
            kept = (1 - resets[t]) * d if zero else d
            if learn_beta:
                to_beta = to_beta + kept * mems[t]
            d = beta * kept
        dx = torch.stack(ds[::-1])
        return dx, d, to_beta.sum_to_size(beta.shape), to_threshold.sum_to_size(threshold.shape), None, None


class _SRM(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, decays: tuple[float, float, float], threshold: float, surrogate: Surrogate, detach: bool
    ) -> tuple[Tensor, Tensor]:
        alpha, beta, gamma = decays
        p = q = r = spikes = torch.zeros_like(x[0])
        all_spikes, all_mem = [], []
        for x_t in x.unbind(0):
            p = alpha * p + q
            q = beta * q + x_t
            r = gamma * r + spikes
            mem = p - r
            spikes = surrogate.fire(mem - threshold)
            all_spikes.append(spikes)
            all_mem.append(mem)
        return torch.stack(all_spikes), torch.stack(all_mem)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _, ctx.decays, ctx.threshold, ctx.surrogate, ctx.detach = inputs
        ctx.save_for_backward(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad_spikes: Tensor | None, grad_mem: Tensor | None) -> tuple[Tensor | None, ...]:
        alpha, beta, gamma = ctx.decays
        mems = ctx.saved_tensors[0].unbind(0)
        rest = torch.zeros_like(mems[0])
        grads_spikes = [rest] * len(mems) if grad_spikes is None else grad_spikes.unbind(0)
        grads_mem = None if grad_mem is None else grad_mem.unbind(0)
        dp = dq = dr = rest
        ds = []
        for t in reversed(range(len(mems))):
            # On entry dp, dq, dr belong to step t + 1: its p took the q of this step, its r the spikes.
            d_spikes = grads_spikes[t] if ctx.detach else grads_spikes[t] + dr
            d_mem = d_spikes * ctx.surrogate.derivative(mems[t] - ctx.threshold)
            if grads_mem is not None:
                d_mem = d_mem + grads_mem[t]
            dq = beta * dq + dp
            dp = alpha * dp + d_mem
            dr = gamma * dr - d_mem
            ds.append(dq)
        return torch.stack(ds[::-1]), None, None, None, None
