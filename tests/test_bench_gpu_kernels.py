"""The GPU benchmark's limits and kernels, rehearsed on the emulated device: that every one gives a
row, agrees with PyTorch, and counts bytes and operations as a hand does. Its times mean nothing."""

import math
from pathlib import Path

import numpy as np
import pytest
from bench_gpu_help import peers
from emulated_device import EmulatedDevice, available
from gpu_rehearsal import Setting, rows_of
from tensorgraph_cupy.lib import MissingError, cudnn, loading

import tensorgraph as tg
from bench.cuda import (
    account,
    algorithms,
    counts,
    kernels,
    limits,
    moves,
    passes,
    products,
    trained,
)
from bench.cuda.case import Case, timed
from bench.cuda.described import described
from bench.cuda.ground import Ground, Trial

emulated = pytest.mark.skipif(not available(), reason="g++ is not installed")
CASES = [case for family in kernels.FAMILIES for case in family(True)]


def case(kind, precision="float32", small=False):
    found = (c for family in kernels.FAMILIES for c in family(small))
    return next(c for c in found if c.kind == kind and c.precision == precision)


# the rehearsal


@emulated
def test_limits():
    rows = rows_of(limits)
    assert not [row for row in rows if "failed" in row]
    names = {(row["kind"], row.get("name"), row.get("precision")) for row in rows}
    assert {("copy", "own", None), ("copy", "cuda", None), ("read", "read", None)} <= names
    assert {("product", "cuBLASLt", p) for p in ("float32", "tf32", "bfloat16")} <= names
    hosts = {name for kind, name, _ in names if kind == "host"}
    assert {"an empty kernel", "cuBLASLt", "cuDNN", "a graph of one node"} <= hosts
    assert sum(kind == "graph" for kind, *_ in names) == 4
    for row in rows:
        if "gbps" in row:
            assert row["gbps"] == pytest.approx(row["bytes"] / row["seconds"] / 1e9)


@emulated
def test_kernels_in_a_run_of_the_section(monkeypatch):
    families = (moves.drawn, passes.pooled, products.products)
    monkeypatch.setattr(kernels, "FAMILIES", families)
    rows = rows_of(kernels)
    timed_ = [row for row in rows if "verdict" not in row]
    assert len(timed_) == sum(len([*family(True)]) for family in families)
    assert not [row for row in rows if row.get("failed") or row.get("wrong")]
    assert {row["by"] for row in timed_} == {"own kernel", "cuBLASLt"}
    for row in timed_:
        speed = row["bytes"] / row["seconds"]
        assert row["bandwidth_share"] == pytest.approx(speed / row["limits"]["copy"])
    first, *others = rows[len(timed_) :]
    assert first["verdict"] == "kernels' results" and first["reached"] in (True, None)
    assert all(row["reached"] is None for row in others), "times of a rehearsal mean nothing"


@emulated
def test_all_algorithms():
    rows = rows_of(algorithms)
    assert {row["library"] for row in rows} == {"cuBLASLt", "cuDNN"}
    for row in rows:
        assert len(row["all_seconds"]) == row["algorithms"] > 1
        assert row["seconds"] == row["all_seconds"][row["taken"]]
        best = min(row["all_seconds"])
        assert row["best_over_taken"] == pytest.approx(best / row["seconds"])
        assert row["all_seconds"][row["best"]] == best


@emulated
@peers
@pytest.mark.slow  # g++ compiles some sixty kernels, once
@pytest.mark.parametrize("each", CASES, ids=lambda c: f"{c.kind}, {c.shape}, {c.precision}")
def test_every_kernel_agrees_with_pytorch(each):
    row = timed(Ground(Setting()), each, {})
    apart = each.kind in ("dropout", "random words")
    assert (row["error"] is None) is apart, "only random words are others"
    assert not row["wrong"] and row["theirs"] > 0


@emulated
@peers
@pytest.mark.parametrize("kind", ["conv", "matmul + bias + relu", "max_pool_input"])
def test_a_kernel_agrees_with_pytorch(kind):
    row = timed(Ground(Setting()), case(kind, "bfloat16", small=True), {})
    assert row["error"] < 0.01 and not row["wrong"]


@emulated
def test_without_pytorch_kernels_are_timed_alone(monkeypatch):
    monkeypatch.setattr(Setting, "torch", lambda self: None)
    row = timed(Ground(Setting()), case("max_pool", small=True), {"copy": 1e9})
    assert row["theirs"] is row["ratio"] is row["error"] is None
    assert row["bandwidth_share"] > 0 and not row["wrong"]


