"""Results say what made them."""

from importlib import metadata

import pytest

from snntorch_binary.experiments.provenance import provenance


@pytest.mark.parametrize("package", ["torch", "numba", "flwr", "ray"])
def test_versions_of_what_is_installed(package, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: f"version of {name}")
    assert provenance(["tune"])[package] == f"version of {package}"


def test_what_is_not_installed_has_no_version(monkeypatch):
    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    found = provenance(["compare", "two moons"])
    assert found["command"] == "snntorch-binary compare 'two moons'"
    assert found["ray"] == found["flwr"] == ""
