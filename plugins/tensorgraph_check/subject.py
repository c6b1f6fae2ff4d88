"""What is checked: a thing of one kind, samples to try it with, and it at work on one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import tensorgraph as tg
from tensorgraph import Tensor, config, ops
from tensorgraph.backend import imported
from tensorgraph.errors import ConfigError
from tensorgraph.registry import Registry
from tensorgraph.spec import is_floating
from tensorgraph_check import sample as samples_of
from tensorgraph_check.check import SEED, CouldNotRun, describe
from tensorgraph_check.sample import Sample

IMPORTS = ("import numpy as np", "import tensorgraph as tg")
MOST = 3  # samples that are guessed, of those that a thing accepts


@dataclass(frozen=True)
class Given:
    """What an author gives: as arguments, as attributes of the thing that bear these names, or
    beside a function ``f`` in its module, as ``f_reference``.

    samples         a list of samples, or a function of no arguments that returns one
    reference       the same in NumPy, from an independent source
    worked_example  of an optimizer: see ``checks/optimizers.py``
    tolerance       relative, in place of the published ones
    skip            names of checks → why they do not apply
    """

    samples: Any = None
    reference: Callable[..., Any] | None = None
    worked_example: Mapping[str, Any] | None = None
    tolerance: float | None = None
    skip: Mapping[str, str] = field(default_factory=dict)

    def filled(self, thing: Any) -> Given:
        """With what the thing itself says about what was not given."""
        lacks = [x for x in ("samples", "reference", "worked_example") if getattr(self, x) is None]
        filled = replace(self, **{name: _own(thing, name) for name in lacks})
        if (samples := filled.samples) is not None:
            listed = samples() if callable(samples) else samples
            filled = replace(filled, samples=tuple(map(samples_of.given, listed)))
        if (example := filled.worked_example) is not None:
            _whole(example)
        return filled


def _own(thing: Any, name: str) -> Any:
    """What its author wrote, not bound to the thing: an attribute or, as functions in typed code
    have none, ``f_reference`` beside ``f`` in its module."""
    if isinstance(thing, tuple):  # a backend's name and the kernel
        thing = imported(thing[1].run, f"kernel {thing[1].name!r}")
    found = inspect.getattr_static(thing, name, None)
    if found is None and callable(thing):
        made = inspect.unwrap(thing)
        beside = f"{getattr(made, '__name__', '')}_{name}"
        found = vars(inspect.getmodule(made) or object).get(beside)
    return found.__func__ if isinstance(found, staticmethod) else found


def _whole(example: Mapping[str, Any]) -> None:
    parts = {"options", "parameter", "gradients", "expected"}
    if odd := {"options", *example} ^ parts:
        raise ConfigError(
            f"worked_example: {', '.join(sorted(odd))} is missing or not a part of it; it has "
            f"{', '.join(sorted(parts))}"
        )


@dataclass
class Step:
    """A thing at work on a sample, from a fresh start: ``run(*tensors)`` gives what it computes,
    gradients too; ``state()`` what it has in the end, which ``load`` gives to another. ``begin`` is
    called with the tensors before a run is recorded."""

    run: Callable[..., list[Tensor]]
    state: Callable[[], dict[str, Tensor]] = dict
    load: Callable[[Mapping[str, Any]], object] = lambda state: None
    begin: Callable[..., object] = lambda *xs: None


class Subject:
    """A thing that is checked. Subclasses say what it is to be at work."""

    kind: ClassVar[str]
    separate = False  # whether its inputs have shapes of their own

    def __init__(
        self, name: str, thing: Any, given: Given | None = None, registry: Registry | None = None
    ) -> None:
        self.name, self.thing, self.registry = name, thing, registry
        self.origin: tuple[str, ...] = ()  # Python that registers it, where it is not installed
        self.given = (given or Given()).filled(thing)
        self.accepted, self.rejected = 0, list[str]()
        self._samples: list[Sample] | None = None
        self._working: tuple[Sample, str] | None = None

    @property
    def samples(self) -> list[Sample]:
        """Those of its author, or else the first that it accepts of those that are guessed."""
        if self._samples is None:
            self._samples = list(self._find())
            if not self._samples:
                raise CouldNotRun(
                    f"no input that was tried is accepted ({self.rejected[0]}); give samples=[…]"
                    if self.rejected
                    else "nothing is known that it may be tried with; give samples=[…]"
                )
        return self._samples

    def _find(self) -> Iterator[Sample]:
        if self.given.samples is not None:
            yield from map(self.named, self.given.samples)
            return
        for candidate in self.candidates():
            if self.accepts(candidate):
                self.accepted += 1
                yield candidate
            if self.accepted == MOST:
                return

    def candidates(self) -> Iterable[Sample]:
        """Samples that may fit, the likeliest first."""
        return ()

    def serves(self, sample: Sample) -> bool:
        """Whether a sample has to be served, as far as the thing's own kind says."""
        return True

    def supports(self, sample: Sample, dtype: str) -> bool:
        """Whether it says that it may be called on a sample in this dtype."""
        return True

    def widest(self, sample: Sample) -> str:
        """float64 where that is supported: in it mistakes stand out best."""
        return "float64" if self.supports(sample, "float64") else "float32"

    def named(self, sample: Sample) -> Sample:
        return sample

    def accepts(self, sample: Sample) -> bool:
        """Whether the thing runs on a sample and returns finite numbers."""
        import numpy as np

        try:
            with working("float32"):
                outs = self.step(sample, "float32").run(*sample.tensors("float32"))
        except Exception as error:
            self.rejected.append(f"{sample}: {describe(error).splitlines()[0]}")
            return False
        fine = all(np.isfinite(x.numpy()).all() for x in outs)
        if not fine:
            self.rejected.append(f"{sample}: gave NaN or infinity")
        return bool(fine)

    def forward(self, sample: Sample) -> Callable[..., Tensor]:
        """The thing as a fresh function of tensors."""
        raise NotImplementedError

    def trained(self, function: Callable[..., Tensor]) -> list[Tensor]:
        """The parameters of what ``forward`` made, once it was called."""
        return []

    def step(self, sample: Sample, dtype: str) -> Step:
        """A fresh start on a sample; settings and random numbers are the caller's affair."""
        self._working = sample, dtype
        function = self.forward(sample)
        return Step(lambda *xs: outputs(function, xs, self.trained))

    def scope(self) -> config.Scope:
        """The settings of every check of it."""
        return config.Scope(listener=None, grad=True)

    def expression(self) -> str:
        """How Python gets hold of the thing."""
        if self.registry is None:
            return self.name if self.name.isidentifier() else "f"
        if self.kind == "op":
            return f"tg.ops.{self.name}"
        plural = "losses" if self.kind == "loss" else f"{self.kind}s"
        return f'tg.{plural}["{self.name}"]'

    def code(
        self,
        sample: Sample | None = None,
        dtype: str = "float32",
        *,
        before: Sequence[str] = (),
        call: str = "{}",
    ) -> str:
        """Python that runs the thing on a sample, or on the one that it worked on last; with lines
        ``before`` it, and the last expression within ``call``."""
        if sample is None:
            if self._working is None:
                return ""
            sample, dtype = self._working
        *made, last = self.use(sample).split("\n")
        return self.script(sample, dtype, *before, *made, call.format(last))

    def script(self, sample: Sample, dtype: str, *lines: str) -> str:
        """Python that makes the inputs of a sample and goes on with ``lines``."""
        return "\n".join([*IMPORTS, *self.origin, *sample.lines(dtype), *lines])

    def use(self, sample: Sample) -> str:
        names = tuple(f"x{i}" for i in range(len(sample.inputs)))
        return sample.call(self.expression(), names)


