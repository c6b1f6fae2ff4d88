"""``tensorgraph check`` and the functions of tensorgraph.testing: what they find, and say."""

import json
from pathlib import Path

import numpy as np
import pytest
from strangers import ACME, install_acme, run_python
from tensorgraph_check import find
from tensorgraph_check.checks import CHECKS
from training_help import command

import tensorgraph as tg
from tensorgraph import testing
from tensorgraph.errors import ConfigError, PluginError, UnknownNameError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "checking.md"
GOOD = """
import tensorgraph as tg

def twice(x):
    return x * 2.0

@tg.hookimpl
def register_activations(register):
    register("twice", twice)
"""
RUN = "from tensorgraph_cli import main; import sys; sys.exit(print(main({})))"


def run(*arguments, path=()):
    """A command in a process of its own, whose registries nobody else uses: what it printed, and
    its exit status."""
    out = run_python(RUN.format([*map(str, arguments)]), *path)
    *lines, status = out.splitlines()
    return "\n".join(lines), int(status)


def test_a_thing_by_name(capsys):
    assert command("check", "mse_loss", "--kind", "loss") == 0
    out = capsys.readouterr().out
    assert "guessed: float[3, 5], float[3, 5]" in out
    assert "loss 'mse_loss': " in out
    assert " could not run" in out.splitlines()[-1]
    assert all(row in out for row in ("gradients", "other backends", "sizes 0 and 1"))


def test_json(capsys):
    assert command("check", "tanh", "--kind", "activation", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    ((report,),) = ([*found["reports"]],)
    assert (report["kind"], report["name"], report["ok"]) == ("activation", "tanh", True)
    rows = {row["check"]: row for row in report["rows"]}
    assert rows["gradients"]["outcome"] == "passed"
    assert rows["reference"]["outcome"] == "could not run"
    assert rows["reference"]["detail"].startswith("no reference is given")


def test_nothing_of_that_name(said):
    assert said("check", "linaer") == (
        "tensorgraph: check: nothing to check is named 'linaer'; did you mean 'linear'? "
        "'tensorgraph plugins' lists what there is\n"
    )
    assert "is named 'zzz'. 'tensorgraph plugins' lists" in said("check", "zzz")
    assert "there are no checks of 'metric'" in said("check", "accuracy", "--kind", "metric")


@pytest.mark.slow
def test_a_plugin_by_its_name(tmp_path):
    install_acme(tmp_path, "snake")
    out, status = run("check", "acme_snake", path=[tmp_path])
    assert status == 0, out
    for thing in ("activation 'snake'", "layer 'snake'", "kernel 'numpy/snake/in_place'"):
        assert thing in out
    assert out.endswith("5 things checked, none is wrong")


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "thing"), [("snake", "layer 'snake'"), ("lion", "optimizer")])
def test_a_folder_that_is_not_installed(folder, thing):
    out, status = run("check", ACME / folder)
    assert status == 0, out
    assert thing in out


@pytest.mark.slow
def test_a_backend_that_is_not_installed():
    pytest.importorskip("array_api_strict")
    out, status = run("check", ACME / "strict")
    assert status == 0, out
    assert "backend 'strict': 7 passed, 1 could not run" in out


def test_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    out, status = run("check", path)
    assert status == 0, out
    assert "activation 'twice'" in out


def test_a_file_that_is_wrong(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(GOOD.replace("x * 2.0", "x * float(tg.ops.sum(x))"))
    out, status = run("check", path)
    assert status == 1
    assert "item() reads the value of float32[]" in out
    assert "mine.py,line5" in "".join(out.split()), "wherever the line of the table breaks"
    assert 'tg.activations["twice"](x0)' in out, "to be pasted"
    assert "decide with tg.ops.where" in out


@pytest.mark.slow
def test_what_fails_can_be_pasted_elsewhere(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(GOOD.replace("x * 2.0", "tg.ops.square(x.detach() + x)"))
    out, _ = run("check", path, "--json")
    (row,) = (r for r in json.loads(out)["reports"][0]["rows"] if r["outcome"] == "failed")
    assert row["check"] == "gradients"
    pasted = f"from tensorgraph.errors import GradientError\ntry:\n    exec({row['code']!r})\n"
    assert "at order 1" in run_python(pasted + "except GradientError as error:\n    print(error)")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "neither pyproject.toml nor __init__.py is in that folder"),
        ({"pyproject.toml": "[project]"}, "has no plugin; name it there"),
        ({"pyproject.toml": "["}, "is not TOML"),
        ({"__init__.py": "import not_there"}, "cannot be imported: ModuleNotFoundError"),
        ({"__init__.py": "x = 1"}, "it registers nothing; offer what it has with a hook, such as"),
    ],
)
def test_folders_that_hold_no_plugin(files, message, tmp_path, capsys):
    folder = tmp_path / f"folder_{abs(hash(message))}"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    assert command("check", folder) == 2
    assert message in capsys.readouterr().err


