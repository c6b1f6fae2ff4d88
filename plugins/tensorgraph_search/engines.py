"""What is tried next: at random, or what Optuna makes of what was tried before.

An engine is a function of the space, the seed, the number of the trial and the trials so far (their
values, and how good they were: larger is better). It keeps nothing between calls, so that a search
that was stopped goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from tensorgraph.errors import ConfigError
from tensorgraph_search.space import Choice, Range, Space

Values = Mapping[str, Any]
Told = Sequence[tuple[Values, float]]
Engine = Callable[[Space, int, int, Told], Values]


def random(space: Space, seed: int, number: int, told: Told) -> Values:
    """Each key by itself, whatever came before (Bergstra and Bengio, 2012)."""
    return {key: one.draw(Random(f"{seed}/{number}/{key}")) for key, one in space.items()}


def optuna(space: Space, seed: int, number: int, told: Told) -> Values:
    """Where good trials are dense and bad ones are not: Optuna's tree-structured Parzen
    estimator."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            f"search.engine: {error.name} is not installed; pip install 'tensorgraph[search]'"
        ) from None

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # numbers stand for the values of a choice, which may be anything that TOML can hold
    distributions = {key: _distribution(optuna.distributions, one) for key, one in space.items()}
    sampler = optuna.samplers.TPESampler(seed=Random(f"{seed}/{number}").getrandbits(32))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for values, goodness in told:
        params = {
            key: one.values.index(values[key]) if isinstance(one, Choice) else values[key]
            for key, one in space.items()
        }
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, value=goodness)
        )
    asked = study.ask(distributions).params
    return {
        key: one.values[asked[key]] if isinstance(one, Choice) else asked[key]
        for key, one in space.items()
    }


def _distribution(kinds: Any, one: Choice | Range) -> Any:
    if isinstance(one, Choice):
        return kinds.CategoricalDistribution(list(range(len(one.values))))
    if isinstance(one, Range) and one.whole:
        return kinds.IntDistribution(int(one.low), int(one.high), log=one.log)
    return kinds.FloatDistribution(one.low, one.high, log=one.log)


ENGINES: Mapping[str, Engine] = {"random": random, "optuna": optuna}
