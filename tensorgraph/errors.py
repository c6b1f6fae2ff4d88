"""Every error tensorgraph raises on purpose. Each is also the builtin that it refines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class TensorgraphError(Exception):
    """Base class, so that callers can catch the whole family."""

    where: str = ""  # the layer it happened in

    def __str__(self) -> str:
        return super().__str__() + self.where


class ShapeError(TensorgraphError, ValueError):
    """The shapes of an op's inputs, or its parameters, do not fit together."""


class DtypeError(TensorgraphError, TypeError):
    """The dtypes of an op's inputs do not fit together: they never mix silently."""


class GradientError(TensorgraphError, RuntimeError):
    """A gradient was asked for that cannot be computed."""


class RecordingError(TensorgraphError, RuntimeError):
    """A step does something that cannot be recorded and replayed."""


class BackendError(TensorgraphError, RuntimeError):
    """A backend is unavailable, or tensors of two backends were mixed."""


class MissingKernelError(BackendError, NotImplementedError):
    """An op has no kernel on the backend in use."""


class ConfigError(TensorgraphError, ValueError):
    """A setting, a run file or a command line says something that cannot be done."""


class DataError(TensorgraphError, ValueError):
    """Images, labels or files that cannot be used as they are."""


class PluginError(TensorgraphError, RuntimeError):
    """A plugin could not be loaded, or broke the rules of a hook."""


class ConflictError(PluginError):
    """Two plugins registered the same name."""

    contested: Sequence[tuple[Any, str]] = ()  # (registry, name)


class UnknownNameError(PluginError, KeyError, AttributeError):
    """Nothing is registered under that name."""

    __str__ = Exception.__str__  # a KeyError's own is the repr of the message
