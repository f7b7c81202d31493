"""Spikes to words and back, see :mod:`snntorch_binary.kernels.bits`."""

# vectors.py: 08204e43
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.vectors import equal_bits
from snntorch_binary.kernels.engine import announced

_u = np.uint64


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def to_words(spikes: np.ndarray, words: np.ndarray) -> bool:
    """Pack spikes [N, C, positions], float32 or uint8, to words [N, positions, C / 64]; say if all were 0 or 1."""
    N, C, P = spikes.shape
    wrong = _u(0)
    if P == 1:
        flat = spikes.reshape(-1)
        for i in range(N):
            for k in range(C >> 6):
                at = i * C + 64 * k
                word = equal_bits(flat, at, 1)
                wrong |= ~(word | equal_bits(flat, at, 0))
                words[i, 0, k] = word
            if C & 63:
                word = _u(0)
                for c in range(C & ~63, C):
                    one = flat[i * C + c] == 1
                    wrong |= _u(not (one or flat[i * C + c] == 0))
                    word |= _u(one) << _u(c & 63)
                words[i, 0, C >> 6] = word
        return wrong == 0
    word_of = np.empty(P, np.int64)
    for i in range(N):
        for k in range(words.shape[2]):
            word_of[:] = 0
            for c in range(64 * k, min(64 * k + 64, C)):
                numbers = spikes[i, c]
                for p in range(P):
                    one = numbers[p] == 1
                    wrong |= _u(not (one or numbers[p] == 0))
                    word_of[p] |= np.int64(one) << (c & 63)
            for p in range(P):
                words[i, p, k] = word_of[p]
    return wrong == 0


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def from_words(words: np.ndarray, spikes: np.ndarray) -> None:
    """Unpack words [N, C / 64] to float32 spikes [N, C]."""
    for i in range(spikes.shape[0]):
        for k in range(words.shape[1]):
            word, some = words[i, k], spikes[i, 64 * k : 64 * k + 64]
            for c in range(some.shape[0]):
                some[c] = np.float32((word >> c) & 1)


@announced
@njit(cache=True, nogil=True, error_model="numpy")
def from_words_by_channel(words: np.ndarray, spikes: np.ndarray) -> None:
    """Unpack words [N, positions, C / 64] to float32 spikes [N, C, positions]."""
    for i in range(spikes.shape[0]):
        for c in range(spikes.shape[1]):
            some, channel = words[i, :, c >> 6], spikes[i, c]
            for p in range(channel.shape[0]):
                channel[p] = np.float32((some[p] >> (c & 63)) & 1)
