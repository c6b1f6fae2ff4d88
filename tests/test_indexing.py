"""Indexing beyond single cases: random keys against NumPy and PyTorch, masks, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorgraph as tg
from tensorgraph.backend import ABSTRACT
from tensorgraph.errors import DtypeError, ShapeError


@st.composite
def shapes_and_keys(draw):
    """A shape and any key that NumPy knows for it."""
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    picked = draw(st.lists(st.integers(0, 3), max_size=2))  # the shape that arrays broadcast to
    key, axis = [], 0
    while axis < len(shape) and draw(st.integers(0, 5)):
        kind = draw(st.sampled_from(["slice", "int", "array", "list", "mask", "None"]))
        n = shape[axis]
        if kind == "None":
            key.append(None)
            continue
        if kind == "mask":
            # one True: an array of size 1, which broadcasts with every other
            wide = draw(st.integers(1, min(2, len(shape) - axis)))
            mask = np.zeros(shape[axis : axis + wide], bool)
            if mask.size and draw(st.booleans()):
                mask.ravel()[draw(st.integers(0, mask.size - 1))] = True
            if mask.any():
                key.append(mask if draw(st.booleans()) else mask.tolist())
                axis += wide
                continue
            kind = "slice"
        index = st.integers(-n, n - 1) if n else st.nothing()
        if kind == "slice" or not n:
            ends = st.none() | st.integers(-6, 6)
            step = draw(st.none() | st.integers(-3, 3).filter(bool))
            key.append(slice(draw(ends), draw(ends), step))
        elif kind == "int":
            key.append(draw(index))
        else:
            sizes = [m if draw(st.booleans()) else 1 for m in picked[draw(st.integers(0, 2)) :]]
            values = [draw(index) for _ in range(int(np.prod(sizes)))]
            array = np.array(values, np.int64).reshape(sizes)
            key.append(array.tolist() if kind == "list" and array.ndim and array.size else array)
        axis += 1
    if draw(st.booleans()):  # what is left over stands where the ellipsis is
        key.append(...)
    key = tuple(key)
    return shape, key[0] if len(key) == 1 and draw(st.booleans()) else key


@settings(max_examples=400, deadline=None)
@given(shapes_and_keys())
def test_every_key_picks_what_numpy_picks_and_its_gradient_puts_it_back(case):
    shape, key = case
    values = np.arange(np.prod(shape, dtype=int), dtype=np.float64).reshape(shape)
    x = tg.tensor(values, requires_grad=True)
    want = values[key]
    out = x[key]
    assert out.shape == out.numpy().shape == np.shape(want)
    np.testing.assert_array_equal(out.numpy(), want)
    seed = np.random.default_rng(0).standard_normal(out.shape)
    out.backward(tg.tensor(seed))
    grad = np.zeros(shape)
    np.add.at(grad, key, seed)
    np.testing.assert_allclose(x.grad.numpy(), grad, rtol=1e-12)
    abstract = tg.Tensor(None, ABSTRACT, x.spec)
    assert abstract[key].spec == out.spec


@pytest.mark.parametrize("wrap", [np.asarray, tg.tensor, list], ids=["array", "tensor", "list"])
def test_indices_and_masks_may_be_arrays_tensors_or_lists(backend, wrap):
    x = tg.tensor(np.arange(12.0).reshape(3, 4))
    assert x[wrap([2, 0])].numpy().tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    assert x[wrap([True, False, True])].shape == (2, 4)
    assert x[:, wrap([True, False, True, True])].shape == (3, 3)
    assert x[np.int64(1), np.array(2)].item() == 6


def test_a_mask_that_was_computed(backend):
    x = tg.tensor([[1.0, -2.0], [-3.0, 4.0]], requires_grad=True)
    picked = x[x > 0]
    assert picked.numpy().tolist() == [1, 4]
    (picked * picked).sum().backward()
    assert x.grad.numpy().tolist() == [[2, 0], [0, 8]]


def test_the_gradient_of_repeated_rows_accumulates(backend):
    w = tg.tensor(np.zeros((4, 2)), requires_grad=True)
    words = tg.tensor([[0, 3, 3], [3, 0, 1]])
    tg.ops.embedding(words, w).sum().backward()
    assert w.grad.numpy().tolist() == [[2, 2], [1, 1], [0, 0], [3, 3]]


def test_the_graph_keeps_the_indices_and_not_what_they_pick_from(backend):
    x = tg.tensor(np.zeros((4, 2)), requires_grad=True)
    kept = x[[0, 1], None].node.saved
    assert kept[0] == tg.Spec((4, 2), "float64")
    assert kept[1].numpy().tolist() == [0, 1]


def test_a_slice_copies_nothing_on_numpy():
    x = tg.tensor(np.zeros((100, 100)))
    assert np.shares_memory(x[2:50, ::3].data, x.data)


def test_iterating_gives_rows(backend):
    assert [row.numpy().tolist() for row in tg.tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]


X = np.zeros((3, 4))
WRONG = [
    (lambda x: x[3], ShapeError, ["getitem", "index 3", "axis 0", "float64[3,4]", "3 elements"]),
    (lambda x: x[0, -5], ShapeError, ["index -5", "axis 1", "4 elements"]),
    (lambda x: x[:, [0, 4]], ShapeError, ["index 4", "axis 1", "float64[3,4]"]),
    (lambda x: x[tg.tensor([7])], ShapeError, ["getitem", "7", "[3, 4]"]),
    (lambda x: x[0, 0, 0], ShapeError, ["3 indices are too many", "float64[3,4]"]),
    (lambda x: x[..., 0, ...], ShapeError, ["one ellipsis is enough"]),
    (lambda x: x[::0], ValueError, ["step", "zero"]),
    (lambda x: x[[0, 1], [0, 1, 2]], ShapeError, ["cannot broadcast int64[2] with int64[3]"]),
    (lambda x: x[[True, False]], ShapeError, ["bool[2]", "from axis 0 on", "float64[3,4]"]),
    (lambda x: x[True], DtypeError, ["True is no index", "integers, slices"]),
    (lambda x: x[1.0], DtypeError, ["1.0 is no index"]),
    (lambda x: x["a"], DtypeError, ["'a' is no index"]),
    (lambda x: x[[0.5]], DtypeError, ["float64[1]", "cast"]),
    (lambda x: x[tg.tensor([0.5])], DtypeError, ["float32[1]", "tg.ops.cast"]),
    (lambda x: tg.ops.take(x, [0], axis=2), ShapeError, ["take", "axis 2", "float64[3,4]"]),
    (lambda x: tg.ops.take(x, [3], axis=0), ShapeError, ["index 3", "axis 0"]),
    (lambda x: tg.ops.flip(x, axis=-3), ShapeError, ["flip", "axis -3"]),
    (lambda x: tg.ops.split(x, 2), ShapeError, ["split", "axis 0", "2 equal parts"]),
    (lambda x: tg.ops.split(x, 0), ShapeError, ["split", "0 equal parts", "give the indices"]),
    (lambda x: tg.ops.one_hot(x, num_classes=3), DtypeError, ["one_hot", "float64[3,4]", "cast"]),
    (
        lambda x: tg.ops.take_along_axis(x, tg.tensor([0]), axis=0),
        ShapeError,
        ["take_along_axis", "int64[1]", "float64[3,4]"],
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), WRONG)
def test_errors_name_the_values_and_the_way_out(call, error, words):
    with pytest.raises(error) as caught:
        call(tg.tensor(X))
    for word in words:
        assert word in str(caught.value)


def test_a_mask_without_values_cannot_say_how_many_it_picks():
    x = tg.Tensor(None, ABSTRACT, tg.Spec((3, 4)))
    with pytest.raises(ShapeError) as caught:
        x[x > 0]
    for word in ("mask bool[3,4]", "float32[3,4]", "depends on its values", "tg.ops.where"):
        assert word in str(caught.value)
    assert x[np.eye(3, 4) > 0].shape == (3,)


def test_writing_into_a_tensor_says_how_else():
    with pytest.raises(RuntimeError, match=r"tg\.ops\.where"):
        tg.tensor(X)[0] = 1.0
