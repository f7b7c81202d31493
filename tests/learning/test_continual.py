import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

import snntorch_binary as sb
from snntorch_binary.data import RateEncoder, SpikeDataset, collate
from snntorch_binary.learning.continual import Coreset, posterior_to_prior_


def task(size, start=0):
    """Examples that are told apart by their label."""
    labels = torch.arange(start, start + size)
    return TensorDataset(labels.float(), labels)


def labels_of(dataset):
    return [int(dataset[i][1]) for i in range(len(dataset))]


def minimise_free_energy(net, gradient, rho=1.0):
    """Learn from a loss that is linear in the weights, whose exact posterior is w_r = prior - gradient / rho."""
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.5, rho=rho, betas=None)
    for _ in range(60):
        optimizer.zero_grad()
        (gradient * net.weight).sum().backward()
        optimizer.step()


@pytest.mark.filterwarnings("ignore:In the first 30 steps")  # at the optimum both pull alike
def test_one_task_after_the_other_is_bayes_rule_on_both():
    """The posterior of a linear loss is known: learned in turn, two of them add up."""
    first, second = torch.randn(2, 3, 5, dtype=torch.float64)
    layer = sb.nn.BinaryLinear(5, 3, bias=False, dtype=torch.float64, weight=sb.Bernoulli(prior=0.3), scale=1.0)
    prior = layer.prior_latent.clone()
    minimise_free_energy(layer, first)
    torch.testing.assert_close(layer.latent.detach(), prior - first)
    posterior_to_prior_(layer)
    minimise_free_energy(layer, second)
    torch.testing.assert_close(layer.latent.detach(), prior - first - second)


def test_the_kept_examples_are_a_random_choice_that_stays():
    coreset = Coreset(size=8, seed=0)
    coreset.add(task(50))
    kept = labels_of(coreset.parts[0])
    assert len(set(kept)) == 8
    assert kept != list(range(8))
    coreset.add(task(50))
    assert labels_of(coreset.parts[0]) == kept
    assert labels_of(coreset.parts[1]) != kept
    for seed, same in ((0, True), (1, False)):
        again = Coreset(size=8, seed=seed)
        again.add(task(50))
        assert (labels_of(again.parts[0]) == kept) == same


def test_a_task_is_joined_by_what_is_kept_of_those_before():
    coreset = Coreset(size=3)
    tasks = [task(10, start=100 * number) for number in range(3)]
    for number, now in enumerate(tasks):
        before = [label for part in coreset.parts for label in labels_of(part)]
        assert len(before) == 3 * number
        assert labels_of(coreset.joined(now)) == labels_of(now) + before
        coreset.add(now)
    assert isinstance(coreset.joined(tasks[0]), ConcatDataset)


def test_subsets_of_a_data_set_that_makes_its_own_batches():
    """A `SpikeDataset` is time-first and collates itself; what is joined of it still does."""
    values = torch.rand(40, 6)
    whole = SpikeDataset(values, torch.arange(40) % 4, num_steps=5, encoder=RateEncoder())
    coreset = Coreset(size=5)
    first, second = (Subset(whole, (whole.labels // 2 == number).nonzero().squeeze(1).tolist()) for number in range(2))
    coreset.add(first)
    batches = list(DataLoader(coreset.joined(second), batch_size=5, collate_fn=collate))
    assert [tuple(x.shape) for x, _ in batches] == [(5, 5, 6)] * 5
    assert [sorted(y.unique().tolist()) for _, y in batches[:4]] == [[2, 3]] * 4
    assert set(batches[4][1].tolist()) <= {0, 1}


def test_no_coreset():
    coreset = Coreset(size=0)
    coreset.add(task(5))
    assert labels_of(coreset.joined(task(5, start=7))) == [7, 8, 9, 10, 11]


def test_bad_input():
    coreset = Coreset(size=6)
    with pytest.raises(ValueError, match=r"`size` to be at most 5, the number of examples of the task, but got 6\."):
        coreset.add(task(5))
    assert coreset.parts == []
    for size in (-1, 2.5):
        with pytest.raises(ValueError, match="`size` to be an integer of at least 0"):
            Coreset(size)
    with pytest.raises(ValueError, match="a network with Bernoulli weights"):
        posterior_to_prior_(sb.nn.BinaryLinear(4, 2))
