"""A planted fault: what is made wrong, and the check that has to catch it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Fault:
    """``make()`` returns a thing of ``kind`` that ``check``, and no other, finds wrong.

    says      what the message must contain
    given     what its author gives beside it
    register  hook, name and thing that is registered for the test; None: the thing itself
    """

    check: str
    kind: str
    label: str
    make: Callable[[], Any]
    says: str
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    register: tuple[str, str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.check}-{self.kind}-{self.label}".replace(" ", "_")
