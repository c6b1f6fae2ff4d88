"""What only optimizers promise: they go downhill, as it was published."""

from __future__ import annotations

import tensorgraph as tg
from tensorgraph_check.check import CouldNotRun, Failed, check
from tensorgraph_check.compare import difference, tolerance
from tensorgraph_check.kinds.optimizer import OptimizerSubject, convex
from tensorgraph_check.subject import leaves, working

STEPS = 100


@check("descent", "optimizer", needs="determinism, dtype")
def descent(subject: OptimizerSubject) -> str:
    """On a convex function the first step goes downhill, and a hundred steps end lower."""
    figures = []
    for sample in subject.samples:
        with working("float64"):
            parameters = leaves(sample.tensors("float64"))
            targets = [x.detach() * 0.5 - 1.0 for x in parameters]
            optimizer = subject.optimizer(sample, parameters)
            before = [p.detach() for p in parameters]
            losses = []
            slope = 0.0
            for i in range(STEPS):
                loss = convex(parameters, targets)
                losses.append(loss.item())
                optimizer.zero_grad()
                loss.backward()
                found = [p.grad for p in parameters]
                optimizer.step()
                if i == 0:
                    moves = [(p.detach() - b) for p, b in zip(parameters, before)]
                    slope = sum((g * m).sum().item() for g, m in zip(found, moves))
            losses.append(convex(parameters, targets).item())
        if slope > 0:
            raise Failed(
                f"the first step goes uphill: step · gradient = {slope:.3g}",
                code=subject.code(sample, "float64"),
                fix="update returns p minus the step: the gradient points uphill",
            )
        if not losses[-1] < losses[0]:
            raise Failed(
                f"the convex function was {losses[0]:.6g} and is {losses[-1]:.6g} after {STEPS} "
                "steps",
                code=subject.code(sample, "float64"),
                fix="the default learning rate may be too large: it has to serve a curvature of 2",
            )
        figures.append(f"{losses[0]:.4g} → {losses[-1]:.4g} in {STEPS} steps")
    return "; ".join(figures)


@check("worked example", "optimizer", needs="determinism, dtype")
def worked_example(subject: OptimizerSubject) -> str:
    """The update is the published one: ``worked_example`` has "options", a "parameter", its
    "gradients" of some steps, and the values "expected" after each, worked out elsewhere."""
    import numpy as np

    example = subject.given.worked_example
    if example is None:
        raise CouldNotRun(
            "no worked example is given: worked_example={'options': {…}, 'parameter': […], "
            "'gradients': [[…], …], 'expected': [[…], …]}"
        )
    gradients, expected = example["gradients"], example["expected"]
    allowed = subject.given.tolerance or 100 * tolerance("float64")
    with working("float64"):
        (p,) = leaves([tg.tensor(np.asarray(example["parameter"], "float64"))])
        optimizer = subject.thing([p], **example.get("options", {}))
        worst = 0.0
        for i, (g, want) in enumerate(zip(gradients, expected, strict=True), start=1):
            p.grad = tg.tensor(np.asarray(g, "float64"))
            optimizer.step()
            found = difference(p.numpy(), want)
            if found > allowed:
                raise Failed(
                    f"after step {i} of the worked example the parameter is "
                    f"{p.numpy().tolist()}, and {np.asarray(want).tolist()} was published "
                    f"(relative {found:.1e}, allowed {allowed:.0e})",
                    code=f"worked_example = {dict(example)!r}",
                    fix="from the second step on: look at the bias correction and the slots"
                    if i > 1
                    else "from the first step on: look at the bias correction, eps and signs",
                )
            worst = max(worst, found)
    return f"{len(expected)} steps, largest difference {worst:.1e} of {allowed:.0e}"
