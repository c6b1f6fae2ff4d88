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


@hookspec
def register_backends(register: RegisterBackend) -> None:
    """Offer a backend, as a factory that is called, and may import the array library, on first use.

    An ImportError or BackendError of the factory says why the backend is not available here.
    """


@hookspec
def register_kernels(register: RegisterKernel) -> None:
    """Offer a kernel for an op on a backend: a function, or "module:function", imported on use."""


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
    """Offer a regularizer: a factory of ``penalty(parameters)``, which returns a scalar tensor."""


@hookspec
def register_schedules(register: Register) -> None:
    """Offer a schedule: a factory of ``schedule(progress)``, a factor for the learning rate."""


@hookspec
def register_datasets(register: Register) -> None:
    """Offer a dataset by name, or a reader of a kind of path: see docs/extending."""


@hookspec
def register_augmentations(register: Register) -> None:
    """Offer an augmentation of a batch of images."""


@hookspec
def register_models(register: Register) -> None:
    """Offer a reference model: ``model(classes, channels, **options)`` returns a layer."""


@hookspec
def register_metrics(register: Register) -> None:
    """Offer a metric: ``metric(scores, labels)`` returns a number, larger is better."""


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
