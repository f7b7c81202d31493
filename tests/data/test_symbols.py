import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snntorch_binary.data import class_symbols, load, signed_symbols, unsigned_symbols
from snntorch_binary.data.events import Events
from snntorch_binary.data.frames import bin_events


def by_loop(events, num_steps, size):
    """One polarity for each pixel and bin: that of most events, in a tie of the last one."""
    frames = np.zeros((num_steps, 2, size, size), np.uint8)
    last = int(events.time[-1]) + 1
    inside = {}
    for x, y, time, polarity in zip(events.x, events.y, events.time, events.polarity, strict=True):
        inside.setdefault((int(time) * num_steps // last, y, x), []).append(int(polarity))
    for (step, y, x), polarities in inside.items():
        balance = 2 * sum(polarities) - len(polarities)
        frames[step, polarities[-1] if balance == 0 else int(balance > 0), y, x] = 1
    return frames


@given(st.integers(1, 6), st.integers(1, 60), st.integers(0, 1000))
def test_one_symbol_for_each_pixel_and_bin(num_steps, count, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 3, (2, count))
    events = Events(x, y, np.sort(rng.integers(0, 50, count)), rng.integers(0, 2, count))
    frames = bin_events(events, num_steps, 3, one_symbol=True)
    assert np.array_equal(frames, by_loop(events, num_steps, 3))
    assert frames.sum(1).max() == 1
    assert np.array_equal(frames.max(1), bin_events(events, num_steps, 3).max(1))  # no pixel is lost


def test_frames_as_symbols():
    frames = torch.rand(3, 4, 2, 5, 6).round()
    symbols = signed_symbols(frames)
    assert symbols.shape == (3, 4, 30, 2)
    assert torch.equal(symbols[1, 2, 7], frames[1, 2, :, 1, 1])
    assert torch.equal(unsigned_symbols(frames, True)[..., 0], frames.amax(2).flatten(2))
    assert torch.equal(unsigned_symbols(frames, False)[..., 0], frames.flatten(2))
    with pytest.raises(ValueError, match=r"`frames` to be of shape \[T, B, 2, ...\], but got \(3, 4, 5\)"):
        signed_symbols(torch.zeros(3, 4, 5))


def test_the_circuit_of_the_class_emits_its_first_symbol():
    targets = class_symbols(torch.tensor([2, 0]), num_steps=4, num_classes=3, num_symbols=2)
    assert targets.shape == (4, 2, 3, 2)
    assert targets.sum() == 8
    assert (targets[:, 0, 2, 0] == 1).all()
    assert (targets[:, 1, 0, 0] == 1).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"), [("nmnist", {"classes": (6, 9)}), ("poker-dvs", {}), ("poker-dvs", {"num_folds": 5})]
)
def test_recordings_with_one_symbol(real_data, name, options):
    plain, single = (load(name, real_data, one_symbol=one, **options).test for one in (False, True))
    assert torch.equal(plain.labels, single.labels)
    both, one = (data.__getitems__(range(8))[0] for data in (plain, single))
    assert both.sum(2).max() == 2  # what the published loader lets through
    assert one.sum(2).max() == 1
    assert torch.equal(both.amax(2), one.amax(2))


def test_sets_without_polarity_say_so():
    with pytest.raises(ValueError, match="`one_symbol` to be False for digits, whose spikes have no polarity"):
        load("digits", one_symbol=True)
