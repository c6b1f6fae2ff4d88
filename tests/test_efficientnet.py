"""EfficientNet-Lite0 layer by layer beside PyTorch's ops, for images of any size."""

from importlib import util

import numpy as np
import pytest
from outputs_help import outputs
from tensorgraph_transfer.published import KNOWN
from tensorgraph_transfer.weights import read

import tensorgraph as tg

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

live = pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra peers)")
package = pytest.mark.skipif(
    util.find_spec(KNOWN["efficientnet_lite0"].package) is None,
    reason="the weights are not installed (extra pretrained)",
)
STRIDES = {"_conv_stem": 2, **{f"_blocks.{i}._depthwise_conv": 2 for i in (1, 3, 5, 11)}}


def theirs(state, x):
    """PyTorch's convolutions and batch norms, padded as TensorFlow does; after each, its output."""
    seen = {}

    def conv(name, x):
        w, stride = state[f"{name}.weight"], STRIDES.get(name, 1)
        pads = []
        for size, k in zip(x.shape[:1:-1], w.shape[:1:-1]):
            total = max((-(-size // stride) - 1) * stride + k - size, 0)
            pads += [total // 2, total - total // 2]
        groups = x.shape[1] // w.shape[1]
        seen[name] = F.conv2d(F.pad(x, pads), w, stride=stride, groups=groups)
        return seen[name]

    def norm(name, x):
        own = [state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        seen[name] = F.batch_norm(x, *own, eps=1e-3)
        return seen[name]

    x = F.relu6(norm("_bn0", conv("_conv_stem", x)))
    for i in range(16):
        at, out = f"_blocks.{i}", x
        if i:
            out = F.relu6(norm(f"{at}._bn0", conv(f"{at}._expand_conv", out)))
        out = F.relu6(norm(f"{at}._bn1", conv(f"{at}._depthwise_conv", out)))
        out = norm(f"{at}._bn2", conv(f"{at}._project_conv", out))
        x = out + x if out.shape == x.shape else out
    x = F.relu6(norm("_bn1", conv("_conv_head", x))).mean((2, 3))
    seen["_fc"] = F.linear(x, state["_fc.weight"], state["_fc.bias"])
    return seen


def compared(model, size):
    x = np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)
    state = {k: torch.from_numpy(v.numpy().copy()) for k, v in model.state().items()}
    ours = outputs(model, x)
    with torch.no_grad():
        for name, out in theirs(state, torch.from_numpy(x)).items():
            scale = max(1.0, float(out.abs().max()))
            np.testing.assert_allclose(ours[name], out.numpy(), atol=1e-4 * scale, err_msg=name)


def made(classes=1000):
    model = tg.models.efficientnet_lite0(classes)
    model.infer_shape(tg.Spec((1, 3, 64, 64), "float32"))
    return model


def test_parameters():
    assert sum(x.size for x in made().parameters()) == 4_652_008


@live
@pytest.mark.parametrize("size", [64, 75])
def test_layers_are_pytorchs(size):
    tg.seed(0)
    compared(made(7), size)


@live
@package
def test_published_weights_are_read_as_pytorch_reads_them():
    path = KNOWN["efficientnet_lite0"].path
    found, wanted = read(path), torch.load(path, weights_only=True)
    assert list(found) == list(wanted)
    for name, x in wanted.items():
        np.testing.assert_array_equal(found[name], x.numpy())
