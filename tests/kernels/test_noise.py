import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snntorch_binary.kernels import use_engine
from snntorch_binary.kernels.noise import uniform
from snntorch_binary.weights.draw import _mix

CPU = torch.device("cpu")
N = 1 << 18


def noise(seed, *shape):
    return uniform(torch.Size(shape or (N,)), seed, CPU)


@settings(deadline=None)  # the first call compiles
@given(seed=st.integers(0, 2**63 - 1), size=st.integers(0, 70))
def test_compiled_equals_torch_bit_for_bit(seed, size):
    pytest.importorskip("numba")
    compiled = noise(seed, size)
    with use_engine("torch"):
        assert torch.equal(compiled, noise(seed, size))


def test_any_part_can_be_made_again():
    assert torch.equal(noise(5)[:1000], noise(5, 1000))
    assert torch.equal(noise(5).view(512, -1), noise(5, 512, N // 512))


def test_both_halves_of_the_seed_matter():
    seeds = [0, *(1 << bit for bit in range(63))]
    correlation = torch.corrcoef(torch.stack([noise(seed, 1 << 16) for seed in seeds]))
    assert (correlation - torch.eye(len(seeds))).abs().max() < 5.5 / (1 << 16) ** 0.5


def test_excludes_zero_and_one():
    draw = torch.cat([noise(seed) for seed in range(64)])  # about two draws of every value there is
    assert 2.0**-24 <= draw.min() < 2.0**-20
    assert 1 - 2.0**-20 < draw.max() <= 1 - 2.0**-24
    assert torch.isfinite(torch.logit(draw)).all()


@pytest.mark.parametrize("seed", [0, 12345, _mix(1, 2, 0)])
def test_is_uniform_and_uncorrelated(seed):
    draw = noise(seed).double()
    counts = torch.histc(draw, 1024, 0, 1)
    expected = N / 1024
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_squared - 1023) < 5 * (2 * 1023) ** 0.5
    assert abs(draw.mean() - 0.5) < 5 * (1 / 12 / N) ** 0.5
    centred = draw - draw.mean()
    for lag in (1, 2, 3, 4, 8, 64, 256, 784, 1024, 65_536):
        assert abs((centred[lag:] * centred[:-lag]).mean() * 12) < 5 / N**0.5


def test_successive_draws_of_a_weight_are_independent():
    # The noise of one position over many counters is what the online rule sees from step to step.
    draws = torch.stack([noise(_mix(7, counter, 0), 256) for counter in range(4096)]).double()
    counts = torch.histc(draws, 256, 0, 1)
    expected = draws.numel() / 256
    assert abs(((counts - expected) ** 2 / expected).sum() - 255) < 5 * (2 * 255) ** 0.5
    centred = draws - 0.5
    assert (centred.mean(0) * 12**0.5).abs().max() < 5.5 / 4096**0.5
    assert ((centred[1:] * centred[:-1]).mean(0) * 12).abs().max() < 5.5 / 4096**0.5
    assert ((centred[:, 1:] * centred[:, :-1]).mean(1) * 12).abs().max() < 5.5 / 255**0.5
