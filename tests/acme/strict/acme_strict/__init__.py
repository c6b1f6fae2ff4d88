"""A backend over array-api-strict: what runs on it needs nothing beyond the array API standard."""

import tensorgraph
from tensorgraph.hookspecs import RegisterBackend


def make() -> tensorgraph.Backend:
    from acme_strict.backend import StrictBackend  # only here is the array library imported

    return StrictBackend()


@tensorgraph.hookimpl
def register_backends(register: RegisterBackend) -> None:
    register("strict", make)
