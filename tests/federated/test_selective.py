"""Selective exchange: what is sent, what comes back, and what it costs."""

import pytest
import torch

from snntorch_binary.federated import Share, num_selected, weighted_mean
from snntorch_binary.federated.fl_snn.selective import average, merge, select


def random_share(indices, num_synapses=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(num_synapses, len(indices), generator=generator)
    return Share(torch.tensor(indices), weights, {"bias": torch.randn(2, generator=generator)})


@pytest.mark.parametrize(
    ("tau", "rate", "n"),
    [(4, 0.25, 1), (8, 0.25, 2), (32, 0.25, 8), (1, 8.0, 8), (10, 99.0, 8), (100, 0.03, 3), (7, 0.3, 2)],
)
def test_room_in_an_exchange(tau, rate, n):
    assert num_selected(tau, rate, 8) == n


def test_the_largest_gradients_are_sent_and_of_equals_the_first():
    weights, rest = torch.arange(12.0).view(3, 4), {"bias": torch.ones(2)}
    share = select(weights, rest, torch.tensor([1.0, 3.0, 3.0, 2.0]), 2)
    assert share.indices.tolist() == [1, 2]
    assert torch.equal(share.weights, weights[:, 1:3])
    assert share.rest is rest
    assert select(weights, rest, torch.zeros(4), 3).indices.tolist() == [0, 1, 2]


def test_a_basis_function_is_the_mean_over_those_that_sent_it():
    shares = [random_share([0, 2], seed=1), random_share([2, 3], seed=2), random_share([2, 0], seed=3)]
    mean = average(shares)
    assert mean.indices.tolist() == [0, 2, 3]
    first, second, third = (share.weights for share in shares)
    torch.testing.assert_close(mean.weights[:, 0], (first[:, 0] + third[:, 1]) / 2)
    torch.testing.assert_close(mean.weights[:, 1], (first[:, 1] + second[:, 0] + third[:, 0]) / 3)
    assert torch.equal(mean.weights[:, 2], second[:, 1])  # sent by one only: that is what all take
    torch.testing.assert_close(mean.rest["bias"], sum(share.rest["bias"] for share in shares) / 3)


def test_what_nobody_sent_stays_ones_own():
    own = torch.randn(7, 5)
    mean = average([random_share([0, 2], seed=1), random_share([2], seed=2)])
    merged = merge(own, mean)
    assert torch.equal(merged[:, [1, 3, 4]], own[:, [1, 3, 4]])
    assert torch.equal(merged[:, [0, 2]], mean.weights)
    assert not torch.equal(merged, own)


@pytest.mark.parametrize("num_devices", [2, 3])
def test_sending_everything_is_plain_averaging_bit_for_bit(num_devices):
    shares = [random_share(list(range(5)), seed=seed) for seed in range(num_devices)]
    plain = weighted_mean([{"weight": share.weights, **share.rest} for share in shares])
    mean = average(shares)
    assert torch.equal(merge(torch.zeros(7, 5), mean), plain["weight"])
    assert torch.equal(mean.rest["bias"], plain["bias"])


def test_the_load_counts_what_is_sent():
    share = random_share([1, 4])
    assert share.num_scalars == 7 * 2 + 2
    assert share.num_bytes == 4 * share.num_scalars + 2 * 8


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, 1.0, 8), "`tau` to be an integer of at least 1, but got 0."),
        ((2.5, 1.0, 8), "`tau` to be an integer of at least 1, but got 2.5."),
        ((4, 0.0, 8), "`rate` to be a positive float, but got 0.0."),
        ((4, float("nan"), 8), "`rate` to be a positive float, but got nan."),
        ((4, 0.2, 8), "`rate` to be at least 1 / tau = 0.25, so that something can be sent, but got 0.2."),
    ],
)
def test_bad_schedules_are_one_sentence(arguments, sentence):
    with pytest.raises(ValueError) as caught:
        num_selected(*arguments)
    assert str(caught.value) == f"Expected argument {sentence}"


def test_bad_selections():
    with pytest.raises(ValueError, match=r"`magnitudes` to be of shape \[4\], but got \(3,\)"):
        select(torch.zeros(2, 4), {}, torch.zeros(3), 1)
    with pytest.raises(ValueError, match="`num` to be an integer from 1 to 4, but got 5"):
        select(torch.zeros(2, 4), {}, torch.zeros(4), 5)
    with pytest.raises(ValueError, match="at least one"):
        average([])
