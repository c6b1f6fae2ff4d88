"""``tensorgraph doctor``: the machine, versions, settings, backends, every plugin or its error."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from strangers import install
from tensorgraph_cli import doctor
from training_help import command

import tensorgraph as tg
from tensorgraph.discovery import Plugins


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith(doctor.PREFIXES)]:
        monkeypatch.delenv(name)


@pytest.fixture
def shown(capsys):
    """Runs the command; its lines by the title above them, with single blanks."""

    def run():
        assert command("doctor") == 0
        text = "\n".join(" ".join(line.split()) for line in capsys.readouterr().out.splitlines())
        sections = (section.splitlines() for section in text.strip().split("\n\n"))
        return {title: rows for title, *rows in sections}

    return run


def row(rows, name):
    """The text beside a name."""
    (found,) = [line.removeprefix(f"{name} ") for line in rows if line.startswith(f"{name} ")]
    return found


def test_doctor_says_which_backend_won_and_why(capsys, monkeypatch):
    Path("pyproject.toml").write_text("[tool.tensorgraph]\nbackend = 'numpy'\n")
    assert command("doctor") == 0
    out = capsys.readouterr().out
    assert "numpy, chosen by [tool.tensorgraph] in" in out
    assert "openblas" in out.lower() or "mkl" in out.lower() or "accelerate" in out.lower()
    assert np.__version__ in out
    assert "auto" in out
    monkeypatch.setenv("TENSORGRAPH_BACKEND", "auto")
    assert command("doctor") == 0
    assert "auto, chosen by the environment variable TENSORGRAPH_BACKEND" in capsys.readouterr().out


def test_doctor_says_who_runs_compiled_steps(capsys, monkeypatch):
    class Odd:
        @tg.hookimpl
        def register_compilers(self, register):
            register(backend="odd", name="fast", compiler="nowhere:compile")

        @tg.hookimpl
        def register_checks(self, register):
            register("lines", lambda: [("weather", "fine"), ("mood", "good")])
            register("fails", "nowhere:check")

    plugins = Plugins()
    plugins.register(Odd(), "odd")
    for kind in ("compilers", "checks"):
        hook, ours = f"register_{kind}", getattr(tg.plugins, kind)
        for name, thing in ours.items():
            plugins.registries[hook].put(name, thing, plugin=ours.plugin_of(name))
        monkeypatch.setitem(tg.plugins.registries, hook, plugins.registries[hook])
    assert command("doctor") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "odd by fast, or else op by op" in lines
    assert any(line.endswith("chunked, or else op by op") for line in lines)
    assert {"weather fine", "mood good"} <= {*lines}
    broken = "the check 'fails' of plugin 'odd' cannot be imported from 'nowhere:check'"
    assert any(broken in line for line in lines)


def test_the_machine(shown):
    rows = shown()["machine"]
    assert row(rows, "python").startswith(f"{platform.python_version()} at ")
    assert f"of {os.cpu_count()} cores for this process" in " ".join(rows)
    features = row(rows, "features") if "features ?" not in rows else "?"
    if platform.machine() == "x86_64":
        assert {"SSE2", "SSE"} & {*features.split(", ")} or "X86_V2" in features
    assert row(rows, "blas")
    threads = [line for line in rows if line.startswith("threads ")]
    assert any("(blas, " in line for line in threads), "how many, of which library"
    if (memory := row(rows, "memory")) != "?":
        assert float(memory.removesuffix(" GB")) > 0.5


def test_the_name_of_the_processor(shown):
    path = Path("/proc/cpuinfo")
    if not path.exists() or "model name" not in path.read_text():
        pytest.skip("this system does not tell it there")
    (name, *_) = [x.partition(": ")[2] for x in path.read_text().splitlines() if "model name" in x]
    assert row(shown()["machine"], "processor").startswith(" ".join(name.split()))


def test_versions_and_what_would_bring_what_is_missing(shown, monkeypatch):
    real = metadata.version

    def version(name):
        if name == "numba":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    rows = shown()["versions"]
    for name in ("numpy", "pluggy", "safetensors", "threadpoolctl", "typer"):
        assert row(rows, name) == real(name)
    assert row(rows, "tensorgraph").startswith(f"{real('tensorgraph')} at ")
    assert row(rows, "numba") == "not installed; pip install 'tensorgraph[jit]' brings it"
    assert not any(line.startswith("pytest") for line in rows), "that is for developers"


def test_the_environment(shown, monkeypatch):
    assert shown()["environment"][0].startswith("none of TENSORGRAPH_*, OMP_*, OPENBLAS_*")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("TENSORGRAPH_DTYPE", "float64")
    assert shown()["environment"] == ["OMP_NUM_THREADS 3", "TENSORGRAPH_DTYPE float64"]


def test_the_gpu_or_why_there_is_none(shown):
    sections = shown()
    gpu = row(sections["checks"], "gpu")
    available = row(sections["backends"], "cupy")
    if available.startswith("available: cupy"):
        assert "compute capability" in gpu
    else:
        assert gpu.startswith("none to work with: ")
        assert available in f"backend 'cupy' is not available here: {gpu[19:]}"


def run_with(site, *arguments, **environment):
    inherited = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    path = os.pathsep.join([str(site), *inherited])
    return subprocess.run(
        [sys.executable, "-m", "tensorgraph_cli", *arguments],
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_plugin_with_its_time_or_its_error(tmp_path):
    slow = "import time, tensorgraph\ntime.sleep(0.2)\n"
    install(tmp_path, "slow", slow, version="2.5", distribution="acme-slow")
    install(tmp_path, "broken", "raise OSError('no licence')", version="0.1")
    install(tmp_path, "unused", "raise OSError('not asked for')")
    done = run_with(tmp_path, "doctor", TENSORGRAPH_DISABLE_PLUGINS="unused, brokn")
    assert done.returncode == 0
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    (line,) = [x for x in lines if x.startswith("slow loaded in ")]
    took, rest = line.removeprefix("slow loaded in ").split(" ms, ")
    assert 200 <= float(took) < 2000
    assert rest == "stranger_slow 2.5 of acme-slow"
    (first,) = [i for i, x in enumerate(lines) if x.startswith("broken broken in ")]
    assert lines[first].endswith(" ms, stranger_broken 0.1 of stranger_broken")
    assert lines[first + 1] == "OSError: no licence"
    assert lines[first + 2] == f"at {tmp_path}/stranger_broken.py:1"
    assert "unused left out by TENSORGRAPH_DISABLE_PLUGINS" in lines
    (line,) = [x for x in lines if x.startswith("TENSORGRAPH_DISABLE_PLUGINS no plugin ")]
    assert (
        "no plugin is named 'brokn'; did you mean 'broken'? Known: audit, augment, bench, " in line
    )


def test_what_two_plugins_claim_is_listed_as_contested(tmp_path):
    offer = "import tensorgraph\n@tensorgraph.hookimpl\ndef register_layers(register):\n"
    install(tmp_path, "ant", f"{offer}    register('shared', len)\n    register('mine', len)")
    install(tmp_path, "bee", f"{offer}    register('shared', max)")
    lines = [" ".join(x.split()) for x in run_with(tmp_path, "plugins").stdout.splitlines()]
    assert "ant stranger_ant 1.0 of stranger_ant layer shared (contested), mine" in lines
    (line,) = [x for x in lines if x.startswith("bee ")]
    assert "broken: layer 'shared' is registered by plugin 'ant' and again by plugin 'bee'" in line


def test_a_built_in_plugin_that_is_switched_off(tmp_path):
    done = run_with(tmp_path, "train", "--data", "digits", TENSORGRAPH_DISABLE_PLUGINS="nn")
    assert done.returncode == 2
    assert "Disabled: plugin nn" in done.stderr
