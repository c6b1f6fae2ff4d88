"""Normalisation, against its definition in NumPy and PyTorch."""

import numpy as np

import tensorgraph as tg
from op_cases.case import Case, draw


def normal(x, axes, eps):
    deviation = x - x.mean(axes, keepdims=True)
    return deviation / np.sqrt((deviation**2).mean(axes, keepdims=True) + eps)


def wide(x, t):
    return t.reshape(-1, *[1] * (x.ndim - 2))


def batch(*shape, eps=1e-5):
    """In training: every one of the three results, against PyTorch's too."""
    axes, n = (0, *range(2, len(shape))), int(np.prod(shape)) // shape[1]
    c = shape[1]
    inputs = (
        draw(*shape), draw(c, seed="mean"), draw(c, low=0.5, seed="var"),
        draw(c, seed="weight"), draw(c, seed="bias"),
    )  # fmt: skip

    def take(part, **options):
        def run(x, mean, var, weight, bias):
            found = tg.ops.batch_norm(x, mean, var, weight, bias, eps=eps, **options)
            return found[part]

        return run

    def trained(x, mean, var, weight, bias):
        return normal(x, axes, eps) * wide(x, weight) + wide(x, bias)

    def fixed(x, mean, var, weight, bias):
        scale = 1 / np.sqrt(wide(x, var) + eps)
        return (x - wide(x, mean)) * scale * wide(x, weight) + wide(x, bias)

    def torch_norm(training):
        def run(x, mean, var, weight, bias):
            import torch

            mean, var = mean.detach().clone(), var.detach().clone()
            return torch.nn.functional.batch_norm(x, mean, var, weight, bias, training, 0.1, eps)

        return run

    def torch_statistic(part):
        def run(x, mean, var, weight, bias):
            import torch

            both = mean.detach().clone(), var.detach().clone()
            torch.nn.functional.batch_norm(x.detach(), *both, None, None, True, 0.1, eps)
            return both[part]

        return run

    yield Case("batch_norm", inputs, trained, label="training", call=take(0, training=True),
               torch=torch_norm(True), tolerance=1e-4)  # fmt: skip
    yield Case("batch_norm", inputs, fixed, label="evaluation", call=take(0),
               torch=torch_norm(False), tolerance=1e-4)  # fmt: skip
    yield Case(
        "batch_norm", inputs, lambda x, mean, *_: 0.9 * mean + 0.1 * x.mean(axes),
        label="mean", call=take(1, training=True), torch=torch_statistic(0), order=0,
    )  # fmt: skip
    yield Case(
        "batch_norm", inputs, lambda x, mean, var, *_: 0.9 * var + 0.1 * x.var(axes) * n / (n - 1),
        label="variance", call=take(2, training=True), torch=torch_statistic(1), order=0,
    )  # fmt: skip
    yield Case("batch_norm", inputs[:1], lambda x: normal(x, axes, eps), label="no statistics",
               call=lambda x: tg.ops.batch_norm(x, eps=eps)[0], tolerance=1e-4)  # fmt: skip


def layer(*shape, last=1):
    normalized = shape[len(shape) - last :]

    def oracle(x, weight, bias):
        return normal(x, tuple(range(len(shape) - last, len(shape))), 1e-5) * weight + bias

    def torch_norm(x, weight, bias):
        import torch

        return torch.nn.functional.layer_norm(x, normalized, weight, bias)

    inputs = draw(*shape), draw(*normalized, seed="weight"), draw(*normalized, seed="bias")
    return Case("layer_norm", inputs, oracle, {"normalized_shape": normalized},
                torch=torch_norm, tolerance=1e-4)  # fmt: skip


def group(*shape, groups):
    def oracle(x, weight, bias):
        grouped = x.reshape(shape[0], groups, -1 if x.size else 0)
        found = (normal(grouped, (2,), 1e-5) if x.size else grouped).reshape(shape)
        return found * wide(x, weight) + wide(x, bias)

    def torch_norm(x, weight, bias):
        import torch

        return torch.nn.functional.group_norm(x, groups, weight, bias)

    inputs = draw(*shape), draw(shape[1], seed="weight"), draw(shape[1], seed="bias")
    return Case("group_norm", inputs, oracle, {"num_groups": groups},
                torch=torch_norm if 0 not in shape else None, tolerance=1e-4)  # fmt: skip


CASES = [
    *batch(4, 3),
    *batch(3, 2, 5),
    *batch(2, 3, 4, 3),
    *batch(2, 2, 2, 3, 2),
    layer(3, 5),
    layer(2, 3, 4, last=2),
    layer(1, 7),
    layer(0, 4),
    group(2, 4, 3, 3, groups=2),
    group(3, 6, groups=3),
    group(2, 3, 4, groups=1),
    group(1, 4, 5, groups=4),
    group(0, 4, 3, groups=2),
]
