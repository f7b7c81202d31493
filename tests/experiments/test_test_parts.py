"""Runs are compared example by example: on one test part, or not at all. What is done needs no data again."""

import random

import pytest
import torch

from snntorch_binary.experiments import compare, load_run
from snntorch_binary.experiments.data import data_of
from snntorch_binary.experiments.evaluate import load_for
from snntorch_binary.models import SpikingMLP


def parts(order):
    labels = torch.tensor(order)
    x = torch.rand(len(order), 4, 6, generator=torch.Generator().manual_seed(0)).round()
    return x, labels


def net(input_size, num_classes):
    return SpikingMLP(input_size, [8], num_classes)


SETTINGS = {"epochs": 1, "batch_size": 8}


def test_another_test_part_in_every_run_is_refused(tmp_path):
    calls = []

    def data():
        calls.append(1)
        labels = [0, 1] * 8
        return parts(labels), parts(labels), parts([int(digit) for digit in f"{len(calls):016b}"])

    with pytest.raises(ValueError, match=r"the same test part in all runs.*other labels in st-seed0 than in full-prec"):
        compare(net, data, ["full-precision", "st"], seeds=[0], out=tmp_path / "out", **SETTINGS)
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_split_that_python_draws_is_the_same_in_all_runs(tmp_path):
    def data():
        labels = [0, 1] * 12
        random.shuffle(labels)
        return parts([*labels[:8], 0, 1]), parts(labels[8:16]), parts(labels[16:])

    found = compare(net, data, ["full-precision", "st"], seeds=[0, 1], out=tmp_path / "out", **SETTINGS)
    assert all(torch.equal(run.labels, found.runs[0].labels) for run in found.runs)


def test_what_is_done_needs_no_data_again(tmp_path):
    there = [True]

    def data():
        assert there, "the disk is gone"
        return parts([0, 1] * 8), parts([0, 1] * 8), parts([1, 0] * 8)

    first = compare(net, data, ["st"], seeds=[0], out=tmp_path / "out", **SETTINGS)
    there.clear()
    again = compare(net, data, ["st"], seeds=[0], out=tmp_path / "out", **SETTINGS)
    assert torch.equal(again.runs[0].probabilities["single"], first.runs[0].probabilities["single"])
    with pytest.raises(ValueError, match="the disk is gone"):
        compare(net, data, ["st"], seeds=[0, 1], out=tmp_path / "out", **SETTINGS)


def test_a_run_is_not_asked_about_data_of_another_shape(tmp_path):
    """A network in full precision would end in an error of torch's."""

    def data(features=6):
        x, labels = parts([0, 1] * 8)
        return [(x.repeat(1, 1, 2)[..., :features], labels)] * 3

    found = compare(net, data, ["full-precision"], seeds=[0], out=tmp_path / "out", **SETTINGS)
    run = load_run(found.runs[0].folder, net)
    assert load_for(run, data_of(data)).input_shape == (6,)
    with pytest.raises(ValueError, match=r"inputs of shape \[6\] in a time step, as .*, but got \[7\]"):
        load_for(run, data_of(lambda: data(7)))
