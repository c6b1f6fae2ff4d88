"""The page: the sections in their order, a style, and a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from markupsafe import Markup, escape

import tensorgraph as tg
from tensorgraph.backend import imported
from tensorgraph_report.parts import STYLE, environment, text
from tensorgraph_report.study import Study

LAST_BEFORE_STRANGERS = "robustness"
SHADES = [f"#{255 - 24 * i:02x}{255 - 17 * i:02x}{255 - 11 * i:02x}" for i in range(11)]  # to blue


class Section(NamedTuple):
    id: str
    title: str
    body: Markup


def html(study: Study) -> str:
    """The whole file, as text."""
    with matplotlib.rc_context(STYLE):
        sections = list(_sections(study))
    style = environment().get_template("style.css").render(shades=SHADES)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        environment()
        .get_template("page.html")
        .render(
            title=f"{study.data}: {study.run.get('model', {}).get('name', 'a model')}",
            policy=policy,
            style=Markup(style),
            sections=sections,
            version=metadata.version("tensorgraph"),
        )
    )


def write(path: Path, content: str) -> None:
    """In one step: a report is never half-written."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(content, "utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error


def ordered() -> list[str]:
    """The names of the sections: those of strangers come before the model's."""
    own = [name for name in tg.sections if tg.sections.plugin_of(name) == "report"]
    others = sorted(name for name in tg.sections if name not in own)
    at = own.index(LAST_BEFORE_STRANGERS) + 1
    return [*own[:at], *others, *own[at:]]


def _sections(study: Study) -> Iterator[Section]:
    for name in ordered():
        plugin = tg.sections.plugin_of(name)
        try:
            body = imported(tg.sections[name], f"section {name!r} of the report")(study)
        except Exception as error:
            if plugin == "report":
                raise
            note = f"section {name!r} of plugin {plugin!r} failed: {type(error).__name__}: {error}"
            study.notes.append(note)
            body = text(f"This section could not be made: {note}.", "missing")
        if body:
            title: Any = escape(name.replace("_", " ").capitalize())
            unbroken = body.replace(" %", "\u00a0%")  # a number and its % stay on one line
            yield Section(name.replace("_", "-"), title, Markup(unbroken))
