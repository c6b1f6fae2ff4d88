"""Tensors: making them, reading them, mixing them, and what is refused."""

import copy
import pickle

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.errors import BackendError, DtypeError, GradientError


class OtherBackend:
    """A second backend that is here on every machine: NumPy under another name."""

    name = "other"
    xp = np
    kernels = ()

    def asarray(self, data, dtype):
        return np.array(data, dtype)

    def to_host(self, array):
        return array

    def synchronize(self):
        pass


def test_lists_take_the_default_dtype_and_arrays_keep_theirs():
    assert tg.tensor([[1.0, 2.0]]).dtype == "float32"
    assert tg.tensor([1, 2]).dtype == "int64"
    assert tg.tensor([True, False]).dtype == "bool"
    assert tg.tensor([1, 2.5]).dtype == "float32"
    assert tg.tensor(np.zeros(2)).dtype == "float64"
    assert tg.tensor([1.0], dtype="float64").dtype == "float64"
    with tg.use(dtype="float64"):
        assert tg.tensor([1.0]).dtype == "float64"


def test_a_tensor_shares_no_memory_with_its_source_or_its_copies():
    source = np.ones(3)
    x = tg.tensor(source)
    source[0] = 7
    x.numpy()[1] = 7
    np.testing.assert_array_equal(x.numpy(), [1, 1, 1])


def test_bytes_in_the_other_order_are_turned():
    x = tg.tensor(np.array([1.0, 2.0], ">f4")) + tg.tensor([1.0, 2.0])
    assert x.dtype == "float32" and x.numpy().tolist() == [2, 4]


def test_dlpack_in_and_out():
    class Exporter:
        """An array library that speaks only DLPack."""

        array = np.arange(3.0)

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    np.testing.assert_array_equal(tg.tensor(Exporter()).numpy(), [0, 1, 2])
    np.testing.assert_array_equal(np.from_dlpack(tg.tensor([1.0, 2.0])), [1, 2])


def test_numbers_take_the_dtype_of_the_tensor_they_meet():
    x = tg.tensor([1.0], dtype="float64")
    assert (x + 1).dtype == (2.0 * x).dtype == (1 / x).dtype == "float64"
    assert (x + np.float32(1)).dtype == "float64"
    assert (np.float64(2) * tg.tensor([1.0])).dtype == "float32"
    assert (tg.tensor([1]) + 1).dtype == "int64"


def test_operators_are_numpys():
    a, b = np.array([[1.0, -2.0], [3.0, 4.0]]), np.array([2.0, 0.5])
    x, y = tg.tensor(a), tg.tensor(b)
    pairs = [
        (x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b), (2 - x, 2 - a),
        (1 / y, 1 / b), (y**2.0, b**2), (2.0**y, 2**b), (-x, -a), (abs(x), abs(a)),
        (x < y, a < b), (x <= y, a <= b), (x > y, a > b), (x >= y, a >= b), (x == y, a == b),
        (x != y, a != b), (~(x > 0), ~(a > 0)), ((x > 0) & (y > 1), (a > 0) & (b > 1)),
        ((x > 0) | (y > 1), (a > 0) | (b > 1)), (x.T, a.T), (x @ y, a @ b), (x[0, 1:], a[0, 1:]),
        (x.sum(0), a.sum(0)), (x.mean(1, True), a.mean(1, keepdims=True)),
        (x.reshape(4), a.reshape(4)), (x.reshape((4, 1)), a.reshape((4, 1))),
    ]  # fmt: skip
    for ours, want in pairs:
        np.testing.assert_allclose(ours.numpy(), want)
    assert [row.numpy().tolist() for row in x] == a.tolist() and len(x) == 2
    assert np.asarray(x, "float32").dtype == np.float32
    assert (float(y[0]), int(y[0]), bool(y[0] > 1)) == (2.0, 2, True)


