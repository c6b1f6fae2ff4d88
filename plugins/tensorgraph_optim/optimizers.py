"""SGD, Adam, AdamW, RMSprop and Adagrad, with the parameters, defaults, formulas and names of state
of PyTorch's. Updates are ops, so that they run on every backend and can be recorded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from tensorgraph import Optimizer, Tensor, ops
from tensorgraph.errors import ConfigError

Memory = dict[str, Tensor]
Update = tuple[Tensor, Mapping[str, Tensor]]


class _Decaying(Optimizer):
    """An optimizer with L2 weight decay and a choice of direction, as all of PyTorch's have."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        weight_decay: float,
        maximize: bool,
        clip_norm: float | None,
        clip_value: float | None,
    ) -> None:
        super().__init__(parameters, lr=lr, clip_norm=clip_norm, clip_value=clip_value)
        self.require(weight_decay >= 0, f"weight_decay={weight_decay} is not a number from 0 on")
        self.weight_decay = weight_decay
        self.maximize = maximize

    def require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise ConfigError(f"{type(self).__name__}: {otherwise}")

    def direction(self, g: Tensor) -> Tensor:
        """The gradient to descend along."""
        return -g if self.maximize else g

    def decayed(self, p: Tensor, g: Tensor) -> Tensor:
        """The gradient to descend along, with that of weight_decay/2 · |p|²."""
        g = self.direction(g)
        return g + p * self.weight_decay if self.weight_decay else g


class SGD(_Decaying):
    """Gradient descent: p ← p - lr · v, where v is g, or with momentum v ← momentum · v + (1 -
    dampening) · g (the first time v ← g), and with ``nesterov`` g + momentum · v."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            weight_decay=weight_decay,
            maximize=maximize,
            clip_norm=clip_norm,
            clip_value=clip_value,
        )
        self.require(momentum >= 0, f"momentum={momentum} is not a number from 0 on")
        self.require(
            not nesterov or (momentum > 0 and dampening == 0),
            f"nesterov needs momentum and no dampening, not {momentum=} and {dampening=}",
        )
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        self.slots = ("momentum_buffer",) if momentum else ()

    def scalars(self, step: int) -> dict[str, float]:
        if not self.dampening:
            return {"lr": self.lr}
        return {"lr": self.lr, "fresh": 1.0 if step == 1 else 1.0 - self.dampening}

    def update(self, p: Tensor, g: Tensor, memory: Memory, scalars: Mapping[str, Tensor]) -> Update:
        g = self.decayed(p, g)
        if not self.momentum:
            return p - g * scalars["lr"], {}
        fresh = g * scalars["fresh"] if self.dampening else g
        v = memory["momentum_buffer"] * self.momentum + fresh
        g = g + v * self.momentum if self.nesterov else v
        return p - g * scalars["lr"], {"momentum_buffer": v}


class Adam(_Decaying):
    """Steps of about ``lr`` in each coordinate: the mean of gradients over the root of the mean of
    their squares, both freed of their start at zero (Kingma and Ba, 2015)."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        maximize: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            weight_decay=weight_decay,
            maximize=maximize,
            clip_norm=clip_norm,
            clip_value=clip_value,
        )
        within = len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
        self.require(within, f"betas={betas} are not two numbers from 0 up to 1")
        self.require(eps >= 0, f"eps={eps} is not a number from 0 on")
        self.betas = betas
        self.eps = eps
        self.amsgrad = amsgrad
        self.slots = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if amsgrad else ()))

    def scalars(self, step: int) -> dict[str, float]:
        mean, square = (1 - beta**step for beta in self.betas)
        root = math.sqrt(square)
        return {"size": self.lr / mean * root, "eps": self.eps * root}

    def update(self, p: Tensor, g: Tensor, memory: Memory, scalars: Mapping[str, Tensor]) -> Update:
        return self.moved(p, self.decayed(p, g), memory, scalars)

    def moved(self, p: Tensor, g: Tensor, memory: Memory, scalars: Mapping[str, Tensor]) -> Update:
        m, v = memory["exp_avg"], memory["exp_avg_sq"]
        m = m + (g - m) * (1 - self.betas[0])
        v = v * self.betas[1] + g * g * (1 - self.betas[1])
        new = {"exp_avg": m, "exp_avg_sq": v}
        if self.amsgrad:
            v = new["max_exp_avg_sq"] = ops.maximum(memory["max_exp_avg_sq"], v)
        # lr · m/mean over √v/root + eps, both extended by root: an op fewer for each element
        return p - m / (ops.sqrt(v) + scalars["eps"]) * scalars["size"], new


