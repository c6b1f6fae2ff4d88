"""Study: a finished run as the sections of its report see it, and what they are made of."""

from __future__ import annotations

import functools
import json
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError, TensorgraphError
from tensorgraph_report import parts
from tensorgraph_report.rows import Rows, joined, with_numbers, with_texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHORTEST = 4  # letters of a name: shorter ones, such as 12, occur in any sentence


class Study:
    """A run's files, read when they are asked for; what is not there is empty.

    ``notes`` are sentences for whoever makes the report.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        if not (folder / "run.toml").is_file():
            what = "holds no run" if folder.is_dir() else "is not a folder"
            raise ConfigError(f"{folder} {what}; give the folder that 'tensorgraph train' wrote")

    # What the run's files say.

    @functools.cached_property
    def run(self) -> dict[str, Any]:
        """run.toml: every setting."""
        return self._read("run.toml", tomllib.loads) or {}

    @functools.cached_property
    def history(self) -> list[dict[str, Any]]:
        """history.jsonl: a table an epoch."""
        found = self._read("history.jsonl", lambda x: [json.loads(y) for y in x.splitlines()])
        return found or []

    @functools.cached_property
    def evaluation(self) -> dict[str, Any]:
        """evaluation.json: the figures with their intervals."""
        return self._read("evaluation.json", json.loads) or {}

    @functools.cached_property
    def audit(self) -> list[dict[str, Any]]:
        """The findings of audit.json."""
        return list((self._read("audit.json", json.loads) or {}).get("findings", ()))

    @functools.cached_property
    def shift(self) -> dict[str, Any]:
        """shift.json: the figures under changes of the images."""
        return self._read("shift.json", json.loads) or {}

    @functools.cached_property
    def provenance(self) -> dict[str, Any]:
        """provenance.json: the machine, the versions, the hashes of the data, when and how long."""
        return self._read("provenance.json", json.loads) or {}

    @functools.cached_property
    def split(self) -> Rows | None:
        """split.csv: every image, and what is known of it."""
        found: Rows | None = self._read("split.csv", with_texts)
        return found

    @functools.cached_property
    def predictions(self) -> Rows | None:
        """predictions.csv: calibrated probabilities of the images for validation and for test; of
        a cross-validation those of all folds for test."""
        found: Rows | None = self._read("predictions.csv", with_numbers)
        return found if found is not None else joined([x.tested for x in self.folds])

    @functools.cached_property
    def folds(self) -> list[Study]:
        """The runs of a cross-validation, one a fold; none of a single run."""
        inside = [path.parent for path in self.folder.glob("fold-*/run.toml")]
        return [Study(path) for path in sorted(inside, key=lambda path: (len(path.name), path))]

    @functools.cached_property
    def lines(self) -> dict[str, str]:
        """The name of each image → where it stands in predictions.csv: an image goes by that."""
        found: dict[str, str] = {}
        for fold in self.folds:
            tested = {} if fold.tested is None else dict.fromkeys(map(str, fold.tested.image))
            found |= {name: f"{fold.folder.name}, {fold.lines[name]}" for name in tested}
        if not self.folds and self.predictions is not None:
            found = {str(name): f"line {i}" for i, name in enumerate(self.predictions.image, 2)}
        return found

    @property
    def tested(self) -> Rows | None:
        """The predictions of the split that the evaluation is of."""
        rows, name = self.predictions, self.evaluation.get("split", "test")
        rows = rows.where(rows.split == name) if rows is not None else None
        return rows if rows is not None and len(rows) else None

    @functools.cached_property
    def card(self) -> dict[str, Any]:
        """What the model's file says of the model."""
        from safetensors import SafetensorError, safe_open

        path = self.folder / "model.safetensors"
        try:
            with safe_open(path, framework="numpy") as file:
                found = json.loads((file.metadata() or {}).get("tensorgraph", "{}"))
        except FileNotFoundError:
            return {}
        except (SafetensorError, ValueError) as error:
            raise DataError(f"{path}: not a whole safetensors file: {error}") from error
        return dict(found)

    @property
    def task(self) -> str:
        """ "classification", "multilabel" or "regression"."""
        return str(self.evaluation.get("task", "classification"))

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.card.get("classes") or self.evaluation.get("classes", ()))

    @property
    def data(self) -> str:
        """The name of the data, without the folders that it lies in."""
        found = self.run.get("data", {})
        return Path(found.get("path") or found.get("name") or "").name

    # The images and the model themselves.

    @functools.cached_property
    def model(self) -> tg.Layer:
        """The trained model. Raises ``PluginError`` where a plugin of it is missing."""
        found: tg.Layer = tg.plugins.walk("trained_model", self.folder)
        return found

    @functools.cached_property
    def dataset(self) -> tg.Dataset | None:
        """The run's images, or None where they cannot be read; a note says why."""
        try:
            run = self.folds[0] if self.folds else self
            found: tg.Dataset = tg.plugins.walk("run_images", run.folder)
        except (TensorgraphError, OSError) as error:
            self.notes.append(f"the images cannot be read, so the report shows none: {error}")
            return None
        return found

    @functools.cached_property
    def place(self) -> dict[str, int]:
        """The name of each image → its place in the dataset."""
        dataset = self.dataset
        return {} if dataset is None else {str(n): i for i, n in enumerate(dataset.names)}

    @functools.cached_property
    def _private(self) -> set[str]:
        """Names of images and of groups: a sentence that holds one could point to a person."""
        dataset, rows = self.dataset, self.split
        names = {str(name) for name in dataset.names} if dataset is not None else set()
        if rows is not None:
            names |= {*rows.image.tolist(), *rows.group.tolist()}
        names |= {name.rpartition("/")[2] for name in names}
        return {name for name in names if len(name) >= SHORTEST}

    def without_names(self, sentence: str) -> str:
        """A sentence of others, or, where it names an image or a group, that it does."""
        if any(name in sentence for name in self._private):
            return "(What is said here names an image or a patient; it is in the run's folder.)"
        return sentence

    # What a section is made of; each returns HTML.

    def text(self, sentence: str, kind: str = "") -> str:
        """A paragraph; of the kind "missing" in grey, of the kind "caution" with a red line."""
        return parts.text(sentence, kind)

    def table(
        self, head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str, *, folded: str = ""
    ) -> str:
        """A table whose first column names its rows; ``folded``: shown on a click on this text."""
        return parts.table(head, rows, caption, folded)

    def plot(self, width: float = 4.2, height: float = 3.2) -> Figure:
        """A figure of matplotlib's to draw in, of these inches: as wide as a narrow screen."""
        from matplotlib.figure import Figure

        return Figure((width, height), layout="constrained")

    def figure(self, figure: Figure, caption: str, alt: str) -> str:
        """A drawn figure. The caption says what is seen and how to read it; ``alt`` says the same
        to whoever cannot see it, with the figures that matter."""
        return parts.figure(figure, caption, alt)

    def beside(self, *figures: str) -> str:
        """Figures side by side, where there is room."""
        return parts.beside(figures)

    def gallery(
        self, images: Sequence[str], captions: Sequence[str], caption: str, alt: str
    ) -> str:
        """Small pictures of images of the dataset, given by their names; "" if none is there.
        ``alt`` is said of each, before its own caption."""
        dataset = self.dataset
        shown = [
            (dataset.images[np.array([self.place[name]])][0], dataset.white, own)
            for name, own in zip(images, captions, strict=True)
            if dataset is not None and name in self.place
        ]
        return parts.gallery(shown, caption, alt) if shown else ""

    def missing(self, file: str, what: str) -> str:
        """The sentence of a section whose file is not in the folder."""
        if self.folds:
            one = self.folds[0].folder
            where = (
                f"Each of the {len(self.folds)} folds has its own: 'tensorgraph report {one.name}'"
            )
            return self.text(f"{where} in this folder shows that of the first.", "missing")
        return self.text(f"This run has no {file}, so {what}.", "missing")

    def _read(self, name: str, parse: Callable[[str], Any]) -> Any:
        path = self.folder / name
        try:
            return parse(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{path}: damaged or cut short ({error}); 'tensorgraph evaluate {self.folder}' "
                "or a new run writes it again"
            ) from error
