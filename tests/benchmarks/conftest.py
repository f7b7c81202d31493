"""Benchmarks run with `--benchmark-only`, or where `pytest tests/benchmarks -k NAME` asks for some by name."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config, items):
    # Without pytest-benchmark there is no such option, and nothing to run.
    only = config.getoption("--benchmark-only", default=None)
    named = only is not None and config.option.keyword
    if only or (named and all(Path(each.split("::")[0]).resolve().is_relative_to(HERE) for each in config.args)):
        return
    skip = pytest.mark.skip(reason="a benchmark: run `pytest tests/benchmarks --benchmark-only` (pytest-benchmark)")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(skip)
