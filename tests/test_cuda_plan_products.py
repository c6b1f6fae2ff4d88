"""What the products of a compiled step do besides, on the emulated device: biases, ReLU and its
mask, the gradients of biases; and what is done where the library has no algorithm for that."""

import numpy as np
import pytest
from cublaslt_double import CublasltDouble, RealDescriptors
from cuda_libraries import opened
from cuda_training import ADAM, WORKLOADS, Training
from emulated_backend import EmulatedBackend, WatchfulDevice
from emulated_device import available
from tensorgraph_cupy.kernels import conv, matmul
from tensorgraph_cupy.lib import choices, loading
from tensorgraph_cupy.lib.cublaslt import EPILOGUES, Cublaslt
from tensorgraph_cupy.plan import stems
from test_cuda_plan import check_memory, emulated  # noqa: F401

import tensorgraph as tg
from tensorgraph import execute

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")


def layers3(classes):
    layers, relu = tg.layers, tg.activations.relu
    return layers.sequential(
        layers.flatten(),
        layers.linear(64),
        relu,
        layers.linear(32),
        relu,
        layers.linear(classes),
    )


MLP = (layers3, (1, 6, 6), *ADAM)


def done(runner):
    """The ops of each task, in order."""
    tasks = runner.planner.tasks
    return [
        " ".join(c.op.name for c in t.calls) if "chain" not in t.name else t.name for t in tasks
    ]


def trained(workload, precision="default"):
    with tg.use(backend="numpy"):
        eager = Training(*workload, compiled=False)
        losses = eager.run(4)
    with tg.use(backend="cupy", precision=precision):
        ours = Training(*workload, compiled=True)
        got = ours.run(4)
    check_memory(ours.step.plan.runner)
    exact = precision == "default"
    np.testing.assert_allclose(got, losses, rtol=2e-5 if exact else 2e-2)
    for name, want in eager.weights().items():
        found = ours.weights()[name]
        if exact:  # where a gradient is all but 0, its sign decides
            np.testing.assert_allclose(found, want, atol=0.1 * ADAM[1]["lr"], err_msg=name)
        elif want.ndim > 1:
            assert np.linalg.norm(found - want) < 1e-2 * np.linalg.norm(want), name
    return ours.step.plan.runner


FORWARD = ["matmul add relu relu_bits"] * 2 + ["matmul add"]
LOSS = "label_cross_entropy label_cross_entropy_input"
MASKED = "matmul where_bits"


def test_a_step_of_three_layers_is_ten_launches(emulated):  # noqa: F811
    back = ["matmul sum_to", f"{MASKED} sum_to", "matmul", f"{MASKED} sum_to", "matmul"]
    assert done(trained(MLP)) == [*FORWARD, LOSS, *back, "chains"]


def without(monkeypatch, *epilogues, late=False):
    """A library that has no algorithm for these; ``late``: it says so when it is to run."""
    numbers = {int(EPILOGUES[name]) for name in epilogues}
    lacking = {"broken" if late else "epilogues": numbers}
    backed(monkeypatch, lambda device: CublasltDouble(device, **lacking))


def backed(monkeypatch, library):
    """A backend with this in the place of cuBLASLt."""
    libraries = {**opened(), "cublaslt": lambda device: Cublaslt(library(device), device)}
    monkeypatch.setitem(tg.plugins._backends, "cupy", EmulatedBackend(WatchfulDevice(libraries)))
    monkeypatch.setattr(execute, "_calls", {})


@pytest.mark.parametrize("precision", ["default", "bfloat16"])
def test_with_the_real_librarys_descriptors(monkeypatch, precision):
    """What is set by name and value is read back by the library that is installed."""
    try:
        library = loading.cublaslt()
    except loading.MissingError:
        pytest.skip("cuBLASLt (the package nvidia-cublas) is not installed: its own descriptors")
    backed(monkeypatch, lambda device: RealDescriptors(device, library))
    assert sum(MASKED in names for names in done(trained(MLP, precision))) == 2


