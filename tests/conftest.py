"""Fixtures for every test: the backends that are available here, and settings as they were."""

from pathlib import Path

import pytest
from tensorgraph_numpy import threads
from tensorgraph_numpy.plan import blocks, pieces, runner, schedule
from training_help import command

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.backend import imported
from tensorgraph.errors import BackendError

BACKENDS = [*tg.plugins.backends]  # a stranger's too, where one is installed
COMPILERS = ["interpreter", "chunked", "numba"]  # of backend "numpy"


def pytest_collection_modifyitems(items):
    """Tests that are skipped without PyTorch are those that ``-m peers`` selects."""
    for item in items:
        reasons = [mark.kwargs.get("reason", "") for mark in item.iter_markers("skipif")]
        if any("extra peers" in reason for reason in reasons):
            item.add_marker("peers")


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each registered backend in turn, in force for the test; skipped where it is not available."""
    try:
        scope = tg.use(backend=request.param)
    except BackendError as error:
        if request.param == "numpy":
            raise
        pytest.skip(str(error))
    with scope:
        yield tg.config.get_backend(request.param)


@pytest.fixture(params=COMPILERS)
def compiler(request, monkeypatch):
    """The name of each compiler in turn, which is the only one: "interpreter" is none."""
    name, offered = request.param, tg.plugins.compilers
    if name == "numba":
        pytest.importorskip("numba")
        monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    only = [] if name == "interpreter" else [imported(offered[f"numpy/{name}"][1], name)]
    monkeypatch.setattr(tg.plugins, "compilers_for", lambda backend: only)
    return name


@pytest.fixture(autouse=True)
def settings_as_before():
    """No test leaves a setting or a seed behind."""
    state = config.random_state()
    with config.Scope():
        yield
    config.set_random_state(state)


@pytest.fixture
def said(capsys):
    """Runs a command that fails; its message. Nothing may be left behind."""

    def run(*arguments):
        before = sorted(Path().rglob("*"))
        assert command(*arguments) == 2
        out, error = capsys.readouterr()
        assert error.startswith("tensorgraph: ")
        assert "Traceback" not in error + out
        assert sorted(Path().rglob("*")) == before, "something was written"
        return error

    return run


@pytest.fixture
def numpy_alone(monkeypatch):
    """NumPy's compiler is asked, whatever others are installed."""
    monkeypatch.setattr(tg.plugins, "compilers_for", lambda backend: [runner.compile_program])


@pytest.fixture
def small_pieces(monkeypatch):
    """Even the smallest work is taken in pieces, of a few samples, and shared among threads."""
    monkeypatch.setattr(threads, "WORTH_SHARING", 0.0)
    monkeypatch.setattr(schedule, "WORTH_PIECES", 0.0)
    monkeypatch.setattr(pieces, "FEWEST", 1)
    monkeypatch.setattr(pieces, "MOST", 2)
    monkeypatch.setattr(blocks, "LARGE", 2)
    monkeypatch.setattr(blocks, "BLOCK", 5)
    monkeypatch.setattr(blocks, "WORTH_SHARING", 0)
