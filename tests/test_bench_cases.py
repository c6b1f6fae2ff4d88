"""What is timed: kernels of anybody, on shapes of anybody, and nothing whose values are wrong."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
from strangers import install_acme, run_python
from tensorgraph_bench import cases, clock, results, shapes
from tensorgraph_bench.cases import SEVERAL, Selection
from tensorgraph_bench.limits import CACHED, LARGEST, Limits, size_class
from tensorgraph_bench.samples import Sample, gradient_of, op_sample
from tensorgraph_bench.verify import ready

import tensorgraph as tg
from tensorgraph import Kernel, config, execute
from tensorgraph.errors import BackendError, ConfigError

NUMPY = config.get_backend("numpy")
SQUARE = op_sample("square", "", ((64, 8),))


@pytest.fixture
def offered(monkeypatch):
    """Kernels that a plugin offers for the test."""
    kernels, others = [], tg.plugins.kernels_for

    def kernels_for(backend, op):
        own = [k for k in kernels if k.op == op and backend.name == "numpy"]
        return own + others(backend, op)

    monkeypatch.setattr(tg.plugins, "kernels_for", kernels_for)
    monkeypatch.setattr(execute, "_calls", {})
    return kernels


# Which cases there are


def test_every_kernel_that_takes_the_sample_is_a_case(offered):
    offered.append(Kernel("square", "mine", lambda x: x * x))
    offered.append(Kernel("square", "small", lambda x: x * x, lambda x: x.size < 10))
    found = list(cases.of_sample(SQUARE, NUMPY))
    assert [(c.kernel, c.chosen) for c in found] == [("mine", True), ("portable", False)]
    assert str(found[0]) == "square on numpy by mine"
    convolution = op_sample("conv", "", ((2, 3, 8, 8), (4, 3, 3, 3)))
    assert [c.kernel for c in cases.of_sample(convolution, NUMPY)] == ["im2col", "portable"]


def test_each_case_runs_its_own_kernel(offered):
    ran = []
    offered.append(Kernel("square", "mine", lambda x: ran.append("mine") or x * x))
    for case in cases.of_sample(SQUARE, NUMPY):
        made = ready(case)
        ran.clear()
        with case.pinned():
            made.call()
        assert ran == (["mine"] if case.kernel == "mine" else [])


def test_a_call_of_several_ops_and_a_gradient_run_as_chosen():
    loss = op_sample("mse_loss", "", ((4, 3), (4, 3)))
    assert [c.kernel for c in cases.of_sample(loss, NUMPY)] == [SEVERAL]
    gradient = gradient_of(op_sample("conv", "", ((2, 3, 8, 8), (4, 3, 3, 3))))
    (case,) = cases.of_sample(gradient, NUMPY)
    assert str(case) == "gradient of conv on numpy by as chosen"
    names = {call.op.name for call in ready(case).calls}
    assert {"conv", "conv_input", "conv_weight"} <= names, "its operations are all counted"


def test_a_transposed_product_is_a_case_of_its_product():
    (row,) = shapes._set("s", {"op": "matmul", "columns": ["m", "k", "n", "transpose_x"],
                               "rows": [[3, 4, 5, 1]]}, "s").rows  # fmt: skip
    found = [c.kernel for c in cases.of_sample(row.samples[0], NUMPY)]
    assert "portable" in found and SEVERAL not in found
    made = ready(cases.Case(row.samples[0], "numpy", "portable", (("matmul", "portable"),)))
    assert made.flops == 2 * 3 * 4 * 5
    assert made.call().shape == (3, 5)


def test_selections():
    found = cases.cases(Selection(ops=("relu", "exp"), backends=("numpy",)))
    assert [str(c) for c in found if c.kernel == "portable"] == [
        "exp on numpy by portable",
        "relu on numpy by portable",
    ]
    assert {c.sample.op for c in found} == {"relu", "exp"}
    only = cases.cases(Selection(ops=("relu",), backends=("numpy",), kernels=("zeros",)))
    assert [str(c) for c in only] == ["relu on numpy by zeros"]
    odd = cases.cases(Selection(shapes=("odd-dense",), backends=("numpy",)))
    assert {c.sample.op for c in odd} == {"matmul"} and len({str(c) for c in odd}) == len(odd)


def test_compiled_steps_where_they_are_asked_for(monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    wanted = Selection(ops=("conv",), backends=("numpy",), shapes=("lenet-5",))
    assert "compiled" not in {c.kernel for c in cases.cases(wanted)}
    found = cases.cases(wanted._replace(kernels=("compiled",)))
    assert [str(c) for c in found] == [
        "conv-lenet-5 64x1x28x28 6 5x5 pad 2 on numpy by compiled",
        "conv-lenet-5 64x6x14x14 16 5x5 on numpy by compiled",
    ]
    made = ready(found[0])
    assert made.flops == 2 * 64 * 6 * 28 * 28 * 25
    assert made.call().shape == (64, 6, 28, 28)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"ops": ("rellu",)},
            r"--ops: no op with a sample is named 'rellu'; did you mean 'relu",
        ),
        (
            {"ops": ("exp",), "kernels": ("exq",)},
            "--kernels: no kernel here is named 'exq'.*portab",
        ),
        (
            {"shapes": ("resnet-51",)},
            "--shapes: no set of shapes is named 'resnet-51'; did you mea",
        ),
    ],
)
def test_a_name_that_is_not_there(wanted, message):
    with pytest.raises(ConfigError, match=message):
        cases.cases(Selection(backends=("numpy",), **wanted))


def test_backends_that_are_not_available(monkeypatch):
    def unavailable(name):
        if name == "cupy":
            raise BackendError("backend 'cupy' is not available here: no GPU")
        return NUMPY

    monkeypatch.setattr(config, "get_backend", unavailable)
    said = []
    found = cases.cases(Selection(ops=("relu",)), said.append)
    assert {c.backend for c in found} == {"numpy"}
    assert said == ["left out: backend 'cupy' is not available here: no GPU"]
    with pytest.raises(BackendError, match="'cupy' is not available here: no GPU"):
        cases.cases(Selection(ops=("relu",), backends=("cupy",)))


def test_a_strangers_op_and_kernel_are_timed(tmp_path):
    """tests/acme/snake, which has an op of its own and two kernels for it."""
    install_acme(tmp_path, "snake")
    code = """
