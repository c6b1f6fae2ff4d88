"""Every task of a compiled step by itself, on the emulated device: what it makes of what it is
given, beside the portable kernels in float64."""

import numpy as np
import pytest
from cuda_training import SGD, WORKLOADS, Training
from tensorgraph_cupy.plan import runner
from test_cuda_plan import available, check_memory, emulated  # noqa: F401

import tensorgraph as tg
from tensorgraph import config, execute

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")
TOLERANCE = {"float32": 2e-5, "bfloat16": 2e-2}


def wide(x):
    x = np.array(x)
    return x if x.dtype.kind in "biu" else x.astype(np.float64)


class Compared:
    """Runs tasks with a look at what they read and write."""

    def __init__(self, runner):
        self.places = runner.places
        self.run = runner._do
        self.numpy = tg.config.get_backend("numpy")
        self.done = []

    def __call__(self, task):
        given = {x: wide(self.places.array(x)) for x in task.inputs}
        slack = {}  # sums that cancel: how far float32's may be off
        self.run(task)
        for call in task.calls:
            if call.op.name == "laid":
                given[call.out] = given[call.inputs[0]]
                continue
            specs = tuple(self.spec(x.spec) for x in call.inputs)
            params = dict(call.params)
            if call.op.name == "cast" and params["dtype"] == "float32":
                params["dtype"] = "float64"
            made = execute.settle(call.op, self.numpy, specs, params, config.current())
            given[call.out] = wide(made.kernel(*[given[x] for x in call.inputs], **made.params))
            if call.op.name in ("sum", "sum_to"):
                sizes = made.kernel(np.abs(given[call.inputs[0]]), **made.params)
                slack[call.out] = np.finfo(np.float32).eps * np.max(sizes)
        for x in task.outputs:
            got, want = wide(self.places.array(x)), given[x]
            if x.spec.dtype != "float32":
                np.testing.assert_array_equal(got, want, err_msg=task.name)
            else:
                limit = TOLERANCE[self.places.dtype(x)] * max(1e-3, np.abs(want).max())
                limit = max(limit, slack.get(x, 0))
                np.testing.assert_allclose(got, want, rtol=0, atol=limit, err_msg=task.name)
        self.done.append(task.name)

    @staticmethod
    def spec(spec):
        return tg.Spec(spec.shape, "float64") if spec.dtype == "float32" else spec


def compare(emulated, monkeypatch, workload, precision="default"):  # noqa: F811
    seen = []

    def launched(self):
        compared = Compared(self)
        self._do = compared
        launch(self)
        del self._do
        seen.append(compared)

    launch = runner.Plan._launch
    monkeypatch.setattr(runner.Plan, "_launch", launched)
    with tg.use(backend="cupy", precision=precision):
        ours = Training(*workload, compiled=True)
        losses = ours.run(2)
    check_memory(ours.step.plan.runner)
    (compared,) = seen
    assert np.isfinite(losses).all()
    return compared


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_task(emulated, monkeypatch, name):  # noqa: F811
    done = compare(emulated, monkeypatch, WORKLOADS[name]).done
    assert "chains" in done and "loss and gradient" in done


@pytest.mark.slow  # g++ compiles some forty kernels, once
def test_each_task_of_a_residual_net(emulated, monkeypatch):  # noqa: F811
    done = compare(emulated, monkeypatch, (tg.models.resnet18, (3, 8, 8), *SGD)).done
    assert done.count("mean and variance") == 20 and done.count("conv_weight") == 20
    assert len(done) < 190


@pytest.mark.parametrize("name", ["lenet5", "normed"])
def test_each_task_in_bfloat16(emulated, monkeypatch, name):  # noqa: F811
    compared = compare(emulated, monkeypatch, WORKLOADS[name], "bfloat16")
    storage = compared.places.storage
    made = {call.out: call.op.name for task in compared.places.tasks for call in task.calls}
    halves = {made[x] for x in storage if x in made}
    assert halves >= {"conv", "conv_weight", "conv_input", "cast", "matmul"}, (
        "copies and activations"
    )
    assert not halves & {"label_cross_entropy", "sum_to"}


def test_in_bfloat16_a_gradient_that_is_returned_is_single(emulated):  # noqa: F811
    random = np.random.default_rng(0)
    x, w = (random.normal(size=shape).astype(np.float32) for shape in ((2, 3, 6, 6), (4, 3, 3, 3)))

    def gradient(x, w):
        w.requires_grad = True
        return tg.grad((tg.ops.conv(x, w) ** 2).sum(), [w])[0]

    want = gradient(tg.tensor(x), tg.tensor(w)).numpy()
    with tg.use(backend="cupy", precision="bfloat16"):
        got = tg.compile(gradient)(tg.tensor(x), tg.tensor(w))
    assert got.dtype == "float32" and got.numpy().dtype == np.float32
    np.testing.assert_allclose(got.numpy(), want, atol=0.03 * np.abs(want).max())