# what goes wrong


def sabotaged(ground):
    """A copy that leaves its last element as it was."""
    x, out = ground.random((100,)), ground.empty((100,))
    given, made = ground.tensor(x), ground.tensor(out)

    def ours(device):
        device.copy(out.address, x.address, 4 * 99)

    assert made.isnan().all()
    return Trial(ours, lambda: given.clone(), (out,), (x,))


@emulated
@peers
def test_a_wrong_result_is_marked():
    row = timed(Ground(Setting()), Case("copy", "100", "float32", 800, 0, sabotaged), {"copy": 1e9})
    assert row["wrong"] and row["error"] == math.inf
    assert row["ratio"] is None and row["bandwidth_share"] is None
    verdict, *others = kernels.verdicts([row])
    assert verdict["reached"] is False and verdict["wrong"] == ["copy, 100"] and not others


@emulated
def test_what_fails_is_said_and_the_others_go_on(monkeypatch):
    def broken(ground):
        raise ValueError("no such kernel\nand more")

    words = case("random words", small=True)

    def family(small):
        yield Case("broken", "1", "float32", 4, 0, broken, first=True)
        yield words

    monkeypatch.setattr(kernels, "FAMILIES", (family,))
    first, second, *_ = rows_of(kernels)
    assert first["failed"] == "ValueError: no such kernel" and first["kind"] == "broken"
    assert second["kind"] == "random words" and second["seconds"] > 0


@emulated
def test_what_does_not_fit_the_time_is_said():
    row, *verdicts = rows_of(kernels, seconds=0.0)
    named = row["left_out"]
    assert [verdict["reached"] for verdict in verdicts] == [None]
    assert len(rows_of(algorithms, seconds=0.0)[0]["left_out"]) == 8
    assert len(named) >= len(CASES) and "random words, 64, float32" in named
    assert rows_of(limits, seconds=0.0)[-1]["left_out"][-1] == "nodes of a graph"


# counts and rates


