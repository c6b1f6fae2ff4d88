"""The plugins that a run was made with: noted in its files, and asked for when one is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from strangers import install
from training_help import command

NETS = """
import tensorgraph as tg

def net(classes=10, width=8):
    return tg.layers.sequential(
        tg.layers.flatten(), tg.layers.shift(), tg.layers.linear(width), tg.activations.wave,
        tg.layers.linear(classes))

@tg.hookimpl
def register_models(register):
    register("net", net)
"""
WAVES = """
import tensorgraph as tg

@tg.op
def unregistered(x: tg.Shaped) -> tg.Spec:
    return tg.Spec(x.shape, x.dtype)

unregistered.kernel(lambda xp, x: x * 2)
unregistered.vjp(lambda g: g * 2.0)

def wave(x):
    return tg.ops.sin(unregistered(x))

class Shift(tg.Layer):
    def __init__(self):
        self.by = tg.Parameter(tg.initializers.ones())

    def build(self, x):
        self.by.initialize(x.shape[1:], x.dtype)

    def forward(self, x):
        return x + self.by

@tg.hookimpl
def register_layers(register):
    register("shift", Shift)

@tg.hookimpl
def register_activations(register):
    register("wave", wave)
"""
STEPS = """
import tensorgraph as tg

class Plain(tg.Optimizer):
    def __init__(self, parameters, *, lr=0.01, clip_norm=None, clip_value=None):
        super().__init__(parameters, lr=lr, clip_norm=clip_norm, clip_value=clip_value)

    def update(self, p, g, memory, scalars):
        return p - g * scalars["lr"], {}

@tg.hookimpl
def register_optimizers(register):
    register("plain", Plain)
