"""Run files: every key checked, mistakes named with their origin and the near miss, TOML out."""

import tomllib

import pytest
from tensorgraph_train import runfile, toml
from tensorgraph_train.runfile import Named, Settings

from tensorgraph.errors import ConfigError


def parsed(text, *assignments):
    table = tomllib.loads(text)
    origins = {}
    for line in assignments:
        key, value = runfile.assignment(line)
        runfile.put(table, key, value)
        origins[key] = f"--set {line}"
    return runfile.settings(table, origins, "run.toml")


def test_all_keys():
    found = parsed(
        """
        [data]
        path = "images"
        resize = 32
        channels = 1
        val = 0.2
        [model]
        name = "mlp"
        hidden = [32, 16]
        [train]
        epochs = 3
        optimizer = {name = "sgd", lr = 0.1, momentum = 0.9}
        schedule = "cosine"
        clip_norm = 1
        metric = "auc"
        patience = 2
        compile = false
        """
    )
    assert found.data.resize == (32, 32)
    assert found.data.val == 0.2
    assert found.model == Named("mlp", {"hidden": [32, 16]})
    assert found.train.optimizer == Named("sgd", {"lr": 0.1, "momentum": 0.9})
    assert found.train.schedule == Named("cosine")
    assert found.train.clip_norm == 1.0
    assert found.train.patience == 2
    assert found.train.compile is False


def test_what_is_written_reads_back_the_same():
    found = parsed(
        '[data]\nname = "a\\u0007\\"b\\\\ × 🩻"\nmean = [0.1, 1e-9]\nresize = [8, 9]',
        "train.regularizer={name='l2', strength=1e-4}",
        "train.seed=9007199254740993",
        "model.name=mlp",
        "model.hidden=[1, 2]",
    )
    assert runfile.settings(tomllib.loads(found.toml()), {}, "again").toml() == found.toml()
    again = runfile.settings(tomllib.loads(found.toml()), {}, "again")
    assert again.data == found.data
    assert again.train.seed == 9007199254740993


def test_toml_of_odd_values():
    table = {"a b": 1, "t": {"x": [True, 1.5, "s", [1]], "u": {"v": None, "w": float("inf")}}}
    assert tomllib.loads(toml.dumps(table)) == {
        "a b": 1,
        "t": {"x": [True, 1.5, "s", [1]], "u": {"w": float("inf")}},
    }


def test_defaults_are_used_for_an_empty_file():
    assert parsed("") == Settings()


def test_an_option_alone_is_one_of_the_default():
    found = parsed("", "train.optimizer.eps=0.5", "model.width=4")
    assert found.train.optimizer == Named("adam", {"lr": 2e-3, "eps": 0.5})
    assert found.model == Named(Settings().model.name, {"width": 4})


def test_quotes_may_be_left_out():
    assert parsed("", "train.metric=auc").train.metric == "auc"
    assert parsed("", "data.path=some/folder").data.path == "some/folder"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nepoch = 3", "run.toml: no key train.epoch; did you mean epochs?"),
        ("[trian]", "run.toml: no section [trian]; did you mean train?"),
        (
            "[optimizer]\nlr = 0.1",
            "run.toml: no section [optimizer]; did you mean train.optimizer?",
        ),
        ("[train]\nepochs = 0", "train.epochs = 0; it takes a whole number, at least 1"),
        ("[train]\nepochs = 1.5", "train.epochs = 1.5; it takes a whole number"),
        ("[train]\nepochs = true", "train.epochs = True; it takes a whole number"),
        ("[train]\nseed = -1", "train.seed = -1; it takes a whole number, at least 0"),
        ("[train]\ncompile = 1", "train.compile = 1; it takes true or false"),
        ("[train]\nclip_norm = 0", "train.clip_norm = 0; it takes a number above 0"),
        ("[train]\nclip_norm = nan", "train.clip_norm = nan; it takes a number above 0"),
        ("[train]\noptimizer = 3", "train.optimizer = 3; it takes a name, or a table"),
        ("[train]\ncallbacks = 'x'", "train.callbacks = 'x'; it takes a list of names"),
        ("[train]\nregularizer = {strength = 1}", "it takes a name, or a table with a name"),
        ("[data]\nval = 1.0", "data.val = 1.0; it takes a number from 0 up to, but not, 1"),
        ("[data]\nchannels = 2", "data.channels = 2; it takes 1 (grey) or 3 (colour)"),
        ("[data]\nresize = [8]", "data.resize = [8]; it takes [height, width]"),
        ("[data]\nstd = [0]", "data.std = [0]; it takes a list of numbers above 0"),
        ("[data]\npath = ''", "data.path = ''; it takes the path"),
        ("data = 3", "run.toml: data = 3 is not a table; write [data]"),
        ("model = 3", "run.toml: model = 3; it takes a name, or a table"),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert message in str(caught.value)


def test_a_mistake_names_where_it_comes_from():
    with pytest.raises(ConfigError, match=r"^--set train.epochs=0: train.epochs = 0; it takes"):
        parsed("", "train.epochs=0")
    with pytest.raises(ConfigError, match=r"^--set train.epoch=1: no key train.epoch; did you"):
        parsed("", "train.epoch=1")


@pytest.mark.parametrize("line", ["train.epochs", "epochs=3", "train.=3"])
def test_assignments_that_are_none(line):
    with pytest.raises(ConfigError, match=r"it takes section\.key=value, such as"):
        runfile.assignment(line)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        runfile.read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[train\nepochs = 3")
    with pytest.raises(ConfigError, match=r"bad.toml: not TOML: .*line 1"):
        runfile.read(tmp_path / "bad.toml")