def test_bytes_and_operations_by_hand():
    conv = case("conv", "bfloat16")  # 64 images of 56 x 56 pixels … of ResNet-50
    pixels = 256 * 56 * 56
    assert conv.bytes == 2 * (2 * pixels * 64 + 64 * 64 * 9)
    assert conv.flops == 2 * pixels * 64 * 64 * 9
    gradient = case("conv, filters' gradient", "bfloat16")
    assert (gradient.bytes, gradient.flops) == (conv.bytes, conv.flops)
    assert case("matmul", "tf32").flops == 2 * 2048**3
    assert case("matmul", "tf32").bytes == 3 * 4 * 2048**2
    strided = products.Layer(256, 3, 64, 224, 7, 2).problem("y", "tf32")
    assert counts.of_convolution(strided)[1] == 2 * 256 * 112 * 112 * 64 * 3 * 49
    pixels = 256 * 112 * 112
    images = 4 * pixels * 64
    assert case("max_pool").bytes == images + images // 4
    assert case("max_pool_input").bytes == 2 * (images + images // 4)
    assert case("batch norm + add + relu").bytes == 4 * images
    assert case("batch norm + add + relu, gradients").bytes == 7 * images
    assert case("update by adam").bytes == 7 * 4 * 25_557_032
    assert case("NCHW to NHWC, from float32", "bfloat16").bytes == 6 * 256 * 3 * 224 * 224
    assert case("sum of columns").bytes == 4 * (128 * 512 + 512)
    assert counts.of_product(2, 3, 5, 7, "bfloat16") == (2 * 7 * (10 + 15 + 6), 2 * 7 * 30)


def test_rates_of_times_that_are_made_up():
    row = {"kind": "matmul", "bytes": 3e9, "flops": 5e12, "precision": "tf32"}
    best = {"copy": 4e12, "tf32": 4e14, "bfloat16": 8e14}
    found = counts.rated(row, 0.02, theirs=0.03, error=1e-3, limits=best)
    assert found["ratio"] == pytest.approx(1.5)
    assert found["bandwidth_share"] == pytest.approx(150e9 / 4e12)
    assert found["gemm_share"] == pytest.approx(250e12 / 4e14)
    assert not found["wrong"] and row.keys() == {"kind", "bytes", "flops", "precision"}
    for error in (0.1, math.inf, math.nan):
        wrong = counts.rated(row, 0.02, theirs=0.03, error=error, limits=best)
        assert wrong["wrong"] and wrong["ratio"] is wrong["gemm_share"] is None


def made_up(kind, share, ratio, shape="8x8", **more):
    row = {"kind": kind, "by": "own kernel", "shape": shape, "precision": "float32"}
    row |= {"bandwidth_share": share, "ratio": ratio, "error": 0.0, "wrong": False}
    return {**row, "in_cache": False, **more}


def test_verdicts_are_of_the_slowest():
    rows = [
        made_up("max_pool", 0.9, 1.5), made_up("max_pool_input", 0.7, 0.95, "9x9"),
        made_up("dropout", 0.3, 0.1, in_cache=True), made_up("dropout", 0.85, 0.1),
        made_up("conv", 0.1, 0.5, by="cuDNN"), made_up("conv", None, None, by="cuDNN"),
        {"kind": "matmul", "shape": "1", "precision": "tf32", "failed": "no"},
    ]  # fmt: skip
    results, *found = kernels.verdicts(rows)
    assert results["reached"] is True
    told = {v["verdict"]: (v["against"], v["ratio"], v["wanted"], v["reached"]) for v in found}
    assert told == {
        "conv, float32: 8x8, the slowest of 1": ("PyTorch", 0.5, 0.9, False),
        "max_pool, float32: 9x9, the slowest of 2": ("PyTorch", 0.95, 0.9, True),
        "max_pool: bandwidth: 8x8, the slowest of 1": ("copies", 0.9, 0.8, True),
        "max_pool_input: bandwidth: 9x9, the slowest of 1": ("copies", 0.7, 0.8, False),
        "dropout: bandwidth: 8x8, the slowest of 1": ("copies", 0.85, 0.8, True),
    }


def test_only_products_have_a_share_of_the_limit_of_products():
    for each in CASES:
        assert each.product is each.kind.startswith(("conv", "matmul"))


def test_those_that_matter_most_come_first():
    ordered = kernels.ordered(False)
    firsts = [each.first for each in ordered]
    assert firsts == sorted(firsts, reverse=True)
    kinds = {each.kind for each in ordered if each.first}
    assert {*products.KINDS.values(), "matmul", "max_pool", "avg_pool_input"} <= kinds
    assert {"batch norm + add + relu", "update by adam", "random words"} <= kinds


def test_the_convolutions_are_those_of_the_networks():
    found = set()
    for workload in account.ACCOUNTED:
        with described():
            model = account.MODELS[workload.name](lambda p: p)
            model.infer_shape(tg.Spec((2, *workload.shape), "float32"))
            step = tg.compile(lambda x, model=model: model(x))
            step(tg.tensor(next(iter(account._batch(workload)))))
            program = step.plan.runner.planner.program
        for call in program.calls:
            if call.op.name == "conv":
                (n, c, size, _), (f, _, k, _) = (x.spec.shape for x in call.inputs)
                (stride, _), ((padding, _), _) = call.params["stride"], call.params["padding"]
                valid = k > 1 and padding == 0
                found.add(products.Layer(n, c, f, size, k, stride, valid))
    every = [*products.KEY, *products.OTHERS, *products.RESNET18, *products.SMALL]
    assert found == set(every) and len(every) == len(found)


@pytest.mark.slow
def test_cudnn_has_a_plan_for_each_of_them():
    """For an H200 that is only described."""
    try:
        frontend = loading.cudnn()
    except MissingError as error:
        pytest.skip(str(error))
    h200 = Path(__file__).with_name("h200_described.json").read_text("utf-8")
    place = {"device_property": frontend.create_device_properties(h200), "sm_version": 90}
    library = cudnn.Cudnn(frontend, EmulatedDevice(), place)
    problems = {each.make.args[0] for each in products.convolutions(False)}
    plans = [library.plan(problem) for problem in problems if not problem.is_product()]
    assert len(plans) > 150


@emulated
def test_random_values_are_neither_zero_nor_the_same_twice():
    ground = Ground(Setting())
    x, y = (ground.random((64, 8)) for _ in range(2))
    ground.synchronize()
    a, b = (ground.device.get(each.memory, (512,), np.float32) for each in (x, y))
    assert 0.8 < a.std() < 1.2 and abs(a.mean()) < 0.2 and (a != b).any()


def test_shapes_of_every_case_are_whole():
    for each in kernels.ordered(False):
        assert each.bytes > 0 and each.flops >= 0 and each.shape and isinstance(each.bytes, int)


def test_parameters_of_the_update(monkeypatch):
    trained._parameters.cache_clear()
    with described() as backend:
        monkeypatch.setattr(backend, "asarray", None)  # nothing is asked of the GPU
        sizes, _ = trained._parameters()
    assert (len(sizes), sum(sizes)) == (161, 25_557_032)
