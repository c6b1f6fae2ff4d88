"""Recording a step, and finding the first op that gave NaN."""

import numpy as np
import pytest
from tensorgraph_train.finite import first_nonfinite
from tensorgraph_walks.record import record

import tensorgraph as tg
from tensorgraph.errors import RecordingError


def test_a_recording_holds_forward_and_backward_and_reads_like_a_program():
    w = tg.tensor([1.0, 2.0], requires_grad=True)

    def step(x):
        (w * x).sum().backward()

    recording = record(step, tg.tensor([3.0, 4.0]))
    assert str(recording).splitlines() == [
        "y0: float32[2] = multiply(w0, x0)",
        "y1: float32[] = sum(y0, axis=(0,), keepdims=False)",
        "y2: float32[2] = multiply(c2, x0)",
        "gradient of w0 <- y2",
        "return ",
    ]


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (float, r"item\(\)"),
        (bool, r"item\(\)"),
        (tg.Tensor.item, r"item\(\)"),
        (tg.Tensor.numpy, r"numpy\(\)"),
        (np.asarray, r"numpy\(\)"),
    ],
)
def test_reading_a_value_while_recording_names_the_users_line(read, what):
    def step(x):
        return read(x.sum())

    line = step.__code__.co_firstlineno + 1
    expected = rf"{what} reads the value of float32\[\] while .* \(.*test_plan.py, line {line}\)"
    with pytest.raises(RecordingError, match=expected):
        record(step, tg.tensor([1.0]))


class Scale(tg.Layer):
    def __init__(self, by):
        self.by = by

    def forward(self, x):
        return tg.ops.log(x) * self.by


class Outer(tg.Layer):
    def __init__(self):
        self.first = Scale(2.0)
        self.second = Scale(-1.0)

    def forward(self, x):
        return self.second(self.first(x))


def test_the_first_op_that_is_not_finite_is_named_with_its_layer():
    model = Outer()
    x = tg.tensor([1.0, 2.0])
    with np.errstate(divide="ignore"):
        found = first_nonfinite(lambda: model(x))
    assert str(found) == (
        "op 'log' in layer 'second' (Scale) gave NaN or infinity from float32[2]; "
        "its inputs were finite"
    )


def test_an_input_that_was_bad_already_is_said_so():
    x = tg.tensor([float("nan"), 2.0])
    found = first_nonfinite(lambda: x * 2.0)
    assert str(found) == (
        "op 'multiply' outside the model's layers gave NaN or infinity from float32[2], "
        "float32[]; input 0 was not finite already"
    )
    assert first_nonfinite(lambda: tg.tensor([1.0]) * 2.0) is None
