"""Penalties on parameters: factories of ``penalty(named_parameters)``, a scalar for the loss.

``where`` chooses the parameters: a pattern of the shell's kind for their names (``"*.weight"``,
``"0.*"``), or several. By default it is the weights: parameters named weight with two or more axes,
so neither biases nor the scales of normalisation layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from tensorgraph import Tensor, ops
from tensorgraph.errors import ConfigError

Where = str | tuple[str, ...]
Penalty = Callable[[Mapping[str, Tensor]], Tensor]

WEIGHTS = "weights"


def l1(strength: float = 1e-5, where: Where = WEIGHTS) -> Penalty:
    """strength · Σ|w|: many weights become small."""
    _check("l1", strength=strength)
    return lambda parameters: _sum("l1", parameters, where, lambda w: _l1(w) * strength)


def l2(strength: float = 1e-4, where: Where = WEIGHTS) -> Penalty:
    """strength · Σw²: large weights become smaller. PyTorch's weight_decay is twice as much."""
    _check("l2", strength=strength)
    return lambda parameters: _sum("l2", parameters, where, lambda w: _l2(w) * strength)


def elastic_net(l1: float = 1e-5, l2: float = 1e-4, where: Where = WEIGHTS) -> Penalty:
    """l1 · Σ|w| + l2 · Σw²."""
    _check("elastic_net", l1=l1, l2=l2)

    def term(w: Tensor) -> Tensor:
        return _l1(w) * l1 + _l2(w) * l2

    return lambda parameters: _sum("elastic_net", parameters, where, term)


def _l1(w: Tensor) -> Tensor:
    return ops.sum(ops.abs(w))


def _l2(w: Tensor) -> Tensor:
    return ops.sum(w * w)


def _sum(
    name: str,
    parameters: Mapping[str, Tensor],
    where: Where,
    term: Callable[[Tensor], Tensor],
) -> Tensor:
    chosen = [w for path, w in parameters.items() if _chosen(path, w, where)]
    if not chosen:
        raise ConfigError(
            f"{name}: where={where!r} chooses none of the parameters: "
            f"{', '.join(parameters) or 'there are none'}"
        )
    total = term(chosen[0])
    for w in chosen[1:]:
        total = total + term(w)
    return total


def _chosen(path: str, w: Tensor, where: Where) -> bool:
    if where == WEIGHTS:
        return path.rpartition(".")[2] == "weight" and w.ndim >= 2
    patterns = (where,) if isinstance(where, str) else where
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _check(name: str, **strengths: float) -> None:
    for option, value in strengths.items():
        if not value >= 0:
            raise ConfigError(f"{name}: {option}={value} is not a number from 0 on")
