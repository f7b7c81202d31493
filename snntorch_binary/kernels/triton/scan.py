"""Neurons over a whole sequence, see :mod:`snntorch_binary.kernels.scan`: the same operations in the same order.

Arrays over time are [T, M], with M neurons of all examples; what a neuron has one of is [M]. A program takes a block of
neurons, whose state stays in registers, through all of time; neighbouring threads read neighbouring neurons.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from snntorch_binary.kernels.triton.launch import launch
from snntorch_binary.kernels.triton.surrogates import derivative, factors, fire

_BLOCK = 128

_SUBTRACT, _ZERO, _SUBTRACT_FIRST = tl.constexpr(0), tl.constexpr(1), tl.constexpr(3)


@triton.jit
def _filter_forward(x, decay, initial, y, steps, width, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < width
    a, state = tl.load(decay + i, inside), tl.load(initial + i, inside)
    for _ in range(steps):
        state = a * state + tl.load(x + i, inside)
        tl.store(y + i, state, inside)
        x += width
        y += width


def filter_forward(x: Any, decay: Any, initial: Any, y: Any) -> None:
    """y_t = decay y_{t-1} + x_t."""
    launch(_filter_forward, x.shape[1], _BLOCK, (x, decay, initial, y), *x.shape)


@triton.jit
def _filter_backward(grad, decay, initial, y, dx, to_initial, to_decay, steps, width, to_last, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < width
    a, first = tl.load(decay + i, inside), tl.load(initial + i, inside)
    carry = tl.load(to_initial + i, inside)
    by_decay = tl.zeros((BLOCK,), tl.float32)
    grad += to_last
    y += to_last
    dx += to_last
    for t in range(steps):
        d = carry + tl.load(grad + i, inside)
        tl.store(dx + i, d, inside)
        if to_decay is not None:
            by_decay += d * tl.load(y - width + i, i < tl.where(t < steps - 1, width, 0), other=first)
        carry = a * d
        grad -= width
        y -= width
        dx -= width
    tl.store(to_initial + i, carry, inside)
    if to_decay is not None:
        tl.store(to_decay + i, by_decay, inside)


def filter_backward(grad: Any, decay: Any, initial: Any, y: Any, dx: Any, to_initial: Any, to_decay: Any) -> None:
    """From the gradient of y to those of x, of the initial value and (if it is not empty) of the decay.

    ``to_initial`` comes with the gradient of the last value that does not pass through y.
    """
    arrays = (grad, decay, initial, y, dx, to_initial, to_decay)
    launch(_filter_backward, y.shape[1], _BLOCK, arrays, *y.shape, _to_last(y))


@triton.jit
def _leaky_forward(
    x,
    initial,
    beta,
    threshold,
    spikes,
    mem,
    steps,
    width,
    RESET: tl.constexpr,
    AT_THRESHOLD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < width
    a, theta, u = tl.load(beta + i, inside), tl.load(threshold + i, inside), tl.load(initial + i, inside)
    s = fire(u - theta, AT_THRESHOLD)
    for _ in range(steps):
        if RESET == _ZERO:
            u = (1.0 - s) * u
        if RESET == _SUBTRACT_FIRST:
            u = u - s * theta
        u = a * u + tl.load(x + i, inside)
        if RESET == _SUBTRACT:
            u = u - s * theta
        s = fire(u - theta, AT_THRESHOLD)
        tl.store(mem + i, u, inside)
        tl.store(spikes + i, s, inside)
        x += width
        mem += width
        spikes += width


def leaky_forward(
    x: Any, initial: Any, beta: Any, threshold: Any, reset: int, at_threshold: bool, spikes: Any, mem: Any
) -> None:
    """A leaky neuron with delayed reset."""
    arrays = (x, initial, beta, threshold, spikes, mem)
    launch(_leaky_forward, x.shape[1], _BLOCK, arrays, *x.shape, RESET=reset, AT_THRESHOLD=at_threshold)


@triton.jit
def _leaky_backward(
    mem,
    initial,
    beta,
    threshold,
    grad_spikes,
    grad_mem,
    dx,
    to_initial,
    to_beta,
    to_threshold,
    steps,
    width,
    to_last,
    inner,
    outer,
    RESET: tl.constexpr,
    AT_THRESHOLD: tl.constexpr,
    KIND: tl.constexpr,
    BLOCK: tl.constexpr,
):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < width
    a, theta, first = tl.load(beta + i, inside), tl.load(threshold + i, inside), tl.load(initial + i, inside)
    d = tl.load(to_initial + i, inside)
    by_beta = tl.zeros((BLOCK,), tl.float32)
    by_threshold = tl.zeros((BLOCK,), tl.float32)
    mem += to_last
    dx += to_last
    if grad_spikes is not None:
        grad_spikes += to_last
    if grad_mem is not None:
        grad_mem += to_last
    u = tl.load(mem + i, inside)
    for t in range(steps):
        mem -= width
        before = tl.load(mem + i, i < tl.where(t < steps - 1, width, 0), other=first)
        if grad_mem is not None:
            d += tl.load(grad_mem + i, inside)
            grad_mem -= width
        if grad_spikes is not None:
            fired = tl.load(grad_spikes + i, inside) * derivative(u - theta, inner, outer, KIND)
            d += fired
            by_threshold -= fired
            grad_spikes -= width
        tl.store(dx + i, d, inside)
        dx -= width
        reset = fire(before - theta, AT_THRESHOLD)
        if RESET == _SUBTRACT:
            by_threshold -= d * reset
        if RESET == _ZERO:
            d = (1.0 - reset) * d
        by_beta += d * before
        d = a * d
        u = before
    tl.store(to_initial + i, d, inside)
    if to_beta is not None:
        tl.store(to_beta + i, by_beta, inside)
    if to_threshold is not None:
        tl.store(to_threshold + i, by_threshold, inside)


def leaky_backward(
    mem: Any,
    initial: Any,
    beta: Any,
    threshold: Any,
    reset: int,
    at_threshold: bool,
    surrogate: tuple[int, float, float],
    grad_spikes: Any,
    grad_mem: Any,
    dx: Any,
    to_initial: Any,
    to_beta: Any,
    to_threshold: Any,
) -> None:
    """From the gradients of spikes and potentials to those of x, of the initial potential, beta and threshold.

    A gradient that there is not, or that nobody asks for, is an empty array. ``to_initial`` comes with the gradient of
    the last potential that does not pass through ``grad_mem``.
    """
    arrays = (mem, initial, beta, threshold, grad_spikes, grad_mem, dx, to_initial, to_beta, to_threshold)
    scalars = (*mem.shape, _to_last(mem), *factors(surrogate))
    constants = {"RESET": reset, "AT_THRESHOLD": at_threshold, "KIND": surrogate[0]}
    launch(_leaky_backward, mem.shape[1], _BLOCK, arrays, *scalars, **constants)


@triton.jit
def _srm_forward(
    x, spikes, mem, steps, width, alpha, beta, gamma, theta, AT_THRESHOLD: tl.constexpr, BLOCK: tl.constexpr
):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < width
    p = tl.zeros((BLOCK,), tl.float32)
    q = tl.zeros((BLOCK,), tl.float32)
    r = tl.zeros((BLOCK,), tl.float32)
    s = tl.zeros((BLOCK,), tl.float32)
    for _ in range(steps):
        p = alpha * p + q
        q = beta * q + tl.load(x + i, inside)
        r = gamma * r + s
        u = p - r
        s = fire(u - theta, AT_THRESHOLD)
        tl.store(mem + i, u, inside)
        tl.store(spikes + i, s, inside)
        x += width
        mem += width
        spikes += width


def srm_forward(
    x: Any, decays: tuple[float, float, float], threshold: float, at_threshold: bool, spikes: Any, mem: Any
) -> None:
    """A spike response neuron from rest."""
    scalars = (*x.shape, *decays, threshold)
    launch(_srm_forward, x.shape[1], _BLOCK, (x, spikes, mem), *scalars, AT_THRESHOLD=at_threshold)


@triton.jit
def _srm_backward(
    mem,
    grad_spikes,
    grad_mem,
    dx,
    steps,
    width,
    to_last,
    alpha,
    beta,
    gamma,
    theta,
    inner,
    outer,
    DETACH: tl.constexpr,
    KIND: tl.constexpr,
    BLOCK: tl.constexpr,
):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < width
    dp = tl.zeros((BLOCK,), tl.float32)
    dq = tl.zeros((BLOCK,), tl.float32)
    dr = tl.zeros((BLOCK,), tl.float32)
    mem += to_last
    dx += to_last
    if grad_spikes is not None:
        grad_spikes += to_last
    if grad_mem is not None:
        grad_mem += to_last
    for _ in range(steps):
        d = tl.zeros((BLOCK,), tl.float32)
        if not DETACH:
            d = dr
        if grad_spikes is not None:
            d = tl.load(grad_spikes + i, inside) + d
            grad_spikes -= width
        d = d * derivative(tl.load(mem + i, inside) - theta, inner, outer, KIND)
        if grad_mem is not None:
            d = d + tl.load(grad_mem + i, inside)
            grad_mem -= width
        dq = beta * dq + dp
        dp = alpha * dp + d
        dr = gamma * dr - d
        tl.store(dx + i, dq, inside)
        mem -= width
        dx -= width


def srm_backward(
    mem: Any,
    decays: tuple[float, float, float],
    threshold: float,
    surrogate: tuple[int, float, float],
    detach: bool,
    grad_spikes: Any,
    grad_mem: Any,
    dx: Any,
) -> None:
    """From the gradients of spikes and potentials, of which one may be empty, to that of x."""
    scalars = (*mem.shape, _to_last(mem), *decays, threshold, *factors(surrogate))
    arrays = (mem, grad_spikes, grad_mem, dx)
    launch(_srm_backward, mem.shape[1], _BLOCK, arrays, *scalars, DETACH=detach, KIND=surrogate[0])


@triton.jit
def _refractory_trace(x, traces, steps, width, gamma, theta, AT_THRESHOLD: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < width
    r = tl.zeros((BLOCK,), tl.float32)
    s = tl.zeros((BLOCK,), tl.float32)
    for _ in range(steps):
        r = gamma * r + s
        s = fire(tl.load(x + i, inside) - r - theta, AT_THRESHOLD)
        tl.store(traces + i, r, inside)
        x += width
        traces += width


def refractory_trace(x: Any, gamma: float, threshold: float, at_threshold: bool, traces: Any) -> None:
    """The trace that inhibits a neuron after its spikes, given its filtered input."""
    scalars = (*x.shape, gamma, threshold)
    launch(_refractory_trace, x.shape[1], _BLOCK, (x, traces), *scalars, AT_THRESHOLD=at_threshold)


def _to_last(array: Any) -> int:
    """Return how far the last time step is from the first."""
    return (array.shape[0] - 1) * array.shape[1]
