"""cuDNN in a process that has PyTorch too, or a copy of its own: there must be one for all. Where
the CUDA wheels are installed, and without a GPU."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from tensorgraph_cupy.lib import loading

LOADED = """
import ctypes, sys
from tensorgraph_cupy.lib import loading
for name in sys.argv[1:]:
    if name == "torch":
        import torch
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).sum() == 8
    elif name == "frontend":
        assert loading.cudnn().backend_version() > 90000
    else:
        ctypes.CDLL(name)
lines = open("/proc/self/maps").read().splitlines()
print(*sorted({line.split()[-1] for line in lines if "/libcudnn.so" in line}))
"""


@pytest.fixture(scope="module")
def wheel():
    """The library of the wheel nvidia-cudnn-cu13."""
    try:
        frontend = loading.cudnn()
    except loading.MissingError as error:
        pytest.skip(f"cuDNN is not loaded: {error}")
    assert frontend.backend_version() > 90000
    lines = Path("/proc/self/maps").read_text().splitlines()
    return next(Path(line.split()[-1]) for line in lines if "/libcudnn.so" in line)


def loaded(*names, **environment):
    command = [sys.executable, "-c", LOADED, *map(str, names)]
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env={**path, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("names", [("torch", "frontend"), ("frontend", "torch")], ids="-".join)
@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed (extra peers)"
)
def test_pytorch_before_or_after(wheel, names):
    assert loaded(*names) == [str(wheel)]


def test_what_is_loaded_already_is_taken(wheel, tmp_path):
    """As PyTorch's would be, where its wheels lie elsewhere."""
    for path in wheel.parent.iterdir():
        (tmp_path / path.name).symlink_to(path)
    other = tmp_path / wheel.name
    other.unlink()
    other.write_bytes(wheel.read_bytes())
    assert loaded(other, "frontend") == [str(other)]


def test_another_one_in_the_loaders_path_is_let_be(wheel, tmp_path):
    (tmp_path / wheel.name).touch()
    assert loaded("frontend", LD_LIBRARY_PATH=str(tmp_path)) == [str(wheel)]
