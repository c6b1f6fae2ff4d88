"""``tensorgraph new`` as a newcomer uses it: every kind installed by pip in a fresh environment,
then the commands that it prints, the benchmarks, and what is published."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tensorgraph_new import template
from tensorgraph_new.kinds import KINDS

ROOT = Path(__file__).resolve().parent.parent
MAY_NOT_RUN = {"other backends", "broadcasting", "behaviour"}  # NumPy alone; a loss of one shape

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Runs commands in an empty folder, in an environment that has TensorGraph alone. What is not
    pip may not warn."""
    folder = tmp_path_factory.mktemp("newcomer")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    (folder / "work").mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
    environment["PATH"] = os.pathsep.join([str(folder / "venv" / "bin"), os.environ["PATH"]])
    before = 'set -euo pipefail; pip() { PYTHONWARNINGS= command pip "$@"; }'
    environment["PYTHONWARNINGS"] = "error"

    def run(commands):
        done = subprocess.run(
            ["bash", "-c", f"{before}\n{commands}"],
            cwd=folder / "work",
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    run(f"pip install -q {os.environ.get('TENSORGRAPH_WHEEL') or ROOT} build hatchling editables")
    return run


@pytest.fixture(scope="module")
def every_kind(shell):
    """The same environment, with a plugin of each kind, fresh_KIND."""
    names = [f"fresh_{kind}" for kind in KINDS]
    commands = [f"tensorgraph new {kind} fresh_{kind}" for kind in KINDS]
    folders = " ".join(f"-e './{name}[test]'" for name in names)
    shell("\n".join([*commands, f"pip install -q --no-build-isolation {folders}"]))
    return shell


def test_the_commands_that_it_prints(shell):
    printed = shell("tensorgraph new layer mine")
    *steps, end = printed.partition("Next:\n")[2].split("\n")
    assert (len(steps), end) == (3, "")
    out = shell("\n".join([*steps, "pytest benchmarks"]))
    assert out.count(" passed in ") == 2, "the tests and the benchmarks"
    assert "layer 'mine': " in out
    assert "Name (time in " in out


@pytest.mark.parametrize("kind", KINDS)
def test_its_checks_pass(kind, every_kind):
    (report,) = json.loads(every_kind(f"tensorgraph check fresh_{kind} --json"))["reports"]
    outcomes = {row["check"]: row["outcome"] for row in report["rows"]}
    assert {*outcomes.values()} <= {"passed", "could not run"}
    assert {check for check, x in outcomes.items() if x != "passed"} <= MAY_NOT_RUN


def test_their_own_tests_and_benchmarks_pass(every_kind):
    collect = "-o 'python_files=test_*.py bench_*.py' -o 'python_functions=test_* bench_*'"
    out = every_kind(f"pytest --import-mode=importlib --benchmark-disable {collect} fresh_*")
    assert " passed in " in out
    for kind in KINDS:
        assert f"tests/test_fresh_{kind}.py" in out
        assert f"benchmarks/bench_fresh_{kind}.py" in out
    assert not [word for word in ("failed", "skipped", "warning") if word in out]


def test_what_is_published(shell):
    """The wheel is made from the source distribution, and serves where the sources are not."""
    shell("tensorgraph new layer published; cd published; python -m build --no-isolation")
    shell("pip install -q published/dist/*.whl; rm -r published/tensorgraph_published")
    assert "layer 'published': " in shell("tensorgraph check published")


def test_their_types(shell, tmp_path):
    """With mypy --strict, on the sources of TensorGraph."""
    pytest.importorskip("mypy")
    if not (ROOT / "tensorgraph").is_dir():
        pytest.skip("the sources are not here")
    packages = []
    for kind in KINDS:
        shell(f"tensorgraph new {kind} typed_{kind} --out {tmp_path / kind}")
        packages.append(tmp_path / kind / template.package(f"typed_{kind}"))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *packages],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
