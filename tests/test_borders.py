"""What lies along the borders of images and is read by nobody is not computed, and not missed."""

import numpy as np
import pytest
from random_nets import RandomNet
from tensorgraph_walks import borders
from tensorgraph_walks.record import record
from tensorgraph_walks.simplify import simplified

import tensorgraph as tg

ops = tg.ops


def weights(*shape, seed=1):
    x = np.random.default_rng(seed).standard_normal(shape)
    return tg.tensor(x, dtype="float64", requires_grad=True)


def images(*shape):
    return tg.tensor(np.random.default_rng(0).standard_normal(shape))


def shapes(step, *arguments):
    """What a simplified step computes with each op: shapes without the batch, in order."""
    found = {}
    for call in simplified(record(step, *arguments)).calls:
        found.setdefault(call.op.name, []).append(call.out.spec.shape[1:])
    return found


def flops(program):
    """Operations of its convolutions."""
    calls = [call for call in program.calls if call.op.name.startswith("conv")]
    return sum(c.op.count_flops(c.out.spec, *[x.spec for x in c.inputs], **c.params) for c in calls)


def assert_as_eager(step, x, tolerance=1e-10):
    tg.seed(0)
    want = [y.numpy() for y in step(x)]
    tg.seed(0)
    compiled = tg.compile(step)
    for _ in range(2):  # as recorded, and replayed
        tg.seed(0)
        for y, z in zip(compiled(x), want, strict=True):
            assert y.shape == z.shape
            np.testing.assert_allclose(y.numpy(), z, rtol=tolerance, atol=tolerance)


@pytest.fixture
def cheap_crops(monkeypatch):
    """Images are cropped wherever a convolution then computes less."""
    monkeypatch.setattr(borders, "WORTH", 0)


@pytest.mark.usefixtures("cheap_crops")
@pytest.mark.parametrize("seed", range(24))
def test_random_nets_are_as_in_eager_mode(seed, compiler):
    net = RandomNet(seed)
    assert_as_eager(net.step, net.images)


@pytest.mark.usefixtures("cheap_crops")
def test_random_nets_have_borders_that_are_left_out():
    """Else the test above would say nothing."""
    less = 0
    for seed in range(24):
        net = RandomNet(seed)
        program = record(net.step, net.images)
        less += flops(simplified(program)) < 0.98 * flops(program)
    assert less >= 6


class Two:
    """Two convolutions, each before a pool: 28 → 26 → 13 → 11 → 5 elements along an axis."""

    def __init__(self, pool=ops.max_pool):
        self.pool = pool
        self.w, self.v = weights(16, 2, 3, 3), weights(8, 16, 3, 3, seed=2)
        self.b, self.c = weights(16, 1, 1, seed=3), weights(8, 1, 1, seed=4)

    def hidden(self, x):
        return ops.relu(ops.conv(x, self.w) + self.b)

    def step(self, x):
        y = self.pool(self.hidden(x), kernel_size=2)
        z = ops.conv(y, self.v) + self.c
        loss = ops.mean(ops.square(self.pool(ops.relu(z), kernel_size=2)))
        return loss, *tg.grad(loss, [self.w, self.b, self.v, self.c])


@pytest.mark.parametrize("pool", [ops.max_pool, ops.avg_pool])
def test_a_border_that_no_pool_reads_is_not_computed(pool, compiler):
    """5 windows of 2 read 10 elements, which a filter of 3 makes from 12; 12 windows of 2 read 24,
    made from 26 of 28. The same holds for the gradients."""
    net, x = Two(pool), images(4, 2, 28, 28)
    name = pool.name
    found = shapes(net.step, x)
    assert found["gather"] == [(2, 26, 26)]
    assert found["conv"] == [(16, 24, 24), (8, 10, 10)]
    assert found[name] == [(16, 12, 12), (8, 5, 5)]
    assert found[f"{name}_input"] == [(8, 10, 10), (16, 24, 24)]
    assert found["conv_input"] == [(16, 12, 12)]
    assert set(found["relu"]) == {(16, 24, 24), (8, 10, 10)}
    assert_as_eager(net.step, x)


def test_the_forward_pass_has_the_bits_of_eager_mode():
    """In the interpreter, which runs the kernels of eager mode: every pixel is the same sum."""
    net, x = Two(), images(4, 2, 28, 28)
    tg.use(kernels={"conv": "portable"})
    np.testing.assert_array_equal(
        tg.compile(lambda x: net.step(x)[0])(x).numpy(), net.step(x)[0].numpy()
    )


