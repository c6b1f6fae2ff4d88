"""The comparison with peers: its figures and tables, its page, its options, installed sizes."""

import json
import math
from pathlib import Path

import pytest

from bench.compare import __main__ as command
from bench.compare import figures, footprint, report
from bench.compare.variants import VARIANTS, Variant, choose
from bench.compare.workloads import WORKLOADS


def test_ratios_are_taken_within_rounds():
    ours, theirs = [1.0, 6.0, 3.0], [4.0, 2.0, 3.0]  # the medians are the same
    assert figures.ratio(ours, theirs) == (1.0, 0.25, 3.0)
    assert figures.ratio([1.0, 10.0, 4.0], [1.0, 5.0, 2.0]) == (2.0, 1.0, 2.0)
    with pytest.raises(ValueError, match="shorter than"):
        figures.ratio([1.0, 2.0], [1.0])


def torch(option):
    return Variant(f"torch-{option}", option, "torch", "none", option, "none", ("", ""))


def test_the_rival_is_pytorchs_fastest_that_finished():
    variants = [torch(o) for o in ("a", "b", "c", "d")]
    found = {
        "torch-a": {"seconds": [3.0, 3.0, 1.0]},
        "torch-b": {"seconds": [2.0, 2.0, 9.0]},
        "torch-c": {"seconds": [1.0], "failed": "it broke"},
    }
    assert figures.rival(found, variants) == "torch-b"
    assert figures.rival({}, variants) is None


@pytest.mark.parametrize(
    ("measure", "apart", "agree"),
    [
        ("train", [2.0001, 1.9049], True),  # within 1e-4 of 2, and a twentieth of 0.1
        ("train", [2.0003, 1.9], False),
        ("train", [2.0, 1.89], False),  # a tenth too fast: 0.01 of the 0.1 that it has moved
        ("train", [2.0, math.nan], False),
        ("train", [math.nan, 1.9], False),
        ("train", [2.0, 1.9, 2.004], True),  # although there it is back at the start
        ("train", [2.0, 1.9, 2.006], False),
        ("infer", [math.inf, 1.9], False),
        ("infer", [2.001, 1.899], True),
        ("infer", [2.003, 1.9], False),
        ("epoch", [2.09, 0.1], True),  # only the first epoch counts
        ("epoch", [2.11, 1.9], False),
    ],
)
def test_agreement(measure, apart, agree):
    same = [2.0, 1.9, 2.0][: len(apart)]
    values = {"a": same, "b": same, "c": same, "odd": apart}
    result = {"measure": measure, "variants": {k: {"values": v} for k, v in values.items()}}
    assert list(figures.disagreeing(result)) == ([] if agree else ["odd"])


def test_peers_are_chosen_by_family_or_by_name():
    names = lambda *given: [v.name for v in choose(given)]  # noqa: E731
    ours = ["tensorgraph", "tensorgraph-numpy", "tensorgraph-eager"]
    assert names() == [v.name for v in VARIANTS]
    assert names("jax") == [*ours, "jax"]
    assert names("torch")[3:] == [v.name for v in VARIANTS if v.family == "torch"]
    assert names("torch-fused", "tensorgraph-eager") == ["tensorgraph-eager", "torch-fused"]


def entry(seconds, **more):
    shares = [0.0] * len(seconds)
    return {"seconds": seconds, "imported_kib": 1024, "peak_kib": 3072, "others": shares, **more}


def data():
    """Results as a run could have written them."""
    numpy = entry([0.001, 0.003, 0.002], cold=1.0, compiled=9.0, warm=0.5, values=[2.0, 1.0])
    variants = {
        "tensorgraph": {"missing": "tensorgraph has no compile"},
        "tensorgraph-numpy": numpy,
        "torch-eager": entry(
            [0.004, 0.004, 0.004], cold=20.0, compiled=21.0, warm=3.0, values=[2.00001, 1.0]
        ),
        "torch-fused": entry([0.002, 0.002, 0.002], values=[2.0, 1.0]),
        "jax": {"failed": "RuntimeError: it broke"},
    }
    common = {"workload": "lenet5", "batch": 64}
    results = [
        {**common, "measure": "train", "variants": variants},
        {**common, "measure": "infer", "variants": {"torch-eager": entry([150.0])}},
    ]
    here = dict.fromkeys(("processor", "memory_gib", "python", "numpy", "blas"), "?")
    size = {
        "version": "1.0",
        "bytes": 2_500_000,
        "import": [0.1, 0.3, 0.2],
        "first": [1.0, 1.0, 1.0],
    }
    libraries = {"tensorgraph[jit]": size, "jax": {"missing": "jax is not installed"}}
    machine = {**here, "threads": 2}
    return {"machine": machine, "rounds": 3, "libraries": libraries, "results": results}


