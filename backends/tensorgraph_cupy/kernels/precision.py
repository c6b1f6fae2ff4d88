"""What the setting ``precision`` means for the products of a kernel's factors."""

from __future__ import annotations

from typing import Any

from tensorgraph import config
from tensorgraph.errors import BackendError
from tensorgraph_cupy.lib import EXTRA


def arithmetic() -> str:
    """How factors are multiplied: "default" rounds none of them, as "float32" does."""
    chosen = config.current().precision.value
    return chosen if chosen in ("strict", "tf32") else "float32"


def factor(x: Any) -> Any:
    """What is multiplied for an array: itself, or, with precision "bfloat16", float32 rounded."""
    if config.current().precision.value != "bfloat16" or str(x.dtype) != "float32":
        return x
    try:
        import ml_dtypes
    except ImportError as error:
        raise BackendError(
            f"precision 'bfloat16': the package ml_dtypes is not installed; {EXTRA}, or choose "
            "precision 'tf32'"
        ) from error
    return x.astype(ml_dtypes.bfloat16)
