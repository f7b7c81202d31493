import pytest

from snntorch_binary.plots import style


@pytest.fixture
def figures(monkeypatch):
    """The figures drawn, instead of files."""
    drawn = []
    monkeypatch.setattr(style, "write", lambda figure, path: drawn.append(figure))
    return drawn
