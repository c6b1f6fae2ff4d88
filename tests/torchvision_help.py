"""timm and torchvision for tests; their builds for CUDA are imported beside PyTorch's for CPUs."""

import torch

LIBRARY = torch.library.Library("torchvision", "FRAGMENT")  # kept: it undoes itself when it goes

try:
    import torchvision
except RuntimeError:  # its compiled ops did not load: models need none, but two are looked up
    for name in ("nms", "qnms"):
        LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
import timm  # noqa: E402 - it imports torchvision

__all__ = ["timm", "torchvision"]
