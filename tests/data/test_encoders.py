import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snntorch_binary.data import DirectEncoder, LatencyEncoder, PopulationEncoder, RateEncoder, SignedRateEncoder

ENCODERS = [RateEncoder(), SignedRateEncoder(), DirectEncoder(), LatencyEncoder(), PopulationEncoder(5, 2.0)]
NOISELESS = (DirectEncoder, LatencyEncoder)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_generator_state_decides_the_spikes(encoder):
    values = torch.rand(4, 3, 2)
    state = torch.Generator().manual_seed(7)
    first = encoder(values, 6, state)
    again = pickle.loads(pickle.dumps(encoder))(values, 6, torch.Generator().manual_seed(7))
    assert torch.equal(first, again)
    assert first.dtype == torch.float32
    assert first.shape[:2] == (6, 4)
    if not isinstance(encoder, DirectEncoder):
        assert set(first.unique().tolist()) <= (
            {-1.0, 0.0, 1.0} if isinstance(encoder, SignedRateEncoder) else {0.0, 1.0}
        )
    if not isinstance(encoder, NOISELESS):
        assert not torch.equal(first, encoder(values, 6, state))  # the state has moved on


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -0.01, 1.01])
def test_bad_values_get_the_house_sentence(encoder, bad):
    values = torch.full((2, 3), 0.5)
    values[1, 1] = bad
    with pytest.raises(ValueError, match="Expected argument `values` to be finite and in"):
        encoder(values, 4)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_bad_types_and_steps_get_the_house_sentence(encoder):
    with pytest.raises(TypeError, match="`values` to be a floating point tensor"):
        encoder(torch.zeros(2, 3, dtype=torch.uint8), 4)
    with pytest.raises(TypeError, match=r"`values` to be a torch\.Tensor"):
        encoder([0.5], 4)
    for bad in (0, 2.0, True):
        with pytest.raises(ValueError, match="`num_steps`"):
            encoder(torch.zeros(2, 3), bad)


def test_rate_frequencies_and_independence_of_steps():
    rates = torch.tensor([[0.0, 0.1, 0.5, 0.9, 1.0]])
    steps = 40_000
    spikes = RateEncoder()(rates, steps, torch.Generator().manual_seed(0))[:, 0]
    assert spikes[:, 0].sum() == 0
    assert spikes[:, -1].sum() == steps
    deviation = (rates * (1 - rates) / steps).sqrt()[0]
    assert ((spikes.mean(0) - rates[0]).abs() <= 4.5 * deviation).all()
    both = (spikes[1:] * spikes[:-1]).mean(0)  # P(two spikes in a row) = rate² if steps are independent
    assert ((both - rates[0] ** 2).abs() < 0.02).all()


def test_signed_rates_fire_with_half_the_magnitude_and_the_sign_of_the_pixel():
    values = torch.tensor([[0.0, 0.2, 0.45, 0.5, 0.6, 0.9, 1.0]])
    x, steps = 2 * values[0] - 1, 40_000
    spikes = SignedRateEncoder()(values, steps, torch.Generator().manual_seed(0))[:, 0]
    rates = x.abs() / 2
    deviation = (rates * (1 - rates) / steps).sqrt()
    assert ((spikes.abs().mean(0) - rates).abs() <= 4.5 * deviation).all()
    assert (spikes * x.sign() >= 0).all()
    both = (spikes[1:].abs() * spikes[:-1].abs()).mean(0)
    assert ((both - rates**2).abs() < 0.02).all()
    # The published form with the same uniform numbers: sign(x) 1[2 U <= |x|].
    uniform = torch.rand(steps, 1, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(spikes, torch.where(2 * uniform[:, 0] <= x.abs(), x.sign(), 0.0))


def test_direct_coding_repeats_the_scaled_value():
    values = torch.rand(3, 2, 4)
    assert torch.equal(DirectEncoder()(values, 5), (2 * values - 1).expand(5, 3, 2, 4))


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20), st.integers(1, 12), st.floats(0, 0.9))
def test_latency_against_a_loop(values, num_steps, threshold):
    spikes = LatencyEncoder(threshold)(torch.tensor([values]), num_steps)[:, 0]
    for train, value in zip(spikes.T, torch.tensor(values), strict=True):
        if value <= threshold:
            assert train.sum() == 0
        else:
            assert train.nonzero().item() == round(float((num_steps - 1) * (1 - value)))


@pytest.mark.parametrize(
    ("num_units", "width", "spacing"),
    [(10, 1.0, 100 / 9), (20, 4.0, 100 / 19)],  # two moons and the 1-D regression of BiSNN
)
def test_population_rates_are_the_published_ones(num_units, width, spacing):
    values = torch.rand(50, 2, dtype=torch.float64)
    delta = width * spacing
    expected = torch.empty(50, 2, num_units, dtype=torch.float64)
    for b in range(50):
        for c in range(2):
            for k in range(num_units):
                phase = math.pi * (100 * values[b, c].item() - k * spacing) / delta
                expected[b, c, k] = 0.5 + 0.5 * math.cos(max(-math.pi, min(math.pi, phase)))
    rates = PopulationEncoder(num_units, width).rates(values)
    torch.testing.assert_close(rates, expected.flatten(1), rtol=0, atol=1e-12)


def test_population_of_width_one_sums_to_one():
    rates = PopulationEncoder(10).rates(torch.rand(100, 3)).view(100, 3, 10)
    torch.testing.assert_close(rates.sum(-1), torch.ones(100, 3))
    assert ((rates > 1e-6).sum(-1) <= 2).all()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: PopulationEncoder(1), "num_units"),
        (lambda: PopulationEncoder(5, 0.0), "width"),
        (lambda: PopulationEncoder(5, math.nan), "width"),
        (lambda: LatencyEncoder(1.0), "threshold"),
        (lambda: LatencyEncoder(math.nan), "threshold"),
    ],
)
def test_bad_parameters_get_the_house_sentence(make, name):
    with pytest.raises(ValueError, match=f"Expected argument `{name}`"):
        make()


def test_population_needs_a_coordinate_axis():
    with pytest.raises(ValueError, match="coordinates"):
        PopulationEncoder()(torch.rand(5), 3)
