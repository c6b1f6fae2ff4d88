"""What is run both here and in PyTorch: layers with their inputs, optimizers with their options."""

import json
from pathlib import Path

import numpy as np

import tensorgraph as tg

HERE = Path(__file__).parent
MODES = (("first", True), ("train", True), ("eval", False))

# name → our layer, PyTorch's, the input's shape
LAYERS = {
    "linear": (lambda nn: nn.linear(5), lambda nn: nn.Linear(7, 5), (4, 7)),
    "linear-no-bias": (
        lambda nn: nn.linear(5, bias=False),
        lambda nn: nn.Linear(7, 5, bias=False),
        (2, 3, 7),
    ),
    "conv1d": (
        lambda nn: nn.conv1d(6, 3, stride=2, padding=1, groups=2),
        lambda nn: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2),
        (2, 4, 9),
    ),
    "conv2d": (
        lambda nn: nn.conv2d(4, (3, 2), stride=(2, 1), padding=(1, 0)),
        lambda nn: nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0)),
        (2, 3, 7, 6),
    ),
    "conv2d-dilated": (
        lambda nn: nn.conv2d(4, 3, dilation=2, groups=4, bias=False),
        lambda nn: nn.Conv2d(4, 4, 3, dilation=2, groups=4, bias=False),
        (2, 4, 7, 8),
    ),
    "conv2d-same": (
        lambda nn: nn.conv2d(4, 4, padding="same"),
        lambda nn: nn.Conv2d(2, 4, 4, padding="same"),
        (2, 2, 5, 6),
    ),
    "conv3d": (
        lambda nn: nn.conv3d(3, 2, padding=1),
        lambda nn: nn.Conv3d(2, 3, 2, padding=1),
        (1, 2, 4, 3, 3),
    ),
    "conv_transpose2d": (
        lambda nn: nn.conv_transpose2d(6, 3, stride=2, padding=1, output_padding=1, groups=2),
        lambda nn: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        (2, 4, 4, 5),
    ),
    "conv_transpose2d-dilated": (
        lambda nn: nn.conv_transpose2d(2, (2, 3), dilation=(3, 2), bias=False),
        lambda nn: nn.ConvTranspose2d(3, 2, (2, 3), dilation=(3, 2), bias=False),
        (2, 3, 3, 4),
    ),
    "max_pool1d": (lambda nn: nn.max_pool1d(3, 2, 1), lambda nn: nn.MaxPool1d(3, 2, 1), (2, 3, 8)),
    "max_pool2d": (
        lambda nn: nn.max_pool2d(3, 2, 1, ceil_mode=True),
        lambda nn: nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        (2, 3, 8, 7),
    ),
    "max_pool3d": (lambda nn: nn.max_pool3d(2), lambda nn: nn.MaxPool3d(2), (1, 2, 4, 4, 5)),
    "avg_pool1d": (lambda nn: nn.avg_pool1d(3, 2, 1), lambda nn: nn.AvgPool1d(3, 2, 1), (2, 3, 8)),
    "avg_pool2d": (
        lambda nn: nn.avg_pool2d(3, 2, 1, count_include_pad=False),
        lambda nn: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        (2, 3, 8, 7),
    ),
    "avg_pool3d": (lambda nn: nn.avg_pool3d(2), lambda nn: nn.AvgPool3d(2), (1, 2, 4, 4, 5)),
    "adaptive_avg_pool2d": (
        lambda nn: nn.adaptive_avg_pool2d((3, 2)),
        lambda nn: nn.AdaptiveAvgPool2d((3, 2)),
        (2, 3, 7, 5),
    ),
    "flatten": (lambda nn: nn.flatten(2), lambda nn: nn.Flatten(2), (2, 3, 4, 5)),
    "batch_norm1d": (lambda nn: nn.batch_norm1d(), lambda nn: nn.BatchNorm1d(5), (6, 5)),
    "batch_norm1d-sequence": (
        lambda nn: nn.batch_norm1d(momentum=0.3, eps=1e-2),
        lambda nn: nn.BatchNorm1d(5, momentum=0.3, eps=1e-2),
        (3, 5, 4),
    ),
    "batch_norm2d": (lambda nn: nn.batch_norm2d(), lambda nn: nn.BatchNorm2d(3), (4, 3, 5, 4)),
    "batch_norm2d-average": (
        lambda nn: nn.batch_norm2d(momentum=None, affine=False),
        lambda nn: nn.BatchNorm2d(3, momentum=None, affine=False),
        (4, 3, 5, 4),
    ),
    "batch_norm2d-untracked": (
        lambda nn: nn.batch_norm2d(track_running_stats=False),
        lambda nn: nn.BatchNorm2d(3, track_running_stats=False),
        (4, 3, 5, 4),
    ),
    "batch_norm3d": (lambda nn: nn.batch_norm3d(), lambda nn: nn.BatchNorm3d(2), (2, 2, 3, 2, 4)),
    "layer_norm": (lambda nn: nn.layer_norm(), lambda nn: nn.LayerNorm(6), (4, 3, 6)),
    "layer_norm-2": (
        lambda nn: nn.layer_norm(2, eps=1e-2),
        lambda nn: nn.LayerNorm((3, 6), eps=1e-2),
        (4, 3, 6),
    ),
    "group_norm": (lambda nn: nn.group_norm(2), lambda nn: nn.GroupNorm(2, 6), (3, 6, 4, 5)),
    "embedding": (lambda nn: nn.embedding(11, 4), lambda nn: nn.Embedding(11, 4), (3, 5)),
    "dropout": (lambda nn: nn.dropout(0.0), lambda nn: nn.Dropout(0.0), (3, 5)),
    "sequential": (
        lambda nn: nn.sequential(
            nn.conv2d(4, 3, padding=1),
            nn.batch_norm2d(),
            tg.activations.relu,
            nn.max_pool2d(2),
            nn.flatten(),
            nn.linear(8),
            tg.activations.tanh,
            nn.linear(3),
        ),
        lambda nn: nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * 3 * 3, 8),
            nn.Tanh(),
            nn.Linear(8, 3),
        ),
        (5, 1, 6, 6),
    ),
}

