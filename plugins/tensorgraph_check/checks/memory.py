"""What is written down and read again: state, and names with options in a run file."""

from __future__ import annotations

import inspect
from typing import Any

import tensorgraph as tg
from tensorgraph import Layer, Tensor, config
from tensorgraph.errors import ConfigError
from tensorgraph_check.check import SEED, CouldNotRun, Failed, check
from tensorgraph_check.compare import disagreement
from tensorgraph_check.kinds.layer import LayerSubject
from tensorgraph_check.kinds.optimizer import OptimizerSubject
from tensorgraph_check.sample import Sample
from tensorgraph_check.subject import Subject, leaves, outputs, working

STEPS = 4
BITS = 0.0


@check("state", "layer optimizer", needs="determinism, dtype")
def state(subject: LayerSubject | OptimizerSubject) -> str:
    """``state()`` given to a new one by ``load_state`` makes it go on to the bit as the old one
    does: as arrays of numbers, which is what a file holds."""
    if isinstance(subject, OptimizerSubject):
        told = [_optimizer_state(subject, sample) for sample in subject.samples]
    else:
        told = [_layer_state(subject, sample) for sample in subject.samples]
    return "; ".join(dict.fromkeys(told))


def _layer_state(subject: LayerSubject, sample: Sample) -> str:
    with working("float32"), tg.no_grad():
        (x,) = sample.tensors("float32")
        old = subject.built(sample, "float32")
        for _ in range(3):
            old(x)  # running statistics move
        kept = {name: s.numpy() for name, s in old.state().items()}
        want = _seeded_eval(old, x)
    with working("float32", seed=SEED + 1), tg.no_grad():
        unbuilt, built = subject.new(sample), subject.new(sample)
        built(x)
        for new, how in ((unbuilt, "a new one"), (built, "one that was called already")):
            new.load_state(kept)
            _, wrong = disagreement([_seeded_eval(new, x)], [want], BITS)
            if wrong:
                raise Failed(
                    f"on {sample} {how} with the state of the old ({', '.join(kept) or 'empty'}): "
                    f"{wrong}",
                    code=f"{subject.code(sample)}\nstate = layer.state()",
                    fix="hold what is trained in tg.Parameter and other tensors that are kept in "
                    "tg.Buffer: state() has those",
                )
    return f"of {', '.join(kept)}" if kept else "it has none"


def _seeded_eval(layer: Layer, x: Tensor) -> Tensor:
    config.set_random_state((SEED, 0))
    return layer.eval()(x)


def _optimizer_state(subject: OptimizerSubject, sample: Sample) -> str:
    def gradients(parameters: list[Tensor]) -> None:
        for p in parameters:
            p.grad = p.detach() * 0.5 + 1.0

    with working("float32"):
        parameters = [x.detach() for x in leaves(sample.tensors("float32"))]
        optimizer = subject.optimizer(sample, leaves(parameters))
        for _ in range(STEPS):
            gradients(parameters)
            optimizer.step()
        kept = {k: x.numpy() if isinstance(x, Tensor) else x for k, x in optimizer.state().items()}
        twins = leaves([tg.tensor(p.numpy()) for p in parameters])
        other = subject.optimizer(sample, twins)
        other.load_state(kept)
        for _ in range(STEPS):
            for these, one in ((parameters, optimizer), (twins, other)):
                gradients(these)
                one.step()
    _, wrong = disagreement(twins, parameters, BITS)
    if wrong:
        raise Failed(
            f"{STEPS} steps after its state was loaded, and without a break: {wrong}",
            code=f"{subject.code(sample)}\nstate = optimizer.state()",
            fix="name in slots every tensor that it keeps for a parameter; take what changes with "
            "the steps from scalars(step)",
        )
    return f"of {', '.join(kept)}; {STEPS} steps on"


@check("run file", "layer activation loss regularizer optimizer", needs="determinism, dtype")
def run_file(subject: Subject) -> str:
    """Its name and options, written to a run file and read again, make a thing that does the same:
    by the way that ``tensorgraph train`` goes."""
    if subject.registry is None:
        raise CouldNotRun("it is registered under no name, and a run file knows nothing else")
    if "run_file" not in tg.walks:
        raise CouldNotRun("the plugin 'train', which reads run files, is not here")
    for sample in subject.samples:
        options = _named_options(subject, sample)
        with working("float32"):
            want = _made(subject, sample)
        with working("float32"):
            try:
                made = tg.plugins.walk("run_file", subject.kind, subject.name, options)
            except (ConfigError, TypeError) as error:
                raise Failed(
                    str(error),
                    code=subject.code(sample),
                    fix="options are numbers, texts, booleans and lists of them: take a name in "
                    "place of a function, and look it up in tg.activations or the like",
                ) from error
            got = _made(subject, sample, made)
        _, wrong = disagreement(got, want, BITS)
        if wrong:
            raise Failed(
                f"made from the run file, and directly: {wrong}",
                code=subject.code(sample),
                fix="options come as a run file has them, lists as tuples; and every default is "
                "written out",
            )
    texts = sorted({_text(subject, sample) for sample in subject.samples})
    return f"the same from {', '.join(texts)}"


def _named_options(subject: Subject, sample: Sample) -> dict[str, Any]:
    """What a sample gives, all of it by name, as a run file has it."""
    if any(isinstance(x, Layer) for x in (*sample.arguments, *sample.options.values())):
        raise CouldNotRun("it is made of layers, which a run file holds only within a model")
    parameters = inspect.signature(subject.thing).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return {**dict(zip(names[subject.kind == "optimizer" :], sample.arguments)), **sample.options}


def _made(subject: Subject, sample: Sample, make: Any = None) -> list[Tensor]:
    """The results on a sample: of the thing itself, or of what ``make`` makes of it."""
    xs = leaves(sample.tensors("float32"))
    if make is None:
        if isinstance(subject, LayerSubject):
            return outputs(subject.new(sample), xs)
        if not isinstance(subject, OptimizerSubject):
            return subject.step(sample, "float32").run(*xs)
        step = subject.step(sample, "float32")
        return [*step.run(*xs), *step.run(*xs), *step.state().values()]
    if isinstance(subject, OptimizerSubject):
        made = subject.step(sample, "float32", lambda _, parameters: make(parameters))
        return [*made.run(*xs), *made.run(*xs), *made.state().values()]
    if isinstance(subject, LayerSubject):
        return outputs(make(), xs)
    if subject.kind == "regularizer":
        penalty = make()
        return outputs(lambda *given: penalty(dict(zip(sample.names, given))), xs)
    return outputs(make, xs)


def _text(subject: Subject, sample: Sample) -> str:
    options = _named_options(subject, sample).items()
    given = "".join(f", {name} = {value!r}" for name, value in options)
    return f'{{name = "{subject.name}"{given}}}'
