"""What precision "strict" promises: sums with the errors of their own terms, and no others."""

import numpy as np
import pytest

import tensorgraph as tg

pytest.importorskip("numba")
from tensorgraph_numba import vector

torch = pytest.importorskip("torch")

if vector.why_not():
    pytest.skip(vector.why_not(), allow_module_level=True)

SHAPE = (8, 32, 32, 16, 16)  # samples, channels, filters, height, width: tiles pay, of 4x4 outputs
OPS = {"conv", "conv_input", "conv_weight"}


@pytest.fixture(autouse=True)
def compiled_at_once(monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")


@tg.compile
def step(x, w, g):
    y = tg.ops.conv(x, w, padding=1)
    return [y.detach(), *tg.grad(y, [x, w], g)]


def ops():
    """Those of the plan that was made last."""
    outline = step.plan.outline()
    return {call.op.name for task in outline.tasks for call in task.calls}


def results(x, w, g):
    leaves = (tg.tensor(a, requires_grad=True) for a in (x, w))
    return [a.numpy() for a in step(*leaves, tg.tensor(g))]


def problem(bright=1.0):
    """Arrays for the step; one pixel of one image is as bright."""
    n, channels, filters, height, width = SHAPE
    draw = np.random.default_rng(0).standard_normal
    x, w, g = draw((n, channels, height, width)), draw((filters, channels, 3, 3)), None
    g = draw((n, filters, height, width))
    x[1, 0, 5, 6] = g[1, 0, 5, 6] = bright
    return [a.astype("float32") for a in (x, w, g)]


def in_float64(x, w, g):
    """PyTorch's convolution and both of its gradients."""
    x, w, g = (torch.from_numpy(a.astype("float64")) for a in (x, w, g))
    x.requires_grad, w.requires_grad = True, True
    y = torch.nn.functional.conv2d(x, w, padding=1)
    return [a.detach().numpy() for a in (y, *torch.autograd.grad(y, [x, w], g))]


def errors_against_their_terms(given):
    """The largest errors of the three results, each as a part of the most that a sum of its terms
    in any order can have: their number times half an epsilon times the sum of their magnitudes."""
    n, channels, filters, height, width = SHAPE
    counts = (9 * channels, 9 * filters, n * height * width)
    most = in_float64(*map(np.abs, given))
    return [
        (np.abs(found - want) / (count * np.finfo("float32").eps / 2 * bound)).max()
        for found, want, bound, count in zip(
            results(*given), in_float64(*given), most, counts, strict=True
        )
    ]


def test_strict_sums_have_the_errors_of_their_terms():
    given = problem(bright=1e6)
    with tg.use(precision="strict"):
        assert max(errors_against_their_terms(given)) < 1
        assert ops() >= OPS
        assert not any(name.startswith("winograd") for name in ops())
    spread = errors_against_their_terms(given)
    assert {name for name in ops() if name.startswith("winograd")}
    assert min(spread[:2]) > 10, "tiles spread the error of a large value: the test sees it"


def test_an_infinite_pixel_reaches_nine_outputs():
    x, w, g = problem(bright=np.inf)
    g = np.ones_like(g)
    with tg.use(precision="strict"):
        y, _, _ = results(x, w, g)
    assert np.argwhere(~np.isfinite(y).all((0, 1))).tolist() == [
        [i, j] for i in (4, 5, 6) for j in (5, 6, 7)
    ]


def test_usual_numbers():
    """Tiles of 4x4 outputs cost a factor of about 2 on these, as kernels/winograd.py tells."""
    given = problem()
    want = in_float64(*given)

    def error(found):
        return np.sqrt(np.mean([((a - b) ** 2).mean() / (b**2).mean() for a, b in found]))

    with tg.use(precision="strict"):
        strict = error(zip(results(*given), want, strict=True))
    assert strict < error(zip(results(*given), want, strict=True)) / 1.5


def test_another_precision_is_another_plan():
    small = tg.compile(lambda x: x + 1.0)
    counts = []
    for precision in ("default", "strict", "default", "strict"):
        with tg.use(precision=precision):
            small(tg.tensor([1.0]))
        counts.append(len(small.plans))
    assert counts == [1, 2, 2, 2]
