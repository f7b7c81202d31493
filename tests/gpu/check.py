"""Check a GPU: is every kernel right there, and how long does a training step take, beside others' libraries.

    python -m tests.gpu.check
    python -m tests.gpu.check --dry      # on the CPU, with small networks: that the script runs to its end

Needs torch, triton and numpy, and of snnTorch, SpikingJelly and cupy what is to be compared with. A few minutes.
Exits with 1 where a kernel is wrong. `--out FILE` writes what was found as JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import snntorch_binary as sb
from snntorch_binary.kernels import use_engine
from tests.gpu.correct import failures
from tests.gpu.networks import WORKS, Work, libraries, ours


def main() -> int:
    """Carry out the checks; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="on the CPU, with two time steps and two examples")
    parser.add_argument("--seconds", type=float, default=6.0, help="for the timing of each network and library")
    parser.add_argument("--out", type=Path, help="where what was found is written as JSON")
    given = parser.parse_args()
    if not given.dry and not torch.cuda.is_available():
        print("There is no CUDA device; --dry runs this on the CPU.", file=sys.stderr)
        return 2
    device = torch.device("cpu" if given.dry else "cuda")
    engines = ["torch", *([fast_engine(device)] if fast_engine(device) else [])]
    card = platform.processor() or "CPU" if given.dry else torch.cuda.get_device_name()
    print(f"{card}; torch {torch.__version__}; engines {', '.join(engines)}")
    checks = []
    for engine, name, wrong in failures(engines, device):
        checks.append({"engine": engine, "check": name, "wrong": wrong})
        print(f"{'FAILED' if wrong else 'right':7} {engine:7} {name}{': ' + wrong if wrong else ''}", flush=True)
    rows = []
    for name, work in WORKS.items():
        rows += timed(name, work.small() if given.dry else work, device, engines, 0.0 if given.dry else given.seconds)
    if given.out:
        found = {"card": card, "torch": torch.__version__, "checks": checks, "training_steps": rows}
        given.out.write_text(json.dumps(found, indent=2) + "\n")
    wrong_ones = sum(bool(check["wrong"]) for check in checks)
    print(f"{len(checks) - wrong_ones} of {len(checks)} checks are right")
    return int(wrong_ones > 0)


def fast_engine(device: torch.device) -> str | None:
    """Return the engine with kernels for a device, where it is installed."""
    engine, package = ("triton", "triton") if device.type == "cuda" else ("numba", "numba")
    return engine if importlib.util.find_spec(package) else None


def timed(name: str, work: Work, device: torch.device, engines: list[str], seconds: float) -> list[dict[str, Any]]:
    """Time a training step of each library, interleaved; print and return the rows."""
    sides: dict[str, Callable[[], None]] = {}

    def add(side: str, make: Callable[[], Callable[[], None]], engine: str = "torch") -> None:
        try:
            with use_engine(engine):  # type: ignore[arg-type]  # one of its names
                step = make()
                step()
                synchronize(device)
        except Exception as error:  # a peer that this machine does not run
            print(f"{name:36} {side:28} left out: {type(error).__name__}: {str(error)[:120]}")
            return

        def run() -> None:
            with use_engine(engine):  # type: ignore[arg-type]  # one of its names
                step()

        sides[side] = run

    for peer, library in libraries():
        add(peer, lambda library=library: work.step(library(), device, None))  # type: ignore[misc]  # bound now
    for engine in engines:
        for rule in (None, sb.Sign(), sb.Bernoulli()):
            label = "float" if rule is None else type(rule).__name__
            add(f"ours, {label}, {engine}", lambda rule=rule: work.step(ours(), device, rule), engine)  # type: ignore[misc]  # bound now
    times: dict[str, list[float]] = {side: [] for side in sides}
    end = time.perf_counter() + seconds * len(sides)
    while not all(times.values()) or time.perf_counter() < end:
        for side, step in sides.items():
            synchronize(device)
            begin = time.perf_counter()
            step()
            synchronize(device)
            times[side].append(time.perf_counter() - begin)
    against = next(iter(times), "")
    rows = []
    for side, measured in times.items():
        median, slowest = statistics.median(measured), max(measured)
        memory = peak_memory(sides[side], device)
        ratio = statistics.median(times[against]) / median
        rows.append({"network": name, "side": side, "median_s": median, "steps": len(measured), "mib": memory})
        print(
            f"{name:36} {side:28} {median * 1e3:9.2f} ms (to {slowest * 1e3:.2f}) {ratio:6.2f}x {against}"
            f"{'' if memory is None else f'  {memory:.0f} MiB'}",
            flush=True,
        )
    return rows


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak_memory(step: Callable[[], None], device: torch.device) -> float | None:
    """Return the MiB that a step takes on a GPU at most beside what is there before."""
    if device.type != "cuda":
        return None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
