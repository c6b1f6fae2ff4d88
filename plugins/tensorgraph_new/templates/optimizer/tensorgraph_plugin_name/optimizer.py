"""The optimizer ``plugin_name``."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import tensorgraph as tg
from tensorgraph.errors import ConfigError


class PluginName(tg.Optimizer):
    """m ← β m + (1 - β) g, then p ← p - lr · sign(m): signSGD with momentum, also called Signum
    (Bernstein et al., 2018). ``momentum`` is β."""

    slots = ("m",)  # a tensor of zeros for each parameter, kept from step to step

    # Two steps worked by hand, which ``tensorgraph check`` repeats. m = 1, -2, 0; then ¼, ½, ½.
    worked_example: ClassVar[Mapping[str, Any]] = {
        "options": {"lr": 0.25, "momentum": 0.5},
        "parameter": [1.0, -1.0, 0.5],
        "gradients": [[2.0, -4.0, 0.0], [-0.5, 3.0, 1.0]],
        "expected": [[0.75, -0.75, 0.5], [0.5, -1.0, 0.25]],
    }

    def __init__(
        self,
        parameters: Iterable[tg.Tensor],
        *,
        lr: float = 1e-3,
        momentum: float = 0.9,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(parameters, lr=lr, clip_norm=clip_norm, clip_value=clip_value)
        if not 0 <= momentum < 1:
            raise ConfigError(f"PluginName: {momentum=} is not a number from 0 up to 1")
        self.momentum = momentum

    def update(
        self,
        p: tg.Tensor,
        g: tg.Tensor,
        memory: dict[str, tg.Tensor],
        scalars: Mapping[str, tg.Tensor],
    ) -> tuple[tg.Tensor, Mapping[str, tg.Tensor]]:
        """The parameter's next value, and its slots'."""
        m = memory["m"] * self.momentum + g * (1 - self.momentum)
        return p - tg.ops.sign(m) * scalars["lr"], {"m": m}