def outputs(
    function: Callable[..., Tensor],
    xs: Sequence[Tensor],
    trained: Callable[[Any], list[Tensor]] = lambda function: [],
) -> list[Tensor]:
    """What a function returns, and the gradients of its sum of squares."""
    out = function(*xs)
    if not isinstance(out, Tensor):
        raise TypeError(f"it returned {type(out).__name__}, not a tensor")
    wanted = [x for x in (*xs, *trained(function)) if x.requires_grad]
    if not wanted or not out.requires_grad or not is_floating(out.dtype):
        return [out]
    return [out, *tg.grad(ops.sum(out * out), wanted)]


def leaves(xs: Iterable[Tensor]) -> list[Tensor]:
    """The same tensors, made to require gradients where they can."""
    found = list(xs)
    for x in found:
        if is_floating(x.dtype) and not x.requires_grad:
            x.requires_grad = True
    return found


@contextmanager
def working(dtype: str, backend: str | None = None, seed: int = SEED) -> Iterator[None]:
    """The settings that a thing works under: new tensors of this dtype, random numbers anew."""
    changes = {"dtype": config.Choice(dtype, "the check")}
    if backend is not None:
        config.get_backend(backend)
        changes["backend"] = config.Choice(backend, "the check")
    config.set_random_state((seed, 0))
    with config.Scope(**changes):
        yield
