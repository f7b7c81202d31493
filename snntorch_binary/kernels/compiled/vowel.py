"""VOWEL's hidden circuits, see :mod:`snntorch_binary.kernels.vowel`."""

from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.engine import announced

_BLOCK = 64
_f = np.float32
_TINY = _f(1e-30)
_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@announced
@njit(**_options)
def admit(traces, slot_of, example_in, count):
    """Give a slot to each example whose traces [blocks, B, 64] of a block are not all zero and that has none yet."""
    for block in range(traces.shape[0]):
        for b in range(traces.shape[1]):
            if slot_of[block, b] >= 0:
                continue
            for j in range(_BLOCK):
                if traces[block, b, j] != 0:
                    slot_of[block, b] = count[block]
                    example_in[block, count[block]] = b
                    count[block] += 1
                    break


@announced
@njit(**_options)
def hidden_step(
    eligibility, score, traces, reward, reward_squares, squares, baseline, direction, kappa, beta, example_in, count
):
    """Take eligibility [M, blocks, slots, 64] and the averages [M, J] one time step on; ``score`` is [M, B]."""
    kappa, beta = _f(kappa), _f(beta)
    num_rows, num_blocks, num_examples, _ = eligibility.shape
    num_traces = direction.shape[1]
    new, share = _f(1) - kappa, (_f(1) - beta) / _f(num_examples)
    mean = (_f(1) - kappa) / _f(num_examples)
    sums = np.zeros((4, _BLOCK), np.float32)
    first, second, third, fourth = sums[0], sums[1], sums[2], sums[3]
    for i in range(num_rows):
        for block in range(num_blocks):
            sums[:] = _f(0)
            for slot in range(count[block]):
                b = example_in[block, slot]
                factor, value = new * score[i, b], reward[b]
                e, x = eligibility[i, block, slot], traces[block, b]
                # Few arrays in each loop, or it does not vectorise.
                for j in range(_BLOCK):
                    now = kappa * e[j] + factor * x[j]
                    e[j] = now if abs(now) > _TINY else _f(0)
                for j in range(_BLOCK):
                    first[j] += e[j]
                    second[j] += value * e[j]
                for j in range(_BLOCK):
                    square = e[j] * e[j]
                    third[j] += square
                    fourth[j] += value * square
            start = block * _BLOCK
            size = min(_BLOCK, num_traces - start)
            base, g = baseline[i, start : start + size], direction[i, start : start + size]
            for j in range(size):
                second[j] -= base[j] * first[j]
            for j in range(size):
                g[j] = kappa * g[j] + mean * second[j]
            total, weighted = squares[i, start : start + size], reward_squares[i, start : start + size]
            for j in range(size):
                total[j] = beta * total[j] + share * third[j]
            for j in range(size):
                weighted[j] = beta * weighted[j] + share * fourth[j]
