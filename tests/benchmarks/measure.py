"""How both sides of a benchmark are timed: one thread, CPU time (on a GPU: elapsed time), in turns, medians."""

import os
import statistics
import time

import pytest
import torch

DENSITY = 0.05
STEPS, BATCH = 100, 64


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def spikes(*shape, density=DENSITY):
    return (torch.rand(shape) < density).float()


def traffic(read, written):
    """Return a function that reads and writes so many bytes and nothing else: the floor that memory sets."""
    source, target = torch.ones(max(1, read // 4)), torch.empty(max(1, written // 4))

    def move():
        source.sum()
        target.fill_(1.0)

    return move


def size_of(*tensors):
    """Return the bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def medians(repeats=9, shortest=0.02, clock=time.process_time, **sides):
    """Return the times, in seconds a call, of callables timed in turns; of the CPU, unless another clock is given."""
    calls = {}
    for name, side in sides.items():
        side()
        begin = clock()
        side()
        calls[name] = max(1, int(shortest / max(clock() - begin, 1e-6)))
    times = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            begin = clock()
            for _ in range(calls[name]):
                side()
            times[name].append((clock() - begin) / calls[name])
    return times


def report(benchmark, row, least, against, repeats=9, rounds=15, clock=time.process_time, **sides):
    """Time `ours`, `theirs` and whatever else is given; print the ratios to `theirs` and keep them."""
    times = medians(repeats, clock=clock, **sides)
    theirs = statistics.median(times["theirs"])
    benchmark.extra_info.update(row=row, against=against, least=least, load=os.getloadavg()[0])
    for name, measured in times.items():
        median = statistics.median(measured)
        spread = f"{min(measured) * 1e3:.3f}..{max(measured) * 1e3:.3f} ms"
        benchmark.extra_info[name] = {"median_s": median, "spread": spread, "ratio": theirs / median}
        print(f"\n{row:38s} {name:18s} {median * 1e3:9.3f} ms [{spread}] {theirs / median:7.1f}x {against}", end="")
    print(f"  (least {least}x)" if least else "")
    benchmark.pedantic(sides["ours"], rounds=rounds, warmup_rounds=1)
    return {name: statistics.median(measured) for name, measured in times.items()}
