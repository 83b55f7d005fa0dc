"""Read what a request to the API says: its path, its query, its body, its key.

Decides what is taken. Rules: strict everywhere, since what is ignored was meant by somebody; each thing that is wrong is named by
where it stands, with what to write instead. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, TypeAdapter, ValidationError

from sandbox.policy.refusal import Refusal, did_you_mean, quoted
from sandbox.server.http.api.operations import Operation
from sandbox.server.http.api.problems import BadRequest
from sandbox.server.http.request import Request
from sandbox.server.strict import read_json

KEY_PATTERN = r"^[!-~]{1,128}$"
_KEY = re.compile(r"[!-~]{1,128}", re.ASCII)
_MAX_PARAMETERS = 16
_HEADER = b"idempotency-key"
_Model = TypeVar("_Model", bound=BaseModel)


def body_of(model: type[_Model], text: bytes) -> _Model:
    """A body as the model has it. Raises BadRequest."""
    try:
        value, flaws = read_json(text)
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}", status=400) from None
    if flaws:
        raise BadRequest(f"the body is not strict JSON: {flaws[0]}", status=400)
    if not isinstance(value, dict):
        raise BadRequest("the body is no object", help="write `{…}`")
    return _validated(model, value, "body")


def query_of(model: type[_Model], text: bytes) -> _Model:
    """A query as the model has it. Raises BadRequest."""
    try:
        pairs = parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(text),
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        told = "the query cannot be read"
        raise BadRequest(told, status=400, help="write `name=value&…`, percent-encoded UTF-8") from None
    made = dict(pairs)
    if len(made) != len(pairs):
        raise BadRequest("a parameter of the query occurs twice", help="write each once")
    return _validated(model, made, "query")


def parameters_of(operation: Operation, segments: tuple[str, ...]) -> Mapping[str, str]:
    """The values of a path's parameters. Raises BadRequest."""
    try:
        found = operation.values(segments)
    except UnicodeDecodeError:
        raise BadRequest("the path is not UTF-8", status=400, help="percent-encode it as UTF-8") from None
    for name, value in found.items():
        try:
            TypeAdapter(operation.parameters[name]).validate_python(value)
        except ValidationError as error:
            raise _refused(error, f"path.{name}", ()) from None
    return found


def key_of(operation: Operation, request: Request) -> str | None:
    """The `Idempotency-Key`. Raises BadRequest for one that is none, or that would be ignored."""
    keys = request.all(_HEADER)
    if not keys:
        return None
    if not operation.once and operation.changes:
        raise BadRequest("this operation takes no `Idempotency-Key`", help="leave it out: docs/http-api.md says how to try again")
    if len(keys) != 1 or _KEY.fullmatch(keys[0]) is None:
        raise BadRequest("the `Idempotency-Key` is none", help="write up to 128 visible ASCII characters, once")
    return keys[0]


def _validated(model: type[_Model], value: dict[str, Any], where: str) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _refused(error, where, tuple(model.model_fields)) from None


def _refused(error: ValidationError, where: str, names: tuple[str, ...]) -> BadRequest:
    found = [_wrong(detail, where, names) for detail in error.errors(include_url=False, include_input=False)]
    return BadRequest("; ".join(f"{one['where']}: {one['message']}" for one in found), wrong=found)


def _wrong(detail: Any, where: str, names: tuple[str, ...]) -> dict[str, Any]:
    place, kind = ".".join([where, *map(str, detail["loc"])]), detail["type"]
    cause = (detail.get("ctx") or {}).get("error")
    if isinstance(cause, Refusal):
        return _said(place, cause.message, cause.help)
    if kind == "missing":
        return _said(place, "it is missing", "write it; it has no default")
    if kind == "extra_forbidden":
        name = str(detail["loc"][-1])
        there = ", ".join(f"`{each}`" for each in names) or "none"
        return _said(place, f"unknown key {quoted(name)}", did_you_mean(name, names) or f"the keys here are {there}")
    return _said(place, f"{detail['msg'][:1].lower()}{detail['msg'][1:]}", None)


def _said(where: str, message: str, help_: str | None) -> dict[str, Any]:
    # What a client wrote may be of any length.
    told = {"where": where[:200], "message": message[:500]}
    return told if help_ is None else {**told, "help": help_[:500]}
