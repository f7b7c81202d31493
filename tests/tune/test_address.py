"""Where no Ray cluster is, the answer comes at once and is one sentence."""

import os
import socket
import time

import commands
import pytest

pytest.importorskip("ray.tune", reason="Ray is not installed")

from snntorch_binary.tune import Resources, ray_started
from snntorch_binary.tune.address import check_address


@pytest.fixture
def closed():
    """An address of this machine where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{probe.getsockname()[1]}"


def test_nothing_listens(closed):
    begin = time.monotonic()
    message = f"`address` to be the address of a Ray cluster .*refused.*, but got '{closed}'"
    with pytest.raises(ValueError, match=message), ray_started(Resources(address=closed)):
        pass
    assert time.monotonic() - begin < 10


def test_the_command_prints_that_sentence_alone(closed, tmp_path):
    """In a process of its own: Ray logs past Python's standard error."""
    command = ["-m", "snntorch_binary", "tune", "toy-quadratic", "--address", closed, "--out", tmp_path / "out"]
    done = commands.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=100)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "snntorch-binary: error: Expected argument `address` to be the address of a Ray cluster"
    )
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_listens_is_left_to_ray_which_asks_it_once(monkeypatch):
    """Ray asks so often as this variable says; 20 times otherwise, of 40 seconds each."""

    def init(address, **_):
        variables = dict(os.environ)
        raise ConnectionError(f"asked {variables['RAY_gcs_server_port_wait_time_s']} time")

    monkeypatch.setattr("ray.init", init)
    with socket.create_server(("", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        with pytest.raises(ValueError, match=r"\(asked 1 time\)"), ray_started(Resources(address=address)):
            pass


@pytest.mark.parametrize("address", ["10.0.0.1:x", "localhost:99999", "1:2:3:4", "10.0.0.1", ":6379", "", "local"])
def test_what_is_no_address(address, caplog):
    with pytest.raises(ValueError, match=f"`address` to be .* of a Ray cluster .*, but got '{address}'"):
        check_address(address)
    assert not caplog.records


@pytest.mark.parametrize("address", ["auto", "ray://10.0.0.1:10001"])
def test_other_forms_are_left_to_ray(address):
    check_address(address)
