"""The fastest of several algorithms is found, kept on disk by device and version, and taken."""

import time

import numpy as np
import pytest
from cuda_libraries import opened
from emulated_device import EmulatedDevice
from tensorgraph_cupy.kernels import conv, matmul
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.kernels.matmul import Epilogue
from tensorgraph_cupy.kernels.view import view
from tensorgraph_cupy.lib import choices
from tensorgraph_cupy.lib.choices import Choices, fastest
from tensorgraph_cupy.lib.convolution import Convolution
from tensorgraph_cupy.lib.workspace import Workspace


class Clock:
    """Time that passes only where the test says so, in microseconds."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now * 1e-6


@pytest.fixture(autouse=True)
def clock(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


def ways(clock, *seconds):
    def way(n):
        def run():
            clock.now += n

        return run

    return [way(n) for n in seconds]


def test_the_fastest_is_found(clock):
    device = EmulatedDevice()
    assert fastest(device, ways(clock, 3, 1, 2)) == 1
    assert fastest(device, ways(clock, 1, 1)) == 0  # the library's own order decides
    assert fastest(device, ways(clock, 1)) == 0


def test_a_disturbance_does_not_decide(clock):
    turns = iter([1, *[1] * choices.RUNS * 2, *[90] * choices.RUNS, *[1] * 1000])
    used = []

    def disturbed():
        used.append(next(turns))
        clock.now += used[-1]

    assert fastest(EmulatedDevice(), [*ways(clock, 2), disturbed]) == 1
    assert sum(seconds == 90 for seconds in used) == choices.RUNS


@pytest.mark.parametrize(("seconds", "runs"), [(1e-9, choices.RUNS), (1e-3, 2), (1, 1)])
def test_what_takes_long_is_run_less_often(clock, seconds, runs):
    ran = []

    def way():
        ran.append(None)
        clock.now += 1e6 * seconds

    fastest(EmulatedDevice(), [way])
    assert len(ran) == 2 + choices.ROUNDS * runs


def test_the_device_is_waited_for(clock, monkeypatch):
    """What was asked for before belongs to nobody's time, and the work itself to its own."""
    device, pending = EmulatedDevice(), []

    def synchronize():
        clock.now += sum(pending)
        pending.clear()

    monkeypatch.setattr(device, "synchronize", synchronize)
    assert fastest(device, [lambda: pending.append(3), lambda: pending.append(1)]) == 1


def test_choices_are_kept_by_device_and_version(tmp_path):
    device = EmulatedDevice()
    Choices(device, "cuDNN", 91900).put(("a", 3), 5)
    assert Choices(device, "cuDNN", 91900).get(("a", 3)) == 5
    assert Choices(device, "cuDNN", 91900).get(("a", 4)) is None
    assert Choices(device, "cuDNN", 92000).get(("a", 3)) is None
    assert Choices(device, "cuBLASLt", 91900).get(("a", 3)) is None
    other = EmulatedDevice()
    other.name = "another"
    assert Choices(other, "cuDNN", 91900).get(("a", 3)) is None
    (path,) = tmp_path.rglob("*.json")
    text = path.read_text()
    assert '"device": "emulated"' in text and '"version": 91900' in text
    for broken in ("", "[]", '{"choices": 3}', '{"choices": {"x": "y"}}'):
        path.write_text(broken)
        again = Choices(device, "cuDNN", 91900)
        assert again.get(("a", 3)) is None
        again.put(("a", 3), 6)
        assert Choices(device, "cuDNN", 91900).get(("a", 3)) == 6


def test_what_others_have_put_there_is_kept():
    """Another process, or the library of another stream."""
    first, second = (Choices(EmulatedDevice(), "cuDNN", 91900) for _ in range(2))
    assert first.get("a") is second.get("b") is None
    first.put("a", 5)
    second.put("b", 6)
    assert (second.get("a"), Choices(EmulatedDevice(), "cuDNN", 91900).get("a")) == (5, 5)


def test_a_disk_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    held = Choices(EmulatedDevice(), "cuDNN", 91900)
    held.put("a", 5)
    assert held.get("a") == 5


