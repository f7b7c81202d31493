"""1-bit uploads: unbiased, in range, with less variance than independent bits, and really packed."""

import pytest
import torch

from snntorch_binary.federated import (
    change_bits,
    moved_by_bits,
    moved_by_change_bits,
    pack_bits,
    sample_bits,
    unpack_bits,
)
from snntorch_binary.federated.one_bit_change import reach

GRID = torch.linspace(-1, 1, 9, dtype=torch.float64)


def quadrature(mean, theirs, step, weights, levels=2000):
    """Return mean and variance of the server's new mean over the noise v, by a sum over its levels instead of draws."""
    v = (torch.arange(levels, dtype=torch.float64) + 0.5) / levels * 2 - 1
    import snntorch_binary.federated.one_bit as module

    values = []
    original = module.uniform
    try:
        module.uniform = lambda shape, seed, device: ((v + 1) / 2).view(-1, 1).expand(shape)
        shape = (levels, len(mean))
        bits = [sample_bits(each.expand(shape), 0) for each in theirs]
        values = moved_by_bits(mean.expand(shape), bits, 0, step, weights)
    finally:
        module.uniform = original
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


# ---- changes, within a reach


def moved_over_noise(mean, theirs, weights, posterior=True, width=3.0, levels=4000):
    """Return the server's new means under every level of the noise v."""
    v = (torch.arange(levels, dtype=torch.float64) + 0.5) / levels
    import snntorch_binary.federated.one_bit as module

    original = module.uniform
    try:
        module.uniform = lambda shape, seed, device: v.view(-1, 1).expand(levels, len(mean))
        scales = [change_bits(mean, each, 0, width, posterior)[1] for each in theirs]
        bits = [change_bits(mean, each, 0, width, posterior)[0] for each in theirs]
        return moved_by_change_bits(mean, bits, scales, 0, weights, posterior), scales
    finally:
        module.uniform = original


@pytest.mark.parametrize("posterior", [True, False])
def test_changes_within_reach_are_unbiased(posterior):
    mean = torch.linspace(-0.95, 0.95, 21, dtype=torch.float64)
    mean = mean if posterior else 0.9 * mean  # latents are cut off at ±1
    unit = 1 - mean.square() if posterior else torch.ones_like(mean)
    steps = torch.linspace(-0.03, 0.03, 21, dtype=torch.float64)
    first, second = mean + unit * steps, mean + unit * steps.flip(0) / 2
    moved, _ = moved_over_noise(mean, [first, second], [3, 1], posterior)
    torch.testing.assert_close(moved.mean(0), 0.75 * first + 0.25 * second, atol=3e-4, rtol=0)


def test_larger_changes_count_as_the_reach():
    mean = torch.zeros(100, dtype=torch.float64)
    theirs = torch.full((100,), 0.01, dtype=torch.float64)
    theirs[0] = 0.9
    moved, (scale,) = moved_over_noise(mean, [theirs], None, width=1.5)
    assert float(scale) == pytest.approx(1.5 * (0.9 + 99 * 0.01) / 100)
    assert moved.mean(0)[0].item() == pytest.approx(float(scale), abs=1e-3)
    assert moved.mean(0)[1].item() == pytest.approx(0.01, abs=1e-3)


def test_a_client_that_learned_nothing_adds_no_noise():
    mean = torch.tanh(torch.linspace(-40, 40, 81, dtype=torch.float64))  # ±1 to the last digit among them
    moved, _ = moved_over_noise(mean, [mean], None)
    torch.testing.assert_close(moved, mean.expand_as(moved), rtol=0, atol=0)


def test_one_round_never_reaches_one():
    mean = torch.tensor([-0.999, -0.5, 0.0, 0.9, 0.999], dtype=torch.float64)
    moved, _ = moved_over_noise(mean, [torch.ones_like(mean), -torch.ones_like(mean)], [1, 0], width=9.0)
    assert bool((moved.abs() < 1).all())
    assert bool((1 - moved > 0.19 * (1 - mean)).all())


def test_the_variance_of_a_change():
    mean = torch.tensor([0.0, 0.3, -0.8], dtype=torch.float64)
    theirs = mean + torch.tensor([0.02, -0.05, 0.0], dtype=torch.float64)
    moved, (scale,) = moved_over_noise(mean, [theirs], None)
    change = (theirs - mean).abs()
    wanted = 2 * reach(mean, scale) * change - change.square()
    torch.testing.assert_close(moved.var(0, unbiased=False), wanted, atol=2e-5, rtol=0)


def test_what_a_hostile_client_may_send_stays_bounded():
    mean = torch.tensor([0.0, 0.9])
    bits = torch.ones(2, dtype=torch.bool)
    for scale in (-1.0, 0.0, 1e30):
        for posterior in (True, False):
            moved = moved_by_change_bits(mean, [bits], [torch.tensor(scale)], 0, None, posterior)
            assert bool((moved.abs() <= 1).all())
            if posterior:  # no further than four fifths of its way, whatever it says
                assert bool((1 - moved.abs() > 0.19 * (1 - mean.abs())).all())


def test_a_width_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`width`"):
        change_bits(torch.zeros(1), torch.zeros(1), 0, width=0.0)
