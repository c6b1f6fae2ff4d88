"""The file of results of bench/gpu.py and its tables, from made-up runs, and what describes a GPU,
beside NumPy posing as CuPy. None of this measures a GPU."""

import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from gpu_help import CONDITIONS, FLAGS
from test_cupy_without_gpu import numpy_posing_as_cupy

import tensorgraph as tg
from bench.cuda import leak, machine, results, table

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def run(tmp_path):
    """A made-up run, and what is in its file."""
    found = results.Results(tmp_path, CONDITIONS, **FLAGS)
    entry = found.begin("training", 100)
    row = {"case": "lenet5", "variant": "tuned", "seconds": 123.4e-6, "ratio": 6.25, "rounds": [1]}
    verdict = {"verdict": "LeNet-5, float32", "against": "tuned", "ratio": 6.25, "wanted": 5.0}
    found.add(entry, [row, {**verdict, "reached": True}, {"left_out": "resnet50: no time"}])
    found.finish(entry, "")
    entry = found.begin("kernels", 100)
    found.add(entry, [{"kernel": "pool", "share": 0.875, "bytes": 1 << 20, "wrong": False}])
    found.add(entry, [{"verdict": f"pool {i}", "reached": bool(i)} for i in range(2)])
    found.finish(entry, "")
    return found


def test_tables_of_a_run(run, tmp_path, capsys):
    data = results.load(run.path)
    shown, training, kernels = table.tables(data)
    assert shown.rows == [
        ["LeNet-5, float32", "tuned", "6.25", "≥ 5", "yes"],
        ["pool 0", "–", "–", "–", "no"],
        ["pool 1", "–", "–", "–", "yes"],
    ]
    assert (training.header, training.rows) == (
        ["case", "variant", "seconds", "ratio"], [["lenet5", "tuned", "123 µs", "6.25"]]
    )  # fmt: skip
    assert kernels.rows == [["pool", "88 %", "1.0 MiB", "no"]]
    assert table.show(data) == 1
    data["sections"]["kernels"]["rows"][1]["reached"] = None
    assert table.show(data) == 0
    out = capsys.readouterr().out
    assert "NVIDIA Made-up" in out and "commit 0123456789ab;" in out
    assert "training: left out: resnet50: no time" in out
    assert "cupy-cuda13x 14.2.0" in out and "torch" not in out
    data["sections"]["training"]["rows"][1]["reached"] = False
    assert table.show(data) == 1
    assert table.show({**data, "emulated": True}) == 0, "times of a rehearsal mean nothing"


def test_cells_can_be_read():
    shown = [table.duration(x) for x in (1.5, 0.9997, 0.9996e-3, 0.9994e-3, 12.34e-6)]
    assert shown == ["1.5 s", "1 s", "1 ms", "999 µs", "12.3 µs"]
    assert table.cell("samples_per_second", 645_249.4) == "645,249"
    assert table.cell("flops", 59_190_018_048) == "59.19 GFLOP"
    assert table.said({"left_out": [f"{i}" for i in range(14)], "why": "no time"}, "left_out") == (
        "left out: 0; 1; 2; 3; 4; 5; 6; 7; 8; 9; 10; 11; and 2 more: no time"
    )
    assert table.one_line("failed: Traceback\n  File\nValueError: no") == (
        "failed: Traceback … ValueError: no"
    )


def test_what_has_no_cells_is_no_line_of_a_table(run):
    run.data["sections"]["training"]["rows"].append({"libraries": ["/a/libcudnn.so.9", "/b"]})
    assert len(table.tables(run.data)[1].rows) == 1
    assert "training: libraries: /a/libcudnn.so.9; /b" in table.page({**run.data, "file": "x"})


def test_clocks_that_are_told_are_not_those_of_an_idle_gpu(run):
    state = {"driver_version": "580.1", "clocks.sm": "345", "clocks.max.sm": "1980"}
    run.data["sections"]["kernels"]["state"] = {**state, "power.draw": "70", "power.limit": "700"}
    told = table.conditions(run.data)
    assert "driver 580.1, 1980 MHz and 700 W at most" in told and "345 MHz" not in told


def test_pages_are_written_from_the_newest_whole_run(run, tmp_path):
    assert results.newest(tmp_path)["file"] == run.path.name
    for i, flag in enumerate(["emulated", "small", "whole"]):
        other = {**run.data, flag: flag != "whole"}
        (tmp_path / f"gpu-9999010{i}.json").write_text(json.dumps(other))
    found = results.newest(tmp_path)
    assert found["file"] == run.path.name
    (tmp_path / "docs").mkdir()
    pages = tmp_path / "README.md", tmp_path / "docs" / "gpu.md"
    for page in pages:
        page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    step = "LeNet-5, float32"
    for data, brief, whole in (
        (found, f"| {step} | 6.25 (≥ 5) |", f"| {step} | tuned | 6.25 | ≥ 5 | yes |"),
        (None, *2 * ("No figure has been measured on a GPU so far",)),
    ):
        table.write_docs(tmp_path, data)
        for page, said in zip(pages, (brief, whole), strict=True):
            text = page.read_text("utf-8")
            assert said in text and "old" not in text
            assert text.startswith("before\n") and text.endswith("after\n")
    assert "kernels: 1 of 2 as it must be." in table.brief(found)
    pages[0].write_text("no marks")
    with pytest.raises(ValueError, match=r"README\.md has no place for the figures"):
        table.write_docs(tmp_path, None)


