import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Every test has its own empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "snntorch_binary"


@pytest.fixture
def shared_cache(real_data):
    """The cache of all tests that unpack the real archives, which takes seconds."""
    return Path(os.environ["XDG_CACHE_HOME"]) / "snntorch_binary"
