"""What `--read`, `--url`, `--env` and `--limit` ask of a template, as questions."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace

from sandbox.template.advice import Question
from sandbox.template.template import Access

_ACCESS = {"read": Access.READ, "write": Access.WRITE, "create": Access.CREATE, "delete": Access.DELETE}


def asked(arguments: Namespace) -> Iterator[Question]:
    """Every question of a command line; paths are told as they are written."""
    paths: dict[str, Access] = {}
    for word, access in _ACCESS.items():
        for path in getattr(arguments, word) or ():
            paths[path] = paths.get(path, Access.NONE) | access
    yield from (Question("storage", path, access) for path, access in paths.items())
    yield from (Question("network", url, method=arguments.method.upper()) for url in arguments.url or ())
    yield from (Question("environment", name) for name in arguments.env or ())
    for limit in arguments.limit or ():
        name, equals, value = limit.partition("=")
        yield Question("resource", name, value=value if equals else None)


def resolved(question: Question) -> Question:
    """The question about the real path: rules are about where links end."""
    return replace(question, target=os.path.realpath(question.target)) if question.kind == "storage" else question
