import pickle

import pytest
import torch
from torch.utils.data import DataLoader, Subset

from snntorch_binary.data import PopulationEncoder, RateEncoder, SpikeDataset, collate


def static(fixed=False, seed=0, encoder=None, size=20):
    values = torch.rand(size, 6, generator=torch.Generator().manual_seed(0))
    encoder = encoder or RateEncoder()
    return SpikeDataset(values, torch.arange(size), num_steps=8, encoder=encoder, seed=seed, fixed=fixed)


def loader(dataset, **options):
    return DataLoader(dataset, collate_fn=collate, **options)


@pytest.mark.parametrize("encoder", [RateEncoder(), PopulationEncoder(4)])
def test_fixed_spikes_do_not_depend_on_the_batch(encoder):
    dataset = static(fixed=True, encoder=encoder)
    whole, labels = dataset.__getitems__(range(20))
    assert torch.equal(labels, torch.arange(20))
    dataset.set_epoch(3)
    order = torch.randperm(20).tolist()
    for batch_size in (1, 3, 20):
        for spikes, label in loader(dataset, sampler=order, batch_size=batch_size):
            assert torch.equal(spikes, whole[:, label])
    for index in (0, 13, -1):
        spikes, label = dataset[index]
        assert torch.equal(spikes, whole[:, index])
        assert label == range(20)[index]
    assert not torch.equal(whole, static(fixed=True, seed=1, encoder=encoder).__getitems__(range(20))[0])


def test_fixed_examples_of_equal_value_have_their_own_noise():
    values, labels = torch.full((3, 50), 0.5), torch.zeros(3, dtype=torch.int64)
    spikes, _ = SpikeDataset(values, labels, num_steps=100, encoder=RateEncoder(), fixed=True).__getitems__([0, 1, 2])
    agreement = (spikes[:, [0, 0, 1]] == spikes[:, [1, 2, 2]]).float().mean(dim=(0, 2))
    assert ((agreement - 0.5).abs() < 0.04).all()


def test_training_noise_is_a_function_of_seed_epoch_and_first_index():
    dataset = static()
    first = dataset.__getitems__([4, 5, 6])[0]
    dataset.__getitems__([1, 2])
    torch.rand(5)
    assert torch.equal(dataset.__getitems__([4, 5, 6])[0], first)
    assert torch.equal(dataset.__getitems__([4, 5, 9])[0][:, :2], first[:, :2])

    # The same values and another key, so that only the noise can differ.
    same = SpikeDataset(
        torch.full((20, 6), 0.5), torch.zeros(20, dtype=torch.int64), num_steps=8, encoder=RateEncoder()
    )
    noise = same.__getitems__([4, 5])[0]
    assert not torch.equal(same.__getitems__([5, 4])[0], noise)
    same.set_epoch(1)
    assert same.epoch == 1
    assert not torch.equal(same.__getitems__([4, 5])[0], noise)
    same.set_epoch(0)
    assert torch.equal(same.__getitems__([4, 5])[0], noise)
    same.seed = 1
    assert not torch.equal(same.__getitems__([4, 5])[0], noise)


def test_a_resumed_run_sees_the_same_batches():
    def run(dataset, epochs):
        batches = []
        for epoch in epochs:
            dataset.set_epoch(epoch)
            sampler = torch.Generator().manual_seed(epoch)
            batches += [x for x, _ in loader(dataset, batch_size=6, shuffle=True, generator=sampler)]
        return batches

    whole = run(static(), range(4))
    resumed = run(pickle.loads(pickle.dumps(static())), [2, 3])
    assert all(map(torch.equal, whole[len(whole) // 2 :], resumed))


def test_persistent_workers_see_a_new_epoch():
    dataset = static()
    workers = loader(dataset, batch_size=5, num_workers=1, persistent_workers=True)
    for epoch in (0, 1, 5):
        dataset.set_epoch(epoch)
        for there, here in zip(workers, loader(dataset, batch_size=5), strict=True):
            assert torch.equal(there[0], here[0])
            assert torch.equal(there[1], here[1])


def test_spikes_follow_the_values():
    values = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    label = torch.zeros(1, dtype=torch.int64)
    for fixed in (True, False):
        dataset = SpikeDataset(values, label, num_steps=20_000, encoder=RateEncoder(), fixed=fixed)
        rate = dataset[0][0].mean(0)
        assert rate[0] == 0
        assert rate[1] == pytest.approx(0.2, abs=0.015)
        assert rate[2] == 1


def test_recorded_spikes_come_back_time_first():
    recorded = torch.randint(0, 2, (7, 5, 2, 3), dtype=torch.uint8)
    dataset = SpikeDataset(recorded, torch.arange(7), num_steps=5)
    spikes, labels = dataset.__getitems__([6, 0, 2])
    assert spikes.dtype == torch.float32
    assert spikes.is_contiguous()
    assert torch.equal(spikes, torch.stack([recorded[i].float() for i in (6, 0, 2)], dim=1))
    assert labels.tolist() == [6, 0, 2]
    assert torch.equal(dataset[3][0], recorded[3].float())


def test_a_subset_delegates_batches():
    dataset = static(fixed=True)
    spikes, labels = next(iter(loader(Subset(dataset, [9, 3, 11]), batch_size=3)))
    assert labels.tolist() == [9, 3, 11]
    assert torch.equal(spikes, dataset.__getitems__([9, 3, 11])[0])


def test_bad_indices():
    dataset = static()
    for bad in (20, -21):
        with pytest.raises(IndexError, match="`indices`"):
            dataset[bad]
    with pytest.raises(ValueError, match="non-empty"):
        dataset.__getitems__([])
    assert len(list(dataset)) == 20  # plain iteration ends by IndexError
    with pytest.raises(ValueError, match="`epoch`"):
        dataset.set_epoch(-1)


LABELS = torch.zeros(4, dtype=torch.int64)


@pytest.mark.parametrize(
    ("inputs", "labels", "encoder", "error", "match"),
    [
        (torch.rand(3, 2), LABELS, RateEncoder(), ValueError, "N = 4"),
        (torch.rand(4, 2), LABELS.int(), RateEncoder(), TypeError, "`labels`"),
        (torch.rand(4, 2), LABELS.double(), RateEncoder(), TypeError, "int64 classes or float32 targets"),
        (torch.rand(4, 2), torch.rand(4, 1), RateEncoder(), TypeError, r"shape \[N\]"),
        (torch.rand(4, 2), LABELS / torch.tensor([1, 1, 0, 1]), RateEncoder(), ValueError, "`labels` to be finite"),
        (torch.rand(4, 2).double(), LABELS, RateEncoder(), TypeError, "uint8 or float32"),
        (torch.rand(4, 2) + 1, LABELS, RateEncoder(), ValueError, "`values`"),
        (torch.rand(4, 5, 2), LABELS, None, TypeError, "no encoder"),
        (torch.zeros(4, 6, 2, dtype=torch.uint8), LABELS, None, ValueError, "num_steps = 5"),
        (torch.full((4, 5, 2), 2, dtype=torch.uint8), LABELS, None, ValueError, "a value of 2"),
    ],
)
def test_bad_arguments_get_the_house_sentence(inputs, labels, encoder, error, match):
    with pytest.raises(error, match=match):
        SpikeDataset(inputs, labels, num_steps=5, encoder=encoder)
