"""The rules of the architecture: who imports whom, sizes, docstrings, the time to import."""

import ast
import os
import subprocess
import sys
import tomllib

import pytest
from architecture import (
    OTHERS,
    ROOT,
    core_sources,
    core_violations,
    cycle,
    other_sources,
    other_violations,
)
from strangers import run_python

CORE_LINES = 3_000
FILE_LINES = 300
IMPORT_MS = 60

pytestmark = pytest.mark.skipif(
    not (ROOT / "tensorgraph").is_dir(), reason="these tests read the source tree"
)


def test_core_imports():
    found = [
        v for module, source in core_sources().items() for v in core_violations(module, source)
    ]
    assert not found, "\n".join(found)


def test_backend_and_plugin_imports():
    found = [v for item in other_sources() for v in other_violations(*item)]
    assert not found, "\n".join(found)
    packages = {package for package, *_ in other_sources()}
    assert packages <= {*OTHERS}


def test_no_cycles():
    assert not cycle(core_sources())


BROKEN = {
    "import numpy": "the core imports numpy",
    "from scipy import signal": "the core imports scipy",
    "import tensorgraph_nn": "the core imports tensorgraph_nn",
    "from tensorgraph.layer import Layer": "tensor may not import tensorgraph.layer",
    "from tensorgraph import ops, autograd": "tensor may not import tensorgraph.autograd",
    "def f():\n    from tensorgraph import ops": "tensorgraph.ops is imported in a function",
    "try:\n    import cupy\nexcept ImportError: pass": "the core imports cupy",
}


@pytest.mark.parametrize("source", BROKEN)
def test_the_rules_notice_a_violation_in_the_core(source):
    (found,) = core_violations("tensor", source)
    assert BROKEN[source] in found


def test_the_rules_notice_a_violation_elsewhere():
    for package, source in {
        "tensorgraph_nn": "import numpy",
        "tensorgraph_train": "def f():\n    import tensorgraph_vision",
        "tensorgraph_vision": "from tensorgraph_numpy.backend import NumpyBackend",
    }.items():
        (found,) = other_violations(package, "x.py", source)
        assert f"{package} may not import " in found
    assert not [
        *core_violations("op", "if TYPE_CHECKING:\n    from tensorgraph.tensor import Tensor")
    ]
    (found,) = core_violations("novel", "from tensorgraph import ops")
    assert "no rule for tensorgraph.novel" in found


def test_the_rules_notice_a_cycle():
    ring = {
        "a": "from tensorgraph import b",
        "b": "import tensorgraph.c",
        "c": "import tensorgraph.a",
    }
    assert cycle(ring) == ["a", "b", "c", "a"]
    assert not cycle({**ring, "c": "if TYPE_CHECKING:\n    import tensorgraph.a"})


def test_importing_and_registering_need_no_array_library():
    heavy = "numpy cupy numba scipy PIL rich typer safetensors torch importlib.metadata"
    code = (
        "import sys, tensorgraph as tg\n"
        f"heavy = {heavy.split()}\n"
        "print([m for m in heavy if m in sys.modules])\n"
        "for registry in tg.plugins.registries.values(): len(registry)\n"
        "print([m for m in heavy[:-1] if m in sys.modules])\n"
        "print(sorted(i.name for i in tg.plugins.infos.values() if i.built_in))\n"
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = sorted(project["entry-points"]["tensorgraph"])
    assert run_python(code).splitlines() == ["[]", "[]", str(names)]


def test_import_time(tmp_path):
    """Processor time, which a busy machine changes little; the best of several processes, with
    compiled modules, as an installer leaves them."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    code = (
        "import time; start = time.process_time()\n"
        "import tensorgraph\nprint(time.process_time() - start)"
    )

    def milliseconds():
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
        return float(done.stdout) * 1e3

    milliseconds()
    took = min(milliseconds() for _ in range(7))
    print(f"import tensorgraph: {took:.0f} ms")
    assert took <= IMPORT_MS


def python_files():
    for folder in ("tensorgraph", "backends", "plugins", "tests", "bench", "docs"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def lines(path):
    return path.read_text("utf-8").count("\n")


def test_sizes():
    long = {str(p.relative_to(ROOT)): lines(p) for p in python_files() if lines(p) > FILE_LINES}
    assert not long, f"files of more than {FILE_LINES} lines: {long}"
    core = sum(map(lines, (ROOT / "tensorgraph").rglob("*.py")))
    print(f"the core has {core} lines")
    assert core <= CORE_LINES


def test_every_module_opens_with_a_sentence():
    for path in python_files():
        text = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        assert text, f"{path} has no docstring"
        first = text.partition("\n\n")[0]
        assert first[-1] in ".;:", f"{path} does not open with a sentence: {first!r}"
