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


class Newcomer:
    """An empty folder, and an environment that has TensorGraph alone."""

    def __init__(self, folder):
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        (folder / "work").mkdir()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
        path = os.pathsep.join([str(folder / "venv" / "bin"), os.environ["PATH"]])
        self.environment = {**kept, "PATH": path, "PYTHONWARNINGS": "error"}
        self(f"pip install -q {os.environ.get('TENSORGRAPH_WHEEL') or ROOT}")

    def __call__(self, commands):
        """What the commands print. Those of Python's own tools may warn, others may not."""
        quiet = 'pip() { PYTHONWARNINGS= command pip "$@"; }\n'
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", quiet + commands],
            cwd=self.folder / "work",
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    return Newcomer(tmp_path_factory.mktemp("newcomer"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_that_it_prints(kind, shell):
    name = f"fresh_{kind}"
    printed = shell(f"tensorgraph new {kind} {name}")
    *steps, end = printed.partition("Next:\n")[2].split("\n")
    assert (len(steps), end) == (3, "")
    out = shell("\n".join([*steps, "pytest benchmarks --benchmark-disable"]))
    assert out.count(" passed") >= 3, "the checks, the tests, the benchmarks"
    assert "failed" not in out
    report = json.loads(shell(f"tensorgraph check {name} --json"))["reports"][0]
    left = {row["check"] for row in report["rows"] if row["outcome"] == "could not run"}
    assert left <= MAY_NOT_RUN
    assert template.fill(KINDS[kind].key, name) in shell("tensorgraph plugins")


def test_what_is_published(shell, tmp_path):
    """A wheel, and one made from the source distribution, serve in another environment."""
    shell("pip install -q build hatchling && tensorgraph new layer published")
    shell("cd published && python -m build --no-isolation")
    other = Newcomer(tmp_path)
    for made in (
        "tensorgraph_published-0.1.0-py3-none-any.whl",
        "tensorgraph_published-0.1.0.tar.gz",
    ):
        other(
            f"pip install -q --force-reinstall --no-deps {shell.folder}/work/published/dist/{made}"
        )
        assert "layer 'published': " in other("tensorgraph check published --kind layer")


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
