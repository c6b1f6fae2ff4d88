"""Reference models: published counts, PyTorch's names, and its results from the same weights."""

import math

import numpy as np
import pytest
from tensorgraph_train import storage
from tensorgraph_vision.resnet import BasicBlock, Bottleneck, ResNet

import tensorgraph as tg
from tensorgraph.errors import ConfigError, ShapeError, UnknownNameError

try:
    import torch
    from torch import nn
except ImportError:
    torch = None

peers = pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra peers)")


def built(name, shape, **options):
    model = tg.models[name](**options)
    assert model.infer_shape(tg.Spec((2, *shape), "float32")).shape == (2, options["classes"])
    return model


def size(model):
    return sum(math.prod(p.shape) for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "shape", "options", "parameters"),
    [
        ("neuron", (1, 28, 28), {}, 7_850),
        ("mlp", (1, 28, 28), {}, 101_770),  # TensorFlow's beginner quickstart
        ("mlp", (1, 28, 28), {"hidden": [512, 512], "dropout": 0.2}, 669_706),  # Keras' mnist_mlp
        ("lenet5", (1, 28, 28), {}, 61_706),  # Dive into Deep Learning, 7.6
        ("simple_cnn", (1, 28, 28), {}, 34_826),  # keras.io/examples/vision/mnist_convnet
        ("resnet18", (3, 224, 224), {"classes": 1000, "stem": "imagenet"}, 11_689_512),
        ("resnet50", (3, 224, 224), {"classes": 1000, "stem": "imagenet"}, 25_557_032),
    ],
)
def test_published_numbers_of_parameters(name, shape, options, parameters):
    assert size(built(name, shape, **{"classes": 10, **options})) == parameters


@pytest.mark.parametrize("name", sorted(tg.models))
def test_every_model_is_documented_and_takes_grey_and_colour(name):
    assert tg.models[name].__doc__
    depth = (8,) if name.endswith("3d") else ()
    built(name, (3, *depth, 32, 32), classes=2)
    built(name, (1, *depth, 16, 24), classes=3)


def same_weights(ours, theirs, *, seed=0):
    """Fill both with the same values; their names and shapes must agree."""
    draw = np.random.default_rng(seed)
    state = theirs.double().state_dict()
    for name, x in state.items():
        if x.ndim > 1:
            state[name] = torch.tensor(draw.normal(0, 1 / math.sqrt(max(x[0].numel(), 9)), x.shape))
        elif x.ndim:
            state[name] = torch.tensor(draw.uniform(0.5, 1.5, x.shape))
    theirs.load_state_dict(state)
    known = {name: x.shape for name, x in ours.named_state().items()}
    assert known == {name: tuple(x.shape) for name, x in state.items()}
    ours.load_state({name: x.numpy() for name, x in state.items()})


def compare(model, theirs, shape, *, training=False, **options):
    """Logits, every parameter's gradient, and, in training, the running statistics."""
    with tg.use(dtype="float64"):
        ours = tg.models[model](**options) if isinstance(model, str) else model
        x = np.random.default_rng(1).normal(size=(4, *shape))
        ours.infer_shape(tg.Spec(x.shape, "float64"))
        same_weights(ours, theirs)
        ours.train(training)
        theirs.train(training)
        out, want = ours(tg.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(out.numpy(), want.detach().numpy(), rtol=1e-8, atol=1e-8)
        g = np.random.default_rng(2).normal(size=out.shape)
        out.backward(tg.tensor(g))
        want.backward(torch.tensor(g))
        gradients = {key: p.grad.numpy() for key, p in ours.named_parameters().items()}
        scale = max(float(p.grad.abs().max()) for p in theirs.parameters())
        for key, p in theirs.named_parameters():
            np.testing.assert_allclose(
                gradients[key], p.grad.numpy(), rtol=1e-7, atol=1e-9 * scale, err_msg=key
            )
        for key, x in theirs.named_buffers():
            got = ours.named_state()[key].numpy()
            np.testing.assert_allclose(got, x.numpy(), rtol=1e-9, err_msg=key)


@peers
def test_lenet5_is_pytorchs():
    compare("lenet5", nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    ), (1, 28, 28), classes=10)  # fmt: skip


@peers
def test_simple_cnn_is_pytorchs():
    compare("simple_cnn", nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10),
    ), (1, 28, 28), classes=10)  # fmt: skip


@peers
@pytest.mark.parametrize("training", [False, True])
def test_small_cnn_is_pytorchs(training):
    compare("small_cnn", nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.0), nn.Linear(256, 10),
    ), (1, 8, 8), training=training, classes=10, dropout=0.0)  # fmt: skip


@peers
@pytest.mark.parametrize("training", [False, True])
def test_small_cnn3d_is_pytorchs(training):
    compare("small_cnn3d", nn.Sequential(
        nn.Conv3d(1, 16, 3, padding=1), nn.BatchNorm3d(16), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(16, 32, 3, padding=1), nn.BatchNorm3d(32), nn.ReLU(), nn.MaxPool3d(2),
        nn.Flatten(), nn.Dropout(0.0), nn.Linear(192, 10),
    ), (1, 4, 8, 12), training=training, classes=10, dropout=0.0)  # fmt: skip


