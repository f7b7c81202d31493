import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snntorch_binary.data import RateEncoder, SpikeDataset
from snntorch_binary.data.packed_spikes import PackedSpikes


def packed(spikes):
    return PackedSpikes(torch.from_numpy(np.packbits(spikes.flatten(1).numpy(), axis=1)), tuple(spikes.shape[1:]))


@given(st.integers(0, 5), st.integers(1, 7), st.integers(1, 13), st.data())
def test_what_numpy_packs_is_unpacked(size, num_steps, features, data):
    spikes = torch.from_numpy(np.random.default_rng(features).integers(0, 2, (size, num_steps, features), np.uint8))
    both = packed(spikes)
    assert len(both) == size
    assert both.shape == spikes.shape
    assert torch.equal(both.unpack(), spikes)
    index = torch.tensor(
        data.draw(st.lists(st.integers(-size, size - 1), max_size=4)) if size else [], dtype=torch.int64
    )
    assert torch.equal(both[index].unpack(), spikes[index])
    mask = torch.arange(size) % 2 == 0
    assert torch.equal(both[mask].unpack(), spikes[mask])


def test_a_data_set_of_packed_spikes_hands_out_the_same_batches():
    spikes = torch.randint(0, 2, (7, 5, 2, 3), dtype=torch.uint8)
    labels = torch.arange(7)
    plain, small = SpikeDataset(spikes, labels, num_steps=5), SpikeDataset(packed(spikes), labels, num_steps=5)
    for indices in ([0], [6, 2, 3], [-1, -1]):
        for one, other in zip(plain.__getitems__(indices), small.__getitems__(indices), strict=True):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
    assert torch.equal(plain[4][0], small[4][0])


def test_bad_arguments_get_the_house_sentence():
    bits, labels = torch.zeros(4, 3, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(TypeError, match="`bits` to be uint8"):
        PackedSpikes(bits.long(), (4, 5))
    with pytest.raises(ValueError, match=r"`bits` to be of shape \[N, 4\] for recordings \(5, 5\)"):
        PackedSpikes(bits, (5, 5))
    spikes = PackedSpikes(bits, (4, 5))
    with pytest.raises(ValueError, match="num_steps = 5"):
        SpikeDataset(spikes, labels, num_steps=5)
    with pytest.raises(TypeError, match="`encoder` to be None"):
        SpikeDataset(spikes, labels, num_steps=4, encoder=RateEncoder())
