"""Names that have moved answer at their old place for one version, and say the new one."""

import importlib

import pytest


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("snntorch_binary.lightning", "SpikingMLP", "snntorch_binary.models"),
        ("snntorch_binary.metrics", "reliability_diagram", "snntorch_binary.plots"),
        ("snntorch_binary.federated", "VGG9", "snntorch_binary.models"),
        ("snntorch_binary.data.events", "read_nmnist_events", "snntorch_binary.data.sets.nmnist"),
    ],
)
def test_the_old_name(old, name, new):
    if "lightning" in old:
        pytest.importorskip("lightning")
    with pytest.warns(FutureWarning, match=f"{old}.{name} is {new}.{name} now"):
        found = getattr(importlib.import_module(old), name)
    assert found is getattr(importlib.import_module(new), name)


def test_another_name():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = importlib.import_module("snntorch_binary.metrics").nothing
