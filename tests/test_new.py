"""``tensorgraph new``: what it writes is whole and works, and what it refuses it says why."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from doc_blocks import blocks
from strangers import install
from tensorgraph_new import names, template
from tensorgraph_new.command import write
from tensorgraph_new.kinds import KINDS
from training_help import command

import tensorgraph as tg
from tensorgraph.discovery import Plugins
from tensorgraph.testing import check

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "first-plugin.md"
NAME = "fresh_thing"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory):
    """A distribution of each kind, fresh_<kind>, and a folder where all of them are installed."""
    folder, site = tmp_path_factory.mktemp("new"), tmp_path_factory.mktemp("site")
    for kind in KINDS:
        name = f"fresh_{kind}"
        assert command("new", kind, name, "--out", folder / name) == 0
        package = folder / name / template.package(name)
        install(site, name, package, distribution=template.distribution(name))
    return folder, site


# What is written


@pytest.mark.parametrize("kind", KINDS)
def test_the_files(kind, capsys):
    assert command("new", kind, NAME) == 0
    out, folder = capsys.readouterr().out, Path(NAME)
    written = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    package = "tensorgraph_fresh_thing"
    assert written >= {
        ".github/workflows/ci.yml",
        ".gitignore",
        "README.md",
        "benchmarks/bench_fresh_thing.py",
        "pyproject.toml",
        f"{package}/__init__.py",
        f"{package}/py.typed",
        "tests/test_fresh_thing.py",
    }
    assert all(f"  {path}\n" in out for path in written), "it says what was written"
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == "tensorgraph-fresh-thing"
    assert project["entry-points"] == {"tensorgraph": {NAME: package}}
    assert f"tensorgraph>={metadata.version('tensorgraph')}" in project["dependencies"]
    for path in written:
        text = (folder / path).read_text("utf-8")
        assert not re.search("plugin[_-]name|PluginName|plugin_[a-z]+|tensorgraph_version", text)
        if path.endswith(".py"):
            assert ast.get_docstring(ast.parse(text)).partition("\n\n")[0][-1] in ".:", path


@pytest.mark.parametrize("name", ["x", NAME, "a_name_as_long_as_it"])
def test_the_code_is_well_set(name):
    """By ruff, as its pyproject.toml and this project's rules have it."""
    ruff = shutil.which("ruff", path=Path(sys.executable).parent)
    if ruff is None:
        pytest.skip("ruff is not installed")
    for kind in KINDS.values():
        write(Path(kind.name), template.files(kind, name))
    rules = "E,F,W,I,N,UP,B,C4,SIM,RET,PTH,RUF"
    options = ["--select", rules, "--ignore", "B905,RUF001,RUF002,RUF003"]
    for arguments in (["check", *options], ["format", "--check"]):
        done = subprocess.run([ruff, *arguments, "--no-cache", "."], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


CHECKED = {
    **dict.fromkeys(("layer", "activation", "loss", "regularizer", "op", "kernel"), "reference"),
    "optimizer": "worked example",
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_registers_its_kind_and_passes_its_checks(kind, every_kind, monkeypatch):
    tg.plugins.load()  # or the ops that it declares would be forgotten with the new one
    monkeypatch.setattr(tg.Op, "declared", dict(tg.Op.declared))
    monkeypatch.syspath_prepend(str(every_kind[1]))
    name, plugins = f"fresh_{kind}", Plugins()
    module, key = (
        importlib.import_module(template.package(name)),
        template.fill(KINDS[kind].key, name),
    )
    assert plugins.register(module, name) == [(kind, key)]
    if CHECKED.get(kind):
        report = check(getattr(plugins, KINDS[kind].registry)[key], kind).require()
        assert report[CHECKED[kind]].outcome == "passed"


def test_registering_imports_no_array_library(every_kind):
    code = (
        "import sys, tensorgraph as tg\n"
        "for registry in tg.plugins.registries.values(): len(registry)\n"
        "mine = [i for i in tg.plugins.infos.values() if i.name.startswith('fresh_')]\n"
        "print(len(mine), *[i.error for i in mine if i.error])\n"
        "print('numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(every_kind[1]), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{len(KINDS)}\nFalse\n"


@pytest.mark.skipif(not PAGE.exists(), reason="the pages are not here")
def test_the_page_shows_what_the_command_prints(capsys):
    first = blocks(PAGE, "sh")[0]
    assert command(*first.code.split()[1:]) == 0
    assert capsys.readouterr().out == first.output


def test_another_folder(capsys):
    Path("made here").mkdir()
    assert command("new", "layer", NAME, "--out", "made here/first") == 0
    assert "cd 'made here/first' && pip install" in capsys.readouterr().out
    assert Path("made here/first/pyproject.toml").is_file()
    assert [p.name for p in Path("made here").iterdir()] == ["first"]


# What is refused


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        (
            "layr",
            NAME,
            "no kind of plugin is named 'layr'; did you mean 'layer'? Known: ",
        ),
        ("layer", "MyLayer", "'MyLayer' is no name for a plugin: it takes lower-case letters"),
        ("layer", "MyLayer", "choose another name, such as 'my_layer'"),
        ("layer", "two words", "such as 'two_words'"),
        ("layer", "2d", "such as 'my_2d'"),
        ("layer", "a__b", "such as 'a_b'"),
        ("layer", "", "such as 'my_layer'"),
        ("layer", "../up", "such as 'up'"),
        ("layer", "lambda", "'lambda' is a keyword of Python; choose another name, such as"),
        ("layer", "none", "'None' is a keyword of Python; choose another name, such as 'my_none'"),
        (
            "layer",
            "linear",
            "layer 'linear' is registered already, by plugin 'nn' (tensorgraph_nn of tensorgraph",
        ),
        ("layer", "linear", "; choose another name, such as 'my_linear'"),
        ("op", "add", "op 'add' is registered already, by plugin 'core'"),
        ("op", "reduction", "tg.ops.reduction is something else than an op"),
        ("backend", "numpy", "backend 'numpy' is registered already, by plugin 'numpy' ("),
        ("backend", "auto", "'auto' means something else where a backend is asked for"),
        ("kernel", "portable", "'portable' means something else where a kernel is asked for"),
        ("metric", "items", "'items' means something else where a metric is asked for"),
        ("layer", "vision", "plugin 'vision' (tensorgraph_vision of tensorgraph"),
        ("layer", "numba", "package tensorgraph_numba can be imported already, from "),
        ("activation", "tg", "'tg' does not go with the code of a new activation, which uses the"),
        ("layer", "shape_error", "a new layer, which uses the name ShapeError"),
    ],
)
def test_names_that_are_refused(kind, name, says, said):
    assert says in said("new", kind, name)


def test_an_op_that_is_declared_and_not_registered(said, monkeypatch):
    monkeypatch.setattr(tg.Op, "declared", {**tg.Op.declared, "hidden": "acme.ops"})
    assert "op 'hidden' is declared already, in acme.ops" in said("new", "op", "hidden")


def test_a_name_that_two_plugins_claim(said, monkeypatch):
    plugins = Plugins()

    class Stranger:
        @tg.hookimpl
        def register_losses(self, register):
            register("theirs", len)

    plugins.register(Stranger(), "stranger")
    plugins.losses.withdraw("theirs", "two claim it")
    monkeypatch.setattr(tg, "plugins", plugins)
    with pytest.raises(tg.errors.ConfigError) as caught:
        names.check(KINDS["loss"], "theirs")
    assert str(caught.value) == (
        "loss 'theirs' is registered already, by plugin 'stranger'; choose another name, such as "
        "'my_theirs'"
    )


def test_a_distribution_that_is_installed(monkeypatch):
    def version(name):
        if name in ("tensorgraph-other", "tensorgraph-my-other"):
            return "3.1"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(tg.errors.ConfigError) as caught:
        names.check(KINDS["layer"], "other")
    assert str(caught.value) == (
        "distribution tensorgraph-other 3.1 is installed already; choose another name, such as "
        "'my_other_2'"
    )


# Nothing is overwritten, and nothing is left half-written


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda p: p.symlink_to("nowhere")])
def test_what_is_there_stays(make, said):
    make(Path(NAME))
    assert f"{NAME} is here already, and nothing is overwritten" in said("new", "layer", NAME)


def test_a_place_that_is_none(said):
    Path("file").touch()
    for folder in ("none/new", "file/new"):
        message = f"{Path(folder).parent} is no folder; make it first, or choose another place"
        assert message in said("new", "layer", NAME, "--out", folder)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_midway_leaves_nothing(error, monkeypatch, capsys):
    write, count = Path.write_text, iter(range(100))

    def fails(path, *arguments):
        if next(count) == 3:
            raise error
        return write(path, *arguments)

    monkeypatch.setattr(Path, "write_text", fails)
    assert command("new", "layer", NAME) == (2 if isinstance(error, OSError) else 130)
    assert not [*Path().iterdir()]
    assert capsys.readouterr().out == ""


def test_the_help_says_what_name_becomes_what(capsys):
    assert command("new", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "the package is tensorgraph_NAME, the distribution tensorgraph-NAME" in text
    assert all(kind in text for kind in KINDS)