FALLBACKS = {  # what the library lacks → the tasks with something besides
    ("masked_sums",): [*FORWARD, "matmul sum_to", MASKED, "matmul sum_to", MASKED, "matmul sum_to"],
    ("masked_sums", "x_sums"): [*FORWARD, MASKED, MASKED],
    ("x_sums",): [*FORWARD, f"{MASKED} sum_to", f"{MASKED} sum_to"],
    ("bias_relu_mask",): [*["matmul add relu"] * 2, "matmul add", "matmul sum_to"],
    ("masked_sums", "masked"): [*["matmul add relu"] * 2, "matmul add", "matmul sum_to"],
    ("bias_relu",): ["matmul add", "matmul sum_to"],
    tuple(name for name in EPILOGUES if name != "none"): [],
}


@pytest.mark.parametrize("lacking", FALLBACKS, ids="-".join)
def test_what_the_library_has_no_algorithm_for_is_done_otherwise(monkeypatch, lacking):
    without(monkeypatch, *lacking)
    ops = done(trained(MLP))
    assert [names for names in ops if names.startswith("matmul ")] == FALLBACKS[lacking]
    assert sum(names.startswith("matmul") for names in ops) == 8


@pytest.mark.parametrize("lacking", [n for n in FALLBACKS if "bias_relu" not in n], ids="-".join)
def test_what_the_library_refuses_to_run_is_done_otherwise(monkeypatch, lacking):
    """It is tried when the plan is made, since a heuristic may promise too much."""
    without(monkeypatch, *lacking, late=True)
    ops = done(trained(MLP))
    assert [names for names in ops if names.startswith("matmul ")] == FALLBACKS[lacking]


def test_in_bfloat16_vectors_have_the_dtype_of_results(emulated):  # noqa: F811
    """cublasLt.h wants it. So a bias is rounded, the gradient of a bias is summed up where weight
    gradients come out in float32, and scores are float32 at once."""
    ops = done(trained(MLP, "bfloat16"))
    back = ["matmul sum_to", MASKED, "matmul sum_to", MASKED, "matmul sum_to"]
    assert [names for names in ops if names.startswith("matmul ")] == [*FORWARD, *back]
    assert len(ops) <= 11


@pytest.mark.parametrize("precision", ["default", "bfloat16"])
def test_lenet5(emulated, precision):  # noqa: F811
    ops = done(trained(WORKLOADS["lenet5"], precision))
    assert len(ops) <= (24 if precision == "default" else 41)
    assert [names for names in ops if "relu" in names] == ["conv add relu"] * 2 + FORWARD[:2]
    assert sum(MASKED in names for names in ops) == 2
    assert sum("sum_to" in names for names in ops if names.startswith("matmul")) == 3


def values():
    random = np.random.default_rng(3)
    shapes = (5, 12), (12, 8), (8,), (8, 6), (5, 6)
    return [random.normal(size=shape).astype(np.float32) / 3 for shape in shapes]


class Layers:
    """relu(x @ w + b), the layer after it, and what comes back through that."""

    def __init__(self, x, w, b, v, g):
        self.x, self.w, self.b, self.v = x, w, b, v
        self.h = tg.ops.relu(x @ w + b)
        self.g = tg.ops.exp(self.h @ v) - g
        self.back = self.g @ v.T

    def masked(self, level=0.0, by=None):
        above = tg.ops.greater(self.h if by is None else by, level)
        return self.back * tg.ops.cast(above, dtype="float32")


def stored_by_inputs(t):
    """Weights (in, out): their gradient is x.T @ g."""
    back, sums = t.masked(), tg.ops.sum
    return t.x.T @ back, sums(back, axis=(0,)), t.h.T @ t.g, sums(t.g, axis=(0,))


def another_level(t):
    return t.masked(0.5) @ t.h.T


def read_twice(t):
    return t.masked() @ t.h.T, t.back @ t.h.T


def of_another(t):
    return t.masked(by=t.x[:, :8]) @ t.h.T


def summed_otherwise(t):
    back, sums = t.masked(), tg.ops.sum
    return back @ t.h.T, sums(back, axis=(1,)), sums(t.g, axis=(1,)), t.g.T @ t.h


def read_between(t):
    """The sum is wanted before the product can be had."""
    sums = tg.ops.sum(t.x, axis=(0,))
    return t.x.T @ (t.x + sums), sums, t.h


def read_beside(t):
    """What the bias is added to is read by the same chain."""
    y = t.x @ t.w
    return ((y + t.b) * y) @ t.v


