"""LIF neurons in spikes, see :mod:`snntorch_binary.kernels.spiking_lif`.

A block of neurons goes through all of time before the next one, so that its state stays in the cache.
"""

# arithmetic.py: 830defd3
from __future__ import annotations

import numpy as np
from numba import njit

from snntorch_binary.kernels.compiled.arithmetic import exp, log
from snntorch_binary.kernels.engine import announced

_f = np.float32
_BLOCK = 512
_options = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_options)
def _fire(x, y, potential, refractory, height, tau_ref, tau_rc, gain):
    """One time step; y is the height of a spike or 0."""
    one, zero, per_tau = _f(1), _f(0), _f(1) / tau_rc
    for i in range(x.shape[0]):
        current = gain * x[i] + one
        before, left = potential[i], refractory[i]
        active = one - left
        active = zero if active < zero else active
        after = current + (before - current) * exp(-active * per_tau)
        after = zero if after < zero else after
        fired = after > one
        ratio = (current - before) / (current - one)
        late = active - tau_rc * log(ratio if fired else one)
        late = zero if late < zero else late
        late = active if late > active else late
        waited = left - one
        waited = zero if waited < zero else waited
        refractory[i] = tau_ref - late if fired else waited
        potential[i] = zero if fired else after
        y[i] = height if fired else zero


@njit(**_options)
def _filter(y, rise, synapse, decay):
    new = _f(1) - decay
    for i in range(y.shape[0]):
        rise[i] = decay * rise[i] + new * y[i]
        synapse[i] = decay * synapse[i] + new * rise[i]
        y[i] = synapse[i]


@announced
@njit(**_options)
def spiking_lif(x, y, potential, refractory, rise, synapse, constants):
    """Fill y [T, M] and take the states [M] on, from inputs [T, M] or [1, M]."""
    height, tau_ref, tau_rc = _f(constants[0]), _f(constants[1]), _f(constants[2])
    gain, decay = _f(constants[3]), _f(constants[4])
    for start in range(0, y.shape[1], _BLOCK):
        b = slice(start, start + _BLOCK)
        v, r, first, second = potential[b], refractory[b], rise[b], synapse[b]
        for t in range(y.shape[0]):
            _fire(x[t if x.shape[0] > 1 else 0, b], y[t, b], v, r, height, tau_ref, tau_rc, gain)
            _filter(y[t, b], first, second, decay)
