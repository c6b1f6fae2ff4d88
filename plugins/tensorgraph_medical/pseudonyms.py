"""Pseudonyms: the same one for the same patient, and no way back without this machine's key."""

from __future__ import annotations

import functools
import hmac
import os
import secrets
from pathlib import Path

from tensorgraph.errors import ConfigError

KEY = "TENSORGRAPH_PSEUDONYM_KEY"
NOTE = (
    "Patients go by pseudonyms, made with a key that stays on this machine; another machine with "
    f"the same key ({KEY}) makes the same."
)


def pseudonym(identity: str) -> str:
    return hmac.digest(_key(_file()), identity.encode(), "sha256").hex()[:16]


def _file() -> Path:
    if KEY in os.environ:
        return Path(os.environ[KEY]).expanduser()
    home = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA")
    return (Path(home) if home else Path.home() / ".config") / "tensorgraph" / "pseudonyms.key"


@functools.cache
def _key(path: Path) -> bytes:
    """That of the file; where there is none, a new one, which nobody but the user may read."""
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"the key of the patients' pseudonyms, {path}: {error.strerror}; name a file that can "
            f"be kept: {KEY}=PATH"
        ) from error
    if len(key) < 32:
        raise ConfigError(
            f"the key of the patients' pseudonyms, {path}, has {len(key)} bytes, and at least 32 "
            "are safe; remove it to have one made"
        )
    return key


def _make(path: Path) -> None:
    """Whole or not at all, and the same for all who ask at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(secrets.token_hex(32) + "\n")
    try:
        os.link(own, path)
    except FileExistsError:
        pass  # somebody was faster
    finally:
        own.unlink()