@pytest.mark.parametrize(
    ("mistake", "error", "message"),
    [
        (
            lambda: tg.tensor([1.0]) + tg.tensor([1.0], dtype="float64"),
            DtypeError,
            r"add: dtypes differ: float32\[1\] and float64\[1\]; cast one: tg.ops.cast",
        ),
        (lambda: tg.tensor([1]) + 0.5, DtypeError, "add: the number 0.5 does not fit int64; cast"),
        (
            lambda: tg.tensor([1.0]) + "1",
            TypeError,
            "add: takes tensors and Python numbers, not str",
        ),
        (
            lambda: np.ones(3) * tg.tensor([1.0]),
            TypeError,
            "multiply: takes tensors and Python numbers, not ndarray; wrap it",
        ),
        (lambda: tg.tensor([1.0, 2.0]).item(), DtypeError, r"item: float32\[2\] has 2 elements"),
        (lambda: bool(tg.tensor([1.0, 2.0])), DtypeError, r"ambiguous; use tg.ops.any"),
        (lambda: len(tg.tensor(1.0)), TypeError, "no length"),
        (
            lambda: tg.ops.sum(tg.tensor([1.0]), axes=0),
            TypeError,
            "sum: no parameter 'axes'; it has axis, keepdims",
        ),
        (
            lambda: tg.tensor([1.0, 2.0]) + tg.tensor([1.0, 2.0, 3.0]),
            ValueError,
            r"add: cannot broadcast float32\[2\] with float32\[3\]",
        ),
        (lambda: tg.tensor(["1"]), DtypeError, r"tensor: <U1\[1\] is none of bool, int8.*numbers"),
        (lambda: tg.tensor([1j]), DtypeError, r"tensor: complex128\[1\] is none of"),
        (lambda: tg.tensor(None), DtypeError, r"tensor: object\[\] is none of"),
        (lambda: tg.tensor([1], requires_grad=True), GradientError, "only floating-point tensors"),
    ],
)
def test_mistakes_are_named_with_their_values_and_the_way_out(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


def test_a_tensor_is_not_written_in_place():
    x = tg.tensor([1.0, 2.0])
    with pytest.raises(GradientError, match=r"cannot be written in place.*tg.ops.where"):
        x[0] = 3.0
    x.assign(tg.tensor([5.0, 6.0]))
    assert x.numpy().tolist() == [5, 6]
    with pytest.raises(DtypeError, match=r"assign: float32\[3\] does not fit float32\[2\]"):
        x.assign(tg.tensor([1.0, 2.0, 3.0]))
    y = tg.tensor([1.0], requires_grad=True) * 2
    with pytest.raises(GradientError, match="made by op 'multiply' and its graph needs it"):
        y.assign(tg.tensor([1.0]))


def test_backends_do_not_mix():
    other = OtherBackend()
    x, y = tg.tensor([1.0]), tg.Tensor(np.ones(1, "float32"), other, tg.Spec((1,)))
    with pytest.raises(
        BackendError, match=r"add: .*on numpy.*on other; move them to one: tg.tensor"
    ):
        x + y
    with pytest.raises(BackendError, match="assign: tensors of several backends"):
        x.assign(y)


def test_a_shape_only_tensor_has_no_values_but_every_shape():
    x = tg.Tensor(None, tg.backend.ABSTRACT, tg.Spec((2, 3)))
    out = tg.ops.exp(x + 1) @ tg.tensor(np.ones((3, 4), "float32"))
    assert out.spec == tg.Spec((2, 4)) and "abstract" in repr(out)
    with pytest.raises(BackendError, match="this tensor has no values"):
        out.numpy()


def test_a_number_is_formatted_as_one():
    assert f"{tg.tensor(1.23456):.2f} {tg.tensor([2]):03d}" == "1.23 002"
    assert f"{tg.tensor([1.0, 2.0])}" == "Tensor([1. 2.], float32[2], numpy)"


def test_repr_shows_values_and_where_they_live():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "Tensor([1. 2.], float32[2], numpy)"
    assert repr(x * 2) == "Tensor([2. 4.], float32[2], numpy, op=multiply)"


def test_a_copy_works_with_the_tensors_here_and_a_pickle_is_refused():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    twin, values = copy.deepcopy([x, x * 2])
    (twin * x).sum().backward()
    assert twin.grad.numpy().tolist() == x.grad.numpy().tolist() == [1, 2]
    assert values.numpy().tolist() == [2, 4] and not values.requires_grad
    with pytest.raises(TypeError, match=r"is not pickled: its graph and backend stay here"):
        pickle.dumps(x)
    with pytest.raises(TypeError, match=r"is not pickled"):
        copy.copy(x)


def test_a_number_of_numpy_is_a_number():
    assert (tg.tensor([True, False]) & np.bool_(True)).numpy().tolist() == [True, False]
    assert (tg.tensor([1.0]) * np.array(2.0)).spec == tg.Spec((1,), "float32")
    scalar = tg.tensor(2.0) * 2  # NumPy's functions return scalars, which export nothing
    assert np.from_dlpack(scalar) == 4


def test_what_a_call_says_does_not_depend_on_the_calls_before():
    x = tg.tensor(np.ones((1, 1, 4, 4), "float32"))
    for call in (lambda k: tg.ops.max_pool(x, kernel_size=k), lambda k: tg.ops.sum(x, axis=k)):
        assert call(2).ndim > 2
        with pytest.raises(TypeError):
            call(2.0)


def test_reshape_takes_sizes_or_one_shape():
    x = tg.tensor([[1, 2, 3], [4, 5, 6]])
    for shape in ((3, 2), ((3, 2),), ([3, 2],), (3, -1), ((-1, 2),)):
        assert x.reshape(*shape).shape == (3, 2)
    assert x.reshape(-1).shape == x.reshape((6,)).shape == (6,)
    assert x[0, :1].reshape().shape == x[0, :1].reshape(()).shape == ()


def test_a_parameter_without_its_name():
    with pytest.raises(TypeError, match=r"reshape: takes tensors .* or name the parameter that"):
        tg.ops.reshape(tg.tensor([1.0]), (1, 1))
    says = r"softmax: no parameter is given without its name; it has axis and takes 1 tensors by"
    with pytest.raises(TypeError, match=says):
        tg.ops.softmax(tg.tensor([[1.0, 2.0]]), 1)
