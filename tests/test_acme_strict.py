"""tests/acme/strict: a backend with nothing beyond the array API standard passes what every backend
has to."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from strangers import install_acme, run_python

TESTS = Path(__file__).parent
ON_EVERY_BACKEND = re.compile(r"^def test_\w+\((.*, )?backend\b", re.MULTILINE)
CONFORMANCE = [
    path
    for path in sorted(TESTS.glob("test_*.py"))
    if ON_EVERY_BACKEND.search(path.read_text("utf-8"))
]
SKIPPED = {"scalars have no layout", "backend 'strict' has no float16"}


@pytest.fixture
def installed(tmp_path):
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed (extra dev)")
    install_acme(tmp_path, "strict")
    return tmp_path


def test_it_is_imported_when_it_is_used(installed):
    code = """
import sys, tensorgraph as tg
assert "strict" in tg.plugins.backends and "array_api_strict" not in sys.modules
with tg.use(backend="strict"):
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    (x @ x).sum().backward()
    print(type(x.data).__module__.split(".")[0], x.grad.numpy().tolist())
"""
    found = run_python(code, installed)
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    want = np.ones((2, 2)) @ x.T + x.T @ np.ones((2, 2))
    assert found.strip() == f"array_api_strict {want.tolist()}"


def test_a_dtype_that_the_standard_has_not(installed):
    code = """
import tensorgraph as tg
with tg.use(backend="strict"):
    try:
        tg.ops.cast(tg.tensor([1.0]), dtype="float16")
    except tg.errors.DtypeError as error:
        print(error)
"""
    found = run_python(code, installed)
    assert found == "cast: array_api_strict has no float16; choose another dtype\n"


def test_it_trains(installed, tmp_path):
    code = """
import tensorgraph_cli, json
command = "train --data digits --backend strict --epochs 1 --set train.batch_size=256 --out run"
assert tensorgraph_cli.main(command.split()) == 0
"""
    code = f"import os; os.chdir({str(tmp_path)!r})\n{code}"
    assert "strict (chosen by the call)" in run_python(code, installed)


@pytest.mark.slow
def test_it_passes_the_conformance_suite(installed, tmp_path):
    assert {"test_backend_protocol.py", "test_ops.py"} <= {path.name for path in CONFORMANCE}
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}"]
    inherited = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    done = subprocess.run(
        [*command, "-k", "[strict", *map(str, CONFORMANCE)],
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *inherited])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    cases = list(ElementTree.parse(report).iter("testcase"))
    outcomes = Counter(case[0].tag if len(case) else "passed" for case in cases)
    reasons = Counter(case[0].get("message") for case in cases if len(case))
    print(dict(outcomes), dict(reasons))
    assert all("strict" in case.get("name") for case in cases)
    assert outcomes["passed"] > 2000
    assert {*reasons} <= SKIPPED
