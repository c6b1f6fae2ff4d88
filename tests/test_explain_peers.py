"""Explanations beside Captum's, of one model with the same weights."""

import numpy as np
import pytest
from tensorgraph_vision.resnet import BasicBlock, ResNet
from test_models import same_weights, torch_resnet

import tensorgraph as tg

try:
    import torch
    from captum import attr
    from torch import nn
except ImportError:
    torch = None

pytestmark = [
    pytest.mark.skipif(torch is None, reason="PyTorch or Captum is not installed (extra peers)"),
    pytest.mark.filterwarnings("ignore"),  # Captum's own
]
TARGET = [0, 2, 1]
walk = tg.plugins.walk


def convolutions():
    """Beside each other; and the layers that are asked about."""
    layers = tg.layers
    ours = layers.sequential(
        layers.conv2d(6, 3, padding=1),
        tg.activations.tanh,
        layers.max_pool2d(2),
        layers.conv2d(5, 3),
        tg.activations.relu,
        layers.flatten(),
        layers.linear(4),
    )
    theirs = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(30, 4),
    )
    return ours, theirs, (2, 10, 9), ("0", "3")


def mlp():
    theirs = nn.Sequential(nn.Flatten(), nn.Linear(180, 16), nn.Tanh(), nn.Linear(16, 4))
    return tg.models.mlp(4, hidden=(16,), activation="tanh"), theirs, (2, 10, 9), ()


def simple_cnn():
    theirs = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(256, 4),
    )
    return tg.models.simple_cnn(4), theirs, (1, 14, 14), ("0", "3", "5")


def resnet(counts=(1, 1, 1, 1)):
    """With batch norm, which predicts, and shortcuts."""
    ours, theirs = ResNet(BasicBlock, counts, 4, "small"), torch_resnet(counts, "small", 4, False)
    return ours, theirs, (3, 6, 6), ("layer1", "layer3.0.conv2", "layer3")


def resnet18():
    ours, theirs, _, paths = resnet((2, 2, 2, 2))
    return ours, theirs, (3, 16, 16), paths


MODELS = (convolutions, mlp, simple_cnn, resnet, pytest.param(resnet18, marks=pytest.mark.slow))


@pytest.fixture(scope="module", params=MODELS, ids=lambda make: make.__name__)
def both(request):
    """Our model and images, theirs, and the paths of layers."""
    ours, theirs, shape, paths = request.param()
    x = np.random.default_rng(3).normal(size=(3, *shape))
    with tg.use(dtype="float64"):
        ours.infer_shape(tg.Spec(x.shape, "float64"))
        same_weights(ours, theirs)
    return ours, tg.tensor(x), theirs.eval(), torch.tensor(x), paths


def same(ours, theirs):
    found = theirs.detach().numpy()
    most = 1e-7 * abs(found).max()  # sums of many values are rounded in another order
    np.testing.assert_allclose(np.broadcast_to(ours, found.shape), found, rtol=1e-7, atol=most)


def test_saliency(both):
    ours, x, theirs, y, _ = both
    wanted = attr.Saliency(theirs).attribute(y.clone().requires_grad_(), target=TARGET)
    same(walk("saliency", ours, x, TARGET), wanted)


def test_smooth_grad_with_the_same_noise(both, monkeypatch):
    ours, x, theirs, y, _ = both
    drawn = []
    normal = tg.ops.normal

    def kept(*arguments, **options):
        drawn.append(normal(*arguments, **options))
        return drawn[-1]

    monkeypatch.setattr(tg.ops, "normal", kept, raising=False)
    found = walk("smooth_grad", ours, x, TARGET, samples=5)
    noise = torch.tensor(drawn[0].numpy())
    monkeypatch.setattr(  # Captum draws for each image all of its samples, one after the other
        torch, "normal", lambda mean, std: noise.transpose(0, 1).reshape(std.shape)
    )
    wanted = attr.NoiseTunnel(attr.Saliency(theirs)).attribute(
        y, nt_type="smoothgrad", nt_samples=5, stdevs=1.0, target=TARGET
    )
    same(found, wanted)


def test_integrated_gradients_and_how_far_they_are_off(both):
    ours, x, theirs, y, _ = both
    wanted, delta = attr.IntegratedGradients(theirs).attribute(
        y, baselines=0.2, target=TARGET, n_steps=20, return_convergence_delta=True
    )
    found = walk("integrated_gradients", ours, x, TARGET, baseline=0.2, steps=20)
    same(found, wanted)
    with torch.no_grad():
        gained = (theirs(y) - theirs(torch.full_like(y, 0.2)))[range(3), TARGET]
    error = walk("completeness", ours, x, TARGET, found, baseline=0.2)
    np.testing.assert_allclose(error, abs(delta / gained), rtol=1e-4, atol=1e-6)  # float32


def test_grad_cam(both):
    ours, x, theirs, y, paths = both
    for path in paths:
        small = attr.LayerGradCam(theirs, theirs.get_submodule(path)).attribute(
            y, target=TARGET, relu_attributions=True
        )
        wanted = attr.LayerAttribution.interpolate(small, y.shape[2:], "bilinear")
        same(walk("grad_cam", ours, x, TARGET, layer=path), wanted)


def test_feature_maps_of_any_layer(both):
    ours, x, theirs, y, paths = both
    for path in paths:
        wanted = attr.LayerActivation(theirs, theirs.get_submodule(path)).attribute(y)
        same(walk("feature_maps", ours, x, layer=path), wanted)


@pytest.mark.parametrize(("window", "stride"), [(3, 3), (4, 2), (3, 2)])
def test_occlusion(both, window, stride):
    ours, x, theirs, y, _ = both
    channels = y.shape[1]
    shape = {
        "sliding_window_shapes": (channels, window, window),
        "strides": (channels, stride, stride),
    }
    wanted = attr.Occlusion(theirs).attribute(y, baselines=0.1, target=TARGET, **shape)
    same(walk("occlusion", ours, x, TARGET, window=window, stride=stride, fill=0.1), wanted)
