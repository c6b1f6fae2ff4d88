"""Transfer: parts, freezing, learning rates, new heads, what is kept, and the run file's keys."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import weights_help
from safetensors.numpy import load_file
from tensorgraph_train import steps
from tensorgraph_transfer.features import Cut
from training_help import archive, command

import tensorgraph as tg
from tensorgraph.errors import ConfigError, ShapeError

X = np.random.default_rng(0).standard_normal((6, 3, 8, 8)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])


def small(classes=3):
    tg.seed(0)
    model = tg.models.small_cnn(classes, filters=(4, 6), dropout=0.5)
    model.infer_shape(tg.Spec((1, 3, 8, 8), "float32"))
    return model


def transfer(model, **options):
    return tg.plugins.walk("transfer", model, **options)


def trained(model, moved, count=3, kind="sgd", **options):
    """After some steps, what has changed."""
    before = {name: x.numpy().copy() for name, x in model.state().items()}
    optimizer = moved.optimizer(tg.optimizers[kind])(model.parameters(), lr=0.1, **options)

    @tg.compile
    def step(x, y):
        loss = tg.ops.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(count):
        step(tg.tensor(X), tg.tensor(Y))
    after = {name: x.numpy() for name, x in model.state().items()}
    return {name: after[name] - before[name] for name in before}


def test_a_norm_belongs_to_the_part_before_it():
    assert [part[0] for part in transfer(small()).parts] == ["0.weight", "4.weight", "10.weight"]
    assert transfer(small()).parts[0] == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_frozen_parts_keep_weights_and_statistics():
    model = small()
    moved = transfer(model, freeze=1)
    moved.begin(0)
    changes = trained(model, moved)
    still = {name for name, change in changes.items() if not change.any()}
    assert still == {name for name in changes if name.startswith(("0.", "1."))}


@pytest.mark.parametrize(
    ("freeze", "frozen"),
    [
        ("body", {"0", "1", "4", "5"}),
        (2, {"0", "1", "4", "5"}),
        (["0", "5.weight"], {"0", "5"}),
        (["*.bias"], {"0", "1", "4", "5", "10"}),
        ((), set()),
    ],
)
def test_what_is_frozen(freeze, frozen):
    model = small()
    names = transfer(model, freeze=freeze).begin(0)
    assert {name.partition(".")[0] for name in names} == frozen
    assert names == {k for k, x in model.named_parameters().items() if not x.requires_grad}


def test_gradual_unfreezing_goes_from_the_output_to_the_input():
    moved = transfer(small(), freeze="body", unfreeze=2)
    sizes = [len(moved.begin(epoch)) for epoch in range(6)]
    assert sizes == [8, 8, 4, 4, 0, 0]
    assert all(name.startswith(("0.", "1.")) for name in moved.frozen_at(2))


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_learning_rates_of_parts(kind):
    """One step of each part is as long as that of an optimizer with its learning rate."""
    model = small()
    moved = transfer(model, lr={"0": 0.5, "1.*": 0.25})
    moved.begin(0)
    scaled = trained(model, moved, 1, kind)
    model = small()
    whole = trained(model, transfer(model), 1, kind)
    for name in model.named_parameters():
        factor = 0.5 if name.startswith("0.") else 0.25 if name.startswith("1.") else 1.0
        np.testing.assert_allclose(scaled[name], factor * whole[name], rtol=1e-3, atol=1e-7)


def test_one_number_is_the_ratio_from_part_to_part():
    factors = transfer(small(), lr=0.1).factors
    assert factors["10.bias"] == 1 and factors["4.weight"] == 0.1
    assert factors["1.bias"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze": ["9"]}, "no parameter is called '9'"),
        ({"freeze": 3}, "the model has 3 parts, and the last is its head"),
        ({"freeze": ["*"]}, "all is frozen"),
        ({"unfreeze": 1}, "nothing is frozen"),
        ({"lr": {"head": 0.1}}, "transfer.lr: no parameter is called 'head'"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(ConfigError, match=message):
        transfer(small(), **options)


def stored(path, model):
    return weights_help.save(path, {name: x.numpy() for name, x in model.state().items()})


def test_new_head_for_other_classes(tmp_path):
    taught = small(5)
    model = small(3)
    head = model.state()["10.weight"].numpy().copy()
    transfer(model).load(str(stored(tmp_path / "net.pt", taught)), "small_cnn")
    np.testing.assert_array_equal(model.state()["4.weight"].numpy(), taught.state()["4.weight"])
    np.testing.assert_array_equal(model.state()["10.weight"].numpy(), head)
    with pytest.raises(ShapeError, match=r"10\.weight is"):
        transfer(model).load(str(tmp_path / "net.pt"), "small_cnn", "keep")


def test_weights_of_another_model(tmp_path):
    path = stored(tmp_path / "net.pt", small())
    other = tg.models.mlp(3)
    other.infer_shape(tg.Spec((1, 3, 8, 8), "float32"))
    with pytest.raises(
        ConfigError, match=r"weights of another model: missing: none; not in this model: 0\.weight"
    ):
        transfer(other).load(str(path), "mlp")


def test_wrapped_names(tmp_path):
    taught = small()
    names = {f"module.{name}": x.numpy() for name, x in taught.state().items()}
    model = small()
    transfer(model).load(str(weights_help.save(tmp_path / "net.pt", names)), "small_cnn")
    np.testing.assert_array_equal(model.state()["0.weight"].numpy(), taught.state()["0.weight"])


def fitted(tmp_path, name, *assignments, status=0):
    data = tmp_path / "data.npz"
    if not data.exists():
        archive(data)
    out = tmp_path / name
    sets = [part for text in assignments for part in ("--set", text)]
    base = ["--data", data, "--epochs", 3, "--set", "train.batch_size=8", "--out", out]
    assert command("train", *base, *sets) == status
    if status:
        return None
    lines = (out / "history.jsonl").read_text().splitlines()
    return [(line["loss"], line["val_loss"]) for line in map(json.loads, lines)]


@pytest.mark.parametrize("compile", ["true", "false"])
def test_kept_features_change_nothing(tmp_path, compile):
    """With dropout in the part that is trained, and batches of two sizes."""
    asked = ["transfer.freeze=1", f"train.compile={compile}", "train.dtype=float64"]
    kept = fitted(tmp_path, "kept", *asked)
    anew = fitted(tmp_path, "anew", *asked, "transfer.keep=false")
    np.testing.assert_allclose(kept, anew, rtol=1e-9)


def test_frozen_part_runs_once_an_image(tmp_path, monkeypatch):
    """20 images of training and 8 of validation in three epochs, and three that it is tried on."""
    seen = []
    features = Cut.features

    def counted(self, x):
        seen.append(x.shape[0])
        return features(self, x)

    monkeypatch.setattr(Cut, "features", counted)
    fitted(tmp_path, "run", "transfer.freeze=body")
    assert sum(seen) == 20 + 8 + 3


@pytest.mark.parametrize("compile", ["true", "false"])
def test_features_of_many_images_are_computed_by_a_plan(tmp_path, monkeypatch, compile):
    """Two whole blocks, of which the second is a replay; as exactly as anew."""
    monkeypatch.setattr(steps, "WORK", 0)
    asked = ["transfer.freeze=body", f"train.compile={compile}", "train.dtype=float64"]
    images = np.random.default_rng(1).integers(0, 255, (70, 8, 8)).astype(np.uint8)
    more = {"train_images": images, "train_labels": (np.arange(70) % 2)[:, None]}
    archive(tmp_path / "data.npz", **more)
    anew = fitted(tmp_path, "anew", *asked, "transfer.keep=false")
    runs, features = [], Cut.features
    monkeypatch.setattr(Cut, "features", lambda self, x: runs.append(len(x)) or features(self, x))
    np.testing.assert_allclose(fitted(tmp_path, "kept", *asked), anew, rtol=1e-9)
    assert runs.count(32) == (1 if compile == "true" else 2)


STOP = "train.callbacks=[{name='stops', epoch=1, at=1}]"


@pytest.mark.parametrize(
    "asked",
    [
        {"freeze": "body"},
        {"freeze": "body", "keep": "false"},
        {"freeze": "body", "unfreeze": 1, "lr": 0.5},
        {"freeze": 1, "lr": "{'1'=0.3}"},
    ],
)
def test_resumed_in_the_middle_of_an_epoch(tmp_path, monkeypatch, asked):
    """The same weights, to the bit, as the run that went through."""
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    asked = [f"transfer.{key}={value}" for key, value in asked.items()]
    fitted(tmp_path, "whole", *asked)
    out = tmp_path / "parts"
    stop = [*asked, STOP, "train.checkpoint_every=0"]
    fitted(tmp_path, "parts", *stop, status=130)
    run_file = out / "run.toml"
    text = run_file.read_text()
    assert '"stops"' in text
    lines = [line for line in text.splitlines() if not line.startswith("callbacks")]
    run_file.write_text("\n".join(lines) + "\n")
    assert command("train", "--out", out, "--resume") == 0
    whole, parts = (load_file(tmp_path / x / "model.safetensors") for x in ("whole", "parts"))
    for name, x in whole.items():
        np.testing.assert_array_equal(parts[name], x, err_msg=name)


def test_images_are_computed_in_the_same_company(monkeypatch):
    """Whichever is asked for first: rounding may differ with what else is in a batch."""
    asked = []
    splits = {"train": np.arange(40)[::-1], "val": np.arange(40, 50)}
    dataset = SimpleNamespace(splits=splits, labels=np.zeros(50))
    pixels = np.random.default_rng(0).standard_normal((50, 3, 8, 8)).astype(np.float32)

    def images(indices):
        asked.append(tuple(indices))
        return tg.tensor(pixels[indices])

    feed = SimpleNamespace(dataset=dataset, images=images)
    for first in (3, 36):
        model = small()
        moved = transfer(model, freeze=1)
        moved.begin(0)
        found = moved.features(feed, lambda ask: ask)
        asked.clear()
        list(found.ahead([[first], [44, 45]]))
        assert {len(x) for x in asked} == {8 if first == 3 else 32, 10}
        assert found.known.sum() == (18 if first == 3 else 42)


def test_nothing_is_kept_of_what_is_augmented(tmp_path, monkeypatch):
    monkeypatch.setattr(Cut, "features", lambda self, x: pytest.fail("computed for keeping"))
    losses = fitted(tmp_path, "run", "transfer.freeze=body", "train.augment=['rotate']")
    assert np.isfinite(losses).all()


def test_frozen_parts_have_no_backward_pass():
    """Neither the ops of one in the plan, nor the memory of what it would read."""
    ops, sizes = [], []
    for freeze in ((), "body"):
        model = tg.models.small_cnn(3)
        model.infer_shape(tg.Spec((1, 3, 32, 32), "float32"))
        moved = transfer(model, freeze=freeze)
        optimizer = tg.optimizers.sgd(model.parameters(), lr=0.1)
        model.train()
        moved.begin(0)

        @tg.compile
        def step(x, y, model=model, optimizer=optimizer):
            loss = tg.ops.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        step(tg.tensor(np.zeros((8, 3, 32, 32), np.float32)), tg.tensor(np.arange(8) % 3))
        outline = step.plan.outline()
        ops.append({call.op.name for call in step.plan.program.calls})
        sizes.append(sum(outline.memory.values()))
    assert ops[0] >= {"conv_input", "conv_weight"}
    assert ops[1].isdisjoint({"conv_input", "conv_weight"})
    assert sizes[1] < 0.7 * sizes[0] or not sizes[0]


def test_unfreezing_in_a_run(tmp_path):
    losses = fitted(tmp_path, "run", "transfer.freeze=body", "transfer.unfreeze=1")
    assert len(losses) == 3 and np.isfinite(losses).all()
    text = (tmp_path / "run" / "run.toml").read_text()
    assert '[transfer]\nhead = "new"\nfreeze = "body"\nlr = 1.0\nunfreeze = 1\n' in text
