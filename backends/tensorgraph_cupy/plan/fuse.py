"""Tasks that are one launch, or read their input once: a product or a convolution with its bias and
ReLU, a loss with its gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tensorgraph.program import Value
from tensorgraph_cupy.plan.backward import with_mask, with_sums
from tensorgraph_cupy.plan.chains import Chained
from tensorgraph_cupy.plan.fusion import Fusion
from tensorgraph_cupy.plan.layout import Layout
from tensorgraph_cupy.plan.lower import label_loss
from tensorgraph_cupy.plan.products import Besides
from tensorgraph_cupy.plan.setting import Setting
from tensorgraph_cupy.plan.tasks import Lowered, Task


def fused(
    tasks: Sequence[Task],
    layout: Layout,
    results: Sequence[Value],
    setting: Setting,
    numbers: Mapping[Value, Any],
) -> list[Task]:
    """The tasks, some of them one where there were two; ``numbers``: scalar constants."""
    work = Fusion(tasks, layout, results, setting, numbers)
    for rule in (_biased, with_mask, with_sums, _with_gradient):
        for task in list(work.tasks):
            if task in work.tasks:
                rule(work, task)
    return work.tasks


def _biased(work: Fusion, chain: Task) -> None:
    """x @ y + bias, and relu of it; a convolution likewise. What else the chain does goes on from
    there."""
    first, *rest = chain.calls
    if not isinstance(chain, Chained) or first.op.name != "add":
        return
    whole, bias = first.inputs
    maker = work.maker(whole)
    if maker is None or not work.is_multiplied(maker, ["matmul", "conv"], "none"):
        return
    if whole in work.layout.views or work.readers[whole] != 1 or whole.spec.ndim < 2:
        return
    if any(whole in call.inputs for call in rest) or not work.layout.is_plain(bias):
        return
    name, out = "bias", first.out
    if [call.op.name for call in rest] == ["relu"] and out not in chain.outputs:
        name, out, rest = "bias_relu", rest[0].out, []
    shape, own = whole.spec.shape, bias.spec.shape
    spread = (1,) * (len(shape) - len(own)) + own
    dtype = work.setting.floating(out)
    if spread != (1, shape[1], *(1 for _ in shape[2:])) or dtype is None:
        return
    vector, before = work.stored(bias, dtype)  # of the result's dtype: the libraries want it
    calls = [
        dataclasses.replace(first, inputs=(whole, vector)),
        *chain.calls[1 : 1 + (name == "bias_relu")],
    ]
    made = work.multiplied(maker, calls, [out], Besides(name, vector))
    if made is None:
        return
    after = [work.chained(rest, chain.outputs)] if rest else []
    work.replace(maker, chain, made, at=chain)
    at = work.tasks.index(made)
    work.tasks[at : at + 1] = [*before, made, *after]


def _with_gradient(work: Fusion, loss_task: Task) -> None:
    """The losses and their gradient, where nobody needs the losses before."""
    if [call.op.name for call in loss_task.calls] != ["label_cross_entropy"]:
        return
    (call,) = loss_task.calls
    for task in work.tasks:
        if [c.op.name for c in task.calls] != ["label_cross_entropy_input"]:
            continue
        (back,) = task.calls
        start, end = work.tasks.index(loss_task), work.tasks.index(task)
        between = [x for each in work.tasks[start : end + 1] for x in each.inputs]
        wanted = any(work.layout.root(x) is call.out for x in between)
        same = back.inputs[1:] == call.inputs and back.params == call.params
        if start > end or wanted or not same or not isinstance(task, Lowered):
            continue
        x, labels = call.inputs
        both = {"losses": call.out, "g": back.inputs[0], "gradient": back.out}
        make = label_loss(work.setting, x, labels, call.params, **both)
        if make is not None:
            made = Lowered("loss and gradient", [call, back], make)
            work.replace(loss_task, task, made, at=task)
        return
