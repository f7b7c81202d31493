"""Partitions: every example once, reproducible, as uneven as asked for, and refused where they cannot be."""

import pytest
import torch

from snntorch_binary.federated import IID, Dirichlet

LABELS = torch.arange(10).repeat_interleave(200)[torch.randperm(2000, generator=torch.Generator().manual_seed(1))]


def test_an_equal_split_has_equal_parts_and_drops_what_is_left_over():
    parts = IID()(LABELS[:1999], 10, seed=3)
    together = torch.cat(parts)
    assert [len(part) for part in parts] == [199] * 10
    assert len(together.unique()) == 1990
    assert all(torch.equal(a, b) for a, b in zip(parts, IID()(LABELS[:1999], 10, seed=3), strict=True))
    assert not torch.equal(parts[0], IID()(LABELS[:1999], 10, seed=4)[0])


@pytest.mark.slow
@pytest.mark.parametrize("num_clients", [3, 10, 100])
def test_a_dirichlet_split_holds_every_example_once(num_clients):
    parts = Dirichlet(0.5)(LABELS, num_clients, seed=0)
    assert torch.cat(parts).sort().values.tolist() == list(range(2000))
    assert min(map(len, parts)) >= 10
    assert all(torch.equal(a, b) for a, b in zip(parts, Dirichlet(0.5)(LABELS, num_clients, seed=0), strict=True))


def test_it_is_the_papers_rule():
    """A client that is full gets nothing of later classes: none exceeds N / K by more than one class."""
    for seed in range(5):
        parts = Dirichlet(0.5)(LABELS, 10, seed)
        for part in parts:
            counts = LABELS[part].bincount(minlength=10)
            before = 0
            for count in counts.tolist():
                assert count == 0 or before < 200
                before += count


def test_a_small_alpha_is_more_uneven():
    def classes_held(alpha):
        parts = Dirichlet(alpha)(LABELS, 10, seed=0)
        return sum(int((LABELS[part].bincount(minlength=10) > 0.05 * len(part)).sum()) for part in parts) / 10

    assert classes_held(0.1) < classes_held(0.5) < classes_held(100.0)


@pytest.mark.parametrize("partition", [IID(), Dirichlet(min_examples=1)])
def test_an_empty_part_is_refused(partition):
    with pytest.raises(ValueError, match=r"`num_clients` to be at most 5"):
        partition(torch.zeros(5, dtype=torch.int64), 6, seed=0)
    with pytest.raises(ValueError, match="positive integer"):
        partition(LABELS, 0, seed=0)


def test_a_split_that_no_draw_gives_is_one_sentence():
    with pytest.raises(ValueError, match=r"No Dirichlet split of 2000 examples over 190 clients .* in 5 tries"):
        Dirichlet(0.01, max_tries=5)(LABELS, 190, seed=0)
    with pytest.raises(ValueError, match="`alpha`"):
        Dirichlet(0.0)
