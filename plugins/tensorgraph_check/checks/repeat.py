"""The same thing done twice: under one seed, in another mode; and whether it looks at values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import tensorgraph as tg
from tensorgraph import config
from tensorgraph_check.check import SEED, Failed, check, is_authors, where
from tensorgraph_check.checks.forward import ALL
from tensorgraph_check.compare import difference, disagreement
from tensorgraph_check.kinds.layer import LayerSubject
from tensorgraph_check.sample import Sample
from tensorgraph_check.subject import Subject, leaves, working

BITS = 0.0


@check("determinism", ALL)
def determinism(subject: Subject) -> str:
    """From one seed come the same bits, results and gradients, state too: all randomness is that
    of TensorGraph's ops."""
    for sample in subject.samples:
        first, again = (_from_seed(subject, sample) for _ in range(2))
        _, wrong = disagreement(again, first, BITS)
        if wrong:
            raise Failed(
                f"on {sample}, twice after tg.seed({SEED}): {wrong}",
                code=subject.code(sample),
                fix="draw random numbers with tg.ops.uniform, normal or dropout, and keep nothing "
                "from call to call but in tg.Buffer",
            )
    return f"the same bits twice, {len(subject.samples)} samples"


def _from_seed(subject: Subject, sample: Sample) -> list[tg.Tensor]:
    with working("float32"):
        step = subject.step(sample, "float32")
        xs = leaves(sample.tensors("float32"))
        return [*step.run(*xs), *step.run(*xs), *step.state().values()]


class HostReads(config.Listener):
    """Notes where code reads the value of a tensor."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def host_read(self, what: str, tensor: Any) -> None:
        frame = sys._getframe(1)
        while frame.f_back is not None and not is_authors(frame):
            frame = frame.f_back
        at = where(frame, frame.f_lineno)
        self.found.append(f"{what} reads the value of {tensor.spec} ({at})")


@check("host reads", ALL)
def host_reads(subject: Subject) -> str:
    """No numerics through ``float()``, ``item()`` or ``numpy()``: what is computed on the host has
    no gradient, cannot be recorded, and waits for the device."""
    for sample in subject.samples:
        with working("float32"):
            step = subject.step(sample, "float32")
            xs = leaves(sample.tensors("float32"))
            listener = HostReads()
            with config.listen(listener):
                step.run(*xs)
            if listener.found:
                raise Failed(
                    listener.found[0],
                    code=subject.code(sample),
                    fix="compute with tensors and tg.ops; decide with tg.ops.where",
                )
    return "no value is read"


@check("train and eval modes", "layer", needs="determinism, dtype, state")
def modes(subject: LayerSubject) -> str:
    """In eval mode nothing is random, no state is written, and a sample's result does not depend
    on the others; a layer with neither randomness nor state does the same in both modes."""
    told = []
    for sample in subject.samples:
        with working("float32"), tg.no_grad():
            layer = subject.built(sample, "float32")
            (x,) = sample.tensors("float32")
            train, other = list(_seeded(layer, x))
            for _ in range(3):
                layer(x)  # running statistics move
            before = {name: s.numpy() for name, s in layer.state().items()}
            layer.eval()
            first, again = list(_seeded(layer, x))
            after = {name: s.numpy() for name, s in layer.state().items()}
        code = f"{subject.code(sample)}\nlayer.eval()\nlayer(x0)"
        _, random = disagreement([other], [train], BITS)
        _, wrong = disagreement([again], [first], BITS)
        if wrong:
            raise Failed(f"on {sample} in eval mode under two seeds: {wrong}", code=code, fix=MODE)
        if written := [name for name, s in before.items() if difference(after[name], s)]:
            raise Failed(f"in eval mode it writes {', '.join(written)}", code=code, fix=MODE)
        keeps = any(_holds_state(inner) for _, inner in layer.layers())
        _, differs = disagreement([first], [train])
        if differs and not random and not keeps:
            raise Failed(
                f"on {sample} in eval and in train mode: {differs}, though nothing in it is random "
                "and it has no state",
                code=code,
                fix='drop the case for self.training, or leave this check out: skip = {"train and '
                'eval modes": "why"}',
            )
        if (keeps or random) and x.shape[:1] > (1,) and first.shape[:1] == x.shape[:1]:
            with working("float32"), tg.no_grad():
                _, mixed = disagreement([layer(x[:1])], [first[:1]])
            if mixed:
                raise Failed(
                    f"in eval mode the first sample alone and among others: {mixed}",
                    code=f"{code}\nlayer(x0[:1])",
                    fix="use the running statistics in eval mode, not those of the batch",
                )
        told.append(f"{'random, ' if random else ''}{'differs' if differs else 'same'}")
    return f"train against eval: {'; '.join(dict.fromkeys(told))}"


MODE = "where self.training is false, draw nothing and assign nothing"


def _seeded(layer: tg.Layer, x: tg.Tensor) -> Iterator[tg.Tensor]:
    """The output under two seeds, from the same state."""
    kept = {name: s.numpy() for name, s in layer.state().items()}
    for seed in (1, 2):
        config.set_random_state((seed, 0))
        layer.load_state(kept)
        yield layer(x)


def _holds_state(layer: tg.Layer) -> bool:
    """Whether it has tensors beside its parameters, declared as buffers or not."""
    return any(
        isinstance(x, tg.Tensor) and not isinstance(x, tg.Parameter) for _, x in layer._members()
    )