@peers
@pytest.mark.parametrize("training", [False, True])
def test_vgg_small_is_pytorchs(training):
    def pair(before, after):
        for channels in (before, after):
            yield from (nn.Conv2d(channels, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU())
        yield nn.MaxPool2d(2)

    theirs = nn.Sequential(
        *pair(3, 32), *pair(32, 64), nn.Flatten(),
        nn.Linear(64 * 16, 128), nn.ReLU(), nn.Dropout(0.0), nn.Linear(128, 7),
    )  # fmt: skip
    compare("vgg_small", theirs, (3, 16, 16), training=training, classes=7, dropout=0.0)


def torch_block(before, width, stride, bottleneck):
    """torchvision's BasicBlock and Bottleneck, from their description in the ResNet paper."""
    after = width * (4 if bottleneck else 1)
    if bottleneck:
        sizes = [(before, width, 1, 1), (width, width, 3, stride), (width, after, 1, 1)]
    else:
        sizes = [(before, width, 3, stride), (width, width, 3, 1)]

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            for i, (inside, out, k, s) in enumerate(sizes, 1):
                conv = nn.Conv2d(inside, out, k, s, k // 2, bias=False)
                self.add_module(f"conv{i}", conv)
                self.add_module(f"bn{i}", nn.BatchNorm2d(out))
            self.downsample = None
            if stride > 1 or before != after:
                conv = nn.Conv2d(before, after, 1, stride, bias=False)
                self.downsample = nn.Sequential(conv, nn.BatchNorm2d(after))

        def forward(self, x):
            out = x
            for i in range(1, len(sizes) + 1):
                out = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(out))
                out = out.relu() if i < len(sizes) else out
            return (out + (x if self.downsample is None else self.downsample(x))).relu()

    return Block()


def torch_resnet(counts, stem, classes, bottleneck):
    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            big = stem == "imagenet"
            self.conv1 = nn.Conv2d(3, 64, *((7, 2, 3) if big else (3, 1, 1)), bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.pool = nn.MaxPool2d(3, 2, 1) if big else nn.Identity()
            before = 64
            for stage, count in enumerate(counts):
                blocks = []
                for j in range(count):
                    stride = 2 if stage and j == 0 else 1
                    blocks.append(torch_block(before, 64 * 2**stage, stride, bottleneck))
                    before = 64 * 2**stage * (4 if bottleneck else 1)
                self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            self.fc = nn.Linear(before, classes)

        def forward(self, x):
            x = self.pool(self.bn1(self.conv1(x)).relu())
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(x.mean((2, 3)))

    return ResNet()


@peers
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize(("stem", "training"), [("small", True), ("imagenet", False)])
def test_resnets_are_pytorchs(block, stem, training):
    counts = (2, 1, 1, 1)  # every kind of block and shortcut, at a fraction of the time
    theirs = torch_resnet(counts, stem, 5, block is Bottleneck)
    side = 8 if stem == "small" else 33
    ours = ResNet(block, counts, 5, stem)
    compare(ours, theirs, (3, side, side), training=training)


def test_resnets_bear_torchvisions_names():
    names = list(tg.models.resnet18().named_parameters())
    assert names[:6] == [
        "conv1.weight", "bn1.weight", "bn1.bias",
        "layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias",
    ]  # fmt: skip
    assert "layer2.0.downsample.0.weight" in names and "layer1.0.downsample.0.weight" not in names
    assert "layer4.1.bn2.running_var" in tg.models.resnet18().named_state()
    assert names[-2:] == ["fc.weight", "fc.bias"] and len(names) == 62
    deep = list(tg.models.resnet50().named_parameters())
    assert "layer1.0.downsample.0.weight" in deep and "layer4.2.conv3.weight" in deep
    assert len(deep) == 161


def test_lenet5_on_images_too_small_names_the_layer_its_input_and_a_way_out():
    with pytest.raises(ShapeError) as error:
        tg.models.lenet5(classes=10).infer_shape(tg.Spec((1, 1, 8, 8), "float32"))
    text = str(error.value)
    assert "in layer '3', " in text and "float32[1,6,4,4]" in text
    assert "the padded input has only 4" in text and "a smaller filter would fit" in text


@pytest.mark.parametrize(("name", "side"), [("lenet5", 12), ("simple_cnn", 10), ("small_cnn", 4)])
def test_the_smallest_images(name, side):
    built(name, (1, side, side), classes=10)
    with pytest.raises(ShapeError):
        built(name, (1, side - 1, side - 1), classes=10)


@pytest.mark.parametrize("name", sorted(tg.models))
def test_every_model_comes_back_from_its_file(name, tmp_path):
    """Shapes too: the count of batches that batch norm has seen is a scalar."""
    shape = (3, 8, 32, 32) if name.endswith("3d") else (3, 32, 32)
    model = built(name, shape, classes=2)
    path = tmp_path / "model.safetensors"
    storage.save_tensors(path, {k: x.numpy() for k, x in model.state().items()}, {})
    twin = tg.models[name](classes=2)
    twin.load_state(storage.load_tensors(path)[0])
    x = tg.tensor(np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32))
    np.testing.assert_array_equal(twin.eval()(x).numpy(), model.eval()(x).numpy())


def test_options_that_cannot_be():
    with pytest.raises(ConfigError, match="stem is one of small, imagenet, not 'large'"):
        tg.models.resnet18(stem="large")
    with pytest.raises(UnknownNameError, match="no activation is named 'rleu'"):
        tg.models.mlp(activation="rleu")