def test_a_value_that_the_step_returns_stays_whole(compiler):
    net, x = Two(), images(4, 2, 28, 28)

    def step(x):
        y = net.hidden(x)
        return ops.sum(ops.max_pool(y[..., :11, :11], kernel_size=2)), y

    def two(x):
        y = ops.conv(x, net.w)
        return ops.sum(ops.max_pool(y, kernel_size=3)), y

    assert shapes(step, x)["relu"] == [(16, 26, 26)]
    found = shapes(two, x)
    assert (found["conv"], found["max_pool"]) == ([(16, 26, 26)], [(16, 8, 8)])
    assert_as_eager(step, x)
    assert_as_eager(two, x)


def test_gradients_that_the_step_returns_are_whole(compiler):
    """Zeros along the border of an image's gradient are zeros of the result."""
    w = weights(16, 2, 3, 3)

    def step(x):
        y = x * 1.5
        loss = ops.sum(ops.max_pool(ops.relu(ops.conv(y, w)), kernel_size=2))
        return loss, *tg.grad(loss, [y, w])

    x = tg.tensor(images(4, 2, 13, 13).numpy(), requires_grad=True)
    assert shapes(step, x)["conv_input"] == [(2, 13, 13)]
    assert_as_eager(step, x)


@pytest.mark.parametrize(
    "between",
    [
        lambda x: ops.dropout(x, p=0.5),  # numbers the elements of its image
        lambda x: ops.batch_norm(x, training=True)[0],  # reads all of them
        lambda x: ops.softmax(x, axis=3),
        lambda x: x - ops.mean(x, axis=(2, 3), keepdims=True),
        lambda x: ops.cumsum(x, axis=2),
        lambda x: ops.flip(x, axis=2),
    ],
)
def test_what_reads_all_of_an_image_gets_it(between, compiler):
    w = weights(16, 2, 3, 3)

    def step(x):
        y = ops.max_pool(between(ops.relu(ops.conv(x, w))), kernel_size=2)
        loss = ops.mean(ops.square(y))
        return loss, *tg.grad(loss, [w])

    x = images(4, 2, 13, 13)
    assert shapes(step, x)["conv"] == [(16, 11, 11)]
    assert_as_eager(step, x)


def test_a_dropout_after_the_pool_does_not_keep_the_border():
    w = weights(16, 2, 3, 3)

    def step(x):
        return ops.sum(ops.dropout(ops.max_pool(ops.conv(x, w), kernel_size=2)))

    assert shapes(step, images(4, 2, 13, 13))["conv"] == [(16, 10, 10)]


def test_strides_that_end_before_the_border(compiler):
    """A filter of 3 with a stride of 2 does not read the last of 12 elements: nor is it made."""
    w, v = weights(32, 2, 3, 3), weights(6, 32, 3, 3, seed=2)

    def step(x):
        loss = ops.mean(ops.square(ops.conv(ops.tanh(ops.conv(x, w)), v, stride=2)))
        return loss, *tg.grad(loss, [w, v])

    found = shapes(step, images(4, 2, 14, 14))
    assert found["conv"] == [(32, 11, 11), (6, 5, 5)]
    assert found["conv_input"] == [(32, 11, 11)]
    assert_as_eager(step, images(4, 2, 14, 14))


def test_a_crop_that_costs_more_than_it_saves_is_not_made():
    """One filter of 1 by 1 does so little that copying its image takes longer."""
    w = weights(1, 1, 1, 1)

    def step(x):
        return ops.sum(ops.max_pool(ops.conv(x, w), kernel_size=2))

    found = shapes(step, images(4, 1, 13, 13))
    assert "gather" not in found
    assert found["conv"] == [(1, 13, 13)]


def test_second_derivatives_are_as_in_eager_mode(compiler):
    net, x = Two(), images(2, 2, 17, 18)

    def step(x):
        y = ops.max_pool(ops.sigmoid(ops.conv(x, net.w)), kernel_size=3, stride=2)
        loss = ops.mean(ops.square(ops.avg_pool(ops.tanh(ops.conv(y, net.v)), kernel_size=2)))
        (g,) = tg.grad(loss, [net.w], create_graph=True)
        return loss, *tg.grad(ops.sum(ops.square(g)), [net.w, net.v])

    assert_as_eager(step, x)


def test_a_network_without_images_is_left_alone():
    x = images(4, 3)
    w = weights(3, 2)
    program = record(lambda x: ops.mean(ops.square(x @ w)), x)
    assert [c.op.name for c in simplified(program).calls] == [c.op.name for c in program.calls]