def test_kinds_without_checks(tmp_path):
    path = tmp_path / "kinds.py"
    path.write_text(
        GOOD + "\n@tg.hookimpl\ndef register_metrics(register):\n    register('mine', max)\n"
    )
    out, status = run("check", path)
    assert status == 0
    assert "activation 'twice': " in out
    assert "there are no checks of a metric: its own tests say whether it is right" in out
    assert "plugin 'kinds': 1 passed, 1 could not run" in out


def test_what_a_thing_is():
    assert find._kind(tg.layers.linear) == find._kind(tg.layers.linear(3)) == "layer"
    assert find._kind(tg.optimizers.adam) == "optimizer"
    assert find._kind(tg.ops.exp) == "op"
    assert find._kind(tg.losses.mse_loss) == "loss"
    with pytest.raises(ConfigError, match="check: f may be anything; say what: kind='activation'"):

        def f(x):
            return x

        testing.check(f)
    with pytest.raises(
        ConfigError, match="'relu' names several: activation 'relu', op 'relu'; say"
    ):
        testing.check("relu")
    with pytest.raises(UnknownNameError, match="nothing to check is named 'lineer'; did you mean"):
        testing.check("lineer")


def test_what_an_author_gives():
    seen = []

    class Logits(tg.Layer):
        skip = {"train and eval modes": "probabilities in eval"}  # noqa: RUF012
        samples = staticmethod(lambda: [seen.append(1) or (np.ones((2, 3)),)])

        def forward(self, x):
            return x if self.training else tg.ops.softmax(x)

    report = testing.check_layer(Logits)
    report.require()
    assert seen == [1]
    assert report["samples"].detail == "given: float[2, 3]"
    assert report["train and eval modes"].detail == "left out: probabilities in eval"
    with pytest.raises(ConfigError, match="skip: no check of a layer is named 'mode'"):
        testing.check_layer(Logits, skip={"mode": "no"})
    with pytest.raises(ConfigError, match=r"samples: .*'input'.* is not a part of a sample"):
        testing.check_layer(Logits, samples=[{"input": []}]).require()
    with pytest.raises(ConfigError, match="worked_example: expected, parameter is missing or"):
        testing.check_optimizer("sgd", worked_example={"gradients": []}).require()


def test_require_says_all_in_one_error():
    report = testing.check_activation(lambda x: x * float(tg.ops.sum(x)))
    with pytest.raises(PluginError) as caught:
        report.require()
    text = str(caught.value)
    assert text.startswith("activation '<lambda>': ")
    assert "1 failed" in text
    assert "host reads: failed: item() reads the value of float32[]" in text
    assert "x0 = tg.tensor(np.random.default_rng(0).standard_normal((3, 5))" in text
    assert json.loads(report.to_json())["ok"] is False


def test_a_failure_can_be_pasted():
    """The code of a failing row runs, and shows the failure."""
    report = testing.check_layer(lambda: tg.layers.linear(3), reference=lambda x, state: x)
    code = report["reference"].code
    assert "np.random.default_rng(0)" in code or "np.array(" in code
    thing = testing.check_op("softmax", reference=lambda x, axis=-1: x)["reference"]
    space: dict = {}
    exec(thing.code, space)
    assert space["x0"].dtype == "float32"


@pytest.mark.skipif(not PAGE.exists(), reason="the pages are not here")
def test_the_page_lists_every_check():
    text = PAGE.read_text("utf-8")
    for check in CHECKS:
        line = f"| {check.name} | {', '.join(check.kinds)} | {check.claim} |"
        assert line in text, f"docs/checking.md lacks: {line}"
