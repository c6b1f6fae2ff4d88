"""``tensorgraph new`` as a newcomer uses it: every kind installed by pip in a fresh environment,
then the commands that it prints."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tensorgraph_new import template
from tensorgraph_new.kinds import KINDS

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Runs commands in an empty folder, in an environment that has TensorGraph alone."""
    folder = tmp_path_factory.mktemp("newcomer")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    (folder / "work").mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
    environment["PATH"] = os.pathsep.join([str(folder / "venv" / "bin"), os.environ["PATH"]])

    def run(commands):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=folder / "work",
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    run(f"pip install -q {os.environ.get('TENSORGRAPH_WHEEL') or ROOT}")
    return run


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_that_it_prints(kind, shell):
    name = f"fresh_{kind}"
    printed = shell(f"tensorgraph new {kind} {name}")
    steps = printed.partition("Next:\n")[2].split("\n")
    assert len(steps) == 4, "three, and the end of the last line"
    out = shell("\n".join(steps))
    assert " passed" in out
    assert "failed" not in out
    assert template.fill(KINDS[kind].key, name) in shell("tensorgraph plugins")


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