# our name → PyTorch's, and options to try; both spell the options alike
OPTIMIZERS = {
    "sgd": ("SGD", [
        {"lr": 0.1},
        {"lr": 0.05, "momentum": 0.9},
        {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.02},
        {"lr": 0.03, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"lr": 0.02, "momentum": 0.5, "maximize": True},
    ]),
    "adam": ("Adam", [
        {},
        {"lr": 0.02, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.1},
        {"lr": 0.05, "betas": (0.3, 0.9), "amsgrad": True},
        {"lr": 0.05, "maximize": True},
    ]),
    "adamw": ("AdamW", [
        {},
        {"lr": 0.03, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.3},
        {"lr": 0.05, "amsgrad": True, "weight_decay": 0.0, "maximize": True},
    ]),
    "rmsprop": ("RMSprop", [
        {},
        {"lr": 0.02, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1},
        {"lr": 0.01, "alpha": 0.9, "momentum": 0.7},
        {"lr": 0.01, "alpha": 0.9, "momentum": 0.3, "centered": True, "eps": 1e-2},
    ]),
    "adagrad": ("Adagrad", [
        {},
        {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.02, "eps": 1e-6},
        {"lr": 0.2, "initial_accumulator_value": 0.5, "maximize": True},
    ]),
}  # fmt: skip
RUNS = [(name, i) for name, (_, cases) in OPTIMIZERS.items() for i in range(len(cases))]
STEPS = 12
HALVED_AT = 6  # the learning rate
FROZEN = {3: 1, 4: 1}  # step → the parameter that has no gradient in it


def starts(dtype):
    rng = np.random.default_rng(5)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in [(3, 4), (4,), ()]]


def gradient(step, i, values):
    """What stands in for a model: the gradient of a bowl with ripples, different in each step."""
    g = values * (i + 1) + np.cos(values.astype("float64") * 3 + step)
    return np.asarray(g * (1 if step % 5 else 4), values.dtype)


def save(path, version, groups):
    """Groups of named arrays as one flat array with an index: many small members are large."""
    index, flat = {}, []
    for group, arrays in groups.items():
        index[group] = [(name, x.shape, str(x.dtype)) for name, x in arrays.items()]
        flat += [np.ravel(x).astype("float64") for x in arrays.values()]
    text = json.dumps(index)
    np.savez_compressed(path, version=version, index=text, values=np.concatenate(flat))


def load(name):
    """What ``save`` saved, and the version of PyTorch it came from."""
    with np.load(HERE / name) as file:
        index, values, version = (
            json.loads(str(file["index"])),
            file["values"],
            str(file["version"]),
        )
    groups, at = {}, 0
    for group, entries in index.items():
        groups[group] = {}
        for key, shape, dtype in entries:
            n = int(np.prod(shape))
            groups[group][key] = values[at : at + n].reshape(shape).astype(dtype)
            at += n
    return groups, version
