"""Of a made-up run of bench/gpu.py: what it was measured on."""

CONDITIONS = {
    "commit": "0123456789abcdef",
    "dirty": False,
    "device": {"name": "NVIDIA Made-up"},
    "versions": {"cupy-cuda13x": "14.2.0", "torch": None},
    "missing": {},
}
FLAGS = {"emulated": False, "small": False, "whole": True}