def test_the_tables_in_markdown():
    lines = report.markdown(data(), VARIANTS).splitlines()
    row = (
        "| LeNet-5 | training step, 64 | – | 2.00 ms<br>1.00 (0.50–1.50) | – | 2.00 ms<br>fused | –"
    )
    assert any(line.startswith(row) for line in lines)
    assert "| LeNet-5 | inference, 64 | – | – | – | 150 s<br>eager | – | – | – |" in lines
    assert "| LeNet-5 | training step, 64 | 4.00 ms | 2.00 ms | – | – |" in lines
    assert "| tensorgraph, NumPy | 2.00 + 1 |" in lines
    assert "| PyTorch, eager | 20.0 / 21.0 / 3.00 |" in lines
    assert "| tensorgraph[jit] | 1.0 | 2.5 | 0.20 | 1.00 |" in lines
    assert "| jax | – | jax is not installed | – | – |" in lines
    assert "| LeNet-5 | training step, 64 | 2 | 3 | 5e-06 | all agree |" in lines
    assert "- tensorgraph, Numba: tensorgraph has no compile (lenet5)." in lines
    assert "- JAX, jit: failed: RuntimeError: it broke (lenet5)." in lines
    tables = [line for line in lines if line.startswith("|")]
    assert not [line for line in tables if "\n" in line]


def test_the_tables_on_the_terminal(tmp_path, capsys):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(json.dumps({**data(), "results": data()["results"][:1]}), "utf-8")
    second.write_text(json.dumps({**data(), "results": data()["results"][1:]}), "utf-8")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", "utf-8")
    words = ["--results", str(first), str(second), "--docs", str(page)]
    assert command.main(words) == 1, "JAX failed"
    out, error = capsys.readouterr()
    assert "tensorgraph[jit]" in out and "1.00 (0.50–1.50)" in out
    assert "LeNet-5 training step, 64: jax failed: RuntimeError: it broke" in error
    text = report.markdown(data(), VARIANTS)
    want = f"before\n{report.BEGIN}\n\n{text}\n\n{report.END}\nafter\n"
    assert page.read_text("utf-8") == want
    command.main(words)
    assert page.read_text("utf-8") == want, "written twice, the same"


def test_the_page_has_a_place_for_the_tables():
    page = Path(command.PAGE)
    before, after = report.parts(page)
    assert "python -m bench.compare" in before + after
    for name in WORKLOADS:
        assert f"`{name}`" in before + after, f"{page} does not describe {name}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workloads", "lenet"], "'lenet' is no workload; there are tiny, mlp, "),
        (["--peers", "pytorch"], "--peers: 'pytorch' is no peer; choose among autograd, jax, "),
        (["--rounds", "0"], "--rounds: invalid positive whole number value: '0'"),
        (["--seconds", "nan"], "--seconds: invalid positive number value: 'nan'"),
        (["--mode", "both"], "invalid choice: 'both'"),
        (["--mode", "epoch"], "--mode epoch: say where MNIST's files are, with --data FOLDER"),
        (["--data", "nowhere"], "--data: nowhere is no folder; give one with MNIST's IDX files"),
        (["--threads", "99999"], "--threads 99999: there are "),
        (["--docs", "nowhere.md"], "--docs: nowhere.md has no place for the tables"),
        (["--results", "nowhere.json"], "--results: nowhere.json: "),
    ],
)
def test_mistakes_on_the_command_line(words, message, capsys):
    with pytest.raises(SystemExit) as status:
        command.main(words)
    assert status.value.code == 2
    assert message in capsys.readouterr().err


def test_results_of_two_machines_are_not_shown_together(tmp_path, capsys):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, threads in zip(paths, (2, 4)):
        found = data()
        found["machine"]["threads"] = threads
        path.write_text(json.dumps(found), "utf-8")
    with pytest.raises(SystemExit):
        command.main(["--results", *map(str, paths)])
    assert "is of another machine than" in capsys.readouterr().err


def distribution(folder, name, size, *needs):
    """A made-up installed distribution of one module with so many bytes."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (folder / f"{name}.py").write_bytes(b"#" * size)
    required = "".join(f"Requires-Dist: {need}\n" for need in needs)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{required}"
    (info / "METADATA").write_text(metadata, "utf-8")
    (info / "RECORD").write_text(f"{name}.py,,\n__pycache__/{name}.pyc,,\n", "utf-8")


def test_installed_size_is_that_of_all_that_is_needed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    distribution(tmp_path, "acme_root", 1000, "acme_leaf>=1", "numpy", 'acme_more; extra == "more"',
                 'acme_none; python_version < "3"')  # fmt: skip
    distribution(tmp_path, "acme_leaf", 200, "acme_root")
    distribution(tmp_path, "acme_more", 30)
    assert footprint.installed("acme_root") == (1200, ["acme-leaf", "acme-root"])
    assert footprint.installed("acme_root[more]")[0] == 1230
    size, parts = footprint.installed("tensorgraph")
    assert "numpy" not in parts and {"tensorgraph", "pluggy", "rich"} <= set(parts)
    assert size > 1e6
