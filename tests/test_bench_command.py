"""``tensorgraph bench`` as it is typed, pytest's table of the same, and the gate on real trees."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from strangers import install
from tensorgraph_bench import against, gate, sides
from tensorgraph_bench.cases import Selection
from tensorgraph_bench.gate import FASTER, SLOWER, UNCLEAR, Rule
from training_help import command

import tensorgraph as tg

ROOT = Path(__file__).resolve().parent.parent
SIDES = ("base", "head")
SHORT = ("--backend", "numpy", "--seconds", "0.01")
SLOW_SIGMOID = """
import tensorgraph
from tensorgraph_numpy.kernels.activation import sigmoid
def thrice(x):
    sigmoid(x)
    sigmoid(x)
    return sigmoid(x)
@tensorgraph.hookimpl
def register_kernels(register):
    register(backend="numpy", op="sigmoid", name="reciprocal", kernel=thrice)
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TENSORGRAPH_BACKEND", raising=False)


def test_a_table_a_file_and_a_plot(capsys):
    words = ("bench", "--ops", "relu,square", "--kernels", "zeros,portable", *SHORT)
    assert command(*words, "--json", "a.json", "--plot", "a.svg") == 0
    out = capsys.readouterr().out
    data = json.loads(Path("a.json").read_text("utf-8"))
    assert {row["op"] for row in data["cases"]} == {"relu", "square"}
    lines = out.splitlines()
    assert lines[0].split() == ["sample", "kernel", "µs", "GFLOP/s", "GB/s", "limit"]
    (chosen,) = [line for line in lines if " zeros *" in line]
    assert len(chosen.split()) >= 6 and chosen.rstrip().endswith("%")
    assert f"(machine {data['fingerprint']})" in out
    assert "numpy float32: " in out and " GFLOP/s, " in out and " GB/s in 128 MiB" in out
    assert Path("a.svg").read_text("utf-8").startswith("<svg ")


def test_an_op_and_a_shape_of_ones_own(capsys):
    Path("mine.toml").write_text("[mine]\nop = 'square'\nrows = [{inputs = [[4, 5]]}]\n")
    assert command("bench", "--shapes", "mine.toml", *SHORT) == 0
    assert "square-mine 4x5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--ops", "conw"), "--ops: no op with a sample is named 'conw'; did you mean 'conv'?"),
        (("--backend", "numpi"), "no backend is named 'numpi'; did you mean 'numpy'?"),
        (("--seconds", "0"), "bench: --seconds 0 and --tolerance 5 must be above 0, and --floor 1"),
        (("--plot", "a.png"), "--plot a.png: give a file that ends in .svg or .html"),
        (("--plot", "a.svg", "--against", "x"), "bench: --plot shows one result; leave --against"),
        (("--shapes", "absent.toml"), "absent.toml: No such file or directory"),
        (("--json", "no/a.json", "--ops", "sign", *SHORT), "no/a.json: No such file or directory"),
    ],
)
def test_mistakes(said, words, message):
    assert message in said("bench", *words)


# A result in a file


@pytest.fixture
def base(capsys):
    """A result of this machine."""
    assert command("bench", "--ops", "sign,square", *SHORT, "--json", "base.json") == 0
    capsys.readouterr()
    return json.loads(Path("base.json").read_text("utf-8"))


def changed(data, factor):
    for row in data["cases"]:
        row["seconds"] = [x * factor for x in row["seconds"]]
    Path("base.json").write_text(json.dumps(data))