def read_before(t):
    """What ReLU is of is read too."""
    y = t.x @ t.w + t.b
    return tg.ops.relu(y) @ t.v, y @ t.v


KINDS = {
    stored_by_inputs: [FORWARD[0], f"{MASKED} sum"],
    another_level: ["matmul add relu"],
    read_twice: ["matmul add relu"],
    of_another: ["matmul add relu"],
    summed_otherwise: [FORWARD[0], MASKED],
    read_between: ["matmul add relu"],
    read_beside: [],
    read_before: ["matmul add"],
}


@pytest.mark.parametrize("step", KINDS, ids=lambda step: step.__name__)
def test_what_looks_alike(emulated, step):  # noqa: F811
    given = values()

    def run(*tensors):
        found = step(Layers(*tensors))
        return found if isinstance(found, tuple) else (found,)

    want = [np.asarray(y.numpy()) for y in run(*map(tg.tensor, given))]
    with tg.use(backend="cupy"):
        compiled = tg.compile(run)
        for _ in range(3):
            got = compiled(*map(tg.tensor, given))
        runner = compiled.plan.runner
    for x, y in zip(want, got, strict=True):
        np.testing.assert_allclose(y.numpy(), x, rtol=1e-5, atol=1e-5)
    check_memory(runner)
    assert sorted(o for o in done(runner) if o.startswith("matmul ")) == sorted(KINDS[step])


@pytest.mark.parametrize("precision", ["default", "bfloat16"])
def test_a_bias_before_batch_norm(emulated, precision):  # noqa: F811
    """The convolution adds it, so that one pass takes the mean and the variance of the sum."""
    ops = done(trained(WORKLOADS["normed"], precision))
    assert ops.count("conv add") == ops.count("axis_mean axis_variance add rsqrt") == 2


@pytest.mark.parametrize("precision", ["default", "bfloat16"])
def test_large_images_of_few_channels_get_more_in_bfloat16(emulated, monkeypatch, precision):  # noqa: F811
    monkeypatch.setattr(stems, "LARGE", 2 * 64)
    runner = trained(WORKLOADS["normed"], precision)
    convolutions = {
        (call.op.name, *(x.spec.shape[1] for x in (*call.inputs, call.out)))
        for task in runner.planner.tasks
        for call in task.calls
        if call.op.name.startswith("conv")
    }
    wide = 8 if precision == "bfloat16" else 3
    assert convolutions == {
        *[("conv", wide, wide, 8), ("conv_weight", wide, 8, wide)],
        *[("conv", 8, 8, 12), ("conv_weight", 8, 12, 8), ("conv_input", 12, 8, 8)],
    }
    ops = done(runner)
    assert ops.count("pad_constant") == (2 if wide == 8 else 0)
    if wide == 8:  # images are rounded where they are padded
        assert ops.index("pad_constant") < ops.index("conv add") and ops[0] != "laid"


def test_a_first_run_measures_where_that_is_asked_for(monkeypatch, tmp_path):
    """What was found lies on the disk, and is not measured again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(choices, "ROUNDS", 1)
    monkeypatch.setattr(choices, "RUNS", 1)
    measured = []

    def noted(device, ways):
        assert device.machine.recording is None
        measured.append(len(ways))
        return fastest(device, ways)

    for module in (conv, matmul):
        monkeypatch.setattr(module, "fastest", noted)
    fastest, counts = choices.fastest, []
    for asked in ("0", "1", "1", ""):
        monkeypatch.setenv(choices.VARIABLE, asked)
        without(monkeypatch)
        measured.clear()
        trained(WORKLOADS["lenet5"])
        counts.append(len(measured))
    assert counts == [0, 5 + 9, 0, 0]  # each convolution and product of the step, once


def test_products_without_an_algorithm_run_between_graphs(monkeypatch):
    without(monkeypatch, *EPILOGUES)
    with tg.use(backend="numpy"):
        losses = Training(*MLP, compiled=False).run(3)
    with tg.use(backend="cupy"):
        ours = Training(*MLP, compiled=True)
        np.testing.assert_allclose(ours.run(3), losses, rtol=2e-5)
    tasks = ours.step.plan.runner.planner.tasks
    assert sum(not task.captured for task in tasks) == 8
