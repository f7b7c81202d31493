import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snntorch_binary.data.splits import Source, fold_mask, hold_out, permutation, split

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=60).map(torch.tensor)


@given(LABELS, st.integers(2, 6))
def test_folds_are_stratified_and_cover_every_example_once(labels, num_folds):
    masks = torch.stack([fold_mask(labels, fold, num_folds) for fold in range(num_folds)])
    assert (masks.sum(0) == 1).all()
    for label in labels.unique():
        counts = masks[:, labels == label].sum(1)
        assert counts.max() - counts.min() <= 1


@given(LABELS, st.floats(0.05, 0.95), st.sampled_from([None, "key"]))
def test_hold_out_takes_its_share_of_every_class(labels, fraction, key):
    among = torch.arange(len(labels)) % 5 != 0
    held = hold_out(labels, among, fraction, key)
    assert not (held & ~among).any()
    for label in labels.unique():
        size = int((among & (labels == label)).sum())
        count = int((held & (labels == label)).sum())
        if size < 2:
            assert count == 0
        else:
            assert 1 <= count <= size - 1
            assert abs(count - fraction * size) <= 1
    if key is None:  # the last ones, in the given order
        for label in labels.unique():
            members = held[among & (labels == label)]
            assert torch.equal(members, members.sort().values)


def test_permutations_never_change():
    # Written down once: a changed split would make every reported accuracy incomparable.
    assert permutation(8, "validation 0").tolist() == [3, 5, 2, 1, 6, 4, 7, 0]
    assert sorted(permutation(1000, "x").tolist()) == list(range(1000))


def source(labels, test):
    return Source(labels=labels, test=test, read=lambda i, t: i, class_names=("a", "b", "c"))


def test_parts_are_disjoint_and_do_not_depend_on_the_chosen_classes():
    labels = torch.arange(90) % 3
    test = torch.arange(90) >= 60
    whole = split(source(labels, test), (0, 1, 2), None, 0, None)
    assert sorted(torch.cat(whole).tolist()) == list(range(90))
    assert torch.equal(whole[2], torch.arange(60, 90))
    assert [len(part) for part in whole] == [54, 6, 30]
    for part, all_classes in zip(split(source(labels, test), (2, 0), None, 0, None), whole, strict=True):
        assert torch.equal(part, all_classes[labels[all_classes] != 1])
    for part, unlimited in zip(split(source(labels, test), (0, 1, 2), 2, 0, None), whole, strict=True):
        for label in range(3):
            assert torch.equal(part[labels[part] == label], unlimited[labels[unlimited] == label][:2])


def test_folds_pool_the_test_part():
    labels = torch.arange(90) % 3
    folds = [split(source(labels, torch.arange(90) >= 60), (0, 1, 2), None, k, 5) for k in range(5)]
    assert sorted(torch.cat([test for _, _, test in folds]).tolist()) == list(range(90))
    for parts in folds:
        assert sorted(torch.cat(parts).tolist()) == list(range(90))
    with pytest.raises(ValueError, match="`num_folds` to be at most 30"):
        split(source(labels, labels > 5), (0, 1, 2), None, 0, 31)
