"""Recorded steps as launches in memory of their own, replayed as one CUDA graph."""
