"""The wheel: what is in it, and what its metadata say."""

import email
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that ``TENSORGRAPH_WHEEL`` names, or one built from this tree."""
    if path := os.environ.get("TENSORGRAPH_WHEEL"):
        return zipfile.ZipFile(path)
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def packages():
    return [Path(p).name for p in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]


def test_it_holds_every_file_of_every_package_and_no_other(wheel):
    held = {n for n in wheel.namelist() if ".dist-info/" not in n}
    assert {n.split("/")[0] for n in held} == set(packages())
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode == 0:
        wanted = {
            n.removeprefix("backends/").removeprefix("plugins/") for n in tracked.stdout.split()
        }
        assert {n for n in wanted if n.split("/")[0] in packages()} <= held
    for package in packages():
        assert {f"{package}/__init__.py", f"{package}/py.typed"} <= held
    assert "tensorgraph_cupy/cuda/random.cu" in held
    assert any(n.startswith("tensorgraph_vision/data/") and n.endswith(".npz") for n in held)


def test_every_package_of_the_tree_is_packed():
    beside = [
        p.parent.name for f in ("backends", "plugins") for p in ROOT.glob(f"{f}/*/__init__.py")
    ]
    if not beside:
        pytest.skip("the source tree is not here")
    assert sorted(["tensorgraph", *beside]) == sorted(packages())
    assert sorted(PROJECT["tool"]["mypy"]["packages"]) == sorted(packages())
    modules = PROJECT["project"]["entry-points"]["tensorgraph"].values()
    assert {*modules} == {*beside}, "every package is a plugin"


def test_metadata(wheel):
    (name,) = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
    metadata = email.message_from_string(wheel.read(name).decode())
    assert metadata["Name"] == "tensorgraph"
    assert metadata["Version"] == PROJECT["project"]["version"]
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra")) == {*PROJECT["project"]["optional-dependencies"]}
    base = [r for r in metadata.get_all("Requires-Dist") if "extra ==" not in r]
    assert len(base) == len(PROJECT["project"]["dependencies"])
    assert not any("torch" in r or "numba" in r or "cupy" in r for r in base)
    assert any(n.endswith("/licenses/LICENSE") for n in wheel.namelist())


def test_entry_points(wheel):
    (name,) = [n for n in wheel.namelist() if n.endswith("/entry_points.txt")]
    text = wheel.read(name).decode()
    for group, entries in {
        "console_scripts": PROJECT["project"]["scripts"],
        **PROJECT["project"]["entry-points"],
    }.items():
        assert f"[{group}]" in text
        for key, value in entries.items():
            assert f"\n{key} = {value}\n" in text


def test_it_is_small(wheel):
    assert sum(item.compress_size for item in wheel.infolist()) < 2_000_000
