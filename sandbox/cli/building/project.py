"""A component project: the folder with a `component.toml`.

Decides what that file may say. Leaves how it is built to `languages`.

Rules: an unknown key is an error, as in a policy; a name that cannot be the component's is refused before anything is built; what
the project names lies in its folder.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sandbox.errors import Code, ComponentError, SandboxError

FILE = "component.toml"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")
"""A WIT name, which a component's file and its world have in common."""

MAX_NAME = 40
"""Clients add their own words in front of a tool's name, and all together may have 64 letters."""


def refuse_name(name: str) -> None:
    """Raise for what cannot be a component's name."""
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise SandboxError(
            f"`{name}` cannot name a component",
            help=f"words of small letters and digits with `-` between them, at most {MAX_NAME}: `word-count`",
            code=Code.INVALID_ARGUMENTS,
        )


@dataclass(frozen=True, slots=True)
class Project:
    """What a `component.toml` says. `wit` is the folder of the world, `policy` the file of what the component asks for."""

    folder: Path
    name: str
    language: str
    source: str
    world: str
    wit: str = "wit"
    policy: str = "policy.yaml"
    options: tuple[str, ...] = ()
    """Further words for the language's tool."""

    @property
    def component(self) -> Path:
        """What the build makes."""
        return self.folder / f"{self.name}.wasm"

    @property
    def source_file(self) -> Path:
        """The file that the build starts from."""
        return self.folder / self.source

    @property
    def policy_file(self) -> Path:
        """The policy that the component asks for."""
        return self.folder / self.policy

    @classmethod
    def read(cls, folder: Path, languages: tuple[str, ...]) -> Project:
        """The project in `folder`; raises ComponentError with what to write."""
        file = folder / FILE
        try:
            said = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ComponentError(
                f"{folder}: there is no `{FILE}`",
                help=f"name the folder of a project; `sandbox init NAME --language {languages[0]}` makes one",
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ComponentError(f"{file}: {error}", help='write TOML: `name = "…"`') from None
        project = cls(folder, **_checked(file, said))
        _check(file, project, languages)
        return project


def _checked(file: Path, said: dict[str, Any]) -> dict[str, Any]:
    known = [field.name for field in fields(Project) if field.name != "folder"]
    for key, value in said.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise ComponentError(f"{file}: unknown key `{key}`", help=f"did you mean `{near[0]}`?" if near else f"known: {known}")
        right = (
            isinstance(value, list) and all(isinstance(each, str) for each in value)
            if key == "options"
            else isinstance(value, str)
        )
        if not right:
            form = '["…"]' if key == "options" else '"…"'
            raise ComponentError(
                f"{file}: `{key}` is no {'list of texts' if key == 'options' else 'text'}", help=f"write `{key} = {form}`"
            )
    missing = [key for key in ("name", "language", "source", "world") if key not in said]
    if missing:
        raise ComponentError(f"{file}: `{missing[0]}` is missing", help=f'write `{missing[0]} = "…"`')
    return {**said, "options": tuple(said.get("options", ()))}


def _check(file: Path, project: Project, languages: tuple[str, ...]) -> None:
    refuse_name(project.name)
    if project.language not in languages:
        raise ComponentError(f"{file}: there is no language `{project.language}`", help=f"one of {', '.join(languages)}")
    for key, path in (("source", project.source_file), ("wit", project.folder / project.wit)):
        if not path.resolve().is_relative_to(project.folder.resolve()):
            raise ComponentError(f"{file}: `{key}` lies outside of the project: `{path}`", help="copy it into the project")
        if not path.exists():
            raise ComponentError(f"{file}: `{key}`: there is no `{path}`", help=f"write it, or name another `{key}`")
