"""Softmax and its cross entropy by CUDA on the emulated device, against PyTorch's formulas."""

import ml_dtypes
import numpy as np
import pytest
from emulated_device import EmulatedDevice, available
from scipy import special
from tensorgraph_cupy.kernels import loss
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.kernels.reduce import new_workspace

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")
RANDOM = np.random.default_rng(0)
SHAPES = [(5,), (1, 1), (7, 10), (300, 3), (4, 100), (3, 5, 4, 6), (2, 33, 7), (0, 4)]


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def arrays(request):
    return Arrays(np, EmulatedDevice(backwards=request.param))


def reference(x, labels, ignored, reduction, g):
    """Loss and gradient in float64: minus the log of softmax at each label, and its derivative."""
    axis = min(x.ndim - 1, 1)
    x = np.moveaxis(x.astype(np.float64), axis, -1)
    scores = special.log_softmax(x, axis=-1) if x.size else x
    classes = x.shape[-1]
    counted, known = labels != ignored, (labels >= 0) & (labels < classes)
    one_hot = np.eye(classes)[np.where(known, labels, 0)]
    each = np.where(counted, np.where(known, -(scores * one_hot).sum(-1), np.nan), 0)
    share = np.where(counted & known, g, 0)
    if reduction == "mean":
        share = share / max(1, counted.sum())
    gradient = np.moveaxis((np.exp(scores) - one_hot) * share[..., None], -1, axis)
    if reduction == "none":
        return each, gradient
    total = each.sum()
    with np.errstate(invalid="ignore"):
        return (total / counted.sum() if reduction == "mean" else total), gradient


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_loss_and_gradient(arrays, shape, reduction, monkeypatch):
    axis = min(len(shape) - 1, 1)
    x = RANDOM.standard_normal(shape).astype(np.float32) * 5
    places = shape[:axis] + shape[axis + 1 :]
    labels = np.asarray(RANDOM.integers(0, shape[axis], places))
    strange = labels.copy()
    strange.ravel()[:3] = [-100, -100, shape[axis]][: labels.size]
    for given in (labels, strange, np.full_like(labels, -100)):
        for many in (8192, 0):  # labels are counted by each block, or before
            monkeypatch.setattr(loss, "MANY_LABELS", many)
            g = np.float32(RANDOM.standard_normal(places if reduction == "none" else ()))
            options = {"ignore_index": -100, "reduction": reduction}
            wanted = reference(x, given, -100, reduction, g)
            found = (
                loss.label_cross_entropy(arrays, x, given, **options),
                loss.label_cross_entropy_input(arrays, np.asarray(g), x, given, **options),
            )
            for value, want in zip(found, wanted):
                assert value.shape == want.shape
                np.testing.assert_allclose(value, want, 2e-5, 1e-5)


@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) > 1], ids=str)
def test_softmax(arrays, shape):
    x = RANDOM.standard_normal(shape).astype(np.float32) * 5
    for axis in {1, len(shape) - 1}:
        if x.size:
            want = special.softmax(x.astype(np.float64), axis=axis)
            np.testing.assert_allclose(loss.softmax_array(arrays, x, axis=axis), want, 1e-5)
            found = loss.log_softmax_array(arrays, x, axis=axis)
            np.testing.assert_allclose(found, np.log(want), 1e-5, 1e-5)


def test_loss_and_gradient_in_one_launch_of_bfloat16():
    device = EmulatedDevice()
    x = (RANDOM.standard_normal((130, 10)) * 5).astype(ml_dtypes.bfloat16)
    labels = RANDOM.integers(0, 10, 130)
    memories = [device.put(x), device.put(labels), device.put(np.float32([2]))]
    workspace = new_workspace(device)
    total, gradient = device.allocate(4), device.allocate(x.nbytes)
    loss.label_loss(
        device,
        "bfloat16",
        (130, 10),
        memories[0].address,
        memories[1].address,
        ignore_index=-100,
        reduction="mean",
        workspace=workspace.address,
        losses=total.address,
        g=memories[2].address,
        gradient=gradient.address,
    )
    assert [name for name, _, _ in device.machine.launches] == ["label_loss"]
    want, wanted = reference(x.astype(np.float32), labels, -100, "mean", 2.0)
    np.testing.assert_allclose(device.get(total, (), np.float32), want, 1e-5)
    found = device.get(gradient, x.shape, x.dtype).astype(np.float32)
    np.testing.assert_allclose(found, wanted, 2**-8, 1e-7)
