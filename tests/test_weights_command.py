"""The command weights: what it lists, writes and compares, and what it says to mistakes."""

import pytest
import weights_help
from training_help import command

import tensorgraph as tg


@pytest.fixture
def path(tmp_path):
    model = tg.models.small_cnn(3, filters=(4, 6), dropout=0.5)
    model.infer_shape(tg.Spec((1, 3, 8, 8), "float32"))
    arrays = {name: x.numpy() for name, x in model.state().items()}
    return weights_help.save(tmp_path / "net.pt", arrays)


def test_weights_command(path, tmp_path, capsys):
    assert command("weights", path) == 0
    assert "4×3×3×3" in capsys.readouterr().out
    assert command("weights", path, "--convert", tmp_path / "net.safetensors") == 0
    assert command("weights", path, "--compare", tmp_path / "net.safetensors") == 0
    assert "0 are not" in capsys.readouterr().out
    assert command("weights", path, "--model", "mlp") == 2
    assert "weights of another model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--convert", "none/net.safetensors"], "there is no folder none"),
        (["--convert", "net.pt"], "only safetensors is written"),
        (["--model", "small_cnn", "--option", "stem=2"], "--model small_cnn:"),
        (["--compare", "run.toml"], "neither safetensors nor"),
    ],
)
def test_mistakes_of_the_command(path, tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text("# text")
    assert command("weights", path, *options) == 2
    assert message in capsys.readouterr().err
