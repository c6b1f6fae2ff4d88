"""What layers demand of their input, and how they say so."""

from __future__ import annotations

from tensorgraph import Spec
from tensorgraph.errors import ConfigError, DtypeError, ShapeError
from tensorgraph.spec import Shaped, is_floating

LAYOUTS = {2: "(N, C)", 3: "(N, C, L)", 4: "(N, C, H, W)", 5: "(N, C, D, H, W)"}


def floating(layer: str, x: Shaped) -> str:
    """The dtype of ``x``, which must be floating point."""
    if not is_floating(x.dtype):
        raise DtypeError(
            f"{layer}: needs floating point, not {spec_of(x)}; cast the input: "
            "tg.ops.cast(x, dtype='float32')"
        )
    return x.dtype


def axes(layer: str, x: Shaped, *wanted: int) -> None:
    """``x`` must have one of these numbers of axes."""
    if x.ndim in wanted:
        return
    layouts = " or ".join(LAYOUTS[n] for n in wanted)
    if x.ndim == max(wanted) - 1 and x.ndim > 2:
        fix = "add the axis that is missing: tg.ops.expand_dims(x, axis=0) for a batch of one"
    elif x.ndim == 2:
        fix = "put it before the layers that flatten, or use the layer for (N, C)"
    else:
        fix = f"reshape the input, or use the layer for {x.ndim} axes"
    raise ShapeError(f"{layer}: takes {layouts} and gets {spec_of(x)}; {fix}")


def unchanged(layer: str, what: str, x: Shaped, axis: int, built: int) -> None:
    """``x`` must have the size along ``axis`` that the layer was built for."""
    size = x.shape[axis] if x.ndim > (axis if axis >= 0 else -axis - 1) else None
    if size != built:
        raise ShapeError(
            f"{layer}: was built for {built} {what} and gets {size}: {spec_of(x)}; give it inputs "
            "of the size that it saw first, or make a new model for these"
        )


def positive(layer: str, **settings: int) -> None:
    """Each must be an integer from 1 on."""
    for name, value in settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{layer}: {name}={value!r} is not an integer from 1 on")


def spec_of(x: Shaped) -> Spec:
    return Spec(x.shape, x.dtype)
