"""What is loaded, what is frozen and until when, and how fast the rest learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph_transfer import published, weights
from tensorgraph_transfer.features import Ask, Features
from tensorgraph_transfer.parts import matching, parts
from tensorgraph_transfer.rates import discriminative

BODY = "body"  # all parts but the head


class Transfer:
    """The walk ``transfer``: of a model that has its shapes, and the keys of ``[transfer]``."""

    def __init__(
        self,
        model: tg.Layer,
        *,
        freeze: str | int | Sequence[str] = (),
        lr: float | Mapping[str, float] = 1.0,
        unfreeze: int | None = None,
        keep: bool = True,
    ) -> None:
        self.model = model
        self.parts = parts(model)
        self.unfreeze = unfreeze
        self.keep = keep
        self.frozen = self._frozen(freeze)
        self.factors = self._factors(lr)
        if len(self.frozen) == len(model.named_parameters()):
            raise ConfigError("transfer.freeze: all is frozen, and nothing is left to train")
        if unfreeze is not None and not self.frozen:
            raise ConfigError("transfer.unfreeze: nothing is frozen; say what in transfer.freeze")

    def load(self, path: str, name: str, head: str = "new") -> None:
        """Put weights into the model: those of a file, or of the package that has them for the
        model of this name. ``head="new"`` leaves the last part as it was initialised."""
        file = published.published(name).path if path == published.PRETRAINED else Path(path)
        new = self.parts[-1] if head == "new" else ()
        weights.put(self.model, weights.read(file.expanduser()), str(file), new)

    def _frozen(self, freeze: str | int | Sequence[str]) -> set[str]:
        if freeze == BODY:
            freeze = len(self.parts) - 1
        if isinstance(freeze, int):
            if freeze >= len(self.parts):
                raise ConfigError(
                    f"transfer.freeze = {freeze}: the model has {len(self.parts)} parts, and the "
                    "last is its head; freeze fewer"
                )
            return {name for part in self.parts[:freeze] for name in part}
        patterns = [freeze] if isinstance(freeze, str) else freeze
        found = [matching(self.model, pattern, "transfer.freeze") for pattern in patterns]
        return {name for names in found for name in names}

    def _factors(self, lr: float | Mapping[str, float]) -> dict[str, float]:
        """Of each parameter; a number is that between a part and the next towards the output, of
        a table the first pattern that fits counts."""
        factors = dict.fromkeys(self.model.named_parameters(), 1.0)
        if isinstance(lr, Mapping):
            for pattern in reversed([*lr]):
                for name in matching(self.model, pattern, "transfer.lr"):
                    factors[name] = lr[pattern]
        else:
            for depth, part in enumerate(reversed(self.parts)):
                factors |= dict.fromkeys(part, lr**depth)
        return factors

    def optimizer(self, kind: type[tg.Optimizer]) -> type[tg.Optimizer]:
        """The class of the optimizer for ``model.parameters()`` with these learning rates."""
        return discriminative(kind, list(self.factors.values()))

    def frozen_at(self, epoch: int) -> set[str]:
        """What is frozen in an epoch, from 0: every ``unfreeze`` epochs a part less, from the
        output on."""
        if self.unfreeze is None:
            return self.frozen
        held = [part for part in self.parts if self.frozen.intersection(part)]
        open_again = held[max(0, len(held) - epoch // self.unfreeze) :]
        return self.frozen.difference(*open_again)

    def begin(self, epoch: int) -> set[str]:
        """Freeze for an epoch, once the model is in training mode; returns what is frozen.

        A layer whose parameters are all frozen is in evaluation mode with all that is in it: its
        batch norms keep their statistics and use them, its dropout is off.
        """
        frozen = self.frozen_at(epoch)
        for name, parameter in self.model.named_parameters().items():
            parameter.requires_grad = name not in frozen
        for _, layer in self.model.layers():
            own = layer.parameters()
            if own and not any(parameter.requires_grad for parameter in own):
                layer.eval()
        return frozen

    def features(self, feed: Any, once: Callable[[Ask], Ask]) -> Features | None:
        """What gives the frozen part's features of images in the place of ``feed``, and answers
        for them in the place of the model; None where there is nothing to keep. ``once`` is told
        what is asked of each image once, and may return the same compiled."""
        return Features.of(self.model, feed, once) if self.keep else None