def test_against_a_file(base, capsys):
    words = ("bench", "--ops", "sign", *SHORT, "--against", "base.json", "--json", "found.json")
    changed(base, 1e-4)
    assert command(*words) == 1, "it takes much longer than it says there"
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == [
        "sample", "kernel", "base", "µs", "head", "µs", "ratio", "interval", "rounds", "verdict",
    ]  # fmt: skip
    assert " slower\n" in out.replace(" slower ", " slower\n") and "1 slower. Slower: the wh" in out
    (found,) = json.loads(Path("found.json").read_text("utf-8"))["comparisons"]
    assert found["verdict"] == SLOWER and found["ratio"] > 3 and found["low"] > 1.05
    changed(base, 1e8)
    assert command(*words) == 0
    (found,) = json.loads(Path("found.json").read_text("utf-8"))["comparisons"]
    assert found["verdict"] == FASTER


def test_another_machine_is_refused(base, said):
    base["machine"] |= {"processor": "Z80", "threads": 99}
    base["fingerprint"] = "0" * 12
    Path("base.json").write_text(json.dumps(base))
    message = said("bench", "--ops", "sign", *SHORT, "--against", "base.json")
    assert message.startswith(
        "tensorgraph: --against base.json: it was measured on another machine: processor Z80 there "
        "and "
    )
    assert "; threads 99 there and " in message
    assert "Times of two machines say nothing about the code; make the file anew here" in message


def test_a_file_without_the_cases(base, said):
    message = said("bench", "--ops", "exp", *SHORT, "--against", "base.json")
    assert "--against base.json: none of the cases that are selected are in it" in message


# Another revision


def git(*words):
    named = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *named, *words], check=True, capture_output=True)


def test_no_such_revision(said, monkeypatch):
    git("init", "-q", "repository")
    Path("repository/pyproject.toml").touch()
    monkeypatch.setattr(tg, "__file__", str(Path("repository/tensorgraph/__init__.py").absolute()))
    message = said("bench", "--ops", "sign", "--against", "v9")
    assert "--against v9: neither a file nor a revision of the repository at " in message
    assert "give a commit, a tag or a branch, or a file that --json wrote" in message


def test_an_installation_without_a_repository(said, monkeypatch):
    monkeypatch.setattr(tg, "__file__", str(Path("site/tensorgraph/__init__.py").absolute()))
    message = said("bench", "--against", "v9")
    assert "is not a git checkout, so that no other revision can be had; install it" in message


def test_a_revision_is_checked_out_and_taken_away_again(tmp_path):
    tree = tmp_path / "repository"
    git("init", "-q", str(tree))
    (tree / "a.txt").write_text("old")
    git("-C", str(tree), "add", "a.txt")
    git("-C", str(tree), "commit", "-qm", "a")
    (tree / "a.txt").write_text("new")
    with sides.checked_out("HEAD", tree) as place:
        assert (place / "a.txt").read_text() == "old"
        assert (tree / "a.txt").read_text() == "new"
    assert not place.exists()
    listed = subprocess.run(["git", "-C", str(tree), "worktree", "list"], capture_output=True,
                            text=True, check=True).stdout  # fmt: skip
    assert len(listed.splitlines()) == 1


@pytest.fixture
def both(tmp_path):
    """This tree twice, the second time with a plugin that does a kernel's work three times."""
    if not (ROOT / "plugins").is_dir():
        pytest.skip("the source tree is not here")
    (tmp_path / "slow").mkdir()
    install(tmp_path / "slow", "burner", SLOW_SIGMOID)
    return (
        sides.prepare("base", ROOT, tmp_path / "base"),
        sides.prepare("head", ROOT, tmp_path / "head", tmp_path / "slow"),
    )


