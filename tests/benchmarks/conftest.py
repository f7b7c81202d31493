"""Benchmarks run with `pytest tests/benchmarks --benchmark-only`; the ordinary suite skips them."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(config, items):
    # Without pytest-benchmark there is no such option, and nothing to run.
    if config.getoption("--benchmark-only", default=False):
        return
    skip = pytest.mark.skip(reason="a benchmark: run `pytest tests/benchmarks --benchmark-only` (pytest-benchmark)")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(skip)
