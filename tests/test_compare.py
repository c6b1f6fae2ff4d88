"""The comparison with peers: its workers and their turns, with libraries that are made up."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tensorgraph as tg
from bench.compare import __main__ as command
from bench.compare import driver, figures
from bench.compare.driver import Measurement, Plan
from bench.compare.process import LeftOut, Worker
from bench.compare.variants import VARIANTS, Variant
from bench.compare.workloads import WORKLOADS, Conv, Norm, layers, save_problem, weights

try:
    import torch
except ImportError:
    torch = None

ROOT = Path(__file__).parent.parent
FAKE = '''
"""A library of the tests: its option says how it behaves."""
import os, threading, time
from bench.compare.program import Program, Unavailable, placed

print("what a library prints is no answer")

def check(option):
    if option == "absent":
        raise Unavailable("not on this machine")
    if option == "spins":
        threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()

def prepare(request):
    done = 0
    def run(*arrays):
        nonlocal done
        done += 1
        pace = os.environ.get("FAKE", request.option)
        time.sleep({"slow": 0.03, "drags": 0.3}.get(pace, 0.01))
        if request.option == "breaks" and done > 4:
            raise RuntimeError("it broke\\nin two lines")
        if request.option == "exits":
            os._exit(3)
        if request.option == "hangs":
            time.sleep(60)
        loss = float(request.weights["0.weight"].sum() + arrays[0].sum()) / done
        return loss + (request.option == "wrong") * done
    place = lambda x, y: (x, y)
    return Program(place, run, lambda loss: loss, placed(place))
'''


def fake(option, library="fake_library", family="fake"):
    name = option if family == "fake" else f"{family}-{option}"
    return Variant(name, f"Fake, {option}", family, library, option, "none", ("", ""))


@pytest.fixture
def library(tmp_path, monkeypatch):
    (tmp_path / "fake_library.py").write_text(FAKE, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def measured(*variants, **options):
    plan = Plan(variants, **{"rounds": 3, "seconds": 0.02, "patience": 10.0, **options})
    return Measurement(plan, WORKLOADS["tiny"], "train", 100).run()


def test_variants_take_turns_and_their_ratio_is_that_of_their_speeds(library):
    said = []
    plain, slow = fake("plain", family="tensorgraph"), fake("slow", family="torch")
    result = measured(plain, slow, say=said.append)
    found = result["variants"]
    assert [len(v["seconds"]) for v in found.values()] == [3, 3]
    assert all(steps >= 3 for v in found.values() for steps in v["steps"])
    ratio = figures.ratio(found["torch-slow"]["seconds"], found["tensorgraph-plain"]["seconds"])
    assert 1.5 < ratio.low <= ratio.median <= ratio.high
    assert figures.rival(found, [plain, slow]) == "torch-slow"
    assert not figures.disagreeing(result)
    assert found["torch-slow"]["values"] == found["tensorgraph-plain"]["values"]
    assert len(found["torch-slow"]["values"]) == driver.CHECKED
    for v in found.values():
        assert v["cold"] > 0.01 and v["compiled"] > 0.01 and v["warm"] > 0.01
        assert v["peak_kib"] is None or v["peak_kib"] >= v["imported_kib"] > 1000
    assert "round 3 of 3" in said


def test_who_cannot_take_part_is_left_out_and_the_others_go_on(library):
    options = ["plain", "absent", "breaks", "exits", "drags", "wrong"]
    none = fake("none", library="no_such_library")
    result = measured(*map(fake, options), none, rounds=1, longest_step=0.2)
    found = result["variants"]
    assert len(found["plain"]["seconds"]) == 1
    assert found["absent"]["missing"] == "not on this machine"
    assert found["none"]["missing"] == "no_such_library is not installed"
    assert found["drags"]["missing"] == "a step takes 0 s, more than 0.2 s"
    line = FAKE.splitlines().index(next(x for x in FAKE.splitlines() if "it broke" in x)) + 1
    assert found["breaks"]["failed"] == f"RuntimeError: it broke (fake_library.py:{line})"
    assert not figures.complete(found["breaks"])
    assert found["exits"]["failed"].startswith("ended with status 3")
    assert list(figures.disagreeing(result)) == ["wrong"]
    said = "\n".join(command.problems({"results": [result]}))
    for name, problem in {
        "breaks": "failed: RuntimeError",
        "wrong": "computes something else",
    }.items():
        assert f"training step, 100: {name} {problem}" in said
    assert "absent" not in said and "drags" not in said, "missing is no failure"


def test_only_the_cold_start_may_compile_beside_its_steps(library):
    """Dragging stands for compiled code that is waited for: there, a step takes 0.3 s."""
    variant = dataclasses.replace(fake("plain"), settled={"FAKE": "drags"})
    found = measured(variant, rounds=1)["variants"]["plain"]
    assert found["cold"] < 0.3 < min(found["compiled"], found["warm"], *found["seconds"])


def test_who_does_not_answer_is_given_up(library):
    result = measured(fake("hangs"), rounds=1, patience=1.5)
    assert result["variants"]["hangs"]["missing"] == "no answer within 1.5 s"


def processor_seconds(pid):
    words = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
def test_a_waiting_worker_uses_no_processor(library, tmp_path):
    with Worker(fake("spins"), 1, tmp_path / "caches", 10.0) as worker:
        worker.begun()
        worker.stop()
        time.sleep(0.05)
        before = processor_seconds(worker.process.pid)
        time.sleep(0.3)
        assert processor_seconds(worker.process.pid) == before
        with worker.turn():
            end = time.monotonic() + 10
            while processor_seconds(worker.process.pid) == before and time.monotonic() < end:
                time.sleep(0.05)
        assert processor_seconds(worker.process.pid) > before


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_a_stopped_worker_ends_with_its_driver(library, tmp_path):
    code = (
        "import os, sys, pathlib, test_compare as t\n"
        f"w = t.Worker(t.fake('plain'), 1, pathlib.Path({str(tmp_path / 'caches')!r}), 10.0)\n"
        "w.begun(); w.stop(); print(w.process.pid, flush=True); os._exit(0)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT / "tests"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    status, end = Path(f"/proc/{done.stdout.strip()}/status"), time.monotonic() + 10
    while status.exists() and "zombie" not in status.read_text() and time.monotonic() < end:
        time.sleep(0.05)
    assert not status.exists() or "zombie" in status.read_text()


def test_a_worker_that_is_gone_says_so(library, tmp_path):
    with Worker(fake("plain"), 1, tmp_path / "caches", 10.0) as worker:
        worker.begun()
        worker.process.kill()
        worker.process.wait()
        with pytest.raises(LeftOut, match="ended with status -9"):
            worker.ask(do="steps", seconds=0, least=1)


def test_every_round_begins_with_another():
    assert [driver._turned(["a", "b", "c"], i) for i in range(4)] == [
        ["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"],
    ]  # fmt: skip
    assert driver._turned([], 2) == []


PARAMETERS = {
    "tiny": 337, "mlp": 535_818, "lenet5": 61_706, "simple_cnn": 34_826, "vgg_small": 591_658,
    "resnet18": 11_173_962, "resnet18_224": 11_689_512,
}  # fmt: skip


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_descriptions_are_tensorgraphs_models(name):
    from bench.compare.libraries import ours
    from bench.compare.program import Request

    workload = WORKLOADS[name]
    drawn = weights(workload.network)
    assert sum(w.size for w in drawn.values()) == PARAMETERS[name]
    model = ours.built(Request(workload, drawn, "eager", 1, train=False))
    for key, parameter in model.named_parameters().items():
        assert (parameter.numpy() == drawn[key]).all()


@pytest.mark.parametrize("seed", range(12))
def test_networks_drawn_at_random(seed):
    """Named by their seed, five layers with weights, and ours is the network that is described."""
    from bench.compare import drawn
    from bench.compare.libraries import ours
    from bench.compare.program import Request

    workload = drawn.workload(f"random-{seed}")
    assert workload == drawn.drawn(seed) != drawn.drawn(seed + 1)
    found = list(layers(workload.network))
    assert len([x for x in found if not isinstance(x, Norm)]) == 5
    model = ours.built(Request(workload, weights(workload.network), "eager", 1, train=False))
    assert model.infer_shape(tg.Spec((3, *workload.shape), "float32")).shape == (
        3,
        workload.outputs,
    )
    convolutions = [x for x in found if isinstance(x, Conv)]
    made = [layer for layer in model if isinstance(layer, tg.layers.conv2d)]
    for x, layer in zip(convolutions, made, strict=True):
        given = (x.outputs, x.kernel, x.stride, x.padding, x.groups)
        want = (layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.groups)
        assert given == want


@pytest.mark.parametrize("name", ["random", "random-", "random-x", "lenet"])
def test_unknown_workloads(name):
    from bench.compare import drawn

    with pytest.raises(KeyError):
        drawn.workload(name)


@pytest.mark.slow
@pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra peers)")
def test_first_losses_of_all_libraries_agree(tmp_path):
    from bench.compare import drawn

    results = {name: {} for name in ("tiny", "mlp", "lenet5", "random-1")}
    for name in results:
        save_problem(str(tmp_path / name), drawn.workload(name), 32, 2)
    for variant in [v for v in VARIANTS if v.name != "torch-compile"]:
        with Worker(variant, 2, tmp_path / variant.name, 300.0) as worker:
            try:
                worker.begun()
            except LeftOut as error:
                assert error.kind == "missing", f"{variant.name}: {error}"
                continue
            for name, found in results.items():
                problem = f"{tmp_path / name}.npz"
                try:
                    worker.ask(do="prepare", workload=name, problem=problem, train=True)
                    steps = worker.ask(do="steps", seconds=0, least=driver.CHECKED)
                except LeftOut as error:
                    assert error.kind == "missing", f"{variant.name}: {error}"
                    continue
                found[variant.name] = {"values": [value for (value,) in steps["values"]]}
    for name, found in results.items():
        assert {"tensorgraph-eager", "torch-eager"} <= set(found)
        assert not figures.disagreeing({"measure": "train", "variants": found}), name
        losses = found["torch-eager"]["values"]
        assert losses[-1] < losses[0], "nothing was learnt"
