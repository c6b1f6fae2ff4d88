"""Training runs with ``backend = "cupy"`` on the emulated device: when the host waits, what is
copied to the device, and what a run on one backend leaves to the other."""

import json

import numpy as np
import pytest
from emulated import in_place
from emulated_backend import EmulatedBackend
from emulated_device import available
from safetensors import safe_open
from tensorgraph_train import checkpoint, feed, prepare, runfile, scores, storage
from training_help import Stops, archive, install

import tensorgraph as tg

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")
AUGMENTED = [{"name": "flip_vertical", "knowingly": True}, {"name": "rotate"}]


class Counting(EmulatedBackend):
    """Counts what the host waits for, and keeps what it hands to the device."""

    def __init__(self):
        super().__init__()
        self.waits = 0
        self.copied = []

    def to_host(self, array):
        self.waits += 1
        return super().to_host(array)

    def synchronize(self):
        self.waits += 1

    def asarray(self, data, dtype):
        out = super().asarray(data, dtype)
        self.copied.append((str(out.dtype), out.shape))
        return out


class Notes:
    """What a run did at each step: the images that it saw, the random words that it had drawn."""

    def __init__(self):
        self.order, self.random, self.waits = [], [], []

    def on_batch(self, run):
        self.random.append((tg.config.random_state(), run._keys(self.order[-1]).numpy().tolist()))
        self.waits.append(getattr(tg.config.get_backend(), "waits", 0))


@pytest.fixture
def data(tmp_path):
    return archive(tmp_path / "data.npz")


@pytest.fixture
def device():
    with in_place(Counting()) as backend:
        yield backend


def begun(folder, data, backend, notes, model="normed", precision="default", **train):
    install()
    options = {"epochs": 2, "batch_size": 8, "optimizer": {"name": "adam", "lr": 0.01}, **train}
    table = {"data": {"path": str(data)}, "model": model, "train": options}
    settings = prepare.named(runfile.settings(table, {}, "test"))
    folder.mkdir(exist_ok=True)
    with tg.use(backend=backend, precision=precision):
        run = prepare.run(settings)
    run.folder = folder
    inputs = run._inputs

    def noted(batch, x):
        notes.order.append(np.asarray(batch))
        return inputs(batch, x)

    run._inputs = noted
    run.callbacks.append(notes)
    return run


def trained(folder, data, backend, stop=None, resume=False, precision="default", **train):
    """A run, from the start or from the folder's checkpoint on, and what it noted."""
    notes = Notes()
    run = begun(folder, data, backend, notes, precision=precision, **train)
    if stop is not None:
        run.callbacks.append(Stops(*stop))
    with tg.use(backend=backend, precision=precision):
        if resume:
            run.resume()
        if stop is None:
            run.fit()
        else:
            with pytest.raises(KeyboardInterrupt):
                run.fit()
    return run, notes


@pytest.mark.parametrize("first", ["numpy", "cupy"])
def test_a_run_goes_on_on_the_other_backend(tmp_path, data, device, first):
    """Compiled, with Adam, dropout and augmentation: batches and random words are the same to the
    bit as those of a run that stayed, losses but for rounding."""
    other = {"numpy": "cupy", "cupy": "numpy"}[first]
    chosen = {"augment": AUGMENTED, "epochs": 3}
    whole, wanted = trained(tmp_path / "whole", data, "numpy", **chosen)
    folder = tmp_path / "moved"
    begin, before = trained(folder, data, first, stop=(1, 1), **chosen)
    at = storage.load_tensors(folder / checkpoint.CHECKPOINT)[1]["progress"]
    assert (at["epoch"], at["batch"]) == (1, 0)
    rest, after = trained(folder, data, other, resume=True, **chosen)
    seen = [*before.order[: whole.batches], *after.order]
    assert [x.tolist() for x in seen] == [x.tolist() for x in wanted.order]
    assert [*before.random[: whole.batches], *after.random] == wanted.random
    for mine, theirs in zip([*begin.records, *rest.records], whole.records, strict=True):
        for name in ("loss", "val_loss"):
            assert mine[name] == pytest.approx(theirs[name], rel=1e-3), name
    for name, x in whole.model.state().items():
        np.testing.assert_allclose(rest.model.state()[name].numpy(), x.numpy(), atol=1e-3)


