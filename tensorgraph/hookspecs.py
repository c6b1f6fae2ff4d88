"""The hooks a plugin may implement. Each receives a ``register`` bound to the plugin's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pluggy import HookimplMarker, HookspecMarker

from tensorgraph.backend import Backend

hookspec = HookspecMarker("tensorgraph")
hookimpl = HookimplMarker("tensorgraph")


class Register(Protocol):
    """Offers one thing under a name; a name already taken is a ``ConflictError``."""

    def __call__(self, name: str, thing: Any) -> None: ...


class RegisterBackend(Protocol):
    def __call__(self, name: str, thing: Callable[[], Backend]) -> None: ...


class RegisterKernel(Protocol):
    def __call__(
        self,
        *,
        backend: str,
        op: str,
        name: str,
        kernel: Callable[..., Any] | str,
        supports: Callable[..., bool] | None = None,
    ) -> None: ...


class RegisterCompiler(Protocol):
    def __call__(self, *, backend: str, name: str, compiler: Callable[..., Any] | str) -> None: ...


@hookspec
def register_backends(register: RegisterBackend) -> None:
    """Offer a backend, as a factory that is called, and may import the array library, on first use.

    An ImportError or BackendError of the factory says why the backend is not available here.
    """


@hookspec
def register_kernels(register: RegisterKernel) -> None:
    """Offer a kernel for an op on a backend: a function, or "module:function", imported on use."""


@hookspec
def register_walks(register: Register) -> None:
    """Offer a walk over models or steps, as ``tensorgraph.walks`` has: a function or "module:f"."""


@hookspec
def register_compilers(register: RegisterCompiler) -> None:
    """Offer a way to run recorded programs on a backend: a function, or "module:function".

    ``compiler(program, backend)`` returns a ``tensorgraph.program.Runner``, or None to leave it to
    the next.
    """


@hookspec
def register_ops(register: Register) -> None:
    """Offer an op, or a function made of ops, under ``tensorgraph.ops``.

    An op works without it, by being called: this gives it a name there.
    """


@hookspec
def register_layers(register: Register) -> None:
    """Offer a layer: a subclass of ``tensorgraph.Layer``."""


@hookspec
def register_activations(register: Register) -> None:
    """Offer an activation: a function from tensor to tensor."""


@hookspec
def register_losses(register: Register) -> None:
    """Offer a loss: ``loss(prediction, target, **options)`` returns a scalar tensor."""


@hookspec
def register_initializers(register: Register) -> None:
    """Offer an initializer: a factory of ``initializer(spec)``, which returns a tensor."""


@hookspec
def register_optimizers(register: Register) -> None:
    """Offer an optimizer: a subclass of ``tensorgraph.Optimizer``."""


@hookspec
def register_regularizers(register: Register) -> None:
    """Offer a regularizer: a factory of ``penalty(named_parameters)``, which returns a scalar."""


@hookspec
def register_schedules(register: Register) -> None:
    """Offer a schedule: a factory of ``factor(epoch, epochs)``, which scales the learning rate.

    ``epoch`` goes from 0 to ``epochs`` and may be fractional.
    """


@hookspec
def register_datasets(register: Register) -> None:
    """Offer a ``tensorgraph.data.Source`` of images, with data of its own or from a path."""


@hookspec
def register_formats(register: Register) -> None:
    """Offer a format of image files, with ``suffixes``, ``header(path)`` and ``pixels(path, header)``:
    an object, or "module:object", imported on use."""


@hookspec
def register_augmentations(register: Register) -> None:
    """Offer an augmentation: a factory of ``augment(images, key)``; equal keys, equal changes."""


@hookspec
def register_models(register: Register) -> None:
    """Offer a model: ``model(classes=10, **options)``, a layer (N, C, H, W) → (N, classes)."""


@hookspec
def register_metrics(register: Register) -> None:
    """Offer a metric, ``metric(scores, labels)``; it may say ``tasks``, ``larger_is_better``."""


@hookspec
def register_callbacks(register: Register) -> None:
    """Offer a callback: a factory of an object told of the events of a training run.

    Of ``on_start(run)``, ``on_batch(run)``, ``on_epoch(run, record)`` and, also after an error,
    ``on_end(run)`` it has those that it wants.
    """


@hookspec
def register_commands(register: Register) -> None:
    """Offer a subcommand of ``tensorgraph``: a function, or "module:function", imported on use.

    Its annotated parameters become arguments and options (as typer reads them), its docstring the
    help. A ``TensorgraphError`` or OSError is the user's mistake: a message and exit status 2.
    """


@hookspec
def register_sections(register: Register) -> None:
    """Offer a section of the report: ``section(study)`` returns HTML, or "" to be left out."""


@hookspec
def register_checks(register: Register) -> None:
    """Offer lines for ``tensorgraph doctor``: ``check()`` returns pairs (name, text). A function,
    or "module:function", imported on use.
    """
