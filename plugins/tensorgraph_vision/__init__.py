"""Image sources and formats, splits and reference models; all imported on first use."""

from __future__ import annotations

import difflib
import importlib
import inspect
from pathlib import Path
from typing import Any

from tensorgraph import hookimpl
from tensorgraph.data import Dataset
from tensorgraph.errors import ConfigError
from tensorgraph.hookspecs import Register
from tensorgraph_vision import efficientnet, models, resnet

SOURCES = {
    "digits": "",
    "idx": "a folder with MNIST's four IDX files (train-images-idx3-ubyte[.gz], …)",
    "medmnist": "an .npz in MedMNIST's layout (train_images, train_labels, …)",
    "folder": "a folder of images (png, jpg, tif, bmp, or what plugins add), a subfolder per class",
    "csv": "a .csv or .tsv manifest with the columns path, label and optionally split, patient, …",
    "image": "a single image file",
}
OF_FILES = ("cache", "workers")  # every run says these; they are nothing to who reads no files


class OnUse:
    """A source whose module, ``tensorgraph_vision.sources.<name>``, is imported on first use."""

    def __init__(self, name: str, reads: str) -> None:
        self.name = name
        self.reads = reads

    def accepts(self, path: Path) -> bool:
        return bool(self.reads) and bool(self._module().accepts(path))

    def load(self, path: Path | None, **options: Any) -> Dataset:
        if path is None and self.reads:
            raise ConfigError(f"{self.name!r} reads {self.reads}: give its path, not the name")
        load = self._module().load
        known = list(inspect.signature(load).parameters)[1:]
        if "options" in known:
            known[-1:] = importlib.import_module("tensorgraph_vision.files").OPTIONS
        options = {k: v for k, v in options.items() if k in known or k not in OF_FILES}
        for option in options.keys() - known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{self.name!r} has no option {option!r}{hint}")
        dataset: Dataset = load(path, **options)
        return dataset

    def _module(self) -> Any:
        return importlib.import_module(f"tensorgraph_vision.sources.{self.name}")

    def __repr__(self) -> str:
        return f"<source {self.name}>"


@hookimpl
def register_datasets(register: Register) -> None:
    for name, reads in SOURCES.items():
        register(name, OnUse(name, reads))


@hookimpl
def register_formats(register: Register) -> None:
    register("picture", "tensorgraph_vision.pictures:pictures")


@hookimpl
def register_walks(register: Register) -> None:
    register("split", "tensorgraph_vision.regroup:regroup")


@hookimpl
def register_models(register: Register) -> None:
    for name in ("lenet5", "mlp", "neuron", "simple_cnn", "small_cnn", "small_cnn3d", "vgg_small"):
        register(name, getattr(models, name))
    for name in ("resnet18", "resnet50"):
        register(name, getattr(resnet, name))
    register("efficientnet_lite0", efficientnet.efficientnet_lite0)
