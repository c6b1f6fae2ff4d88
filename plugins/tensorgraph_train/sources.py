"""Which source reads what the user names: a dataset, or a path."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from tensorgraph.data import Source
from tensorgraph.errors import DataError, PluginError


def resolve_source(data: str, sources: Mapping[str, Source]) -> tuple[Source, Path | None]:
    """The source that ``data`` means: a registered name, or a path that one source reads."""
    if data in sources:
        if sources[data].reads and Path(data).exists():
            raise DataError(
                f"{data!r} is the name of a dataset and something here; write ./{data} for the path"
            )
        return sources[data], None
    path = Path(data).expanduser()
    if not path.exists():
        beside = [str(p) for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(data, [*sources, *beside], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"{data!r} is neither a path that exists nor the name of a dataset{hint}")
    if path.is_dir() and not any(path.iterdir()):
        raise DataError(f"{path} is an empty folder; put images into it, a subfolder per class")
    found = {name: source for name, source in sources.items() if source.accepts(path)}
    if len(found) > 1:
        raise PluginError(f"{path} is read by several sources: {', '.join(found)}; disable one")
    if not found:
        kinds = "; ".join(dict.fromkeys(s.reads for s in sources.values() if s.reads))
        if not kinds:
            raise DataError(f"{', '.join(sources)} reads no path, and {path} is given; leave one")
        raise DataError(f"{path} is of no kind that is read, which are: {kinds}")
    return next(iter(found.values())), path
