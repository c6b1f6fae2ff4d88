"""What layers say of inputs and options that do not fit: the layer's path, the input, the fix."""

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DtypeError, ShapeError

nn = tg.layers
F4 = "float32"


@pytest.mark.parametrize(
    ("model", "first", "then", "message"),
    [
        (lambda: nn.sequential(nn.flatten(), nn.linear(400), nn.linear(9)), (2, 4, 5), (2, 16),
         r"linear: was built for 20 features and gets 16: float32\[2,16\]; give it inputs of the "
         r"size that it saw first, or make a new model for these\n  in layer '1', Linear\(400\), "
         r"whose input is float32\[2,16\]"),
        (lambda: nn.conv2d(4, 3), (1, 3, 8, 8), (1, 1, 8, 8),
         r"conv2d: was built for 3 channels and gets 1: float32\[1,1,8,8\]"),
        (lambda: nn.batch_norm2d(), None, (4, 10),
         r"batch_norm2d: takes \(N, C, H, W\) and gets float32\[4,10\]; put it before the layers "
         r"that flatten, .*\n  in BatchNorm2d\(\), whose input is float32\[4,10\]"),
        (lambda: nn.batch_norm1d(), None, (2, 3, 4, 5), r"batch_norm1d: takes \(N, C\) or \(N, C,"),
        (lambda: nn.batch_norm1d(), None, (1, 3), r"batch_norm: .* 1 value for each channel"),
        (lambda: nn.conv2d(4, 3), None, (3, 8, 8),
         r"conv2d: takes \(N, C, H, W\) and gets float32\[3,8,8\]; add the axis that is missing"),
        (lambda: nn.sequential(nn.conv2d(4, 3), nn.conv2d(4, 5)), None, (1, 1, 6, 6),
         r"(?s)conv: the filter reaches over 5 .*\n  in layer '1', Conv2d\(4, 5\), whose input"),
        (lambda: nn.max_pool2d(2), None, (2, 3), r"max_pool2d: takes \(N, C, H, W\) and gets"),
        (lambda: nn.adaptive_avg_pool2d(1), None, (2, 3), r"adaptive_avg_pool2d: takes \(N, C"),
        (lambda: nn.layer_norm(), (2, 3), (2, 4), r"layer_norm: was built for 3 elements along"),
        (lambda: nn.layer_norm(3), None, (2, 4), r"layer_norm: .* fewer than dims=3 axes"),
        (lambda: nn.group_norm(4), None, (2, 6, 3), r"group_norm: the channels of .* 4 groups"),
        (lambda: nn.flatten(2), None, (3, 4), r"flatten: start=2 is no axis of float32\[3,4\]"),
    ],
)  # fmt: skip
def test_an_input_that_does_not_fit_is_named_with_layer_and_fix(model, first, then, message):
    layer = model()
    if first:
        layer(tg.tensor(np.ones(first, F4)))
    with pytest.raises(ShapeError, match=message):
        layer(tg.tensor(np.ones(then, F4)))


def test_inputs_of_another_kind():
    with pytest.raises(TypeError, match=r"Linear takes a tensor, not ndarray; wrap an array: tg.t"):
        nn.linear(2)(np.ones((1, 2)))
    pixels = tg.tensor(np.ones((1, 4), "uint8"))
    with pytest.raises(DtypeError, match=r"linear: needs floating point, not uint8\[1,4\]; cast"):
        nn.sequential(nn.linear(2))(pixels)
    layer = nn.sequential(nn.linear(2))
    layer(tg.tensor(np.ones((1, 4), F4)))
    with pytest.raises(DtypeError, match=r"(?s)dtypes differ.*in layer '0', Linear\(2\), whose in"):
        layer(tg.tensor(np.ones((1, 4), "float64")))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.sequential(nn.linear(2), 3), "sequential: stage 1 is 3, which cannot be calle"),
        (lambda: nn.sequential(nn.flatten), r"sequential: stage 0 is the class Flatten, not a la"),
        (lambda: nn.residual(None), "residual: body is None, which cannot be called"),
        (lambda: nn.linear(0), "linear: out_features=0 is not an integer from 1 on"),
        (lambda: nn.linear(2.5), "linear: out_features=2.5 is not"),
        (lambda: nn.conv2d(4, (3, 3, 3)), r"conv2d: kernel_size=\(3, 3, 3\) is neither"),
        (lambda: nn.conv2d(4, 3, groups=3), "conv2d: 4 out_channels do not divide into 3 groups"),
        (lambda: nn.max_pool2d(0), "max_pool2d: kernel_size=0 is neither"),
        (lambda: nn.dropout(1.5), r"dropout: p=1.5 is not a probability"),
        (lambda: nn.batch_norm2d(momentum=2.0), "batch_norm2d: momentum=2.0 is not a share"),
        (lambda: nn.embedding(0, 4), "embedding: num_embeddings=0 is not"),
    ],
)
def test_layers_that_cannot_be_made(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