def test_the_pages_show_the_newest_whole_run():
    found = results.newest(results.FOLDER)
    for page, text in (("README.md", table.brief(found)), ("docs/gpu.md", table.page(found))):
        path = ROOT / page
        assert table.renewed(path, text) == path.read_text("utf-8"), (
            "run python bench/gpu.py --docs"
        )


SMI = """#!/bin/sh
case "$1" in *{known}*) echo '{line}' ;; *) echo 'Field is not valid'; exit 2 ;; esac
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the made-up nvidia-smi is a shell script")
@pytest.mark.parametrize(
    ("known", "line", "wanted"),
    [
        ("clocks.sm", "NVIDIA H200, 580.1, P0, 1980, 3201, 1980, 3201, 341.5, 700.0, 44, 812", 11),
        ("name,driver_version ", "NVIDIA H200, 580.1", 2),
        ("nothing", "", 0),
    ],
)
def test_the_state_of_the_gpu_is_what_nvidia_smi_says(known, line, wanted, tmp_path, monkeypatch):
    path = tmp_path / "nvidia-smi"
    path.write_text(SMI.format(known=known.strip(), line=line))
    if known.endswith(" "):  # it knows these two alone
        path.write_text(path.read_text().replace("driver_version*)", "driver_version)"))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = results.state()
    assert len(found) == wanted
    assert found.get("driver_version", "580.1") == "580.1"
    assert found.get("memory.used", "812") == "812"


@pytest.fixture
def posing(monkeypatch):
    """A module "cupy" that computes with NumPy and describes a GPU: for control flow alone."""
    cupy = numpy_posing_as_cupy()
    found = {"name": b"NVIDIA H200", "totalGlobalMem": 150_754_820_096, "major": 9, "minor": 0}
    found["multiProcessorCount"] = 132
    cupy.cuda.runtime.getDevice = lambda: 0
    cupy.cuda.runtime.getDeviceProperties = lambda number: found
    cupy.cuda.runtime.memGetInfo = lambda: (40, 100)
    pool = types.SimpleNamespace(total_bytes=lambda: 30, used_bytes=lambda: 20)
    cupy.get_default_memory_pool = lambda: pool
    free = [2]  # and one more, whose copy is done, once CuPy is asked for pinned memory
    pinned = types.SimpleNamespace(n_free_blocks=lambda: len(free) + 1)
    cupy.cuda.alloc_pinned_memory = free.append
    cupy.get_default_pinned_memory_pool = lambda: pinned
    monkeypatch.setitem(tg.plugins._backends, "cupy", types.SimpleNamespace(xp=cupy))
    return cupy


def test_a_gpu_is_described(posing, monkeypatch):
    parts = [("cuBLASLt", "13.0.2: products"), ("cuDNN", "missing: the package")]
    monkeypatch.setattr("tensorgraph_cupy.lib.loading.rows", lambda: parts)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setattr(machine, "find_spec", lambda name: name)
    found = machine.described(emulated=False)
    assert found["device"] == {
        "name": "NVIDIA H200", "memory_gib": 140.4, "capability": "9.0", "multiprocessors": 132,
        "driver_for_cuda": "13.0",
    }  # fmt: skip
    assert found["versions"]["NVRTC"] == "13.0"
    assert found["versions"]["cuBLASLt"] == "13.0.2: products"
    assert found["versions"]["numpy"] == np.__version__
    assert found["missing"] == {"cuDNN": "missing: the package"}
    assert found["environment"]["NVIDIA_TF32_OVERRIDE"] == "0"
    json.dumps(found)
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    assert machine.described(emulated=False)["missing"] == {
        "cuDNN": "missing: the package",
        "torch": "missing: the package is not installed; nothing is measured beside PyTorch",
        "pytest": "missing: the package is not installed; section conformance goes without the "
        "repository's tests",
    }


def test_memory_of_a_gpu_is_that_of_the_driver_and_of_the_pools(posing):
    found = leak.device_bytes(types.SimpleNamespace(xp=posing))
    assert found == {"device": 60, "pool": 30, "pool_used": 20, "pinned": 3}


def test_what_grows_is_said():
    first = {"device": 100, "host": 1000, "objects": 5000}
    fine = {"device": 100, "host": 1000 + leak.MIB, "objects": 5100}
    assert leak.grown([first, fine, {**fine, "device": 90}]) == {}
    assert leak.grown([first, {**fine, "device": 101, "objects": 15000}, fine]) == {
        "device": 1, "objects": 10000
    }  # fmt: skip
