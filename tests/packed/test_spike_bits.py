"""Spikes as bits: there and back, on both engines."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spikes import spikes

from snntorch_binary.kernels import use_engine
from snntorch_binary.packed import SpikeBits


@settings(deadline=None, max_examples=60)
@given(
    lead=st.lists(st.integers(0, 3), min_size=0, max_size=3),
    channels=st.sampled_from([1, 2, 63, 64, 65, 130]),
    positions=st.lists(st.integers(1, 4), min_size=0, max_size=3),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bool, torch.uint8, torch.int64]),
)
def test_there_and_back(lead, channels, positions, density, dtype):
    x = spikes(*lead, channels, *positions, density=density)
    words = {}
    for engine in ("numba", "torch"):
        with use_engine(engine):
            bits = SpikeBits.of(x.to(dtype), len(positions))
            assert bits.shape == x.shape
            assert torch.equal(bits.unpack(), x)
            words[engine] = bits.words
    assert torch.equal(words["numba"], words["torch"])


def test_bits_lie_as_they_are_said_to(engine):
    x = torch.zeros(1, 1, 70)
    x[0, 0, [0, 63, 64]] = 1
    assert SpikeBits.of(x).words.flatten().tolist() == [1 - 2**63, 1]


def test_a_view_is_packed_as_its_copy(engine):
    x = spikes(6, 8, 100)
    view = x.transpose(0, 1)[::2, :, 1:98:3]
    assert torch.equal(SpikeBits.of(view).unpack(), view)


def test_density(engine):
    x = spikes(5, 7, 70)
    assert SpikeBits.of(x).density() == pytest.approx(float(x.mean()))


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5, float("nan"), float("inf"), 1.0 + 2**-23])
@pytest.mark.parametrize("place", [0, 64, 69])
@pytest.mark.parametrize("positions", [(), (3,)])
def test_other_values_are_refused(engine, value, place, positions):
    x = spikes(2, 70, *positions)
    x[1, place] = value
    for dtype in (torch.float32, torch.float64):
        with pytest.raises(ValueError, match=r"`spikes` to be of zeros and ones, but got other values\."):
            SpikeBits.of(x.to(dtype), len(positions))


def test_bad_arguments():
    with pytest.raises(TypeError, match="`spikes` to be a tensor"):
        SpikeBits.of([0.0, 1.0])
    with pytest.raises(ValueError, match="`spikes` to be of at least 3 dimensions"):
        SpikeBits.of(torch.zeros(2, 2), spatial=2)
    with pytest.raises(TypeError, match="`words` to be int64"):
        SpikeBits(torch.zeros(1, 1), 10)
    with pytest.raises(ValueError, match="`words` to be of shape"):
        SpikeBits(torch.zeros(1, 2, dtype=torch.int64), 10)
