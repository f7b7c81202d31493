"""An interrupt is raised, whoever takes it, and a population without all of its members is not finished."""

import signal
import threading
from dataclasses import replace

import pytest

pytest.importorskip("ray.tune", reason="Ray is not installed")

from snntorch_binary.tune import Plan, Quadratic, Range, engine, population, population_based_training
from snntorch_binary.tune.engine import MEMBERS
from snntorch_binary.tune.interrupt import interrupts_raised
from snntorch_binary.tune.interval import CHECKPOINT, files_of
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


def reports_of(member):
    return [
        Report(f"{member}-{begin}", None, member, begin, begin + 2, {"h0": 0.5}, {"Q": 1.0}, 0.1) for begin in (0, 2)
    ]


@pytest.fixture
def members(monkeypatch):
    """Numbers of calls that trained; in each one more member comes to its end."""
    calls = []

    def run(module_factory, data, space, plan, resources, out, of_population, listener, tried):
        calls.append(1 + len(calls))
        for member in range(min(calls[-1], plan.population)):
            for report in reports_of(member):
                write_report(out / "reports.jsonl", report)
                files_of(out / MEMBERS / report.id, of_population).write_tensors(CHECKPOINT, {"of": report.id})

    monkeypatch.setattr(population, "_run", run)
    return calls


def train(out, say=print, plan=PLAN):
    return population_based_training(Quadratic, None, SPACE, plan, out=out, say=say)


def test_a_folder_that_lacks_a_member_is_gone_on_with(tmp_path, members):
    """Whatever ended it."""
    with pytest.raises(RuntimeError, match=r"Not every member .* came to the end of training; the same call goes on"):
        train(tmp_path)
    assert not population.finished(tmp_path, PLAN)
    assert not (tmp_path / "schedule.yaml").exists()
    train(tmp_path)
    assert population.finished(tmp_path, PLAN)
    train(tmp_path)
    assert members == [1, 2]


def damaged(content, how):
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    return {"a changed byte": changed, "cut off": content[:middle], "empty": b"", "text": b"some text"}[how]


@pytest.mark.parametrize("name", ["winner.ckpt", "reports.jsonl", "record.json"])
@pytest.mark.parametrize("how", ["a changed byte", "cut off", "empty", "text", "of another population"])
def test_a_damaged_result_is_said_and_made_anew(name, how, tmp_path, members):
    members.append(1)
    out = tmp_path / "out"
    found = train(out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    if how == "of another population":
        train(tmp_path / "other", plan=replace(PLAN, seed=1))
        content = (tmp_path / "other" / name).read_bytes()
        (out / name).write_bytes(content if name == "record.json" else content + b" ")
    else:
        (out / name).write_bytes(damaged(before[name], how))
    said, calls = [], len(members)
    assert train(out, said.append).line == found.line
    assert len(members) == calls + 1
    assert str(out / ("" if name == "record.json" else name)) in said[0]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_pickles_in_a_folder_of_results_are_never_read(tmp_path, monkeypatch, planted_pickle):
    """Those of Ray, which its own way of going on would load."""
    out, marker = tmp_path / "out", tmp_path / "marker"
    (out / "ray" / "member0").mkdir(parents=True)
    names = ("tuner.pkl", "trainable.pkl", "searcher-state-1.pkl", "experiment_state-1.json", "member0/params.pkl")
    for name in names:
        (out / "ray" / name).write_bytes(planted_pickle(marker))

    class Tuner:
        def __init__(self, *_, **__):
            assert not (out / "ray").exists()

        def fit(self):
            raise InterruptedError

    monkeypatch.setattr(engine.tune, "Tuner", Tuner)
    monkeypatch.setattr(engine.ray, "put", lambda it: it)
    values = [{"h0": 0.5}, {"h0": 0.25}]
    with pytest.raises(InterruptedError):
        engine.run_trials(Quadratic, None, SPACE, PLAN, values, engine.Resources(), out, "it", print)
    assert not marker.exists()
