"""What the tests of packed inference share."""

import pytest

from snntorch_binary.kernels import use_engine


@pytest.fixture(params=["numba", "torch"])
def engine(request):
    """Every test that asks for it runs on the compiled kernels and on plain torch."""
    if request.param == "numba":
        pytest.importorskip("numba")
    with use_engine(request.param):
        yield request.param
