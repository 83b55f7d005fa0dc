"""Put a function behind admission: `@guard(authorizer, action="read", resource="reports/{name}")`.

Decides how a call of a function reads as a request; the rest is `sandbox.guarding.procedure`.

Rules: what of its arguments is JSON is what conditions see, and the record. A list or a number of Python's that JSON cannot carry
(NaN, a nesting without end) is refused. Anything else is not there: in a condition that is "cannot tell", and where content rules
look at arguments it does not pass. The values that are decided about are copies: a function that changes its arguments changes
no decision. A field of `resource` that an argument does not fill in, or that holds `/`, `:` or `*`, is refused: it would name
another resource. A method that needs an approval is refused: nothing says which object it is called on.
When a call of a coroutine or a generator is over: `sandbox.guarding.ends`.
"""

from __future__ import annotations

import functools
import inspect
import json
import string
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, cast

from sandbox.admission import Authorizer, CallRequest, Decision, Resource, Ruling, Subject, canonical_json, new_request_id
from sandbox.admission.spending.reserving import A_TOOL_CALL, Amounts
from sandbox.errors import Code
from sandbox.guarding.ends import after, settled_at_its_end
from sandbox.guarding.procedure import ARGUMENTS, Guard, digest_of_arguments
from sandbox.guarding.subjects import subject_now

P = ParamSpec("P")
R = TypeVar("R")
WhoAsks = Subject | Callable[[Mapping[str, Any]], Subject] | None
_APART = frozenset("/:*")
_RECEIVERS = ("self", "cls")


def guard(
    by: Guard | Authorizer,
    *,
    action: str = "",
    tool: str = "",
    resource: str = "",
    subject: WhoAsks = None,
    session: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    estimate: Amounts = A_TOOL_CALL,
    wait: float = 0.0,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have every call of a function admitted first. A call that is refused raises NotAdmitted.

    A coroutine function stays one, and a generator function: it is admitted when it is begun, and settled at its end.

    `action` is the function's name where nothing is said. `resource` may name arguments: `reports/{name}`. `subject` is who asks,
    or works that out of the arguments; without it, it is the request's that an `AdmissionMiddleware` lets through, else nobody.
    With `wait` a coroutine function waits so many seconds for a person, where its call needs an approval.
    A parameter named `account` is given the call's `Account`, to charge what it spends; `estimate` is what is reserved before it.
    """
    procedure = by if isinstance(by, Guard) else Guard(by)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        takes_account = "account" in signature.parameters
        named = action or function.__name__
        first = next(iter(signature.parameters), "")
        receiver = first if first in _RECEIVERS else ""

        def requested(*args: Any, **kwargs: Any) -> CallRequest:
            given = {**kwargs, "account": None} if takes_account else kwargs
            bound = signature.bind(*args, **given)
            bound.apply_defaults()
            asks = subject_now() if subject is None else subject if isinstance(subject, Subject) else subject(bound.arguments)
            plain = CallRequest(new_request_id(), asks, tool, session=session, action=named, metadata=metadata or {})
            try:
                seen, left_out = _json_of(bound.arguments)
                digest, about = digest_of_arguments(seen), Resource(_named(resource, bound.arguments))
            except _RefusedError as error:
                raise procedure.refused(plain, error.decision, error.code) from None
            return replace(plain, arguments_digest=digest, resource=about, arguments=seen, left_out=left_out)

        def nameless(request: CallRequest) -> str:
            """The parameter for the object that a method is called on, where the request does not say which."""
            return "" if receiver in request.arguments else receiver

        async def answered(args: Any, kwargs: Mapping[str, Any]) -> None:
            request = requested(*args, **kwargs)
            if not nameless(request):
                await procedure.answered(request, wait)

        @contextmanager
        def admitted(args: Any, kwargs: Mapping[str, Any]) -> Iterator[Any]:
            request = requested(*args, **kwargs)
            with procedure.running(request, estimate, receiver=nameless(request)) as account:
                yield {**kwargs, "account": account} if takes_account else kwargs

        guarded = settled_at_its_end(function, admitted)
        guarded = after(answered, function, guarded) if wait else guarded
        return cast("Callable[P, R]", functools.wraps(function)(guarded))

    return decorate


class _RefusedError(Exception):
    """What cannot be asked for."""

    def __init__(self, decision: Decision, code: Code | None = None) -> None:
        super().__init__(decision.reason)
        self.decision, self.code = decision, code


def _json_of(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A copy of those that are JSON, and the names of the others; an object that a method is called on is no argument."""
    found, left_out = {}, []
    for number, (name, value) in enumerate(arguments.items()):
        try:
            found[name] = json.loads(canonical_json(value))
        except ValueError:
            raise _RefusedError(ARGUMENTS, Code.INVALID_ARGUMENTS) from None
        except TypeError:
            left_out += [] if number == 0 and name in _RECEIVERS else [name]
    found.pop("account", None)
    return found, tuple(left_out)


def _named(pattern: str, arguments: Mapping[str, Any]) -> str:
    named = []
    for text, name, _, _ in string.Formatter().parse(pattern):
        named.append(text)
        if name is None:
            continue
        value = arguments.get(name)
        if not isinstance(value, str | int) or not str(value) or _APART & set(str(value)) or str(value) in (".", ".."):
            said = f"`{name}` names no part of the resource `{pattern}`"
            raise _RefusedError(Decision(Ruling.DENY, ("resource",), said))
        named.append(str(value))
    return "".join(named)
