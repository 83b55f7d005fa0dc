"""Change one entry of a client's configuration, and nothing else in it.

Decides what the new text is (`changed`) and how it replaces the old one (`replace`). Leaves where the file lies to `clients`,
what the entry says to `command`.

Rules: comments, order and layout stay; the new text is read again and must say exactly the old document with the entry changed,
else nothing is written; the old file is kept beside the new one; a reader sees the old file or the new one, never a half.
"""

from __future__ import annotations

import copy
import os
import tempfile
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from sandbox.cli.install.jsonc import read, with_member, without_member
from sandbox.errors import Code, SandboxError

Entry = Mapping[str, Any]


def entry_of(file: Path, text: str, key: str, name: str) -> Any:
    """What the configuration says under that name now, or None."""
    servers = _parsed(file, text).get(key)
    return servers.get(name) if isinstance(servers, dict) else None


def changed(file: Path, text: str, key: str, name: str, entry: Entry | None) -> str:
    """The text with the entry in place, or without it; raises `SandboxError` where that cannot be done safely."""
    before = _parsed(file, text)
    if not isinstance(before.get(key, {}), dict):
        raise _refused(file, f"`{key}` is no object")
    try:
        after = _toml(text, key, name, entry) if file.suffix == ".toml" else _json(text, key, name, entry)
    except (ValueError, TOMLKitError) as error:
        raise _refused(file, str(error)) from None
    if _filled(_parsed(file, after), key) != _filled(_wanted(before, key, name, entry), key):
        raise _refused(file, f"`{name}` cannot be changed there without touching something else")
    return after


def _wanted(before: dict[str, Any], key: str, name: str, entry: Entry | None) -> dict[str, Any]:
    wanted = copy.deepcopy(before)
    if entry is not None:
        wanted.setdefault(key, {})[name] = dict(entry)
    elif isinstance(wanted.get(key), dict):
        wanted[key].pop(name, None)
    return wanted


def _filled(document: dict[str, Any], key: str) -> dict[str, Any]:
    """The document; no servers are the same as an empty list of them."""
    return {each: value for each, value in document.items() if each != key or value != {}}


def _parsed(file: Path, text: str) -> dict[str, Any]:
    try:
        value = tomllib.loads(text) if file.suffix == ".toml" else read(text).value if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise _refused(file, str(error)) from None
    if not isinstance(value, dict):
        raise _refused(file, "it is no object")
    return value


def _json(text: str, key: str, name: str, entry: Entry | None) -> str:
    if entry is None:
        return without_member(text, (key, name)) if text.strip() else text
    return with_member(text if text.strip() else "{}\n", (key, name), dict(entry))


def _toml(text: str, key: str, name: str, entry: Entry | None) -> str:
    document = tomlkit.parse(text)
    if entry is None:
        servers = document.get(key)
        if isinstance(servers, dict):
            servers.pop(name, None)
        return tomlkit.dumps(document)
    if key not in document:
        document[key] = tomlkit.table(is_super_table=True)
    document[key][name] = _table(entry)
    return tomlkit.dumps(document)


def _table(entry: Entry) -> Table:
    table = tomlkit.table()
    for key, value in entry.items():
        table[key] = value
    return table


def _refused(file: Path, why: str) -> SandboxError:
    return SandboxError(
        f"{file}: {why}",
        help="nothing was written; mend the file, or add the entry by hand: `sandbox install CLIENT … --print` shows it",
        code=Code.INVALID_FORMAT,
    )


def content(file: Path) -> str | None:
    """The file's text, None where there is none. A mark of the byte order stays in it."""
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise _refused(file, "it is no UTF-8") from None


def replace(file: Path, old: str | None, new: str) -> Path | None:
    """Put the new text in place of the old one; the path where the old one is kept, if there was one.

    Raises SandboxError where the file has changed in the meantime.
    """
    target = file.resolve()  # a link stays a link: dotfiles often are
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = None if old is None else _kept(target, old)
    _swap(target, old, new)
    return kept


def _kept(target: Path, old: str) -> Path:
    stem = f"{target.name}.{time.strftime('%Y%m%d-%H%M%S')}"
    for number in range(1000):
        path = target.with_name(f"{stem}{f'-{number}' if number else ''}.bak")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, target.stat().st_mode & 0o777)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "wb") as backup:
            backup.write(old.encode())
        return path
    raise SandboxError(f"{target}: a thousand copies were kept this second", code=Code.UNAVAILABLE)


def _swap(target: Path, old: str | None, new: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as fresh:
            fresh.write(new.encode())
            fresh.flush()
            os.fsync(fresh.fileno())
        # 0600 for a new one: people write tokens into these files.
        if old is not None:
            Path(name).chmod(target.stat().st_mode & 0o777)
        _require(target, old)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _require(target: Path, old: str | None) -> None:
    """The file is still what was read: a client that runs writes there too."""
    if content(target) != old:
        raise SandboxError(f"{target}: it was changed in the meantime", help="give the command again", code=Code.UNAVAILABLE)
