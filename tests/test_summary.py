"""The summary of a model: shapes, parameters and FLOPs without data."""

import tensorgraph as tg


def lenet5():
    nn, relu = tg.layers, tg.activations.relu
    return nn.sequential(
        nn.conv2d(6, 5, padding=2), relu, nn.max_pool2d(2),
        nn.conv2d(16, 5), relu, nn.max_pool2d(2),
        nn.flatten(), nn.linear(120), relu, nn.linear(84), relu, nn.linear(10),
    )  # fmt: skip


def test_lenet5_has_the_published_numbers():
    """61,706 parameters; the products of its convolutions and dense layers are 416,520 each image:
    28*28*6*25 + 10*10*16*150 + 400*120 + 120*84 + 84*10."""
    summary = lenet5().summary(tg.Spec((1, 1, 28, 28)))
    assert summary.parameters == summary.trainable == 61_706
    rows = {row.path: row for row in summary.rows}
    assert rows["0"].output == tg.Spec((1, 6, 28, 28)) and rows["0"].parameters == 156
    assert rows["3"].output == tg.Spec((1, 16, 10, 10)) and rows["3"].parameters == 2_416
    assert rows["6"].output == tg.Spec((1, 400))
    products = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10
    assert 2 * products <= summary.flops <= 2 * products * 1.1, "biases, ReLU, pooling"
    assert rows["11"].flops == 2 * 84 * 10 + 10, "a multiply-add is two, adding the bias one"


def test_frozen_parameters_are_counted_apart_and_shared_ones_once():
    layer = tg.layers.linear(4)
    model = tg.layers.sequential(layer, layer)
    assert model.summary(tg.Spec((1, 4))).parameters == 20
    layer.weight.requires_grad = False
    assert model.summary(tg.Spec((1, 4))).trainable == 4


def test_it_prints_as_a_table():
    text = str(lenet5().summary(tg.Spec((1, 1, 28, 28))))
    lines = text.splitlines()
    assert lines[0] == "input float32[1,1,28,28]"
    assert lines[1].split() == ["layer", "output", "parameters", "FLOPs"]
    assert lines[-1].split()[:2] == ["total", "61,706"]
    assert len({line.rstrip()[-1] for line in lines[2:]} - set("0123456789")) == 0
