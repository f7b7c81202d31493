"""Memory that is kept for the next large result, and never given to two at a time."""

import gc

import pytest
import torch

import snntorch_binary as sb

pytest.importorskip("numba")
memory = pytest.importorskip("snntorch_binary.kernels.memory")

LARGE = 3 * 2**20  # numbers of float32: 12 MiB
pytestmark = pytest.mark.skipif(not memory._IS_POSSIBLE, reason="the system keeps no large pages")


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(memory, "_kept", memory._Kept())


def test_memory_comes_back_when_its_last_tensor_is_gone():
    first = memory.empty(LARGE)
    first.fill_(7.0)
    address, part = first.data_ptr(), first.view(3, -1)[1]
    del first
    other = memory.empty(LARGE)
    assert other.data_ptr() != address
    assert bool((part == 7).all())
    del part
    assert memory.empty(3, 2**20).data_ptr() == address


def test_a_graph_holds_what_it_needs():
    x = torch.ones(LARGE, requires_grad=True)
    saved = memory.empty_like(x).fill_(3.0)
    y = (x * saved).sum()
    del saved
    other = memory.empty(LARGE).fill_(5.0)
    y.backward()
    assert bool((x.grad == 3).all())
    assert bool((other == 5).all())


@pytest.mark.parametrize(
    "x",
    [
        torch.empty(8, 2, 64, 32, 128),
        torch.empty(8, 2, 32, 128, 64).movedim(-1, 2),
        torch.empty(8, 64, 32, 128).permute(3, 0, 2, 1),
        torch.empty(2, 64, 32, 128).expand(3, -1, -1, -1, -1),
        torch.empty(5, 3),
        torch.empty(LARGE, dtype=torch.float64),
    ],
    ids=["contiguous", "channels-last", "permuted", "expanded", "small", "double"],
)
def test_the_order_in_memory_is_that_of_torch(x):
    found, expected = memory.empty_like(x), torch.empty_like(x)
    assert (found.shape, found.stride(), found.dtype) == (expected.shape, expected.stride(), expected.dtype)
    found.copy_(torch.rand(1).expand_as(found))


def test_no_more_is_kept_than_was_used_at_once():
    for size in range(2, 12):  # such as of sequences of another length each
        held = memory.empty(size * 2**20)
        del held
    gc.collect()
    memory.empty(2**20)
    kept = sum(map(len, memory._kept._idle))
    assert 0 < kept <= memory._kept._most == 11 * 2**22


def test_where_the_system_gives_none_torch_allocates(monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr(memory.mmap, "mmap", refuse)
    assert memory.empty(LARGE).shape == (LARGE,)
    assert memory.empty_like(torch.empty(3, 2**20).T).stride() == (1, 2**20)


def test_results_are_no_views_and_may_be_written_to():
    for size in (4, 400):  # below and above what is kept
        x = torch.rand(20, size, 256, requires_grad=True)
        spikes = sb.nn.Leaky(beta=0.9)(x)
        assert not spikes._is_view()
        spikes[:, 0] = 0
        spikes.sum().backward()
        assert x.grad is not None
    assert not memory.empty(LARGE)._is_view()
    assert not memory.empty_like(torch.empty(3, 2**20).T)._is_view()


def test_they_are_float32_on_the_cpu_whatever_the_defaults():
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            for size in (10, LARGE):
                found = memory.empty(size)
                assert (found.dtype, found.device.type) == (torch.float32, "cpu")
                assert memory.empty_like(found).device.type == "cpu"
    finally:
        torch.set_default_dtype(torch.float32)


def test_sizes_that_nobody_asks_for_any_more_are_let_go():
    for size in (24, 20):
        for _ in range(5):
            held = [memory.empty(size * 2**18) for _ in range(4)]
            del held
    memory.empty(20 * 2**18)
    assert {len(block) >> 20 for block in memory._kept._idle} == {20}


def test_memory_that_the_system_cannot_take_back_is_not_kept(monkeypatch):
    class Locked(memory.mmap.mmap):
        def madvise(self, option, *rest):
            if option == memory.mmap.MADV_FREE:
                raise OSError(22, "Invalid argument")
            return super().madvise(option, *rest)

    monkeypatch.setattr(memory.mmap, "mmap", Locked)
    for _ in range(3):
        assert memory.empty(LARGE).shape == (LARGE,)
    assert memory._kept._idle == []
    assert memory._kept._used == LARGE * 4
