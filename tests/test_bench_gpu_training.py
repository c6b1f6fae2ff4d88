"""The training steps of bench/gpu.py, rehearsed on the processor: what is measured of whom, and
what is made of it. Nothing here is a test of a GPU."""

import ctypes
import sys
import time
import types
from dataclasses import replace
from pathlib import Path

import pytest
from bench_gpu_help import emulates, peers, rehearsing, switches_as_before
from tensorgraph_cupy.device import CudaDevice

from bench.compare.libraries import ours as library
from bench.compare.program import Request
from bench.compare.workloads import weights
from bench.cuda import ours, table, training, workloads
from bench.cuda.pytorch import PyTorch
from bench.cuda.rows import Entry, judged, row_of, verdicts
from bench.cuda.setting import Setting

CASES = {case.name: case for case in workloads.cases()}


@pytest.fixture
def setting(monkeypatch):
    """A rehearsal, and the processes that it starts find the emulated backend."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with rehearsing(monkeypatch) as setting, switches_as_before():
        yield setting


def job(name, *rivals):
    return workloads.Job(CASES[name].smallest(), rivals or workloads.EAGER)


def test_resnet50_is_the_models():
    """Its names and shapes are those of tensorgraph's; torchvision's are compared with these."""
    described = workloads.RESNET50
    request = Request(described, weights(described.network), "eager", 0, True)
    assert sum(x.size for x in library.built(request).parameters()) == 25_557_032


def test_the_cases_are_those_that_were_asked_for():
    wanted = {name: dict(case.wanted) for name, case in CASES.items()}
    launches, moved = {"tuned": 5.0, "graph": 1.0}, {"tuned": 1.5, "best": 1.0}
    small = [
        f"{n} {p}" for n in ("tiny", "mlp", "lenet5", "simple_cnn") for p in ("float32", "tf32")
    ]
    large = [f"{n} {p}" for n in ("vgg_small", "resnet18") for p in ("tf32", "bfloat16")]
    assert wanted == {
        **dict.fromkeys(small, launches),
        **dict.fromkeys(large, moved),
        "resnet50 bfloat16": {"tuned": 1.0},
    }
    batch = {name: case.workload.batch for name, case in CASES.items()}
    assert {batch[name] for name in large} == {128} and batch["resnet50 bfloat16"] == 256
    names = [job.name for job in workloads.jobs(smallest=False)]
    assert len(set(names)) == len(names)
    first = names.index("resnet18 bfloat16: compile")
    assert all("eager, tuned, graph" in name for name in names[:first]), "compiled ones come last"


@emulates
@peers
def test_a_rehearsal_has_every_row_with_equal_losses(setting):
    rows = list(training.measured(job("lenet5 tf32"), setting))
    assert [(r["side"], r["variant"], r["batches"]) for r in rows] == [
        ("TensorGraph", "compiled", "device"),
        ("TensorGraph", "compiled", "host"),
        ("TensorGraph", "eager", "device"),
        ("PyTorch", "tuned", "device"),
        ("PyTorch", "tuned", "host"),
        ("PyTorch", "graph", "device"),
        ("PyTorch", "graph", "host"),
        ("PyTorch", "eager", "device"),
    ]
    assert not any(r["wrong"] for r in rows)
    assert all(len(r["details"]["losses"]) == 4 and r["off"] <= 1e-3 for r in rows)
    details = rows[0]["details"]
    assert details["losses"] == sorted(details["losses"], reverse=True), "it learns"
    assert details["settings"] == {"precision": "tf32"}
    assert details["bytes"] > 4 * 61_706 and details["tasks"] > 10
    assert all(r["ratio"] > 0 for r in rows if r["side"] == "PyTorch")
    assert "ratio" not in rows[0]
    told = [v for v in verdicts(rows) if v["verdict"] == "lenet5 tf32"]
    assert [(v["against"], v["wanted"]) for v in told] == [("tuned", 5.0), ("graph", 1.0)]
    assert all(v["reached"] is (v["ratio"] >= v["wanted"]) for v in told)


@pytest.mark.slow
@emulates
@peers
def test_bfloat16_on_both_sides(setting):
    case = replace(CASES["lenet5 tf32"].smallest(), precision="bfloat16")
    rows = list(training.measured(workloads.Job(case, workloads.EAGER), setting))
    assert len(rows) == 8
    assert all(1e-6 < r["off"] <= 1e-2 and not r["wrong"] for r in rows)


@emulates
@peers
def test_a_wrong_loss_is_marked(setting, monkeypatch):
    prepare = ours.Ours.prepare

    def spoilt(self, workload, start, dropout):
        prepare(self, workload, {**start, "4.weight": start["4.weight"] * 1.01}, dropout)

    monkeypatch.setattr(ours.Ours, "prepare", spoilt)
    rows = list(training.measured(job("tiny float32"), setting))
    assert {r["side"] for r in rows if r["wrong"]} == {"TensorGraph"}
    assert all(r["ratio"] is None for r in rows if r["side"] == "PyTorch")
    found = [v for v in verdicts(rows) if v["verdict"] == "tiny float32"]
    assert [(v["ratio"], v["reached"]) for v in found] == [(None, False)] * 2
    assert found[0]["wrong"] == ["TensorGraph compiled", "TensorGraph eager"]


@emulates
@peers
def test_rounds_that_the_time_leaves_are_kept(setting, monkeypatch):
    monkeypatch.setattr(training, "PATIENCE", 0.0)
    rows = list(training.measured(job("tiny float32"), setting))
    assert [len(r["details"]["rounds"]) for r in rows] == [1] * 8


def test_the_libraries_are_told_after_the_first_job(monkeypatch):
    """Of the last one there may be no end."""
    noted = []
    monkeypatch.setattr(training, "note", noted.append)
    monkeypatch.setattr(training, "named", lambda name, smallest: name)
    monkeypatch.setattr(training, "measured", lambda job, setting: iter([{"row": job}]))
    monkeypatch.setenv(training.SETTING, Setting(True, True, time.monotonic() + 60).text())
    monkeypatch.setenv(training.NAMES, "a\nb")
    training.main()
    assert [key for row in noted for key in row] == ["begun", "row", "libraries", "begun", "row"]


@emulates
@peers
def test_a_contender_that_fails_is_left_to_itself(setting, monkeypatch):
    def fails(self, workload):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(PyTorch, "_captured", fails)
    rows = list(training.measured(job("tiny float32"), setting))
    (failed,) = [r for r in rows if "failed" in r]
    assert failed["failed"] == "tiny float32, PyTorch, graph"
    assert failed["why"].startswith("RuntimeError: operation not permitted")
    assert {r["variant"] for r in rows if r is not failed} == {
        "compiled", "tuned", "eager",
    }  # fmt: skip


@pytest.mark.slow
@emulates
@peers
def test_a_job_that_fails_takes_no_other_with_it(setting, monkeypatch):
    """The process that does the jobs ends with one that is unknown; another does the rest."""
    real = job("tiny float32")
    unknown = workloads.Job(replace(real.case, precision="float16"), workloads.EAGER)
    monkeypatch.setattr(
        training, "jobs", lambda smallest: [unknown, real] if smallest else [real, job("mlp tf32")]
    )
    rows = []
    training.run(setting, rows.append)
    assert rows[0]["failed"] == "tiny float16: eager, tuned, graph" and "KeyError" in rows[0]["why"]
    assert len([r for r in rows if r.get("case") == "tiny float32"]) == 8
    assert [v["against"] for v in rows if v.get("verdict") == "tiny float32"] == ["tuned", "graph"]
    rows.clear()
    training.run(replace(setting, deadline=time.monotonic() + 1), rows.append)
    assert rows[0] == {"left_out": [unknown.name, real.name], "why": "no time was left"}


@pytest.mark.parametrize("text", ["raise ImportError", "raise OSError('libcudnn.so.9')"])
def test_pytorch_that_cannot_be_imported_is_as_none(text, tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert Setting(False, False, 0.0).torch() is None


def entry(side, variant, turns, **row):
    made = Entry(types.SimpleNamespace(side=side, variant=variant))
    made.row |= {"wrong": False, **row}
    made.turns["device"], made.counts["device"] = turns, 50
    return made


def test_ratios_and_shares_of_made_up_times():
    case = CASES["vgg_small bfloat16"]
    first = entry("TensorGraph", "compiled", [(0.01, 0.02), (0.02, 0.02), (0.03, 0.02)], bytes=6e9)
    tuned = entry("PyTorch", "tuned", [(0.02, 0.02), (0.03, 0.02), (0.03, 0.02)])
    graph = entry("PyTorch", "graph", [(0.01, 0.02), (0.01, 0.02), (0.03, 0.02)])
    false = entry("PyTorch", "compile", [(0.001, 0.02)] * 3, wrong=True)
    entries = [first, tuned, graph, false]
    rows = [row_of(workloads.Job(case, ()), e, "device", entries, 3e12) for e in entries]
    assert rows[0]["seconds"] == 0.02 and rows[0]["details"]["quartiles"] == pytest.approx(
        [0.015, 0.025]
    )
    assert rows[0]["limit_share"] == pytest.approx(0.1)  # 2 ms of 20
    assert rows[0]["samples_per_second"] == 128 / 0.02
    assert [r.get("ratio") for r in rows] == [None, 1.5, 1.0, None]  # of 2, 1.5, 1; of 1, 0.5, 1
    told = [v for v in verdicts(rows) if v["verdict"] == case.name]
    assert [(v["against"], v["ratio"], v["reached"]) for v in told] == [
        ("tuned", 1.5, True),
        ("best", 1.0, None),
    ]
    assert told[1]["best_of"] == ["graph", "tuned"] and told[1]["lacking"] == ["eager", "compile"]
    assert told[0]["wrong"] == ["PyTorch compile"]
    missing = {v["ratio"] for v in verdicts(rows) if v["verdict"] != case.name}
    assert missing == {None}


def test_the_best_of_all_is_known_when_all_are():
    case = CASES["resnet18 tf32"]
    ours_, seconds = entry("TensorGraph", "compiled", [(0.01, 0.01)]), {}
    for name, other in (("eager", 0.03), ("tuned", 0.02), ("graph", 0.01), ("max-autotune", 0.008)):
        seconds[name] = entry("PyTorch", name, [(other, other)])
        entries = [ours_, *seconds.values()]
        rows = [row_of(workloads.Job(case, ()), e, "device", entries, 3e12) for e in entries]
        best = next(v for v in verdicts(rows) if v["against"] == "best" and v["ratio"] is not None)
        if name == "graph":
            assert (best["reached"], best["lacking"]) == (None, ["compile"])
            shown = table.ratios([best])[1]
            assert shown == [["resnet18 tf32", "1.00 (≥ 1), without compile"]]
    assert (best["ratio"], best["reached"], best["lacking"]) == (0.8, False, [])
    assert best["best_of"] == ["eager", "graph", "max-autotune", "tuned"]


def test_losses_that_are_no_numbers_are_wrong():
    assert judged([1.0, 2.0], [1.0, 2.0], 1e-4)["wrong"] is False
    assert judged([1.0, 2.001], [1.0, 2.0], 1e-4)["wrong"] is True
    assert judged([1.0, float("nan")], [1.0, 2.0], 1e-4)["wrong"] is True
    assert judged([1.0], None, 1e-4) == {"off": None, "allowed": 1e-4, "wrong": False}


def test_nodes_are_counted_in_the_graphs_that_the_device_made(monkeypatch):
    """The graph is found in what ``CudaDevice.capture`` returned."""

    class Stream:
        def __enter__(self): ...
        def __exit__(self, *error): ...
        def begin_capture(self): ...

        def end_capture(self):
            return types.SimpleNamespace(graph=77, upload=lambda s: None, launch=lambda s: None)

    class Driver:
        def cuGraphGetNodes(self, graph, nodes, count):  # noqa: N802
            assert graph.value == 77 and nodes is None
            count._obj.value = 5
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=None))
    part = CudaDevice(cupy, Stream()).capture(lambda: None)
    assert ours.nodes(types.SimpleNamespace(parts=[part, part])) == 10
    assert ours.nodes(types.SimpleNamespace(parts=[part, print])) is None


def test_the_speed_of_copies_is_that_of_the_faster_way(monkeypatch):
    """CUDA's copy, or our own kernel: bytes read and written over the seconds of one."""
    now, seconds = [0.0], {"copy": 2.0, "kernel": 1.0}
    device = types.SimpleNamespace(allocate=lambda size: types.SimpleNamespace(address=256))
    device.copy = lambda *given: now.__setitem__(0, now[0] + seconds["copy"])
    backend = types.SimpleNamespace(device=device, clock=lambda: lambda: now[0])
    monkeypatch.setattr(ours, "copy", lambda *given: now.__setitem__(0, now[0] + seconds["kernel"]))
    size = ours.COPIED >> 9
    assert ours.copy_speed(backend, True) == pytest.approx(2 * size)
    seconds["kernel"] = 4.0
    assert ours.copy_speed(backend, True) == pytest.approx(size)
