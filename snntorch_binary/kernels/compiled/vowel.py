"""VOWEL's hidden circuits, see :mod:`snntorch_binary.kernels.vowel`."""

from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.engine import announced

_BLOCK = 64  # traces: what is summed over the batch stays in the first-level cache
_f = np.float32
_TINY = _f(1e-30)
_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@announced
@njit(**_options)
def mark(traces, active):
    """Set ``active`` [B, blocks] where a block of the traces [B, J] is not all zero."""
    for b in range(traces.shape[0]):
        for block in range(active.shape[1]):
            for j in range(block * _BLOCK, min((block + 1) * _BLOCK, traces.shape[1])):
                if traces[b, j] != 0:
                    active[b, block] = True
                    break


@announced
@njit(**_options)
def hidden_step(eligibility, score, traces, reward, reward_squares, squares, baseline, direction, kappa, beta, active):
    """Take eligibility [M, B, J] and the averages [M, J] one time step on; ``score`` is [M, B]."""
    kappa, beta = _f(kappa), _f(beta)
    num_rows, num_examples, num_traces = eligibility.shape
    new, share = _f(1) - kappa, (_f(1) - beta) / _f(num_examples)
    mean = (_f(1) - kappa) / _f(num_examples)
    sums = np.zeros((4, _BLOCK), np.float32)
    first, second, third, fourth = sums[0], sums[1], sums[2], sums[3]
    for i in range(num_rows):
        for block in range(active.shape[1]):
            start = block * _BLOCK
            size = min(_BLOCK, num_traces - start)
            any_active = False
            for b in range(num_examples):
                any_active |= active[b, block]
            if any_active:
                sums[:] = _f(0)
                for b in range(num_examples):
                    if not active[b, block]:
                        continue
                    e = eligibility[i, b, start : start + size]
                    x = traces[b, start : start + size]
                    factor, value = new * score[i, b], reward[b]
                    for j in range(size):
                        now = kappa * e[j] + factor * x[j]
                        e[j] = now if abs(now) > _TINY else _f(0)
                    for j in range(size):
                        first[j] += e[j]
                        second[j] += value * e[j]
                    for j in range(size):
                        square = e[j] * e[j]
                        third[j] += square
                        fourth[j] += value * square
            g = direction[i, start : start + size]
            total = squares[i, start : start + size]
            weighted = reward_squares[i, start : start + size]
            base = baseline[i, start : start + size]
            if any_active:
                for j in range(size):
                    g[j] = kappa * g[j] + mean * (second[j] - base[j] * first[j])
                for j in range(size):
                    total[j] = beta * total[j] + share * third[j]
                    weighted[j] = beta * weighted[j] + share * fourth[j]
            else:
                for j in range(size):
                    g[j] = kappa * g[j]
                    total[j] = beta * total[j]
                    weighted[j] = beta * weighted[j]
