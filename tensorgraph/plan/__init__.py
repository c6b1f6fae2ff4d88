"""Steps as lists of ops."""

from tensorgraph.plan.record import Recorded, Recording, record

__all__ = ["Recorded", "Recording", "record"]
