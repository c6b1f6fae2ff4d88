"""The benchmark for GPUs, bench/gpu.py, without one: as a command on the emulated device, its
sections, its file of results and its tables. None of this measures a GPU."""

import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from emulated_device import available
from gpu_help import CONDITIONS, FLAGS

from bench.cuda import checks, conformance, results, sections, table
from bench.cuda.process import Part, offer
from bench.cuda.setting import Setting

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ROOT / "bench" / "gpu.py"


def command(*words, **environment):
    return subprocess.run(
        [sys.executable, str(COMMAND), *map(str, words)],
        capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def test_without_a_gpu_it_says_what_is_missing_and_writes_nothing(tmp_path):
    done = command("--out", tmp_path / "out", CUDA_VISIBLE_DEVICES="-1")
    assert done.returncode == 2
    assert "gpu.py: backend 'cupy' is not available here: " in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "speed"], "invalid choice: 'speed'"),
        (["--minutes", "0"], "invalid minutes value: '0'"),
        (["--data", "nowhere"], "nowhere is no folder"),
        (["--show", "pyproject.toml"], "pyproject.toml: "),
    ],
)
def test_what_cannot_be_meant(words, said):
    done = command(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def rehearsed(section, tmp_path):
    done = command("--emulated", "--only", section, "--out", tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "no figure here says anything about a GPU" in done.stdout
    (path,) = tmp_path.iterdir()
    found = json.loads(path.read_text("utf-8"))
    assert path.name.startswith("rehearsal-") and found["emulated"]
    assert results.newest(tmp_path) is None
    return found["sections"][section]["rows"]


@pytest.mark.slow  # g++ compiles each kernel anew
@pytest.mark.skipif(not available(), reason="g++ is not installed")
def test_a_rehearsal(tmp_path):
    rows = rehearsed("leak", tmp_path)
    assert [row["after"] for row in rows if "after" in row] == [50, 100, 200, 5, 10, 20]
    assert [row["reached"] for row in rows if "verdict" in row] == [True, True]


@pytest.mark.slow  # g++ compiles some hundred kernels, once
@pytest.mark.skipif(not available(), reason="g++ is not installed")
def test_a_rehearsal_of_the_conformance_checks(tmp_path):
    rows = rehearsed("conformance", tmp_path)
    assert rows[-1]["reached"] is True
    counts = {row["checked"]: row for row in rows if "checked" in row}
    for what in ("eager, float32", "launch by launch, tf32", "replayed, bfloat16",
                 "replayed bit for bit, float32", "losses, compiled, tf32",
                 "tensorgraph check: portable kernel",
                 "the repository's tests of backend cupy"):  # fmt: skip
        assert counts[what]["count"] > 0 and counts[what]["failures"] == 0, what


@pytest.mark.skipif(not (ROOT / "tensorgraph").is_dir(), reason="the source tree is not here")
def test_the_source_tree_is_enough(tmp_path):
    """What is offered to processes names the plugins as an installation does."""
    first, *folders = offer(tmp_path)
    (found,) = metadata.distributions(path=[first])
    installed = metadata.distribution("tensorgraph")
    assert (found.name, found.version) == (installed.name, installed.version)
    named = {(e.name, e.value) for e in found.entry_points if e.group == "tensorgraph"}
    assert named == {(e.name, e.value) for e in installed.entry_points if e.group == "tensorgraph"}
    for _, module in named:
        assert any(Path(folder, module).is_dir() for folder in folders), module


def test_the_folder_hides_no_package_of_nvidias():
    assert not (ROOT / "bench" / "cuda" / "__init__.py").exists(), (
        "with it `import cuda.pathfinder` fails wherever bench/ is on the path"
    )


PLANTED = {
    "crashing": """
        note({"row": 1})
        ctypes.string_at(0)
    """,
    "hanging": """
        note({"row": 2})
        time.sleep(60)
    """,
    "failing": """
        raise ValueError("no such luck")
    """,
    "fine": """
        note({"row": 3, "left": 0 < setting.left() < 60})
    """,
}


def test_a_section_that_crashes_or_overruns_leaves_the_others(tmp_path, monkeypatch):
    for name, body in PLANTED.items():
        text = f"import ctypes, time\ndef run(setting, note):{body}"
        (tmp_path / f"{name}.py").write_text(text)
    path = [str(tmp_path), *offer(tmp_path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    found = results.Results(tmp_path / "out", CONDITIONS, **FLAGS)
    planted = [sections.Section(name, name, 1) for name in PLANTED]
    said = []
    setting = Setting(True, True, time.monotonic() + 12)
    sections.run_all(planted, setting, found, tmp_path / "parts", said.append)
    assert time.monotonic() < setting.deadline + 2
    written = json.loads(found.path.read_text("utf-8"))
    crashing, hanging, failing, fine = written["sections"].values()
    assert (crashing["ended"], crashing["rows"]) == ("failed", [{"row": 1}])
    assert "SIGSEGV" in crashing["why"] and "crashing.py" in crashing["why"]
    assert (hanging["ended"], hanging["rows"]) == ("cut", [{"row": 2}])
    assert "hanging.py" in hanging["why"], "where it hung is said"
    assert failing["ended"] == "failed" and "ValueError: no such luck" in failing["why"]
    assert (fine["ended"], fine["rows"]) == ("done", [{"row": 3, "left": True}])
    assert table.failed(written) and any("SIGSEGV" in line for line in said)
    assert [*found.path.parent.iterdir()] == [found.path], "nothing half-written is left"


def test_a_section_goes_on_in_another_process(tmp_path, monkeypatch):
    """After each row that its process was lost with; not where none came."""
    (tmp_path / "fragile.py").write_text(
        "from bench.cuda.process import earlier\n"
        "def run(setting, note):\n"
        "    for i in range(len(earlier()), 5):\n"
        "        assert i < 4\n"
        "        note({'row': i})\n"
        "        assert i != 1\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *offer(tmp_path)]))
    found = results.Results(tmp_path / "out", CONDITIONS, **FLAGS)
    for name, again in (("all", True), ("begun", False)):
        section = sections.Section(name, "fragile", 1, again)
        setting = Setting(True, True, time.monotonic() + 30)
        sections.run_all([section], setting, found, tmp_path / "parts", lambda text: None)
        entry = found.data["sections"][name]
        assert [row["row"] for row in entry["rows"]] == [*range(4 if again else 2)]
        assert entry["ended"] == "failed" and "AssertionError" in entry["why"]


class Scripted:
    """A worker of the conformance checks that goes through its script, then ends, if it does."""

    hangs = False

    def __init__(self, script, begun):
        self.script, self.begun, self.process = script, begun, self

    def __call__(self, words, folder, **options):
        self.begun.append([int(word) for word in words[1:3]])
        return Scripted(self.script, self.begun)

    def poll(self):
        if self.hangs:
            return None
        (first, step), rows = self.begun[-1], []
        self.rows = lambda: [rows.pop(0) for _ in rows[:]]
        for i in range(first, len(self.script), step):
            rows.append({"begun": i, "name": f"check {i}", "of": len(self.script)})
            if self.script[i] == "crash":
                return -11
            self.hangs = self.script[i] == "hang"
            if self.hangs:
                return None
            why = "CUDA error" if self.script[i] == "poison" else ""
            found = [] if why else self.script[i]
            rows.append({"ended": i, "name": f"check {i}", "found": found, "why": why})
            if why:
                return conformance.RESTART
        return 0

    def said(self):
        return ":\nlast words"

    def stop(self):
        self.begun.append("stopped")


def checked(script, seconds, tmp_path, monkeypatch):
    """Which workers were started, and what was noted."""
    begun, noted = [], []
    monkeypatch.setattr(conformance, "Part", Scripted(script, begun))
    setting = Setting(True, True, time.monotonic() + 30)
    checking = conformance.Checking(setting, noted.append, 7, tmp_path)
    checking.run(time.monotonic() + seconds)
    return [x for x in begun if x != "stopped"], noted


def test_a_check_that_ends_its_process_leaves_the_others(tmp_path, monkeypatch):
    near, far = ["eager", 1e-6, 1e-5, ""], ["eager", 1e-3, 1e-5, ""]
    script = [[near], "crash", [far], "poison", [near]]
    begun, noted = checked(script, 30, tmp_path, monkeypatch)
    assert begun == [[0, 1], [2, 1], [4, 1]]
    failed = {row["failed"]: row for row in noted if "failed" in row}
    assert failed.keys() == {"check 1", "check 2: eager", "check 3"}
    assert "SIGSEGV" in failed["check 1"]["why"] and "last words" in failed["check 1"]["why"]
    assert failed["check 2: eager"]["error"] == 1e-3
    (count,) = (row for row in noted if "checked" in row)
    assert count == {
        "checked": "eager", "count": 3, "failures": 1, "worst": 1e-3, "in": "check 2"
    }  # fmt: skip
    assert not any("left_out" in row for row in noted)


def test_a_check_that_does_not_come_back_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(conformance, "PATIENCE", 0.1)
    begun, noted = checked([[], "hang", []], 30, tmp_path, monkeypatch)
    assert begun == [[0, 1], [2, 1]]
    assert noted == [{"failed": "check 1", "why": "not done after 0 s:\nlast words"}]


def test_checks_that_time_leaves_out_are_counted(tmp_path, monkeypatch):
    begun, noted = checked([[], "hang", []], 0.2, tmp_path, monkeypatch)
    assert begun == [[0, 1]]
    assert noted == [{"left_out": "2 of 3 checks: their time was over"}]


def test_relative_norms():
    x = np.array([3.0, 4.0])
    assert checks.relative([np.array([3.0, 4.5])], [x]) == pytest.approx(0.1)
    assert checks.relative([x], [x[:1]]) == np.inf
    assert checks.relative([np.array([np.nan, 1.0])], [np.array([np.nan, 1.0])]) == 0
    assert checks.relative([np.array([np.nan, 1.0])], [np.array([1.0, 1.0])]) == np.inf
    assert checks.relative([np.array([1, 2])], [np.array([1, 3])]) == 1
    assert checks.relative([np.array([0.25])], [np.array([0.0])]) == 0.25


def test_rounding_is_that_of_the_dtype():
    dtypes = pytest.importorskip("ml_dtypes")
    x = np.random.default_rng(0).standard_normal(1000)
    x = x.astype("float32").astype("float64")
    want = x.astype("float32").astype(dtypes.bfloat16).astype("float64")
    np.testing.assert_array_equal(checks.rounded(x, 7), want)
    np.testing.assert_array_equal(checks.rounded(x, 23), x)


def test_a_part_ends_with_what_it_started(tmp_path, monkeypatch):
    (tmp_path / "parent.py").write_text(
        "import subprocess, sys, time\n"
        "made = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(made.pid, flush=True)\ntime.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    part = Part(["parent"], tmp_path / "part")
    said = part.follow(time.monotonic() + 1, list)
    assert said.startswith("cut after 1 s:\n")
    child = Path("/proc", said.splitlines()[1])
    end = time.monotonic() + 5
    while child.exists() and "Z" not in (child / "stat").read_text().split()[2]:
        assert time.monotonic() < end, "a process outlives its part"
        time.sleep(0.05)


def test_tests_that_take_a_backend_are_found():
    names = {Path(path).name for path in conformance.taking_a_backend()}
    assert {"test_ops.py", "test_layers.py", "test_backend_protocol.py"} <= names
    assert "test_bench_gpu.py" not in names
