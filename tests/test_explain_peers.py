"""Explanations beside Captum's, of one model with the same weights."""

import numpy as np
import pytest

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


@pytest.fixture(scope="module")
def both():
    tg.seed(3)
    layers = tg.layers
    x = tg.ops.normal((3, 2, 10, 9), dtype="float64")
    with tg.use(dtype="float64"):
        ours = layers.sequential(
            layers.conv2d(6, 3, padding=1),
            tg.activations.tanh,
            layers.max_pool2d(2),
            layers.conv2d(5, 3),
            tg.activations.relu,
            layers.flatten(),
            layers.linear(4),
        )
        ours.infer_shape(x.spec)
    size = ours.state()["6.weight"].shape[1]
    theirs = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(size, 4),
    ).double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state().items()})
    return ours, x, theirs.eval(), torch.tensor(x.numpy())


def same(ours, theirs):
    found = theirs.detach().numpy()
    np.testing.assert_allclose(np.broadcast_to(ours, found.shape), found, rtol=1e-7, atol=1e-10)


def test_saliency(both):
    ours, x, theirs, y = both
    wanted = attr.Saliency(theirs).attribute(y.clone().requires_grad_(), target=TARGET)
    same(walk("saliency", ours, x, TARGET), wanted)


def test_smooth_grad_with_the_same_noise(both, monkeypatch):
    ours, x, theirs, y = both
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


def test_integrated_gradients(both):
    ours, x, theirs, y = both
    wanted = attr.IntegratedGradients(theirs).attribute(y, baselines=0.2, target=TARGET)
    found = walk("integrated_gradients", ours, x, TARGET, baseline=0.2)
    same(found, wanted)
    assert walk("completeness", ours, x, TARGET, found, baseline=0.2).max() < 0.05


@pytest.mark.parametrize("at", [0, 3])
def test_grad_cam(both, at):
    ours, x, theirs, y = both
    small = attr.LayerGradCam(theirs, theirs[at]).attribute(
        y, target=TARGET, relu_attributions=True
    )
    wanted = attr.LayerAttribution.interpolate(small, (10, 9), "bilinear")
    same(walk("grad_cam", ours, x, TARGET, layer=str(at)), wanted)


@pytest.mark.parametrize(("window", "stride"), [(3, 3), (4, 2), (3, 2)])
def test_occlusion(both, window, stride):
    ours, x, theirs, y = both
    shape = {"sliding_window_shapes": (2, window, window), "strides": (2, stride, stride)}
    wanted = attr.Occlusion(theirs).attribute(y, baselines=0.1, target=TARGET, **shape)
    same(walk("occlusion", ours, x, TARGET, window=window, stride=stride, fill=0.1), wanted)
