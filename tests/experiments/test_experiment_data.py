"""What an experiment learns from: parts of every kind become the same batches, and none of another meaning."""

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split

from snntorch_binary.data import load
from snntorch_binary.experiments.data import ShippedData, UserData, data_of, of_user

T, SHAPE = 5, (2, 3)


def pair(count=12, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, T, *SHAPE, generator=generator).to(dtype), torch.arange(count) % 3


class Recordings(Dataset):
    """Examples one by one, of bytes."""

    def __init__(self, x, labels):
        self.x, self.labels = (255 * x).to(torch.uint8), labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.x[index].numpy(), int(self.labels[index])


class Module(L.LightningDataModule):
    """Lightning's, whose loaders say where time is."""

    num_classes = 4

    def setup(self, stage):
        self.stages = [*getattr(self, "stages", []), stage]

    def _loader(self, shuffle=False):
        def collate(batch):
            return torch.stack([x for x, _ in batch], 1), torch.stack([label for _, label in batch])

        return DataLoader(TensorDataset(*pair()), 5, shuffle=shuffle, collate_fn=collate)

    def train_dataloader(self):
        return self._loader(shuffle=True)

    def val_dataloader(self):
        return self._loader()

    def test_dataloader(self):
        return self._loader()


def joined(batches, dim=1):
    inputs, labels = zip(*batches, strict=True)
    return torch.cat(inputs, dim), torch.cat(labels)


@pytest.mark.parametrize("given", ["tensors", "arrays", "sequence", "dataset", "tensor dataset", "in order"])
def test_parts_of_every_kind(given):
    x, labels = pair()
    part = {
        "arrays": (x.numpy(), labels.numpy()),
        "dataset": Recordings(x, labels),
        "tensor dataset": TensorDataset(x, labels),
    }.get(given, (x, labels))
    parts = (part, part, part) if given == "in order" else {"train": part, "validation": part, "test": part}
    found = of_user(parts, "first")
    assert (found.num_classes, found.input_shape, found.num_steps) == (3, SHAPE, T)
    assert found.class_names == ("0", "1", "2")
    assert not found.regression
    expected = (255 * x).to(torch.uint8).float() if given == "dataset" else x
    for batches in (found.validation(), found.test()):
        inputs, targets = joined(batches)
        assert inputs.dtype == torch.float32
        assert torch.equal(inputs, expected.transpose(0, 1))
        assert torch.equal(targets, labels)


def test_the_order_of_training_is_a_function_of_seed_and_epoch():
    x, labels = pair()
    found = of_user({name: (x, labels) for name in ("train", "validation", "test")}, "first")

    def orders(seed):
        loader = found.train(4, seed)
        seen = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            batches = list(loader)
            assert [inputs.shape for inputs, _ in batches] == 3 * [(T, 4, *SHAPE)]
            seen.append(joined(batches)[0])
        return seen

    first, again, other = orders(0), orders(0), orders(1)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])
    assert torch.equal(first[0].sum((1, 2, 3)).sort().values, other[0].sum((1, 2, 3)).sort().values)


@pytest.mark.parametrize(
    ("time", "batch", "shape", "steps"),
    [
        ("first", (T, 12, *SHAPE), SHAPE, T),
        ("batch-first", (12, T, *SHAPE), SHAPE, T),
        ("none", (12, T, *SHAPE), (T, *SHAPE), None),
    ],
)
def test_where_time_is(time, batch, shape, steps):
    x, _ = pair()
    found = of_user((pair(), pair(), pair()), time)
    inputs, _ = joined(found.validation(), 0)
    assert tuple(inputs.shape) == batch
    assert torch.equal(inputs if time != "first" else inputs.transpose(0, 1), x)
    assert (found.input_shape, found.num_steps) == (shape, steps)
    assert found.offered == {
        "input_shape": shape,
        "input_size": int(np.prod(shape)),
        "num_steps": steps,
        "num_classes": 3,
        "num_outputs": 3,
    }


def test_loaders_are_taken_as_they_are():
    x, labels = pair()
    loader = DataLoader(TensorDataset(x.transpose(0, 1).transpose(0, 1), labels), 5)
    found = of_user((loader, loader, loader), "first")
    assert found.train(99, 0) is loader
    assert [inputs.shape[0] for inputs, _ in found.test()] == [5, 5, 2]
    assert found.num_classes == 3


def test_a_lightning_data_module():
    module = Module()
    found = of_user(module, "first")
    assert module.stages == ["fit", "test"]
    assert found.num_classes == 4
    inputs, labels = joined(found.test())
    assert torch.equal(inputs, pair()[0].transpose(0, 1))
    assert torch.equal(labels, pair()[1])
    for broken in ("val_dataloader", "test_dataloader"):
        module = Module()
        setattr(module, broken, lambda: None)
        with pytest.raises(ValueError, match=r"a LightningDataModule whose (validation|test) loader is a DataLoader"):
            of_user(module, "first")


def test_splits_of_ours():
    splits = load("digits", limit_per_class=2)
    found = data_of(lambda: splits).load()
    assert found.splits is splits
    assert (found.num_classes, found.input_shape, found.num_steps) == (10, (64,), splits.num_steps)
    assert torch.equal(joined(found.test())[1], splits.test.labels)


