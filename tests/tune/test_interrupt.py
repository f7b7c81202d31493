"""An interrupt is raised, whoever takes it, and a population without all of its members is not finished."""

import signal
import threading

import pytest

pytest.importorskip("ray.tune", reason="Ray is not installed")

import torch

from snntorch_binary.tune import Plan, Quadratic, Range, population, population_based_training
from snntorch_binary.tune.interrupt import interrupts_raised
from snntorch_binary.tune.lineage import Report, write_report

PLAN = Plan("Q", "max", epochs=4, interval=2, population=2)
SPACE = {"h0": Range(0.0, 1.0)}


def interrupted_in_silence():
    """Do as Ray does: take the signal, and leave the handler where it is."""
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_was_taken_is_raised():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupts_raised():
        interrupted_in_silence()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_goes_before_the_error_that_it_has_led_to():
    def fail():
        interrupted_in_silence()
        raise RuntimeError

    with pytest.raises(KeyboardInterrupt), interrupts_raised():
        fail()


def test_without_an_interrupt_nothing_is_raised():
    before = signal.getsignal(signal.SIGINT)
    with interrupts_raised():
        signal.signal(signal.SIGINT, lambda *_: None)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(RuntimeError), interrupts_raised():
        raise RuntimeError


def test_another_thread_has_no_signals():
    done = []

    def work():
        with interrupts_raised():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_a_folder_that_lacks_a_member_is_gone_on_with(tmp_path, monkeypatch):
    """Whatever ended it, and whoever was taken for the winner."""
    trained = []

    def run(module_factory, data, space, plan, resources, out, listener, tried):
        assert not (out / "winner.ckpt").exists()
        member = len(trained)
        for begin in (0, 2):
            of = Report(f"{member}-{begin}", None, member, begin, begin + 2, {"h0": 0.5}, {"Q": 1.0}, 0.1)
            write_report(out / "reports.jsonl", of)
        trained.append(member)
        torch.save({}, out / "winner.ckpt")

    monkeypatch.setattr(population, "_run", run)

    def train():
        return population_based_training(Quadratic, None, SPACE, PLAN, out=tmp_path)

    with pytest.raises(RuntimeError, match=r"Not every member .* came to the end of training; the same call goes on"):
        train()
    assert not population.finished(tmp_path, PLAN)
    assert not (tmp_path / "schedule.yaml").exists()
    train()
    assert population.finished(tmp_path, PLAN)
    train()
    assert trained == [0, 1]
