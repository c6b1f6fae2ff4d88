"""Steps as lists of ops: recorded, printed, searched for the first op that went wrong."""

from tensorgraph.plan.finite import Nonfinite, first_nonfinite
from tensorgraph.plan.record import Recorded, Recording, record

__all__ = ["Nonfinite", "Recorded", "Recording", "first_nonfinite", "record"]
