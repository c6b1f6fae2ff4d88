"""``tensorgraph warm-up`` compiles Numba's kernels ahead; ``doctor`` says which there are."""

import os
import subprocess
import sys

import pytest
from tensorgraph_numba import command as module
from training_help import command


def test_without_numba(monkeypatch, said, capsys):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert "warm-up: Numba is not installed here; pip install 'tensorgraph[jit]'" in said("warm-up")
    assert command("doctor") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "or else op by op" in out
    assert "numba Numba is not installed here; pip install 'tensorgraph[jit]'" in out


@pytest.fixture
def warm():
    pytest.importorskip("numba")
    from tensorgraph_numba import warm

    return warm


SMALL = [
    "tensorgraph_numba.kernels.program.tile_1_1_4@float32",
    "tensorgraph_numba.kernels.program.tile_2_1_4@float64",
    "tensorgraph_numba.kernels.pack.fill_rows@float32",
]


def test_what_is_missing_is_compiled(warm, monkeypatch, capsys):
    monkeypatch.setattr(warm, "every_name", lambda float64: SMALL)
    monkeypatch.setattr(warm, "cached", lambda name: False)
    assert command("warm-up") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "3 kernels were compiled in" in out
    assert f"0 of 2 for float32, in {warm.folder()}" in out
    monkeypatch.undo()
    assert all(map(warm.cached, SMALL))
    monkeypatch.setattr(warm, "every_name", lambda float64: SMALL)
    assert command("warm-up") == 0
    assert "none was missing: 2 of 2 for float32" in capsys.readouterr().out


def test_a_kernel_that_does_not_compile(warm, monkeypatch, said):
    monkeypatch.setattr(
        warm, "every_name", lambda float64: ["tensorgraph_numba.native.odd@float32"]
    )
    monkeypatch.setattr(warm, "cached", lambda name: False)
    error = said("warm-up")
    assert "warm-up: tensorgraph_numba.native.odd@float32: does not compile here: " in error
    assert "kernel_named" in error


def test_names_lead_to_their_kernels(warm):
    from tensorgraph_numba.kernels.program import tile_kernel
    from tensorgraph_numba.kernels.tile_code import Shape

    names = warm.every_name(True)
    odd = [Shape(3, 1, 8, True, True, True, 3, 2), Shape(5, 1, 16, lanewise=True, summed=True)]
    names += [warm.name_of(tile_kernel(shape), "float32") for shape in odd]
    assert len(set(names)) == len(names) > 100
    assert [warm.name_of(*warm.kernel_of(name)) for name in names] == names


def test_a_cache_of_its_own(warm, tmp_path):
    """A kernel is in the cache once it was compiled; looking for it compiles nothing."""
    name = SMALL[0]
    code = (
        "from tensorgraph_numba import warm\n"
        f"print(warm.cached({name!r}), warm.folder().startswith({str(tmp_path)!r}))\n"
        f"if warm.cached({name!r}): raise SystemExit\n"
        f"warm.build([{name!r}])\n"
        f"print(warm.cached({name!r}), warm.cached({SMALL[2]!r}))\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def run():
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            env=environment,
            capture_output=True,
            text=True,
        )
        return done.stdout.splitlines()

    assert run() == ["False True", "True False"]
    assert run() == ["True True"], "in another process too"


class Process:
    """What another process seems to be; it ends when its status is set."""

    def __init__(self):
        self.status = None

    def poll(self):
        return self.status


@pytest.mark.parametrize("status", [0, 1])
def test_one_process_compiles_beside_a_run(warm, monkeypatch, capsys, status):
    started = []

    def start(names):
        started.append((list(names), Process()))
        return started[-1][1]

    monkeypatch.setattr(warm, "_start", start)
    builder = warm.Builder()
    assert builder.done()
    builder.ask(["a", "b"])
    builder.ask(["b", "c"])
    assert [names for names, _ in started] == [["a", "b"]]
    assert not builder.done()
    started[0][1].status = status
    assert not builder.done(), "there is more"
    assert started[1][0] == ["c"]
    assert capsys.readouterr().err == ""
    started[1][1].status = 0
    assert builder.done() and builder.done()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert ("could not be compiled" if status else "were compiled beside the run in 0 s") in said
    builder.ask(["a", "c"])
    assert builder.done(), "each is compiled once"


BESIDE = """
import time, numpy as np, tensorgraph as tg
w = tg.tensor(np.eye(32, dtype="float32"))
step = tg.compile(lambda x: tg.ops.tanh(x @ w))
x = tg.tensor(np.ones((8, 32), "float32"))
first, start = step(x).numpy(), time.monotonic()
while not step.plan.runner.settled and time.monotonic() - start < 300:
    time.sleep(0.1)
    np.testing.assert_allclose(step(x).numpy(), first, rtol=1e-6)
print(type(step.plan.runner.runner).__module__)
"""


@pytest.mark.slow
def test_a_run_goes_over_to_compiled_kernels(warm, tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    environment.pop("TENSORGRAPH_JIT", None)
    run = [sys.executable, "-c", BESIDE]
    done = subprocess.run(run, check=True, env=environment, capture_output=True, text=True)
    assert done.stdout == "tensorgraph_numba.plan.runner\n"
    assert done.stderr.startswith("tensorgraph: kernels were compiled beside the run in ")


@pytest.mark.slow
def test_everything_compiles(warm, tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    run = [sys.executable, "-m", "tensorgraph_cli", "warm-up"]
    done = subprocess.run(run, check=True, env=environment, capture_output=True, text=True)
    wanted = len(warm.every_name(False))
    assert f"{wanted} kernels were compiled in" in done.stdout
    assert f"{wanted} of {wanted} for float32" in done.stdout