"""
VERSIONS = {"nets": "1.4", "waves": "2.1", "steps": "0.3"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run, and one for each of three plugins of strangers that it was made with."""
    folder = tmp_path_factory.mktemp("trained")
    for name, source in (("nets", NETS), ("waves", WAVES), ("steps", STEPS)):
        (folder / name).mkdir()
        version, distribution = VERSIONS[name], f"acme-{name}"
        install(folder / name, name, source, version=version, distribution=distribution)
    arguments = "--data digits --model net --epochs 1 --set train.batch_size=512 --out run"
    done = tensorgraph(
        folder, "train", *arguments.split(), "--set", "train.optimizer=plain", plugins=VERSIONS
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def tensorgraph(folder, *arguments, plugins=(), **environment):
    """The command, in a process that has these of the plugins."""
    inherited = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    path = os.pathsep.join([*(str(folder / name) for name in plugins), *inherited])
    return subprocess.run(
        [sys.executable, "-m", "tensorgraph_cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def here(trained, monkeypatch):
    """In the folder of the run, without any of its plugins."""
    monkeypatch.chdir(trained)
    return trained


def requires(path):
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["tensorgraph"])["requires"]


WHOLE = [
    {
        "plugin": "nets",
        "distribution": "acme-nets",
        "version": "1.4",
        "parts": ["model net"],
    },
    {
        "plugin": "steps",
        "distribution": "acme-steps",
        "version": "0.3",
        "parts": ["optimizer plain"],
    },
    {
        "plugin": "waves",
        "distribution": "acme-waves",
        "version": "2.1",
        "parts": ["activation wave", "layer shift", "op unregistered"],
    },
]


def test_the_files_name_the_plugins_their_versions_and_what_is_used(here):
    """The checkpoint all of them, the model's file those without which there is no such model."""
    assert requires("run/checkpoint.safetensors") == WHOLE
    assert requires("run/model.safetensors") == [x for x in WHOLE if x["plugin"] != "steps"]


MISSING = """tensorgraph: run/model.safetensors needs plugin 'nets' (acme-nets 1.4) for model net: \
it is not installed here
run/model.safetensors needs plugin 'waves' (acme-waves 2.1) for activation wave, layer shift, \
op unregistered: it is not installed here
pip install acme-nets==1.4 acme-waves==2.1
to see what is in the file: tensorgraph evaluate run --skip-missing
"""


@pytest.mark.parametrize("what", [("evaluate", "run"), ("predict", "run", "x.png")], ids=str)
def test_loading_without_them_says_what_to_install(here, capsys, what):
    assert command(*what) == 2
    assert capsys.readouterr().err == MISSING


def test_skip_missing_shows_what_is_in_the_file(here, capsys):
    before = sorted(here.rglob("*"))
    assert command("evaluate", "run", "--skip-missing") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "model net(width=8)",
        "classes 10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        "input float32, 1×8×8",
        "missing nets of acme-nets 1.4, for model net: it is not installed here",
        "1.by 64 float32 64",
        "2.weight 8×64 float32 512",
        "4.bias 10 float32 10",
        "total 674",
        "to evaluate it: pip install acme-nets==1.4 acme-waves==2.1",
    ):
        assert line in lines, line
    assert sorted(here.rglob("*")) == before, "nothing is written"


def test_skip_missing_as_json(here, capsys):
    assert command("evaluate", "run", "--skip-missing", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == {"name": "net", "width": 8}
    assert found["way_out"] == "pip install acme-nets==1.4 acme-waves==2.1"
    assert found["tensors"]["2.weight"] == {"shape": [8, 64], "dtype": "float32"}
    assert found["missing"] == [
        {**row, "reason": "is not installed here"} for row in (WHOLE[0], WHOLE[2])
    ]


def test_what_evaluation_does_not_need_may_be_missing(here):
    before = Path("run/evaluation.json").read_text("utf-8")
    done = tensorgraph(here, "evaluate", "run", "--skip-missing", plugins=("nets", "waves"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "95 % interval" in done.stdout
    assert Path("run/evaluation.json").read_text("utf-8") == before


def test_a_resumed_run_needs_all_of_them(here):
    done = tensorgraph(
        here, "train", "--resume", "--out", "run", "--epochs", "1", plugins=("nets", "waves")
    )
    assert done.returncode == 2
    assert done.stderr == (
        "tensorgraph: run/checkpoint.safetensors needs plugin 'steps' (acme-steps 0.3) for "
        "optimizer plain: it is not installed here\npip install acme-steps==0.3\n"
    )


def test_another_version_is_said_and_used(here, tmp_path):
    install(tmp_path, "waves", WAVES, version="3.0", distribution="acme-waves")
    done = tensorgraph(here, "evaluate", "run", plugins=("nets", tmp_path))
    assert done.returncode == 0
    assert done.stderr == (
        "tensorgraph: warning: run/model.safetensors was made with acme-waves 2.1, and 3.0 is "
        "here; if it behaves otherwise: pip install acme-waves==2.1\n"
    )


def test_one_that_is_switched_off_or_broken(here, tmp_path):
    off = tensorgraph(
        here, "evaluate", "run", plugins=VERSIONS, TENSORGRAPH_DISABLE_PLUGINS="waves"
    )
    assert off.returncode == 2
    assert "op unregistered: it is switched off by TENSORGRAPH_DISABLE_PLUGINS\n" in off.stderr
    install(tmp_path, "waves", "raise OSError('no licence')", distribution="acme-waves")
    broken = tensorgraph(here, "evaluate", "run", plugins=("nets", tmp_path))
    assert broken.returncode == 2
    reason = "it was not loaded: no licence; 'tensorgraph doctor' shows more\n"
    assert f"op unregistered: {reason}" in broken.stderr


def rewritten(folder, change):
    """A copy of the run's model whose metadata is changed."""
    with safe_open("run/model.safetensors", framework="numpy") as file:
        metadata = json.loads(file.metadata()["tensorgraph"])
    change(metadata)
    path = folder / "model.safetensors"
    save_file(load_file("run/model.safetensors"), path, {"tensorgraph": json.dumps(metadata)})


def test_a_plugin_that_was_registered_by_hand(here, tmp_path, capsys):
    def by_hand(metadata):
        metadata["requires"] = [
            {"plugin": "notebook", "distribution": "", "version": "", "parts": ["model net"]}
        ]

    rewritten(tmp_path, by_hand)
    assert command("evaluate", tmp_path) == 2
    assert capsys.readouterr().err.splitlines()[:2] == [
        f"tensorgraph: {tmp_path}/model.safetensors needs plugin 'notebook' for model net: it was "
        "registered by hand, elsewhere",
        "register it here too: tg.plugins.register(…)",
    ]


def test_what_is_to_be_pasted_is_quoted(here, tmp_path, capsys):
    def hostile(metadata):
        metadata["requires"][0]["distribution"] = "x; rm -rf ~; #"

    rewritten(tmp_path, hostile)
    assert command("evaluate", tmp_path) == 2
    assert "\npip install 'x; rm -rf ~; #==1.4' acme-waves==2.1\n" in capsys.readouterr().err


def test_what_another_plugin_brings_now_is_not_missing(here, tmp_path, capsys):
    def of_old(metadata):
        metadata["model"] = {"name": "small_cnn"}
        metadata["requires"][0]["parts"] = ["model small_cnn", "layer linear"]
        del metadata["requires"][1:]

    rewritten(tmp_path, of_old)
    assert command("evaluate", tmp_path) == 2
    assert "load_state" in capsys.readouterr().err, "it comes as far as the weights"


def test_a_file_that_names_none_is_read_as_before(here, tmp_path, capsys):
    rewritten(tmp_path, lambda metadata: metadata.pop("requires"))
    assert command("evaluate", tmp_path) == 2
    assert "no model is named 'net'" in capsys.readouterr().err


@pytest.mark.parametrize("rows", [[{"plugin": "x"}], [3], 3])
def test_a_damaged_file(here, tmp_path, capsys, rows):
    rewritten(tmp_path, lambda metadata: metadata.update(requires=rows))
    assert command("evaluate", tmp_path) == 2
    message = f"tensorgraph: {tmp_path}/model.safetensors: what it says of plugins is damaged: "
    assert capsys.readouterr().err.startswith(message)


def test_a_run_of_built_ins_needs_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--epochs", "1", "--set", "train.batch_size=512", "--out", "run")
    assert command("train", "--data", "digits", *options) == 0
    assert requires("run/model.safetensors") == []
