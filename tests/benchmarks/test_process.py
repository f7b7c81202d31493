"""What a user waits for: the import, the first call of compiled kernels, a whole command; what a thread more gives."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

FIRST_STEP = """
import time, torch
import snntorch_binary as sb
from tests.benchmarks.measure import spikes
from tests.benchmarks.test_training import adam, stepper, time_first
torch.set_num_threads(1)
net = time_first((784, 64, 10), sb.Sign())
step = stepper(net, adam(net), spikes(20, 16, 784), torch.randint(10, (16,)))
begin = time.process_time()
step()
print(time.process_time() - begin)
"""

THREADS = """
import statistics, sys, time, torch
import snntorch_binary as sb
from tests.benchmarks.measure import spikes
from tests.benchmarks.test_training import adam, stepper, time_first
batch = int(sys.argv[1])
net = time_first((784, 256, 256, 10), sb.Sign())
step = stepper(net, adam(net), spikes(100, batch, 784), torch.randint(10, (batch,)))
times = {1: [], 2: []}
for _ in range(11):
    for threads in times:
        torch.set_num_threads(threads)
        step()
        begin = time.perf_counter()
        step()
        times[threads].append(1e3 * (time.perf_counter() - begin))
one, two = (statistics.median(found[1:]) for found in times.values())
print(f"{one:.1f} {two:.1f} {min(times[2]):.1f}..{max(times[2][1:]):.1f}")
"""

IMPORTS = """
import time; begin = time.perf_counter()
import lightning, matplotlib.pyplot, rich, sklearn.datasets, torchmetrics
print(time.perf_counter() - begin)
"""

PRODUCTS = """
import time, torch
from torch.nn.functional import linear
torch.set_num_threads(1)
x = (torch.rand(10, 50, 64) < 0.3).float()
first, second = torch.randn(256, 64, requires_grad=True), torch.randn(10, 256, requires_grad=True)
for step in range(1660):  # 60 epochs, and some before them
    if step == 100:
        begin = time.perf_counter()
    linear(linear(x, first), second).sum().backward()
print(time.perf_counter() - begin)
"""


def seconds_of(code, repeats=5, **environment):
    """Return what a process of its own prints, the median of some."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    found = []
    for _ in range(repeats):
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
        found.append(float(run.stdout.split()[-1]))
    found.sort()
    return statistics.median(found), f"{found[0]:.3f}..{found[-1]:.3f} s"


def test_import(benchmark):
    """Of the package beside its torch; also of another checkout, as in `test_compare_digits`."""
    code = "import time, torch; begin = time.process_time(); import {}; print(time.process_time() - begin)"
    ours, spread = seconds_of(code.format("snntorch_binary"))
    beside, _ = seconds_of(code.format("snntorch"))
    floor, _ = seconds_of("import time; begin = time.process_time(); import torch; print(time.process_time() - begin)")
    benchmark.extra_info.update(row="import", ours=ours, torch=floor, snntorch=beside)
    print(
        f"\nimport snntorch_binary {ours:.3f} s [{spread}] after torch's {floor:.2f} s; snntorch {beside:.3f} s", end=""
    )
    if earlier := os.environ.get("SNNTORCH_BINARY_EARLIER"):
        there = f"import sys; sys.path.insert(0, {earlier!r}); " + code.format("snntorch_binary")
        theirs, _ = seconds_of(there)
        print(f"; {theirs:.3f} s there: {theirs / ours:.2f}x (least 2x)", end="")
    print()
    benchmark.pedantic(seconds_of, (code.format("snntorch_binary"), 1), rounds=1)


def test_first_step(benchmark, tmp_path):
    """The first training step of a process: kernels compiled by it, or found where an earlier one has left them."""
    cache = {"XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    compiled, _ = seconds_of(FIRST_STEP, 1, **cache)
    cached, spread = seconds_of(FIRST_STEP, 5, **cache)
    benchmark.extra_info.update(row="first step", compiled=compiled, cached=cached)
    print(f"\nfirst training step: {compiled:.2f} s where kernels are compiled, {cached:.3f} s [{spread}] after that")
    benchmark.pedantic(seconds_of, (FIRST_STEP, 1), cache, rounds=1)


@pytest.mark.parametrize("batch", [64, 256])
@pytest.mark.parametrize("idle", ["passive", "active"], ids="idle threads of torch are {}".format)
def test_two_threads(benchmark, batch, idle):
    """Elapsed time; it needs two cores that nothing else uses, spinning threads of torch included."""
    command = [sys.executable, "-W", "ignore", "-c", THREADS, str(batch)]
    environment = os.environ | {"OMP_WAIT_POLICY": idle}
    environment.pop("OMP_NUM_THREADS", None)
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    one, two, spread = run.stdout.split()[-3:]
    ratio = float(one) / float(two)
    benchmark.extra_info.update(row=f"two threads, B={batch}, {idle}", least=1.7, one=one, two=two, ratio=ratio)
    print(
        f"\ntraining step 784-256-256-10, B={batch}, T=100, {idle}: one thread {one} ms, two {two} ms [{spread}],",
        end="",
    )
    print(f" {ratio:.2f}x (least 1.7x)")
    benchmark.pedantic(lambda: None, rounds=1)


def test_compare_digits(benchmark, tmp_path):
    """Elapsed time of the whole command: three rules, three seeds, tables, degraded inputs, pictures.

    Beside that of another checkout of this repository, where SNNTORCH_BINARY_EARLIER names its folder.
    """
    earlier = os.environ.get("SNNTORCH_BINARY_EARLIER")
    folders = [str(Path(__file__).parents[2]), *([earlier] if earlier else [])]
    times = {folder: [] for folder in folders}
    for number in range(3):
        for folder, found in times.items():
            command = [sys.executable, "-m", "snntorch_binary", "compare", "digits"]
            command += ["--out", str(tmp_path / f"{folders.index(folder)}-{number}")]
            environment = os.environ | {"PYTHONPATH": folder}
            environment.pop("OMP_NUM_THREADS", None)
            begin = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment, cwd=tmp_path)
            found.append(time.perf_counter() - begin)
    ours, *theirs = (statistics.median(found) for found in times.values())
    floor = seconds_of(IMPORTS, 3)[0] + 9 / 2 * seconds_of(PRODUCTS, 3)[0]
    spread = f"{min(times[folders[0]]):.0f}..{max(times[folders[0]]):.0f} s"
    benchmark.extra_info.update(row="compare digits", least=1.8, ours=ours, earlier=theirs, floor=floor)
    beside = f", {theirs[0]:.0f} s there: {theirs[0] / ours:.2f}x (least 1.8x)" if theirs else ""
    print(f"\ncompare digits {ours:.0f} s [{spread}]{beside}; imports and dense products on two cores {floor:.0f} s")
    benchmark.pedantic(lambda: None, rounds=1)
