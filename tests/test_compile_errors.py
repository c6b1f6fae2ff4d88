"""``tg.compile``: what cannot be replayed is an error that names the line, never a stale answer."""

import numpy as np
import pytest
from compiled_steps import Training, batch, plans

import tensorgraph as tg
from tensorgraph.errors import GradientError, RecordingError, ShapeError

pytestmark = pytest.mark.usefixtures("compiler")


def line(function, offset):
    return rf"\(.*test_compile_errors\.py, line {function.__code__.co_firstlineno + offset}\)"


@pytest.mark.parametrize(
    ("read", "what"),
    [(float, "item"), (bool, "item"), (int, "item"), (tg.Tensor.numpy, "numpy")],
)
def test_a_value_that_is_read(read, what):
    def step(x):
        return x * read(x.sum())

    expected = rf"{what}\(\) reads the value of float32\[\] .* {line(step, 1)}: a replay would not"
    with pytest.raises(RecordingError, match=expected):
        tg.compile(step)(tg.tensor([1.0]))


def test_a_tensor_that_is_made_from_data():
    def step(x):
        noise = np.random.default_rng().standard_normal(1)
        return x + tg.tensor(noise, dtype="float32")

    expected = rf"tg.tensor\(…\) is called while a step is being recorded {line(step, 2)}: .* argum"
    with pytest.raises(RecordingError, match=expected):
        tg.compile(step)(tg.tensor([1.0]))


def test_what_an_argument_is_left_with():
    def gradient(x):
        (x * x).sum().backward()

    x = tg.tensor([1.0, 2.0], requires_grad=True)
    expected = rf"float32\[2\], is given a gradient {line(gradient, 1)}.*tg.grad\(loss, \[x\]\)"
    with pytest.raises(RecordingError, match=expected):
        tg.compile(gradient)(x)

    def assign(x):
        x.assign(x * 2.0)

    expected = rf"float32\[2\], is assigned {line(assign, 1)}.*return the new values"
    with pytest.raises(RecordingError, match=expected):
        tg.compile(assign)(tg.tensor([1.0, 2.0]))

    saliency = tg.compile(lambda x: tg.grad((x * x).sum(), [x]))
    for k in (1.0, 3.0):
        assert saliency(tg.tensor([k], requires_grad=True))[0].item() == 2 * k


def test_an_argument_with_a_graph_behind_it():
    w = tg.tensor([2.0], requires_grad=True)
    step = tg.compile(lambda x: x.sum())
    with pytest.raises(RecordingError, match=r"float32\[1\], was made by op 'multiply' before"):
        step(w * 2.0)
    assert step((w * 2.0).detach()).item() == 4
    with tg.no_grad():
        assert step(w * 3.0).item() == 6


def test_results_have_no_graph():
    w = tg.tensor([2.0], requires_grad=True)
    loss = tg.compile(lambda x: (w * x).sum())(tg.tensor([1.0]))
    with pytest.raises(GradientError, match="nor in a compiled step that does not call backward"):
        loss.backward()


class Kept:
    def __init__(self, loss):
        self.loss = loss


def test_a_result_that_hides_its_tensors():
    with pytest.raises(RecordingError, match=r"returned <.*Kept object.*return tensors, and tupl"):
        tg.compile(lambda x: Kept(x.sum()))(tg.tensor([1.0]))


def test_an_argument_that_cannot_be_told_apart():
    with pytest.raises(RecordingError, match=r"unhashable type.*wrap arrays: tg.tensor\(x\)"):
        tg.compile(lambda x: x)(np.ones(3))


def test_settings_that_change_all_the_time():
    training = Training()
    for i in range(16):
        training.optimizer.weight_decay = i / 100
        training.step(*batch())
    training.optimizer.weight_decay = 0.5
    expected = r"16 plans were made for _step, .*: Adam.weight_decay changes all the time. Keep it"
    with pytest.raises(RecordingError, match=expected):
        training.step(*batch())
    training.optimizer.weight_decay = 0.01
    training.step(*batch())
    assert plans(training.step) == 16


