from pathlib import Path

import commands
import pytest
import torch
from training import Stop, train


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    known = {}

    def run(rule):
        if rule not in known:
            known[rule] = train(rule, tmp_path_factory.mktemp(rule))
        return known[rule]

    return run


def assert_same(first, second):
    for one, other in zip((first[0], first[2]), (second[0], second[2]), strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert torch.equal(one[name], other[name]), name
    assert first[1] == second[1]
    assert len(first[1]) == 4


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["st", "bayes", "trajectory"])
@pytest.mark.parametrize("step", [20, 27])
def test_an_exception_and_a_resume_change_nothing(rule, step, unbroken, tmp_path):
    with pytest.raises(RuntimeError, match="stopped"):
        train(rule, tmp_path, Stop(step))
    resumed = train(rule, tmp_path)
    assert_same(unbroken(rule), resumed)


@pytest.mark.slow
def test_a_killed_process_and_a_resume_change_nothing(unbroken, tmp_path):
    kill_and_resume(unbroken, tmp_path)


@pytest.mark.repeated
@pytest.mark.parametrize("time", range(20))
def test_so_does_none_of_twenty(time, unbroken, tmp_path):
    kill_and_resume(unbroken, tmp_path)


def kill_and_resume(unbroken, tmp_path):
    program = Path(__file__).with_name("training.py")
    killed = commands.run([program, "bayes", tmp_path])
    assert killed.returncode == -9, killed.stderr
    assert (tmp_path / "last.ckpt").exists()
    print("killed at step", killed.stdout)
    assert_same(unbroken("bayes"), train("bayes", tmp_path))


def test_the_draws_and_the_logged_values_are_part_of_what_is_compared(unbroken):
    state, logged, answers = unbroken("bayes")
    draws = [value for name, value in state.items() if name.endswith("weight_draw")]
    assert len(draws) == 2
    assert all(int(draw[1]) >= 40 for draw in draws)  # counters: one draw a step
    assert logged[0] != logged[-1]
    assert not torch.equal(answers["mode"], answers["ensemble"])
