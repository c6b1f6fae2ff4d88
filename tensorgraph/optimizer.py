"""Optimizer: what the optimizers of plugins are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tensorgraph import config, ops
from tensorgraph.creation import from_host, tensor
from tensorgraph.errors import ConfigError, GradientError, ShapeError
from tensorgraph.tensor import Tensor


class Optimizer:
    """Moves parameters against their gradients. Subclasses define ``update``, written in ops.

    ``lr`` may be changed between steps. ``clip_value`` holds each element of the gradients within
    ± that value; then ``clip_norm`` scales all of them so that their common norm is at most that.
    ``slots`` names the tensors kept for each parameter (momentum, …).
    """

    slots: tuple[str, ...] = ()

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        name = type(self).__name__
        several = isinstance(parameters, Iterable) and not isinstance(parameters, Tensor)
        self.parameters: list[Any] = list(parameters) if several else [parameters]
        wrong = [type(p).__name__ for p in self.parameters if not isinstance(p, Tensor)]
        if wrong:
            raise TypeError(f"{name}: takes tensors, not {wrong[0]}; give it model.parameters()")
        if not self.parameters:
            raise ConfigError(f"{name}: there are no parameters to train")
        if len(set(self.parameters)) < len(self.parameters):
            raise ConfigError(f"{name}: a parameter is given twice and would be moved twice")
        for setting, x in (("lr", lr), ("clip_norm", clip_norm), ("clip_value", clip_value)):
            if x is not None and not x >= 0:
                raise ConfigError(f"{name}: {setting}={x} is not a number from 0 on")
        self.lr, self.clip_norm, self.clip_value = lr, clip_norm, clip_value
        self.steps = 0
        self.updates = [0] * len(self.parameters)  # of each: one that was frozen has fewer
        self.memory: list[dict[str, Tensor]] = [{} for _ in self.parameters]
        self.last_moved: Sequence[int] = []  # by the last step

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        listener = config.current().listener
        for p in self.parameters:
            if listener is not None:
                listener.clear(p)
            p.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient and is not frozen."""
        if (listener := config.current().listener) is not None:
            listener.settings(self, ("lr", "steps", "last_moved"))
        moving = [
            i for i, p in enumerate(self.parameters) if p.requires_grad and p.grad is not None
        ]
        if not moving:
            raise GradientError(
                f"{type(self).__name__}: no parameter has a gradient; call loss.backward() before "
                "step(), of a loss that was made from these parameters"
            )
        with config.no_grad():
            memories = [self._memory(i) for i in moving]
            gradients = self._clipped([self.parameters[i].grad for i in moving])
            scalars = self.advance(moving)
            for i, g, memory in zip(moving, gradients, memories):
                p = self.parameters[i]
                value, new = self.update(p.detach(), g, dict(memory), scalars[i])
                for slot in self.slots:
                    memory[slot].assign(new[slot])
                p.assign(value)

    def advance(self, moving: Sequence[int]) -> dict[int, dict[str, Tensor]]:
        """Count a step of these parameters; the numbers of it for each. Those that are alike, in
        updates, dtype and backend, share them."""
        alike: dict[Any, list[int]] = {}
        for i in moving:
            p = self.parameters[i]
            alike.setdefault((self.updates[i], p.dtype, p.backend.name), []).append(i)
        names = list(self.scalars(1))
        firsts = [group[0] for group in alike.values()]

        def numbers() -> list[float]:
            self.steps += 1
            for i in moving:
                self.updates[i] += 1
            self.last_moved = moving
            return [x for i in firsts for x in self.scalars(self.updates[i]).values()]

        like = [self.parameters[i] for i in firsts for _ in names]
        made = iter(from_host(numbers, like=like))
        scalars = [{name: next(made) for name in names} for _ in alike]
        return {i: mine for group, mine in zip(alike.values(), scalars) for i in group}

    def scalars(self, step: int) -> dict[str, float]:
        """The numbers that change from step to step, which ``update`` is given as tensors;
        ``step`` counts the parameter's own updates, from 1."""
        return {"lr": self.lr}

    def update(
        self, p: Tensor, g: Tensor, memory: dict[str, Tensor], scalars: Mapping[str, Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The parameter's next value and its slots', from its gradient. Written in ops; numbers
        that never change may be Python's, those of ``self.scalars`` come as tensors."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def start(self, slot: str) -> float:
        """The value that a slot starts from."""
        return 0.0

    def _memory(self, i: int) -> dict[str, Tensor]:
        p, memory = self.parameters[i], self.memory[i]
        with config.Scope(listener=None):  # a slot is state, not a part of the step
            for slot in [slot for slot in self.slots if slot not in memory]:
                first = ops.broadcast_to(p.constant(self.start(slot)), shape=p.shape)
                memory[slot] = first + 0.0  # memory of its own, not one number many times
        return memory

    def _clipped(self, gradients: list[Any]) -> list[Tensor]:
        """PyTorch's ``clip_grad_value_``, then its ``clip_grad_norm_``."""
        if (bound := self.clip_value) is not None:
            gradients = [ops.clip(g, min=-bound, max=bound) for g in gradients]
        if self.clip_norm is not None:
            total = gradients[0].constant(0.0)
            for g in gradients:
                total = total + ops.cast(ops.sum(g * g), dtype=total.dtype)
            scale = ops.minimum(self.clip_norm / (ops.sqrt(total) + 1e-6), 1.0)
            gradients = [g * ops.cast(scale, dtype=g.dtype) for g in gradients]
        return gradients

    def state(self) -> dict[str, Any]:
        """What a resumed run needs: the numbers ``steps`` and ``lr``; the tensors ``updates`` and,
        by ``<index of the parameter>.<slot>``, the slots."""
        updates = self.parameters[0].constant(self.updates, "int64")
        named = [(f"{i}.{k}", x) for i, memory in enumerate(self.memory) for k, x in memory.items()]
        slots = {name: x.detach() for name, x in named}
        return {"steps": self.steps, "lr": self.lr, "updates": updates, **slots}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state()`` was taken; nothing is changed unless all of it fits."""
        name, n = type(self).__name__, len(self.parameters)
        updates = [int(x) for x in tensor(state.get("updates", ()))]
        slots = {f"{i}.{k}": (i, k) for i, used in enumerate(updates) if used for k in self.slots}
        odd = ", ".join(sorted(state.keys() ^ {"steps", "lr", "updates", *slots})) or "none"
        if len(updates) != n or odd != "none":
            raise ConfigError(
                f"{name}: the state is that of {len(updates)} parameters, and this is for {n} with "
                f"the slots {', '.join(self.slots) or '(none)'}; missing or not expected: {odd}"
            )
        memory: list[dict[str, Tensor]] = [{} for _ in self.parameters]
        for key, (i, slot) in slots.items():
            p = self.parameters[i]
            memory[i][slot] = x = tensor(state[key], backend=p.backend.name)
            if x.spec != p.spec:
                raise ShapeError(f"{name}: {key} in the state is {x.spec}, its parameter {p.spec}")
        self.steps, self.lr = int(state["steps"]), float(state["lr"])
        self.updates, self.memory, self.last_moved = updates, memory, []