from tensorgraph_bench import cases, results
every = cases.cases(cases.Selection(backends=("numpy",)))
found = [case for case in every if case.sample.op == "snake"]
print(*found, sep=", ")
print(cases.not_timed(every), cases.not_timed([c for c in every if c.kernel != "in_place"]))
print(cases.not_timed([case for case in every if case not in found]))
print(*[row["kernel"] for row in results.run(found, 0.01)["cases"]])
"""
    kernels = ["compiled"] * (find_spec("numba") is not None) + ["in_place", "portable"]
    assert run_python(code, tmp_path).splitlines() == [
        ", ".join(f"snake on numpy by {name}" for name in kernels),
        "[] ['kernel numpy/snake/in_place']",
        str(["op snake", *(f"kernel numpy/snake/{name}" for name in reversed(kernels[:-1]))]),
        " ".join(kernels),
    ]


# Values are verified


def wrong_at_the_border(x):
    out = x * x
    out[-1, -1] += 0.5
    return out


def not_a_number(x):
    return np.where(x > 0.8, np.float32(np.nan), x * x)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (
            wrong_at_the_border,
            r"square on numpy by mine: its values differ from those of the portable kernel, by "
            r"6\.\de-01 of the largest value, 1e-04 is allowed; at \(63, 7\) it gives .* and the "
            "portable one .*; it is not timed until that is mended",
        ),
        (not_a_number, "its values differ from those of the portable kernel.* it gives nan and"),
        (lambda x: x[:1], r"output 0 is float32\[1, 8\], and the op's shape rule says float32\[64"),
        (lambda x: (x * x).astype("f8"), r"output 0 is float64\[64, 8\], and the op's shape rule"),
    ],
)
def test_a_wrong_kernel_is_not_timed(offered, kernel, message):
    offered.append(Kernel("square", "mine", kernel))
    wrong, portable = cases.of_sample(SQUARE, NUMPY)
    with pytest.raises(BackendError, match=message):
        ready(wrong)
    found = results.run([wrong, portable], 0.01)
    assert [row["kernel"] for row in found["cases"]] == ["portable"], "the others go on"
    assert found["failures"]["square on numpy by mine"].startswith("BackendError: square on numpy")


def test_a_kernel_that_raises_does_not_stop_the_others(offered):
    def broken(x):
        raise ZeroDivisionError("a mistake of a stranger")

    offered.append(Kernel("square", "mine", broken))
    found = results.run(list(cases.of_sample(SQUARE, NUMPY)), 0.01)
    assert found["failures"] == {
        "square on numpy by mine": "ZeroDivisionError: a mistake of a stranger"
    }


def test_equal_infinities_and_nans_are_no_difference(offered):
    sample = Sample("log", "", ((4,),), lambda x: tg.ops.log(x - x))
    negative = Sample("sqrt", "", ((4,),), lambda x: tg.ops.sqrt(0.0 - x))
    for each in (sample, negative):
        with np.errstate(all="ignore"):
            for case in cases.of_sample(each, NUMPY):
                ready(case)


# Figures


def test_figures_of_a_product():
    (case, *_) = cases.of_sample(op_sample("matmul", "", ((64, 32), (32, 16))), NUMPY)
    made = ready(case)
    assert made.flops == 2 * 64 * 32 * 16
    assert made.bytes == 4 * (64 * 32 + 32 * 16 + 64 * 16)
    best = Limits(1e9, dict.fromkeys((CACHED, LARGEST), 1e12))
    found = results.figures(made, 1e-3, best)
    assert found.gflops == pytest.approx(0.065536) and found.share == pytest.approx(0.065536)
    assert found.intensity == pytest.approx(65536 / 14336)
    slow = Limits(1e12, dict.fromkeys((CACHED, LARGEST), 14336e3))
    assert results.figures(made, 2e-3, slow).share == pytest.approx(0.5)


def test_a_view_moves_nothing():
    (case, *_) = cases.of_sample(op_sample("reshape", "", ((8, 8),), shape=(64,)), NUMPY)
    made = ready(case)
    found = results.figures(made, 1e-6, Limits(1e9, {LARGEST: 1e9}))
    assert made.bytes == 0 and found.share is None and found.intensity is None


def test_the_speed_of_copies_is_that_of_as_many_bytes():
    assert size_class(1) == size_class(CACHED) == CACHED
    assert size_class(CACHED + 1) == 1 << 21
    assert size_class(1e12) == LARGEST


# The file


def test_a_result_is_kept_and_read_again(tmp_path):
    found = results.run(list(cases.of_sample(SQUARE, NUMPY)), 0.01)
    results.save(tmp_path / "a.json", found)
    assert results.load(tmp_path / "a.json") == json.loads(json.dumps(found))
    (row,) = found["cases"]
    assert 1 <= len(row["seconds"]) <= clock.TURNS and 0 < min(row["seconds"]) < 1e-2
    assert row["gflops"] > 0 and 0 < row["share"] < 2 and row["dtype"] == "float32"
    assert found["machine"]["threads"] >= 1 and len(found["fingerprint"]) == 12
    assert {"python", "numpy", "tensorgraph", "blas"} <= found["versions"].keys()
    best = found["limits"]["numpy float32"]
    assert best["flops"] > 1e8 and len(best["bytes"]) == 4 and min(best["bytes"].values()) > 1e8


def test_what_is_no_result(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"a\.json is not JSON: "):
        results.load(path)
    path.write_text('{"format": 0}')
    with pytest.raises(ConfigError, match=r"no result of this version of tensorgraph bench; make"):
        results.load(path)