def test_a_side_is_the_code_of_its_tree(tmp_path):
    tree = tmp_path / "tree"
    (tree / "tensorgraph").mkdir(parents=True)
    (tree / "old").mkdir()
    (tree / "pyproject.toml").write_text("""
[project]
version = "7"
[project.entry-points.tensorgraph]
old = "an_old_plugin"
[tool.hatch.build.targets.wheel]
packages = ["tensorgraph", "old/an_old_plugin"]
""")
    side = sides.prepare("base", tree, tmp_path / "side")
    assert side.path == (tmp_path / "side", tree, tree / "old")
    code = (
        "from importlib.metadata import entry_points, version as v; import tensorgraph_bench as b;"
        "print(v('tensorgraph'), [e.value for e in entry_points(group='tensorgraph') "
        "if e.dist.name == 'tensorgraph'], b.__file__)"
    )
    (tree / "tensorgraph" / "__init__.py").write_text("hookimpl = lambda f: f")
    (tree / "tensorgraph" / "hookspecs.py").write_text("Register = None")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, side.path))}
    found = subprocess.run([sys.executable, "-P", "-c", code], env=environment, text=True,
                           capture_output=True, check=True).stdout  # fmt: skip
    assert found == f"7 ['an_old_plugin'] {tmp_path}/side/tensorgraph_bench/__init__.py\n"


@pytest.mark.slow
def test_a_slower_kernel_is_caught_and_the_others_are_not(both):
    wanted = Selection(ops=("sigmoid",), backends=("numpy",))
    outcome = against.compare(both, wanted, Rule(), lambda text: None)
    found = {each.name: each.judgement for each in outcome.comparisons}
    slow, other = (found[f"sigmoid on numpy by {name}"] for name in ("reciprocal", "portable"))
    assert (slow.verdict, outcome.status) == (SLOWER, 1) and slow.ratio > 2
    assert other.verdict != SLOWER
    assert not outcome.notes and not outcome.failures


@pytest.mark.slow
def test_a_worker_that_fails_says_so(both, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    install(broken, "other", SLOW_SIGMOID.replace("return sigmoid(x)", "return sigmoid(x + 1)"))
    head = sides.prepare("head", ROOT, tmp_path / "head2", broken)
    wanted = Selection(ops=("sigmoid",), backends=("numpy",))
    rule = Rule(rounds=1, most=1)
    outcome = against.compare((both[0], head), wanted, rule, lambda text: None)
    (failure,) = outcome.failures
    assert failure.startswith("head: BackendError: sigmoid on numpy by reciprocal: its values diff")
    assert [each.name for each in outcome.comparisons] == ["sigmoid on numpy by portable"]
    assert outcome.status == 1


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git checkout")
def test_the_command_against_the_last_commit(capsys, monkeypatch):
    monkeypatch.setattr(gate, "Rule", functools.partial(Rule, rounds=1, most=2))
    words = ("--ops", "sign", "--kernels", "portable", "--backend", "numpy", "--json", "a.json")
    assert command("bench", *words, "--against", "HEAD") == 0
    out = capsys.readouterr().out
    assert "1 unclear. Slower: the whole 98 % interval of head / base" in out
    (found,) = json.loads(Path("a.json").read_text("utf-8"))["comparisons"]
    assert found["name"] == "sign on numpy by portable" and found["verdict"] == UNCLEAR
    assert len(found["rounds"]["base"]) == 2 and all(1e-6 < found[side] < 1 for side in SIDES)


@pytest.mark.slow
def test_pytest_bench(tmp_path):
    """The table groups kernels by shape, and the figures go into pytest-benchmark's file."""
    file = tmp_path / "found.json"
    words = ["-k", "relu and numpy and not leaky", "--benchmark-json", str(file)]
    options = ["-p", "no:cacheprovider", "--benchmark-max-time", "0.02"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(ROOT / "bench" / "bench_ops.py"), *words, *options],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "benchmark 'relu': 2 tests" in done.stdout
    found = json.loads(file.read_text("utf-8"))["benchmarks"]
    assert {b["extra_info"]["kernel"] for b in found} == {"zeros", "portable"}
    for each in found:
        info = each["extra_info"]
        assert each["group"] == "relu" and info["flops"] == 256 * 4096
        assert info["gflops"] > 0 and info["gbps"] > 0 and 0 < info["share"] < 3
        assert info["threads"] >= 1 and info["versions"]["numpy"] and len(info["fingerprint"]) == 12