def draw(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("float32")


def test_a_product_takes_its_fastest_algorithm(clock):
    def device():
        """One where the second algorithm is the faster one."""
        made = EmulatedDevice(opened())
        double = made.library("cublaslt").library
        run, made.used = double.cublasLtMatmul, []

        def timed(*arguments):
            number = arguments[12]._obj.data[0]
            made.used.append((number, arguments[14]))
            clock.now += 5 - number
            return run(*arguments)

        double.cublasLtMatmul = timed
        return made

    x, y, bias, out = draw(4, 8), draw(8, 6), draw(6), draw(4, 6)
    first, epilogue = device(), Epilogue("bias", bias.ctypes.data)
    views = [view(Arrays(np, first), z) for z in (x, y, out)]
    matmul.launch(first, *views, epilogue=epilogue)
    assert first.used == [(1, 0)]
    matmul.tune(first, *views, epilogue=epilogue)
    np.testing.assert_allclose(out, x @ y + bias, atol=1e-5)
    for again in (first, device()):  # another process finds it on the disk
        asked = len(again.used)
        matmul.tune(again, *views, epilogue=epilogue)
        assert len(again.used) == asked
        matmul.launch(again, *views, epilogue=epilogue)
        assert again.used[-1] == (2, 256)
    (kept,) = first.library("cublaslt").workspace.kept.values()
    assert [memory.size for memory in kept] == [256]


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_takes_its_fastest_plan(clock, kernel):
    x, w, y = draw(2, 5, 6, 3), draw(4, kernel, kernel, 3), np.zeros((2, 5, 6, 4), np.float32)
    given = {"x": x.ctypes.data, "w": w.ctypes.data, "y": y.ctypes.data}
    pads = ((kernel // 2,) * 2,) * 2
    problem = Convolution("y", 2, 3, 4, (5, 6), (kernel, kernel), (1, 1), pads, (1, 1))

    def device():
        made = EmulatedDevice(opened())
        library, made.used = made.library("cudnn"), []
        plan, run = library.plan, library.run

        def numbered(problem, choice=None):
            found = plan(problem, choice)
            found.number = library.choices.get(problem) if choice is None else choice
            return found

        def timed(found, addresses):
            made.used.append(found.number)
            clock.now += {None: 9, 0: 4, 1: 2, 2: 3}[found.number]
            run(found, addresses)

        library.plan, library.run = numbered, timed
        return made

    first = device()
    conv.launch(first, problem, **given)
    want, y[...] = y.copy(), 0
    conv.tune(first, problem, **given)
    np.testing.assert_array_equal(y, want)
    for again in (first, device()):
        asked = len(again.used)
        conv.tune(again, problem, **given)
        assert len(again.used) == asked
        conv.launch(again, problem, **given)
        assert again.used[asked:] == ([1] if kernel == 3 else [])


def test_filters_of_one_element_go_to_the_faster_library(clock):
    """A product is one of the ways, and the rule where nothing was measured."""
    x, w, y = draw(2, 5, 6, 3), draw(4, 1, 1, 3), np.zeros((2, 5, 6, 4), np.float32)
    given = {"x": x.ctypes.data, "w": w.ctypes.data, "y": y.ctypes.data}
    problem = Convolution("y", 2, 3, 4, (5, 6), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1))
    taken = []
    for by_product, by_plan, wanted in ((2, 3, "product"), (3, 2, "plan")):
        used, device = [], EmulatedDevice(opened())
        device.name = wanted  # results are kept by it
        products, plans = device.library("cublaslt"), device.library("cudnn")

        def timed(name, run, cost, used=used):
            def way(*arguments, **more):
                used.append(name)
                clock.now += cost
                return run(*arguments, **more)

            return way

        products.run = timed("product", products.run, by_product)
        plans.run = timed("plan", plans.run, by_plan)
        conv.launch(device, problem, **given)
        conv.tune(device, problem, **given)
        y[...] = 0
        conv.launch(device, problem, **given)
        np.testing.assert_allclose(y, x @ w[:, 0, 0].T, atol=1e-5)
        taken.append((used[0], used[-1]))
    assert taken == [("product", "product"), ("product", "plan")]
    plans.choices.put(problem, 2)  # of another frontend: there is no such plan
    plans.plans.clear()
    plans.frontend.pygraph.build_plan_at_index = refusing(plans)
    conv.launch(device, problem, **given)
    assert used[-1] == "plan"


def refusing(library):
    def build(self, index):
        raise library.frontend.cudnnGraphNotSupportedError(f"no plan {index}")

    return build


@pytest.mark.parametrize("number", [99, conv.PRODUCT])
def test_choices_that_mean_nothing_here_are_passed_over(number):
    """Of a frontend that had more plans; or made where cuBLASLt was."""
    device = EmulatedDevice({"cudnn": opened()["cudnn"]})
    x, w, y = draw(2, 5, 6, 3), draw(4, 1, 1, 3), np.zeros((2, 5, 6, 4), np.float32)
    problem = Convolution("y", 2, 3, 4, (5, 6), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1))
    device.library("cudnn").choices.put(problem, number)
    conv.launch(device, problem, x=x.ctypes.data, w=w.ctypes.data, y=y.ctypes.data)
    np.testing.assert_allclose(y, x @ w[:, 0, 0].T, atol=1e-5)


def test_a_workspace_is_of_the_largest_size_at_once():
    device = EmulatedDevice(opened())
    library = device.library("cudnn")
    sizes = iter((100, 700, 300))
    library.frontend.pygraph.get_workspace_size = lambda graph: next(sizes)
    pads = ((1, 1), (1, 1))
    problem = Convolution("y", 2, 3, 4, (5, 6), (3, 3), (1, 1), pads, (1, 1))
    plans = [library.plan(problem._replace(images=n)) for n in (1, 2, 3)]
    addresses = {library.workspace.address(plan.workspace) for plan in plans}
    ((kept,),) = library.workspace.kept.values()
    assert (kept.size, addresses) == (700, {kept.address})


def test_a_workspace_grows_and_keeps_what_graphs_may_use():
    device = EmulatedDevice()
    workspace = Workspace(device)
    assert workspace.address(0) == 0
    first = workspace.address(100)
    assert workspace.address(50) == workspace.address(100) == first
    second = workspace.address(200)
    assert workspace.address(50) == second != first
    device.stream = 7  # what runs there runs at the same time
    assert workspace.address(150) not in (first, second)
    sizes = {stream: [m.size for m in kept] for stream, kept in workspace.kept.items()}
    assert sizes == {0: [100, 200], 7: [150]}


def test_what_cannot_be_built_is_no_candidate():
    device = EmulatedDevice(opened())
    library, built = device.library("cudnn"), []
    refuse = library.frontend.cudnnGraphNotSupportedError

    def build(self, index):
        built.append(index)
        if index == 0:
            raise refuse("deselected")

    library.frontend.pygraph.build_plan_at_index = build
    pads = ((1, 1), (1, 1))
    problem = Convolution("y", 2, 3, 4, (5, 6), (3, 3), (1, 1), pads, (1, 1))
    assert library.candidates(problem) == [1, 2]
    assert built == [0, 1, 2]
