"""What every backend must keep to, whatever array library is behind it; and a backend of a test."""

import sys

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.backend import ABSTRACT, Kernel
from tensorgraph.discovery import Plugins
from tensorgraph.errors import BackendError

DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


class Exporter:
    """An array that is known only by DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def dtype_of(array):
    """Its name, before which some libraries put their own."""
    return str(array.dtype).split(".")[-1]


def test_it_has_the_parts_of_the_protocol(backend):
    assert backend.name == config.get_backend().name
    assert all(isinstance(kernel, Kernel) for kernel in backend.kernels)
    names = [(kernel.op, kernel.name) for kernel in backend.kernels]
    assert len(names) == len(set(names)), "a kernel is pinned by its name"
    assert {op for op, _ in names} <= tg.Op.declared.keys()
    assert "portable" not in {name for _, name in names}
    backend.synchronize()


@pytest.mark.parametrize("dtype", [*DTYPES, "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 1, 4)])
def test_arrays_make_the_round_trip(backend, dtype, shape):
    given = np.arange(np.prod(shape), dtype="float64").reshape(shape).astype(dtype)
    for wanted in (None, dtype):
        array = backend.asarray(given, wanted)
        host = backend.to_host(array)
        assert (tuple(array.shape), dtype_of(array)) == (shape, dtype)
        assert isinstance(host, np.ndarray)
        np.testing.assert_array_equal(host, given)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [(2, "int64"), (2.5, "float32"), ([[1, 2], [3, 4]], "uint32"), ((1.5, 2), "float64")],
)
def test_numbers_and_sequences(backend, data, dtype):
    array = backend.asarray(data, dtype)
    assert dtype_of(array) == dtype
    np.testing.assert_array_equal(backend.to_host(array), np.array(data, dtype))


def test_dlpack(backend):
    given = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(backend.to_host(backend.asarray(Exporter(given), None)), given)
    other = backend.asarray(Exporter(backend.asarray(given, None)), "float32")
    np.testing.assert_array_equal(backend.to_host(other), given)


def test_an_array_is_always_a_new_one(backend):
    given = np.zeros(3, "float32")
    of_given = backend.asarray(given, None)
    again = backend.asarray(of_given, "float32")
    by_dlpack = backend.asarray(Exporter(given), None)
    given += 1
    of_given += 2
    assert backend.to_host(of_given).tolist() == [2, 2, 2]
    assert backend.to_host(again).tolist() == [0, 0, 0]
    assert backend.to_host(by_dlpack).tolist() == [0, 0, 0]


def test_kernels_agree_with_the_portable_ones(backend):
    """Each kernel of the backend on one input; the conformance suite has the many."""
    random = np.random.default_rng(0)
    x, w = random.standard_normal((2, 3, 8, 8)), random.standard_normal((4, 3, 3, 3))
    pinned = {kernel.op: "portable" for kernel in backend.kernels}

    def compute():
        a, b = tg.tensor(x, requires_grad=True), tg.tensor(w, requires_grad=True)
        y = tg.ops.max_pool(tg.ops.conv(a, b, padding=1), kernel_size=2)
        (y * y).sum().backward()
        return [t.numpy() for t in (y, a.grad, b.grad)]

    own = compute()
    with tg.use(kernels=pinned):
        plain = compute()
    for a, b in zip(own, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


class Counting:
    """NumPy again, under another name, which counts what it is asked for."""

    name = "counting"
    xp = np

    def __init__(self):
        self.calls = []
        self.kernels = [Kernel("negative", "counted", self.negative)]

    def negative(self, x):
        self.calls.append("negative")
        return -x

    def asarray(self, data, dtype):
        self.calls.append("asarray")
        return np.array(data, dtype)

    def to_host(self, array):
        self.calls.append("to_host")
        return array

    def synchronize(self):
        self.calls.append("synchronize")


@pytest.fixture
def counting(monkeypatch):
    """A stranger's backend beside NumPy's."""
    plugins = Plugins()
    made = []

    class Stranger:
        @tg.hookimpl
        def register_backends(self, register):
            register("counting", lambda: made.append(Counting()) or made[-1])

    numpy = config.get_backend("numpy")
    plugins.register(sys.modules[type(numpy).__module__.split(".")[0]], "numpy")
    monkeypatch.setattr(plugins, "_backends", {"numpy": numpy})
    plugins.register(Stranger(), "stranger")
    monkeypatch.setattr(config, "PLUGINS", plugins)
    assert not made, "a backend is made on first use"
    with tg.use(backend="counting"):
        yield plugins.backend("counting")
    assert len(made) == 1, "and once"


def test_a_strangers_backend_runs_the_engine(counting):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (-x) * x
    y.sum().backward()
    assert x.grad.numpy().tolist() == [-2, -4]
    assert counting.calls.count("negative") >= 1, "its own kernel, else the portable ones"
    assert x.grad.backend is counting
    assert tg.ops.uniform((2,)).backend is counting


def test_backends_do_not_mix(counting):
    x, y = tg.tensor([1.0]), tg.tensor([1.0], backend="numpy")
    with pytest.raises(BackendError) as caught:
        x + y
    assert str(caught.value) == (
        "add: tensors of several backends: float32[1] on counting, float32[1] on numpy; move them "
        "to one: tg.tensor(x, backend='counting')"
    )
    assert (x + tg.tensor(y, backend="counting")).item() == 2
    assert tg.tensor(y).backend is counting, "a tensor is moved to the backend in force"


def test_numbers_go_where_the_tensors_are(counting):
    y = tg.tensor([1.0], backend="numpy")
    assert (y + 1).backend is y.backend
    with tg.use(backend="numpy"):
        assert (tg.tensor([1.0], backend="counting") * 2.0).backend is counting


def test_tensors_without_values_have_no_host():
    x = tg.Tensor(None, ABSTRACT, tg.Spec((2, 3)))
    assert (x * 2.0).spec == tg.Spec((2, 3))
    with pytest.raises(BackendError, match="this tensor has no values: it stands for a spec"):
        x.numpy()
    assert ABSTRACT.synchronize() is None
