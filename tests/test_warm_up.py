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
    assert "op by op numba Numba is not installed here; pip install 'tensorgraph[jit]'" in out


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


@pytest.mark.slow
def test_everything_compiles(warm, tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    run = [sys.executable, "-m", "tensorgraph_cli", "warm-up"]
    done = subprocess.run(run, check=True, env=environment, capture_output=True, text=True)
    wanted = len(warm.every_name(False))
    assert f"{wanted} kernels were compiled in" in done.stdout
    assert f"{wanted} of {wanted} for float32" in done.stdout