def test_a_checkpoint_does_not_say_where_it_was_made(tmp_path, data, device):
    for name in ("numpy", "cupy"):
        trained(tmp_path / name, data, name, epochs=1)
    for file in (checkpoint.CHECKPOINT, checkpoint.MODEL):
        with (
            safe_open(tmp_path / "numpy" / file, "numpy") as one,
            safe_open(tmp_path / "cupy" / file, "numpy") as two,
        ):
            assert "cupy" not in json.dumps(two.metadata())
            assert list(one.keys()) == list(two.keys())
            for name in two.keys():  # noqa: SIM118
                x, y = one.get_tensor(name), two.get_tensor(name)
                assert (x.shape, x.dtype) == (y.shape, y.dtype)


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, data, device):
    chosen = {"augment": AUGMENTED, "checkpoint_every": 0.0}
    whole, _ = trained(tmp_path / "whole", data, "cupy", **chosen)
    trained(tmp_path / "out", data, "cupy", stop=(1, 2), **chosen)
    rest, notes = trained(tmp_path / "out", data, "cupy", resume=True, **chosen)
    assert len(notes.order) == 2, "the first step of the epoch was saved"
    for name, x in whole.model.state().items():
        np.testing.assert_array_equal(rest.model.state()[name].numpy(), x.numpy(), err_msg=name)


def test_the_host_waits_once_in_sixteen_steps(tmp_path, device):
    data = archive(tmp_path / "data.npz")
    run, notes = trained(
        tmp_path / "out", data, "cupy", epochs=3, batch_size=1, model={"name": "mlp", "hidden": [4]}
    )
    keys = run.batches  # which the notes read at each step, in this test
    assert keys == 20
    for epoch in range(3):
        waits = notes.waits[epoch * keys : (epoch + 1) * keys]
        assert (np.diff(waits) - 1).tolist() == [0] * 14 + [1] + [0] * 4


def test_validation_is_read_at_its_end(tmp_path, data, device):
    run, _ = trained(tmp_path / "out", data, "cupy", epochs=1)
    with tg.use(backend="cupy"):
        many = np.resize(run.val_indices, 5 * scores.BATCH)
        for _ in range(2):  # plans were made, and then
            device.waits = 0
            found, loss = scores.run(run.model, run.infer, run.feed, many, run.loss, often=True)
        assert device.waits == 2, "the outputs of all batches, and their losses"
        few, once = scores.run(run.model, run.infer, run.feed, run.val_indices, run.loss)
    np.testing.assert_allclose(found[: len(few)], few, rtol=1e-4, atol=1e-6)
    assert loss == pytest.approx(once, rel=1e-5)


def test_pictures_go_to_the_device_as_bytes(tmp_path, data, device):
    run, _ = trained(tmp_path / "out", data, "cupy", epochs=1)
    wide = [(dtype, shape) for dtype, shape in device.copied if len(shape) == 4]
    images = {shape for dtype, shape in wide if dtype == "uint8"}
    assert images == {(8, 1, 8, 8), (4, 1, 8, 8)}, "the last batch is smaller"
    parameters = {x.shape for x in run.model.state().values()}
    assert {shape for dtype, shape in wide if dtype != "uint8"} <= parameters


def test_they_are_scaled_there_to_the_same_bits(device):
    digits = tg.datasets.digits.load(None)
    source = feed.Feed(digits, *feed.statistics(digits), "float32")
    batches = list(source.batches(np.arange(150), 64))
    with tg.use(backend="numpy"):
        want = [x.numpy() for _, x in source.ahead(batches)]
    with tg.use(backend="cupy"):
        for _ in range(2):  # the second time by the graph that was captured
            for x, (_, found) in zip(want, source.ahead(batches), strict=True):
                np.testing.assert_array_equal(found.numpy(), x)
        np.testing.assert_array_equal(source.images(batches[0]).numpy(), want[0])


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_what_is_kept_is_float32_with_each_precision(tmp_path, data, device, precision):
    run, _ = trained(tmp_path / "out", data, "cupy", precision=precision)
    plain, _ = trained(tmp_path / "plain", data, "cupy")
    assert run.settings.train.precision == precision
    losses = [r["loss"] for r in run.records]
    assert losses != [r["loss"] for r in plain.records], "factors are rounded"
    np.testing.assert_allclose(losses, [r["loss"] for r in plain.records], rtol=0.05)
    for file in (checkpoint.CHECKPOINT, checkpoint.MODEL):
        with safe_open(tmp_path / "out" / file, "numpy") as stored:
            kinds = {str(stored.get_slice(name).get_dtype()) for name in stored.keys()}  # noqa: SIM118
            assert kinds <= {"F32", "I64"}


def test_another_precision_is_another_plan(device):
    with tg.use(backend="cupy"):
        w = tg.tensor(np.full((4, 4), 1 + 2**-9, np.float32))
        product = tg.compile(lambda x: tg.ops.matmul(x, w))
        x = tg.tensor(np.ones((4, 4), np.float32))
        sums, plans = [], []
        for precision in ("float32", "tf32", "bfloat16", "float32", "bfloat16"):
            with tg.use(precision=precision):
                sums.append(product(x).numpy()[0, 0])
            plans.append(len(product.plans))
    exact = np.float32(4 + 2**-7)
    assert plans == [1, 2, 3, 3, 3]
    assert sums == [exact, exact, 4, exact, 4]  # 1 + 2**-9 has more bits than bfloat16
