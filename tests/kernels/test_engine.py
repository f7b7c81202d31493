import os
import subprocess
import sys

import pytest
import torch

from snntorch_binary.kernels import engine, use_engine


def test_engine_is_checked():
    with pytest.raises(ValueError, match="Expected argument `engine` to be one of"), use_engine("cuda"):
        pass


def test_engine_is_restored_after_an_error():
    with pytest.raises(RuntimeError, match="stop"), use_engine("torch"):
        raise RuntimeError("stop")
    assert engine._chosen == "numba"


def test_missing_numba_has_a_sentence(monkeypatch):
    monkeypatch.setattr(engine, "_numba_is_installed", lambda: False)
    assert engine.compiled("noise") is None
    with pytest.raises(ImportError, match=r"pip install .snntorch-binary\[fast\]"), use_engine("numba"):
        pass


def test_numba_that_cannot_be_imported_leaves_plain_torch(monkeypatch):
    def fail(name):
        raise ImportError("Numba needs NumPy 2.2 or less")

    monkeypatch.setattr(engine.importlib, "import_module", fail)
    engine._load.cache_clear()
    engine._say_once.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r"plain torch computes instead \(ImportError: Numba needs NumPy"):
            assert engine.compiled("noise") is None
        assert engine.compiled("bernoulli") is None  # said once
    finally:
        engine._load.cache_clear()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(4, dtype=torch.float64),
        torch.zeros(4, dtype=torch.bfloat16),
        torch.zeros(4, 4).T[1:],
        torch.zeros(4, device="meta"),
    ],
    ids=["double", "bfloat16", "strided", "meta"],
)
def test_tensors_that_kernels_do_not_take(tensor):
    assert engine.compiled("noise", torch.zeros(3), tensor) is None


@pytest.mark.slow
def test_compilation_is_announced_once_a_machine(tmp_path):
    pytest.importorskip("numba")
    code = (
        "import torch; from snntorch_binary.kernels.noise import uniform; "
        "print(uniform(torch.Size([3]), 5, torch.device('cpu')).tolist())"
    )
    run = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    ]
    assert "snntorch_binary compiles kernels.compiled.noise.uniform (once)" in run[0].stderr
    assert run[1].stderr == ""
    assert run[0].stdout == run[1].stdout