class AdamW(Adam):
    """Adam, with weight decay beside the step and not within it: p is first scaled by
    1 - lr · weight_decay (Loshchilov and Hutter, 2019)."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        maximize: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
            clip_norm=clip_norm,
            clip_value=clip_value,
        )

    def scalars(self, step: int) -> dict[str, float]:
        return {**super().scalars(step), "keep": 1 - self.lr * self.weight_decay}

    def update(self, p: Tensor, g: Tensor, memory: Memory, scalars: Mapping[str, Tensor]) -> Update:
        return self.moved(p * scalars["keep"], self.direction(g), memory, scalars)


class RMSprop(_Decaying):
    """The gradient over the root of a running mean of its square, or with ``centered`` of its
    variance; with momentum over the quotients (Hinton, 2012)."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        maximize: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            weight_decay=weight_decay,
            maximize=maximize,
            clip_norm=clip_norm,
            clip_value=clip_value,
        )
        self.require(0 <= alpha <= 1, f"alpha={alpha} is not a number from 0 to 1")
        self.require(eps >= 0, f"eps={eps} is not a number from 0 on")
        self.require(momentum >= 0, f"momentum={momentum} is not a number from 0 on")
        self.alpha = alpha
        self.eps = eps
        self.momentum = momentum
        self.centered = centered
        buffer = ("momentum_buffer",) if momentum else ()
        self.slots = ("square_avg", *buffer, *(("grad_avg",) if centered else ()))

    def update(self, p: Tensor, g: Tensor, memory: Memory, scalars: Mapping[str, Tensor]) -> Update:
        g = self.decayed(p, g)
        square = memory["square_avg"] * self.alpha + g * g * (1 - self.alpha)
        new = {"square_avg": square}
        if self.centered:
            mean = memory["grad_avg"]
            mean = new["grad_avg"] = mean + (g - mean) * (1 - self.alpha)
            square = square - mean * mean
        step = g / (ops.sqrt(square) + self.eps)
        if self.momentum:
            step = memory["momentum_buffer"] * self.momentum + step
            new["momentum_buffer"] = step
        return p - step * scalars["lr"], new


class Adagrad(_Decaying):
    """The gradient over the root of the sum of all its squares (Duchi et al., 2011)."""

    slots = ("sum",)

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        maximize: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            weight_decay=weight_decay,
            maximize=maximize,
            clip_norm=clip_norm,
            clip_value=clip_value,
        )
        start = initial_accumulator_value
        self.require(lr_decay >= 0, f"lr_decay={lr_decay} is not a number from 0 on")
        self.require(start >= 0, f"initial_accumulator_value={start} is not a number from 0 on")
        self.require(eps >= 0, f"eps={eps} is not a number from 0 on")
        self.lr_decay = lr_decay
        self.initial_accumulator_value = initial_accumulator_value
        self.eps = eps

    def start(self, slot: str) -> float:
        return self.initial_accumulator_value

    def scalars(self, step: int) -> dict[str, float]:
        return {"lr": self.lr / (1 + (step - 1) * self.lr_decay)}

    def update(self, p: Tensor, g: Tensor, memory: Memory, scalars: Mapping[str, Tensor]) -> Update:
        g = self.decayed(p, g)
        total = memory["sum"] + g * g
        return p - g / (ops.sqrt(total) + self.eps) * scalars["lr"], {"sum": total}
