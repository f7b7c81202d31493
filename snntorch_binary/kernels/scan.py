"""Neurons over a whole sequence at once, with the backward pass through time written by hand.

Each scan computes what its neuron's ``step`` computes in a loop, spikes bit for bit, and leaves autograd one
node in place of ten for every time step. Nothing is saved but membrane potentials, and both passes are made of
ordinary differentiable operations, so that ``torch.func.vmap`` and second derivatives need no further code.
They go step by step even where an operation could take all steps together: one step fits into the cache.
Where compiled kernels can take the tensors, and nobody differentiates twice, these compute both passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.kernels.channels_last import channels_last, lie_channels_last
from snntorch_binary.kernels.engine import array, compiled, flat
from snntorch_binary.kernels.memory import empty, empty_like
from snntorch_binary.kernels.surrogates import Surrogate, kernel_form

__all__ = ["exponential_filter", "leaky_scan", "refractory_trace", "srm_scan"]

_RESETS = ("subtract", "zero", "none", "subtract_first")


def exponential_filter(x: Tensor, decay: Tensor, initial: Tensor) -> Tensor:
    """y_t = decay y_{t-1} + x_t over the steps of ``x`` [T, B, ...], from y_{-1} = ``initial`` [B, ...]."""
    return exponential_filter_and_last(x, decay, initial)[0]


def exponential_filter_and_last(x: Tensor, decay: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    """The same, and y of the last step [B, ...]: to go on from, it has a gradient that is no sequence."""
    if lie_channels_last(x):
        space = x.dim() - 3
        initial = channels_last(initial, space).contiguous()
        y, last = _ExponentialFilter.apply(x.movedim(2, -1), channels_last(decay, space), initial)
        return y.movedim(-1, 2), last.movedim(-1, 1)
    return _ExponentialFilter.apply(x, decay, initial.contiguous())


def leaky_scan(
    x: Tensor, mem: Tensor, beta: Tensor, threshold: Tensor, reset_mechanism: str, surrogate: Surrogate
) -> tuple[Tensor, Tensor]:
    """Spikes and membrane potentials [T, B, ...] of a leaky neuron with delayed reset, from ``mem`` on.

    ``"subtract_first"`` subtracts the threshold before the decay. It has no gradient for beta and threshold.
    """
    return leaky_scan_and_last(x, mem, beta, threshold, reset_mechanism, surrogate)[:2]


def leaky_scan_and_last(
    x: Tensor,
    mem: Tensor,
    beta: Tensor,
    threshold: Tensor,
    reset_mechanism: str,
    surrogate: Surrogate,
    steps: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same, and the potential of the last step [B, ...]: to go on from, it has a gradient that is no sequence.

    With ``steps``, ``x`` [B, ...] is the same at every one of them.
    """
    if steps is not None:
        x = x.unsqueeze(0)
    if not lie_channels_last(x):
        return _Leaky.apply(x, mem.contiguous(), beta, threshold, reset_mechanism, surrogate, steps)
    mem, beta, threshold = (channels_last(each, x.dim() - 3) for each in (mem, beta, threshold))
    rest = (mem.contiguous(), beta, threshold, reset_mechanism, surrogate, steps)
    spikes, potentials, last = _Leaky.apply(x.movedim(2, -1), *rest)
    return spikes.movedim(-1, 2), potentials.movedim(-1, 2), last.movedim(-1, 1)


def srm_scan(
    x: Tensor, decays: tuple[float, float, float], threshold: float, surrogate: Surrogate, detach: bool
) -> tuple[Tensor, Tensor]:
    """Spikes and membrane potentials [T, B, ...] of an SRM from rest; decays are (alpha, beta, gamma)."""
    if lie_channels_last(x):
        spikes, potentials = _SRM.apply(x.movedim(2, -1), decays, threshold, surrogate, detach)
        return spikes.movedim(-1, 2), potentials.movedim(-1, 2)
    return _SRM.apply(x, decays, threshold, surrogate, detach)


def refractory_trace(x: Tensor, gamma: float, threshold: float, surrogate: Surrogate) -> Tensor:
    """The traces [T, B, ...] that inhibit a neuron with the filtered input ``x`` after its spikes; no gradient."""
    x = x.contiguous()
    kernels = compiled("scan", x)
    if kernels is not None:
        traces = empty_like(x)
        kernels.refractory_trace(_by_time(x), gamma, threshold, surrogate.fires_at_threshold, _by_time(traces))
        return traces
    r = spikes = torch.zeros_like(x[0])
    all_traces = []
    for x_t in x.unbind(0):
        r = gamma * r + spikes
        spikes = surrogate.fire(x_t - r - threshold)
        all_traces.append(r)
    return torch.stack(all_traces)


