"""1-bit uploads: unbiased, in range, with less variance than independent bits, and really packed."""

import pytest
import torch

from snntorch_binary.federated import moved_by_bits, pack_bits, sample_bits, unpack_bits

GRID = torch.linspace(-1, 1, 9, dtype=torch.float64)


def quadrature(mean, theirs, step, weights, levels=2000):
    """Return mean and variance of the server's new mean over the noise v, by a sum over its levels instead of draws."""
    v = (torch.arange(levels, dtype=torch.float64) + 0.5) / levels * 2 - 1
    import snntorch_binary.federated.one_bit as room

    values = []
    original = room.uniform
    try:
        room.uniform = lambda shape, seed, device: ((v + 1) / 2).view(-1, 1).expand(shape)
        shape = (levels, len(mean))
        bits = [sample_bits(each.expand(shape), 0) for each in theirs]
        values = moved_by_bits(mean.expand(shape), bits, 0, step, weights)
    finally:
        room.uniform = original
    return values


@pytest.mark.parametrize("step", [0.1, 0.5, 0.9, 1.0])
def test_the_update_is_unbiased_for_the_means(step):
    mean, first = (grid.flatten() for grid in torch.meshgrid(GRID, GRID, indexing="ij"))
    second = first.flip(0)
    moved = quadrature(mean, [first, second], step, [3, 1])
    wanted = (1 - step) * mean + step * (0.75 * first + 0.25 * second)
    torch.testing.assert_close(moved.mean(0), wanted, atol=2e-3, rtol=0)
    assert bool((moved.abs() <= 1).all())


def test_the_range_needs_no_clipping():
    """With the largest common noise that is used, the bound is met exactly and never passed."""
    generator = torch.Generator().manual_seed(0)
    for step in (0.05, 0.3, 0.5, 0.7, 1.0):
        q = torch.rand(10_000, generator=generator, dtype=torch.float64)
        least, most = torch.minimum(q, 1 - q), torch.maximum(q, 1 - q)
        common = ((1 - step) / step * least / most).clamp(max=1)
        for own in (0.0, 1.0):
            for ones in (0.0, 1.0):
                moved = q + step * (ones - q - common * (own - q))
                assert moved.min() >= -1e-12
                assert moved.max() <= 1 + 1e-12


def test_common_noise_takes_variance_off():
    mean = torch.tensor([0.0, 0.0, 0.2])
    theirs = torch.tensor([0.0, 0.1, 0.3])
    moved = quadrature(mean.double(), [theirs.double()], 0.5, None)
    variance = moved.var(0, unbiased=False)
    independent = 0.25 * (1 - theirs.double().square())
    change = (theirs - mean).double().abs()
    # One client, c = 1 (the first two): s²(2|Δ| - Δ²), nothing where nothing was learned.
    torch.testing.assert_close(variance[:2], 0.25 * (2 * change - change.square())[:2], atol=1e-3, rtol=0)
    assert bool((variance < 0.55 * independent).all())


def test_drawn_bits_have_their_means():
    means = torch.tensor([-1.0, -0.5, 0.0, 0.9, 1.0])
    drawn = torch.stack([sample_bits(means, seed) for seed in range(4000)]).double().mean(0)
    torch.testing.assert_close(2 * drawn - 1, means.double(), atol=0.05, rtol=0)
    other = sample_bits(torch.zeros(1000), 1) == sample_bits(torch.zeros(1000), 2)
    assert 0.4 < other.double().mean() < 0.6


@pytest.mark.parametrize("shape", [(1,), (8,), (3, 5), (7, 3, 3), (0,)])
def test_eight_bits_are_one_byte(shape):
    bits = torch.rand(shape) > 0.5
    packed = pack_bits(bits)
    assert packed.dtype == torch.uint8
    assert packed.numel() == (bits.numel() + 7) // 8
    assert torch.equal(unpack_bits(packed, shape), bits)
    with pytest.raises(ValueError, match="`packed`"):
        unpack_bits(torch.zeros(99, dtype=torch.uint8), shape)


def test_a_step_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`step`"):
        moved_by_bits(torch.zeros(1), [torch.tensor([True])], 0, step=0.0)
