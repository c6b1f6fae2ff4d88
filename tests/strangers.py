"""Plugins of strangers for tests: distributions made on the spot, without an installer."""

import os
import shutil
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import tensorgraph as tg

ACME = Path(__file__).with_name("acme")  # the examples to copy from, each a distribution


def holding(**hooks):
    """A plugin made of functions."""
    plugin = types.ModuleType("plugin")
    for hook, function in hooks.items():
        function.__name__ = hook
        setattr(plugin, hook, tg.hookimpl(function))
    return plugin


def install(folder, name, source, *, value=None, distribution=None, version="1.0"):
    """Put a distribution with the plugin ``name`` into ``folder``, which is to be on the path.

    ``source`` is a module's text, or a package's folder; ``value`` is what the entry point says.
    """
    if isinstance(source, Path):
        module = source.name
        shutil.copytree(source, folder / module, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        module = f"stranger_{name}"
        (folder / f"{module}.py").write_text(source, "utf-8")
    distribution = distribution or module
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"  # told apart by that
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", "utf-8"
    )
    (info / "entry_points.txt").write_text(f"[tensorgraph]\n{name} = {value or module}\n", "utf-8")
    return module


def install_acme(folder, name):
    """Install tests/acme/``name`` into ``folder``, as its pyproject.toml says."""
    project = tomllib.loads((ACME / name / "pyproject.toml").read_text("utf-8"))["project"]
    ((plugin, module),) = project["entry-points"]["tensorgraph"].items()
    return install(
        folder,
        plugin,
        ACME / name / module,
        distribution=project["name"],
        version=project["version"],
    )


def run_python(code, *paths, arguments=(), **environment):
    """A fresh interpreter; what it prints. It fails where the code fails, and on warnings."""
    inherited = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments, "-c", code],
        env={
            **os.environ,
            **environment,
            "PYTHONPATH": os.pathsep.join([*map(str, paths), *inherited]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