def _by_time(x: Tensor | None) -> Any:
    """Return [T, B, ...] as kernels take it, [T, M]; an empty array for ``None``."""
    if x is None:
        return array(_NOTHING[:, None])
    return array(x.flatten(1) if x.dim() > 1 else x[:, None])


_NOTHING = torch.empty(0)


def _of_each(value: Tensor, neurons: Tensor) -> Any:
    """Return a value of each neuron [M], from what broadcasts to ``neurons`` [B, ...]."""
    return flat(value.detach().expand_as(neurons).contiguous())


def _takes_repeated(kernels: ModuleType | None) -> bool:
    """Say whether kernels take an input that is the same at every step as one row."""
    return getattr(kernels, "TAKES_REPEATED", False)


def _empty(size: Sequence[int], like: Tensor) -> Tensor:
    """Return what is yet to be written, of a size, where another tensor is."""
    return empty(*size) if like.is_cpu else like.new_empty(size)


def _carried(gradient: Tensor | None, like: Tensor) -> Tensor:
    """Return where a kernel carries the gradient of a state through time: from that of the last one on, if any."""
    return torch.zeros_like(like) if gradient is None else gradient.clone(memory_format=torch.contiguous_format)


def _zeros_like_if(wanted: bool, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if wanted else _NOTHING


class _ExponentialFilter(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, decay: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
        kernels = compiled("scan", x, initial) if decay.dtype == x.dtype else None
        if kernels is not None:
            filtered = empty_like(x)
            kernels.filter_forward(_by_time(x), _of_each(decay, initial), flat(initial), _by_time(filtered))
            return filtered, (filtered[-1] if len(filtered) else initial).clone()
        y = initial
        ys = []
        for x_t in x.unbind(0):
            y = decay * y + x_t
            ys.append(y)
        return torch.stack(ys), y.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        _, decay, initial = inputs
        ctx.save_for_backward(decay, initial, output[0])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_last: Tensor | None) -> tuple[Tensor | None, ...]:
        decay, initial, y = ctx.saved_tensors
        grad = torch.zeros_like(y) if grad is None else grad
        kernels = None if torch.is_grad_enabled() else compiled("scan", y, initial)
        if kernels is not None and decay.dtype == y.dtype:
            dx, to_initial = empty_like(y), _carried(grad_last, initial)
            by_decay = _zeros_like_if(ctx.needs_input_grad[1], initial)
            arrays = (_of_each(decay, initial), flat(initial), _by_time(y), _by_time(dx), flat(to_initial))
            kernels.filter_backward(_by_time(grad.contiguous()), *arrays, flat(by_decay))
            return dx, by_decay.sum_to_size(decay.shape) if ctx.needs_input_grad[1] else None, to_initial
        ys, grads = (initial, *y.unbind(0)), grad.unbind(0)
        to_decay = torch.zeros_like(initial)
        carry = to_decay if grad_last is None else grad_last
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
        x: Tensor,
        mem: Tensor,
        beta: Tensor,
        threshold: Tensor,
        reset_mechanism: str,
        surrogate: Surrogate,
        steps: int | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        kernels = _kernels(x, mem, beta, threshold)
        if steps is not None and not _takes_repeated(kernels):
            x = x.expand(steps, *x.shape[1:]).contiguous()
        if kernels is not None:
            size = x.shape if steps is None else (steps, *x.shape[1:])
            spikes, potentials = _empty(size, x), _empty(size, x)
            kernels.leaky_forward(
                _by_time(x),
                flat(mem),
                _of_each(beta, mem),
                _of_each(threshold, mem),
                _RESETS.index(reset_mechanism),
                surrogate.fires_at_threshold,
                _by_time(spikes),
                _by_time(potentials),
            )
            return spikes, potentials, (potentials[-1] if len(potentials) else mem).clone()
        spikes = surrogate.fire(mem - threshold)
        all_spikes, all_mem = [], []
        for x_t in x.unbind(0):
            # With a delayed reset the spike of the last step is the reset of this one.
            if reset_mechanism == "zero":
                mem = (1 - spikes) * mem
            if reset_mechanism == "subtract_first":
                mem = torch.addcmul(mem, spikes, threshold, value=-1)
            mem = beta * mem + x_t
            if reset_mechanism == "subtract":
                # Fused, yet exact: the product with 0 or 1 has no rounding.
                mem = torch.addcmul(mem, spikes, threshold, value=-1)
            spikes = surrogate.fire(mem - threshold)
            all_spikes.append(spikes)
            all_mem.append(mem)
        return torch.stack(all_spikes), torch.stack(all_mem), mem.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        _, initial, beta, threshold, ctx.reset_mechanism, ctx.surrogate, ctx.steps = inputs
        ctx.save_for_backward(initial, beta, threshold, output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(
        ctx: Any, grad_spikes: Tensor | None, grad_mem: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        initial, beta, threshold, mem = ctx.saved_tensors
        form = kernel_form(ctx.surrogate)
        kernels = None if form is None or torch.is_grad_enabled() else _kernels(mem, initial, beta, threshold)
        if kernels is not None:
            repeated = ctx.steps is not None and _takes_repeated(kernels)
            dx = torch.zeros_like(mem[:1]) if repeated else empty_like(mem)
            to_initial = _carried(grad_last, initial)
            learn = ctx.needs_input_grad[2:4]
            sums = [_zeros_like_if(wanted, initial) for wanted in learn]
            kernels.leaky_backward(
                _by_time(mem),
                flat(initial),
                _of_each(beta, initial),
                _of_each(threshold, initial),
                _RESETS.index(ctx.reset_mechanism),
                ctx.surrogate.fires_at_threshold,
                form,
                _by_time(None if grad_spikes is None else grad_spikes.contiguous()),
                _by_time(None if grad_mem is None else grad_mem.contiguous()),
                _by_time(dx),
                flat(to_initial),
                *map(flat, sums),
            )
            to_beta, to_threshold = (
                total.sum_to_size(of.shape) if wanted else None
                for total, of, wanted in zip(sums, (beta, threshold), learn, strict=True)
            )
            dx = dx.sum(0, keepdim=True) if ctx.steps is not None and not repeated else dx
            return dx, to_initial, to_beta, to_threshold, None, None, None
        subtract, zero = ctx.reset_mechanism == "subtract", ctx.reset_mechanism == "zero"
        _, _, learn_beta, learn_threshold, *_ = ctx.needs_input_grad
        mems = (initial, *mem.unbind(0))
        # A reset carries no gradient, in second derivatives either.
        resets = tuple(ctx.surrogate.fire(before - threshold) for before in mems)
        grads_spikes = None if grad_spikes is None else grad_spikes.unbind(0)
        grads_mem = None if grad_mem is None else grad_mem.unbind(0)

        to_beta = to_threshold = torch.zeros_like(initial)
        d = to_beta if grad_last is None else grad_last
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
        dx = dx if ctx.steps is None else dx.sum(0, keepdim=True)
        return dx, d, to_beta.sum_to_size(beta.shape), to_threshold.sum_to_size(threshold.shape), None, None, None


class _SRM(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, decays: tuple[float, float, float], threshold: float, surrogate: Surrogate, detach: bool
    ) -> tuple[Tensor, Tensor]:
        kernels = compiled("scan", x)
        if kernels is not None:
            spikes, potentials = empty_like(x), empty_like(x)
            outputs = (_by_time(spikes), _by_time(potentials))
            kernels.srm_forward(_by_time(x), decays, threshold, surrogate.fires_at_threshold, *outputs)
            return spikes, potentials
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
        form = kernel_form(ctx.surrogate)
        kernels = None if form is None or torch.is_grad_enabled() else compiled("scan", ctx.saved_tensors[0])
        if kernels is not None:
            (mem,) = ctx.saved_tensors
            dx = empty_like(mem)
            grads = (_by_time(None if grad is None else grad.contiguous()) for grad in (grad_spikes, grad_mem))
            kernels.srm_backward(_by_time(mem), ctx.decays, ctx.threshold, form, ctx.detach, *grads, _by_time(dx))
            return dx, None, None, None, None
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


def _kernels(x: Tensor, *of_neurons: Tensor) -> ModuleType | None:
    """Return the compiled scans where they can take x [T, B, ...], and tensors of its dtype, the first one [B, ...]."""
    if any(tensor.dtype != x.dtype for tensor in of_neurons):
        return None
    return compiled("scan", x, of_neurons[0])