def test_a_name_that_changes_all_the_time():
    @tg.compile
    def step(x):
        return x * scale

    for scale in range(16):
        assert step(tg.tensor([1.0])).item() == scale
    scale = 0.5
    with pytest.raises(RecordingError, match=r"scale in step\(\) changes all the time.*a tensor"):
        step(tg.tensor([1.0]))


def test_shapes_that_change_all_the_time():
    step = tg.compile(lambda x: x.sum())
    for n in range(1, 17):
        assert step(tg.tensor([1.0] * n)).item() == n
    with pytest.raises(RecordingError, match="its shapes, dtypes or numbers change all the time"):
        step(tg.tensor([1.0] * 17))


class Counts(tg.Layer):
    """A layer whose answer depends on how often it was asked."""

    def __init__(self):
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * float(self.calls)


def test_a_layer_that_counts_its_calls():
    """The first call has built it; from the second on its count is a setting that changes."""
    layer = Counts()
    layer(tg.tensor([1.0]))
    step = tg.compile(lambda x: layer(x))
    for i in range(16):
        assert step(tg.tensor([1.0])).item() == i + 2
    with pytest.raises(RecordingError, match=r"Counts.calls changes all the time"):
        step(tg.tensor([1.0]))


class Remembers(tg.Layer):
    """A layer that notes what it has seen, which changes nothing."""

    def forward(self, x):
        self.seen = x.shape
        return x * 2.0


def test_a_layer_that_notes_shapes_comes_to_rest():
    layer = Remembers()
    step = tg.compile(lambda x: layer(x))
    for _ in range(10):
        for n in (3, 2):
            assert step(tg.tensor([1.0] * n)).shape == (n,)
    assert plans(step) <= 4


class Replaced(tg.Layer):
    def __init__(self):
        self.activation, self.last = tg.activations.relu, tg.layers.flatten()

    def forward(self, x):
        return self.last(self.activation(x))


def test_parts_of_a_layer_that_are_replaced():
    layer, x = Replaced(), tg.tensor([[-1.0]])
    step = tg.compile(lambda x: layer(x))
    assert step(x).item() == 0
    layer.activation = tg.activations.tanh
    assert step(x).item() == pytest.approx(np.tanh(-1))
    layer.last = tg.layers.sequential(tg.ops.square)
    assert step(x).item() == pytest.approx(np.tanh(-1) ** 2)


def test_an_error_within_a_step_leaves_nothing_behind():
    training = Training()
    x, y = batch()
    for _ in range(2):
        with pytest.raises(ShapeError):
            training.step(x, tg.tensor([0, 1]))
    assert plans(training.step) == 0
    with pytest.raises(RecordingError, match="there is no plan yet"):
        _ = training.step.plan
    assert np.isfinite([training.step(x, y).item() for _ in range(3)]).all()
    assert plans(training.step) == 1


class Trainer:
    """Steps as methods: of an object that is compiled, and of a class."""

    def __init__(self):
        self.scale = 2.0

    def bound(self, x):
        return x * self.scale

    @tg.compile
    def step(self, x):
        return x * self.scale


def test_methods_and_the_settings_that_they_read():
    trainer, other, x = Trainer(), Trainer(), tg.tensor([1.0])
    bound = tg.compile(trainer.bound)
    assert [bound(x).item(), trainer.step(x).item(), other.step(x).item()] == [2, 2, 2]
    trainer.scale = 3.0
    assert [bound(x).item(), trainer.step(x).item(), other.step(x).item()] == [3, 3, 2]


def test_a_step_in_another_step():
    inner = tg.compile(lambda x: x * 2.0)
    outer = tg.compile(lambda x: inner(x) + inner(inner(x)))
    assert [outer(tg.tensor([k])).item() for k in (1.0, 3.0)] == [6, 18]
