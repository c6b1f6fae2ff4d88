"""PyTorch: eager, with a fused optimizer, with channels last as well, and compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from bench.compare.program import Images, Program, Request, Unavailable
from bench.compare.workloads import (
    Conv,
    Dropout,
    Flatten,
    Linear,
    Mean,
    Network,
    Norm,
    Pool,
    Relu,
    Residual,
    Sigmoid,
    Stage,
    layers,
)


def check(option: str) -> None:
    """Every variant runs wherever PyTorch does."""


class Block(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module, relu: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut, self.relu = body, shortcut, relu

    def forward(self, x: Any) -> Any:
        return self.relu(self.body(x) + self.shortcut(x))


class Builder:
    """Makes modules from a description, and keeps those with weights by their names."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.named: dict[str, Any] = {}

    def sequence(self, network: Network) -> nn.Sequential:
        return nn.Sequential(*(module for stage in network for module in self.modules(stage)))

    def modules(self, stage: Stage) -> Iterator[nn.Module]:
        match stage:
            case Conv(_, inputs, outputs, kernel, stride, padding, bias, groups):
                options = {"groups": groups, "bias": bias}
                made = nn.Conv2d(inputs, outputs, kernel, stride, padding, **options)
                yield self._keep(stage, made)
            case Linear(_, inputs, outputs):
                yield self._keep(stage, nn.Linear(inputs, outputs))
            case Norm(_, channels):
                yield self._keep(stage, nn.BatchNorm2d(channels))
            case Pool(kernel, stride, padding):
                yield nn.MaxPool2d(kernel, stride, padding)
            case Dropout(p):
                yield nn.Dropout(self.request.rate(p))
            case Relu():
                yield nn.ReLU(inplace=self.request.option != "eager")
            case Sigmoid():
                yield nn.Sigmoid()
            case Flatten():
                yield nn.Flatten()
            case Mean():
                yield from (nn.AdaptiveAvgPool2d(1), nn.Flatten())
            case Residual(body, shortcut):
                short = self.sequence(shortcut) if shortcut else nn.Identity()
                yield Block(self.sequence(body), short, *self.modules(Relu()))

    def _keep(self, stage: Conv | Linear | Norm, module: nn.Module) -> nn.Module:
        self.named[stage.name] = module
        return module

    def load(self) -> None:
        """Take the weights that everybody starts from; there must be one for each parameter."""
        with torch.no_grad():
            for name, module in self.named.items():
                for kind, parameter in module.named_parameters():
                    value = torch.from_numpy(self.request.weights[f"{name}.{kind}"])
                    if value.shape != parameter.shape:
                        raise ValueError(f"{name}.{kind}: {value.shape}, not {parameter.shape}")
                    parameter.copy_(value)


def optimizer_of(request: Request, parameters: Any) -> torch.optim.Optimizer:
    workload, fused = request.workload, request.option != "eager"
    if workload.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=workload.lr, fused=fused)
    return torch.optim.SGD(parameters, lr=workload.lr, momentum=workload.momentum, fused=fused)


def prepare(request: Request) -> Program:
    torch.manual_seed(0)
    torch.set_num_threads(request.threads)
    workload, last = request.workload, request.option == "channels_last"
    if last and not any(isinstance(stage, Conv) for stage in layers(workload.network)):
        raise Unavailable("no images, so channels last is the same as fused")
    if request.option == "fused" and not request.train:
        raise Unavailable("no optimizer in inference, so fused is the same as eager")
    builder = Builder(request)
    model = builder.sequence(workload.network)
    builder.load()
    model.train(request.train)
    layout = torch.channels_last if last else torch.contiguous_format
    model.to(memory_format=layout)  # type: ignore[call-overload]

    def place(x: Any, y: Any) -> tuple[Any, ...]:
        placed = torch.from_numpy(x).clone()
        if x.ndim == 4:
            placed = placed.contiguous(memory_format=layout)
        return (placed, torch.from_numpy(y)) if request.train else (placed,)

    def feed(images: Images) -> Any:
        pixels, labels = torch.from_numpy(images.pixels), torch.from_numpy(images.labels)

        def batch(index: Any) -> tuple[Any, Any]:
            chosen = torch.from_numpy(index)
            x = pixels[chosen].float().div_(255.0).sub_(images.mean).div_(images.std)
            return x.contiguous(memory_format=layout), labels[chosen]

        return batch

    run = train_step(request, model) if request.train else inference(request, model)
    read = (lambda loss: loss.item()) if request.train else (lambda out: out.numpy())
    return Program(place, run, read, feed)


def train_step(request: Request, model: nn.Module) -> Any:
    criterion = F.mse_loss if request.workload.loss == "mse" else F.cross_entropy
    optimizer = optimizer_of(request, model.parameters())

    def loss_of(x: Any, y: Any) -> Any:
        return criterion(model(x), y)

    forward = torch.compile(loss_of, dynamic=False) if request.option == "compile" else loss_of

    def step(x: Any, y: Any) -> Any:
        loss = forward(x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def inference(request: Request, model: nn.Module) -> Any:
    forward: Any = model
    if request.option == "compile":
        from torch._inductor import config

        config.freezing = True  # weights as constants, batch norm folded into the convolutions
        forward = torch.compile(model, dynamic=False)

    def infer(x: Any) -> Any:
        with torch.inference_mode() if request.option != "compile" else torch.no_grad():
            return forward(x)

    return infer
