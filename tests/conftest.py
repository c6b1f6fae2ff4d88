"""Fixtures for every test: the backends that are available here, and settings as they were."""

import pytest

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.errors import BackendError

BACKENDS = ["numpy", "cupy"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each registered backend in turn, in force for the test; skipped where it is not available."""
    try:
        scope = tg.use(backend=request.param)
    except BackendError as error:
        pytest.skip(str(error))
    with scope:
        yield tg.config.get_backend(request.param)


@pytest.fixture(autouse=True)
def settings_as_before():
    """No test leaves a setting or a seed behind."""
    state = config.random_state()
    with config.Scope():
        yield
    config.set_random_state(state)
