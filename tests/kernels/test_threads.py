"""Kernels in several threads compute what they compute in one, bit for bit."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.kernels import events, threads

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def many_threads(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "_LEAST_NUMBERS", 1)
    yield
    torch.set_num_threads(before)


def with_threads(count, run):
    torch.set_num_threads(count)
    return run()


@pytest.mark.parametrize(
    "neuron", [sb.nn.Leaky(0.9, learn_beta=True), sb.nn.Synaptic(0.8, 0.9), sb.nn.SRM(4.0, 2.0, 3.0)]
)
@pytest.mark.parametrize("count", [2, 3])
def test_spikes_and_gradients_of_neurons(neuron, count):
    torch.manual_seed(0)
    x = 3 * torch.randn(6, 5, 700)  # neurons that are no multiple of a block

    def run():
        given = x.clone().requires_grad_()
        output = neuron(given)
        output = output[0] if isinstance(output, tuple) else output
        (output * torch.linspace(-1, 1, output.numel()).view(output.shape)).sum().backward()
        return output.detach(), given.grad

    one, several = with_threads(1, run), with_threads(count, run)
    assert float(one[0].sum()) > 0
    assert all(map(torch.equal, one, several))


@pytest.mark.parametrize("rows", [1, 2, 7, 600])
def test_lists_of_spikes_and_their_products(rows):
    torch.manual_seed(rows)
    x, weight, upstream = (torch.rand(rows, 90) < 0.1).float(), torch.randn(50, 90), torch.randn(rows, 50)

    def run():
        found = events.Events.of(x)
        return found.index, found.start, found.times(weight), found.outer(upstream), found.dense()

    one, several = with_threads(1, run), with_threads(4, run)
    assert torch.equal(one[4], x)
    assert all(map(torch.equal, one, several))


def test_the_limit_is_that_of_the_whole():
    x = torch.zeros(8, 100)
    x[:4, :38] = 1.0  # 19 % of all, 38 % of what the first of two threads sees
    assert with_threads(2, lambda: events.Events.of(x)) is not None
    x[4:, :3] = 1.0
    assert with_threads(2, lambda: events.Events.of(x)) is None
    assert with_threads(1, lambda: events.Events.of(x)) is None
    x[0, 0] = 0.5
    assert with_threads(2, lambda: events.Events.of(x)) is None


def test_a_network_learns_alike():
    def run():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(90, 64), sb.nn.Leaky(0.9), nn.Linear(64, 48), sb.nn.Leaky(0.9))
        sb.binarize_(net, sb.Sign())
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        x = (torch.rand(20, 30, 90) < 0.1).float()
        for _ in range(3):
            optimizer.zero_grad()
            net(x).mean().backward()
            optimizer.step()
        return [parameter.detach() for parameter in net.parameters()]

    for one, several in zip(with_threads(1, run), with_threads(2, run), strict=True):
        torch.testing.assert_close(one, several)


def test_parts_cover_everything_once(monkeypatch):
    for count in (0, 1, 5, 1024, 1025, 5000):
        for number in (1, 2, 3, 7):
            torch.set_num_threads(number)
            found = threads.parts(count, 10**9, 1024)
            assert [i for part in found for i in range(*part)] == list(range(count))
            assert len(found) <= number
            assert all(begin % 1024 == 0 for begin, _ in found)
    monkeypatch.setattr(threads, "_LEAST_NUMBERS", 1000)
    torch.set_num_threads(4)
    assert threads.parts(100, 999) == [(0, 100)]


def test_what_fails_in_a_thread_is_said():
    def run(begin, end):
        if begin:
            raise ValueError(f"in {threading.current_thread().name}")

    with pytest.raises(ValueError, match="in snntorch_binary"):
        threads.in_threads(run, [(0, 1), (1, 2)])


def test_when_python_ends_work_is_done_here(monkeypatch):
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    monkeypatch.setattr(threads, "_pool", lambda process: pool)
    done = []
    threads.in_threads(lambda begin, end: done.append((begin, end)), [(0, 1), (1, 2), (2, 3)])
    assert sorted(done) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    threads.in_threads(lambda begin, end: None, [(0, 1), (1, 2)])
    child = os.fork()
    if child == 0:
        done = []
        threads.in_threads(lambda begin, end: done.append(begin), [(0, 1), (1, 2)])
        os._exit(0 if sorted(done) == [0, 1] else 1)
    assert os.waitpid(child, 0)[1] == 0
