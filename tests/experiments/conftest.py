import commands
import pytest

from snntorch_binary import _processes


@pytest.fixture(autouse=True, scope="session")
def one_job():
    """On a machine of many cores, too, runs are trained in this process unless a test says otherwise."""
    pytest.importorskip("snntorch_binary.experiments.runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_processes, "default_jobs", lambda: 1)
        patch.setattr(_processes, "IMPORTED", commands.IMPORTED)  # the first that asks says so for the whole process
        yield


@pytest.fixture(autouse=True)
def drawn_where_asked(request):
    """A picture is drawn where a test looks at it, and in what a module makes for all of its tests."""
    if not request.node.get_closest_marker("drawn"):
        request.getfixturevalue("undrawn")


@pytest.fixture
def real_data(real_data):
    """The folder of real data sets as a word of a command."""
    return str(real_data)
