"""The training steps that are measured on a GPU, in which precisions, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from bench.compare.workloads import (
    WORKLOADS,
    Linear,
    Mean,
    Pool,
    Relu,
    Residual,
    Stage,
    Workload,
    layers,
    normed,
    weights,
)

# How far the losses of the first steps may be from those of PyTorch in float32, relatively.
ALLOWED = {"float32": 1e-4, "tf32": 1e-3, "bfloat16": 1e-2}
LAUNCHES = {"tuned": 5.0, "graph": 1.0}  # small networks: what a step takes is launches
BYTES = {"tuned": 1.5, "best": 1.0}
LARGEST = {"tuned": 1.0}

# Learning rates of the large networks, for which time is the same: with ten times these, losses
# change so much from step to step that PyTorch's own in bfloat16 are some percent from float32's.
SLOW = {"sgd": 1e-3, "adam": 1e-4}
BRANCH = 0.2


def resnet50(classes: int) -> Iterator[Stage]:
    """ResNet-50 as torchvision has it: the 3x3 convolution of a block strides."""
    yield from normed("conv1", "bn1", 3, 64, 7, stride=2)
    yield from (Relu(), Pool(3, 2, 1))
    channels = 64
    for i, count in enumerate((3, 4, 6, 3)):
        width = 64 << i
        for j in range(count):
            at, stride = f"layer{i + 1}.{j}", 2 if i and not j else 1
            body = (
                *normed(f"{at}.conv1", f"{at}.bn1", channels, width, 1),
                Relu(),
                *normed(f"{at}.conv2", f"{at}.bn2", width, width, 3, stride=stride),
                Relu(),
                *normed(f"{at}.conv3", f"{at}.bn3", width, 4 * width, 1),
            )
            down = (f"{at}.downsample.0", f"{at}.downsample.1", channels, 4 * width, 1)
            yield Residual(body, () if j else normed(*down, stride=stride))
            channels = 4 * width
    yield Mean()
    yield Linear("fc", channels, classes)


RESNET50 = Workload(
    "resnet50", "ResNet-50, 224x224", (3, 224, 224), 256, tuple(resnet50(1000)), 1000,
    optimizer="sgd", momentum=0.9, lr=SLOW["sgd"],
)  # fmt: skip


def start(workload: Workload) -> dict[str, Any]:
    """The weights that all begin with. The last norms of residual branches begin small, as is usual
    (Goyal et al., 2017): else losses are so steep that rounding to bfloat16 shows in their first
    digit."""
    found = weights(workload.network)
    for stage in workload.network:
        if isinstance(stage, Residual):
            *_, last = layers(stage.body)
            found[f"{last.name}.weight"] *= np.float32(BRANCH)
    return found


@dataclass(frozen=True)
class Case:
    """A step in a precision. ``wanted``: rows of PyTorch's, or the best of all → by which factor
    the step is to be faster than they are."""

    workload: Workload
    precision: str
    wanted: Mapping[str, float]

    @property
    def name(self) -> str:
        return f"{self.workload.name} {self.precision}"

    def smallest(self) -> Case:
        """With small batches, and small images where the network takes them."""
        shape = (3, 64, 64) if self.workload is RESNET50 else self.workload.shape
        batch = 4 if len(shape) == 3 else 32
        return replace(self, workload=replace(self.workload, shape=shape, batch=batch))


class Job(NamedTuple):
    """A case, with the rows of PyTorch's that are measured in the same rounds."""

    case: Case
    rivals: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.case.name}: {', '.join(self.rivals)}"


def cases() -> list[Case]:
    """The most important ones first."""
    small = [WORKLOADS[name] for name in ("lenet5", "simple_cnn", "mlp", "tiny")]
    large = [
        replace(WORKLOADS["resnet18"], batch=128, lr=SLOW["sgd"]),
        replace(WORKLOADS["vgg_small"], batch=128, lr=SLOW["adam"]),
    ]
    return [
        *(Case(w, "tf32", LAUNCHES) for w in small),
        *(Case(w, "bfloat16", BYTES) for w in large),
        Case(RESNET50, "bfloat16", LARGEST),
        *(Case(w, "tf32", BYTES) for w in large),
        *(Case(w, "float32", LAUNCHES) for w in small),
    ]


EAGER = ("eager", "tuned", "graph")
COMPILED = ("compile", "reduce-overhead", "max-autotune")  # they take up to minutes: last


def jobs(smallest: bool) -> list[Job]:
    """All that is to be measured; what has to beat the best of all is compiled before the rest."""
    found = cases()
    later = sorted(
        (c for c in found if c.precision != "float32"), key=lambda c: "best" not in c.wanted
    )
    made = [Job(c, EAGER) for c in found]
    made += [Job(c, (mode,)) for mode in COMPILED for c in later]
    if not smallest:
        return made
    return [Job(job.case.smallest(), job.rivals) for job in made]


def named(text: str, smallest: bool) -> Job:
    return {job.name: job for job in jobs(smallest)}[text]