def test_class_counts_and_names():
    parts = {name: pair() for name in ("train", "validation", "test")}
    assert of_user({**parts, "num_classes": 7}, "first").num_classes == 7
    named = of_user({**parts, "class_names": ["up", "down", "left"]}, "first")
    assert (named.num_classes, named.class_names) == (3, ("up", "down", "left"))
    few = (parts["train"][0], torch.arange(12) % 2)
    assert of_user({**parts, "test": few}, "first").num_classes == 3  # a class may be absent where it is not learned
    column = (parts["train"][0], parts["train"][1][:, None])
    assert of_user({**parts, "train": column}, "first").num_classes == 3
    for wrong, words in (
        ({"class_names": ["up", "down"]}, "labels in 0..1"),
        ({"num_classes": 2}, "labels in 0..1, but got labels from 0 to 2"),
        ({"class_names": ["up", "down", "left"], "num_classes": 4}, "labels in 0..3"),
        ({"test": (parts["test"][0], -parts["test"][1])}, "labels from -2 to 2"),
        ({"train": (parts["train"][0], torch.zeros(12, dtype=torch.long))}, "at least two classes in its train part"),
    ):
        with pytest.raises(ValueError, match=words):
            of_user({**parts, **wrong}, "first")


def test_real_labels_are_a_regression():
    part = (pair()[0], torch.linspace(-1, 1, 12))
    found = of_user((part, part, part), "first")
    assert found.regression
    assert found.offered["num_outputs"] == 1


def test_unequal_lengths_are_said_with_the_example():
    class Ragged(Recordings):
        def __getitem__(self, index):
            x, label = super().__getitem__(index)
            return x[: T - (index == 7)], label

    with pytest.raises(
        ValueError, match=r"recordings of unequal lengths are cut or padded first\), \[5, 2, 3\]"
    ) as said:
        of_user((Ragged(*pair()), pair(), pair()), "first")
    assert "[4, 2, 3] in train example 7" in str(said.value)


def test_complex_numbers_and_words_are_no_inputs():
    x, labels = pair()
    for wrong, words in ((x.to(torch.complex64), "of real numbers"), ([["a"] * 12], "of numbers")):
        with pytest.raises(ValueError, match=rf"`data` to be {words} in its train part"):
            of_user(((wrong, labels), pair(), pair()), "first")


# ---- what a user names -----------------------------------------------------------------------------------------------


def digits():
    return {name: pair() for name in ("train", "validation", "test")}


def test_data_by_name():
    assert data_of("digits") == ShippedData("digits")
    assert data_of({"name": "nmnist", "classes": [6, 9], "data_dir": "D"}) == ShippedData("nmnist", "D", classes=(6, 9))
    own = data_of({"class_path": f"{__name__}.digits", "time": "none"})
    assert isinstance(own, UserData)
    assert (own.label, own.time) == ("digits", "none")
    assert own.load().input_shape == (T, *SHAPE)
    assert data_of(f"{__name__}.digits").load().num_classes == 3
    assert data_of(digits).plain() == {"class_path": f"{__name__}.digits", "init_args": {}, "time": "first"}
    assert data_of(digits()).load().num_steps == T
    assert data_of({"class_path": digits, "time": "none"}).load().num_steps is None


def test_where_files_are_is_nothing_that_results_depend_on():
    assert ShippedData("mnist", "here", download=True).plain() == ShippedData("mnist", "there").plain()
    assert ShippedData("mnist", limit_per_class=3).plain() != ShippedData("mnist").plain()


def test_a_function_may_ask_for_the_seed_of_a_run():
    asked = []

    def data(seed):
        asked.append(seed)
        return digits()

    source = data_of(data)
    source.load(seed=3)
    assert asked == [3]
    with pytest.raises(ValueError, match="`num_folds` to be left out with data of your own"):
        source.load(num_folds=2)


def test_one_class_of_a_set_is_refused():
    with pytest.raises(ValueError, match="`classes` to be all or at least two different labels"):
        ShippedData("digits", classes=(3,))


def split_at_random():
    """The usual lines, without a generator of their own."""
    x, labels = pair(30)
    train, validation, test = random_split(TensorDataset(x, labels), [20, 5, 5])
    return train, validation, test


def test_a_split_at_random_is_the_same_in_all_runs():
    source = data_of(split_at_random)
    torch.manual_seed(5)
    here = torch.rand(3)
    torch.manual_seed(5)
    first, second = source.load(0), UserData(source.named).load(1)
    assert torch.equal(torch.rand(3), here)  # nobody else's numbers are taken
    for one, other in zip(joined(first.test()), joined(second.test()), strict=True):
        assert torch.equal(one, other)
    assert sorted(len(part) for part in split_at_random()) == [5, 5, 20]


def test_examples_are_looked_at_once_however_often_they_are_loaded():
    seen = []

    class Counted(Recordings):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    source = data_of(lambda: [Counted(*pair(seed=seed)) for seed in range(3)])
    source.load(0)
    assert len(seen) == 3 * 12
    again = source.load(0)
    assert len(seen) == 3 * 12
    assert (again.num_classes, again.input_shape, again.num_steps) == (3, SHAPE, T)
