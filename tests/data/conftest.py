import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Every test has its own empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "snntorch_binary"


@pytest.fixture
def shared_cache(tmp_path_factory, cache, monkeypatch):
    """One cache for all tests that unpack the real archives, which takes seconds."""
    base = tmp_path_factory.getbasetemp() / "shared-cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(base))
    return base / "snntorch_binary"
