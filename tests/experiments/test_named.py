"""A class or function by its name: found, filled with what data offer, and called with values of its types."""

import sys

import pytest
from torch import nn

from snntorch_binary.experiments.named import Named, typed
from snntorch_binary.models import SpikingMLP

TEXT = "loaded = []\n\n\nclass Inner:\n    class Net:\n        pass\n\n\ndef make(size: int = 2):\n    return size\n"


def build(sizes: list[int], rate: float = 0.5, name="net", num_classes=2, **more):
    return sizes, rate, name, num_classes, more


class Strict:
    def __init__(self, input_size: int, num_steps: int | None = 3):
        self.input_size, self.num_steps = input_size, num_steps


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "named_module.py").write_text(TEXT)
    yield tmp_path
    for name in [each for each in sys.modules if "named_module" in each]:
        del sys.modules[name]


def test_what_a_user_gives():
    assert Named.of("network", "a.b.C") == Named("a.b.C", {})
    assert Named.of("network", {"class_path": "a.b.C", "init_args": {"x": 1}}) == Named("a.b.C", {"x": 1})
    assert Named.of("network", {"class_path": "a.b.C", "init_args": None}).init_args == {}
    found = Named.of("network", SpikingMLP)
    assert found.class_path == "snntorch_binary.models.spiking_mlp.SpikingMLP"
    assert found.find("network") is SpikingMLP
    assert Named.of("network", found) is found
    given = Named.of("network", {"class_path": SpikingMLP, "init_args": {"hidden_sizes": [3]}})
    assert (given.find("network"), given.init_args) == (SpikingMLP, {"hidden_sizes": [3]})
    for wrong in (3, ["a.b.C"], {"init_args": {}}, {"class_path": "a.b", "more": 1}, {"class_path": 7}):
        with pytest.raises(ValueError, match="Expected argument `network` to be a"):
            Named.of("network", wrong)


def test_a_module_and_a_file_beside_the_yaml_are_found(folder):
    assert Named("named_module.make", {}, str(folder)).call("data") == 2
    by_file = Named("named_module.py:make", {"size": 5}, str(folder))
    assert by_file.call("data") == 5
    assert by_file.find("data") is by_file.find("data")  # the file is run once
    assert Named("named_module.py:Inner.Net", {}, str(folder)).find("network").__name__ == "Net"
    assert Named(f"{folder}/named_module.py:make").call("data") == 2
    assert isinstance(Named("torch.nn.Linear", {"in_features": 2, "out_features": 3}).call("network"), nn.Linear)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("make", "package.module.Name"),
        ("named_module.", "package.module.Name"),
        (":make", "package.module.Name"),
        ("named_module.loaded", "which is none"),
        ("named_module.made", "which is none"),
        ("named_module.py:made", "which is none"),
        ("other.py:make", "FileNotFoundError"),
        ("other_module.make", "ModuleNotFoundError"),
    ],
)
def test_what_is_not_there_is_said(name, words, folder):
    with pytest.raises(ValueError, match=rf"Expected argument `data` to be .*{words}"):
        Named(name, {}, str(folder)).find("data")


def test_what_data_offer_fills_parameters_that_are_not_given():
    offered = {"input_size": 4, "num_steps": 9, "num_classes": 5}
    assert Named.of("network", Strict).filled("network", offered).init_args == {"input_size": 4, "num_steps": 9}
    given = Named.of("network", Strict).with_arguments({"num_steps": 1}).call("network", offered)
    assert (given.input_size, given.num_steps) == (4, 1)
    assert build is Named.of("network", build).find("network")
    filled = Named.of("network", build).filled("network", offered)
    assert filled.init_args == {"num_classes": 5}  # what a parameter's name asks for; **more asks for nothing
    assert filled.plain()["init_args"] == {"num_classes": 5}


def test_arguments_are_of_the_types_that_a_signature_says():
    assert typed("network", build, {"sizes": [1, 2], "rate": 1}) == {
        "sizes": [1, 2], "rate": 1.0, "name": "net", "num_classes": 2,
    }  # fmt: skip
    for wrong, words in (
        ({}, "sizes"),
        ({"sizes": "many"}, "sizes"),
        ({"sizes": [1], "rate": "fast"}, "rate"),
        ({"sizes": [1.5]}, "sizes"),
    ):
        with pytest.raises(ValueError, match=rf"`network` to be arguments that build takes, .*{words}"):
            typed("network", build, wrong)


def test_an_error_in_a_constructor_is_one_sentence():
    def fails(lines: int = 2):
        raise RuntimeError("first\nsecond" * lines)

    with pytest.raises(ValueError, match=r"`network` to be made by .*fails, but got RuntimeError: first") as caught:
        Named.of("network", fails).call("network")
    assert "\n" not in str(caught.value)
