"""Samples of the ops whose inputs are not simply tensors of one shape: what checks of a backend and
of kernels run. What is not here is guessed; gradients reach the ops that only rules use."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tensorgraph_check.sample import Sample, between, flags, normal, sample, whole, words

X, W = (2, 3, 7, 6), (4, 3, 3, 2)


def _reductions() -> list[Sample]:
    return [
        sample(normal(3, 5)),
        sample(normal(2, 3, 4), axis=1),
        sample(normal(3, 5), axis=(0, 1)),
    ]


def _one_axis() -> list[Sample]:
    return [sample(normal(3, 5), axis=1), sample(normal(2, 3, 4), axis=0)]


def _called(*arguments: Any, **options: Any) -> list[Sample]:
    """A function that comes first by something other than a tensor."""
    return [Sample((), options, arguments, guessed=True)]


SAMPLES: Mapping[str, Sequence[Sample]] = {
    "adaptive_avg_pool": [sample(normal(*X), output_size=(3, 2))],
    "adaptive_max_pool": [sample(normal(*X), output_size=(3, 2))],
    "all": [sample(flags(3, 5), axis=1)],
    "any": [sample(flags(3, 5), axis=1)],
    "argmax": _one_axis(),
    "argmin": _one_axis(),
    "argsort": _one_axis(),
    "avg_pool": [
        sample(normal(2, 3, 9), kernel_size=2),
        sample(normal(*X), kernel_size=3, stride=2, padding=1),
        sample(normal(2, 3, 4, 5, 4), kernel_size=2),
    ],
    "bernoulli": _called((3, 5), p=0.25),
    "batch_norm": [
        sample(normal(*X), normal(3, seed=1), between(0.5, 2, 3), normal(3, seed=2), normal(3)),
    ],
    "broadcast_to": [sample(normal(3, 1), shape=(2, 3, 4))],
    "cast": [sample(normal(3, 5), dtype="float64"), sample(whole(9, 3, 5), dtype="float32")],
    "clip": [sample(normal(3, 5), min=-0.5, max=0.75)],
    "concatenate": [sample(normal(2, 3), normal(2, 4), axis=1)],
    "conv": [
        sample(normal(2, 4, 9), normal(4, 2, 3, seed=1), stride=2, padding=1, groups=2),
        sample(normal(1, 2, 4, 5, 4), normal(3, 2, 2, 3, 2, seed=1)),
        sample(normal(*X), normal(*W, seed=1), padding=((1, 0), (0, 1))),
        sample(normal(1, 2, 8, 7), normal(3, 2, 3, 2, seed=1), stride=(3, 1), dilation=(2, 3)),
        sample(normal(4, 3, 19, 23), normal(8, 3, 3, 3, seed=1), padding=1),
        sample(normal(2, 17, 13, 11), normal(19, 17, 3, 3, seed=1), padding=1),
        sample(normal(3, 16, 32, 32), normal(32, 16, 3, 3, seed=1), padding=1),
    ],
    "conv_input": [
        sample(
            normal(2, 4, 5, 5),
            normal(*W, seed=1),
            size=(7, 6),
            stride=(1, 1),
            padding=((0, 0), (0, 0)),
            dilation=(1, 1),
            groups=1,
        )
    ],
    "conv_transpose": [sample(normal(2, 3, 4, 5), normal(3, 2, 3, 2, seed=1), stride=2)],
    "conv_weight": [
        sample(
            normal(*X),
            normal(2, 4, 5, 5, seed=1),
            size=(3, 2),
            stride=(1, 1),
            padding=((0, 0), (0, 0)),
            dilation=(1, 1),
            groups=1,
        )
    ],
    "cross_entropy": [sample(normal(3, 5), whole(5, 3)), sample(normal(3, 5), between(0, 1, 3, 5))],
    "cumsum": _one_axis(),
    "dropout": [sample(normal(3, 50), p=0.25)],
    "einsum": [
        dataclasses.replace(
            sample(normal(2, 3, 4), normal(2, 4, 5, seed=1)), arguments=("bij,bjk->bik",)
        )
    ],
    "embedding": [sample(whole(4, 2, 3), normal(4, 5))],
    "expand_dims": [sample(normal(3, 5), axis=1)],
    "flip": [sample(normal(3, 5), axis=1)],
    "getitem": [sample(normal(3, 5), key=(slice(None, None, 2), 1))],
    "group_norm": [sample(normal(*X), normal(3, seed=1), normal(3, seed=2), num_groups=3)],
    "layer_norm": [sample(normal(3, 5), normal(5, seed=1), normal(5, seed=2), normalized_shape=5)],
    "log_softmax": [sample(normal(3, 5)), sample(normal(2, 3, 4), axis=1)],
    "logsumexp": _reductions(),
    "matmul": [
        sample(normal(2, 3), normal(3, 5, seed=1)),
        sample(normal(2, 4, 3), normal(3, 5, seed=1)),
        sample(normal(3), normal(3, 5, seed=1)),
        sample(normal(7, 33), normal(33, 17, seed=1)),
        sample(normal(67, 131), normal(131, 65, seed=1)),
    ],
    "max": _reductions(),
    "max_pool": [
        sample(normal(2, 3, 9), kernel_size=2),
        sample(normal(2, 3, 4, 5, 4), kernel_size=2),
        sample(normal(*X), kernel_size=3, stride=2, padding=1),
        sample(normal(4, 8, 33, 35), kernel_size=2),
    ],
    "mean": _reductions(),
    "min": _reductions(),
    "nll_loss": [sample(normal(3, 5), whole(5, 3))],
    "normal": _called((3, 5)),
    "norm": [sample(normal(3, 5), axis=1)],
    "one_hot": [sample(whole(4, 3), num_classes=4)],
    "outer": [sample(normal(3), normal(5, seed=1))],
    "pad": [sample(normal(3, 5), pad_width=((1, 2), (0, 1)))],
    "pad_constant": [sample(normal(3, 5), pad_width=((1, 2), (0, 1)), constant_values=0.5)],
    "permutation": _called(7),
    "permute_dims": [sample(normal(2, 3, 4), axes=(2, 0, 1))],
    "pow": [sample(between(0.5, 2, 3, 5), normal(3, 5))],
    "prod": _reductions(),
    "random_bits_each": [sample(words(3, 4), shape=(3, 5))],
    "resample": [
        sample(normal(2, 3, 4, 5), between(-1, 5, 2, 3, 4), between(-1, 5, 2, 3, 4)),
        sample(normal(2, 3, 2, 4, 5), between(-1, 5, 2, 3, 1), between(-1, 5, 1, 1, 6)),
    ],
    "reshape": [sample(normal(2, 6), shape=(-1, 4))],
    "roll": [sample(normal(3, 5), shift=2, axis=1)],
    "softmax": [sample(normal(3, 5)), sample(normal(2, 3, 4), axis=1)],
    "split": [sample(normal(6, 4), indices_or_sections=3)],
    "squeeze": [sample(normal(3, 1, 5), axis=1)],
    "std": _reductions(),
    "sum": _reductions(),
    "sum_to": [sample(normal(2, 3, 4), shape=(3, 1)), sample(normal(7, 5), shape=(5,))],
    "take": [sample(normal(3, 5), whole(5, 4), axis=1)],
    "take_along_axis": [sample(normal(3, 5), whole(5, 3, 2), axis=1)],
    "tile": [sample(normal(2, 3), repetitions=(2, 2))],
    "uniform": _called((3, 5)),
    "var": _reductions(),
    "where": [sample(flags(3, 5), normal(3, 5), normal(3, 5, seed=1))],
}

_TIED = "its rule counts on inputs that belong together, and directions move each by itself"
_FIXED = "its parameters belong to one shape"
SKIP: Mapping[str, Mapping[str, str]] = {
    "axis_variance": {"gradients": _TIED},
    "standardize": {"gradients": _TIED},
    "standardize_input": {"gradients": _TIED},
    "standardize_weight": {"gradients": _TIED},
    "max_pool_input": {"gradients": _TIED},
    "max_pool_pick": {"gradients": _TIED},
    "box_muller": {"sizes 0 and 1": _FIXED},
    "gather": {"sizes 0 and 1": _FIXED},
    "random_bits_each": {"sizes 0 and 1": _FIXED},
    "scatter_add": {"sizes 0 and 1": _FIXED},
    "unit_interval": {"sizes 0 and 1": _FIXED},
}
