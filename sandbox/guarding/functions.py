"""Put a function behind admission: `@guard(authorizer, action="read", resource="reports/{name}")`.

Decides how a call of a function reads as a request; the rest is `sandbox.guarding.procedure`.

Rules: what of its arguments is JSON is what conditions see, and the record; anything else is not there, which in a condition is
"cannot tell". The values that are decided about are copies: a function that changes its arguments changes no decision. A field of
`resource` that an argument does not fill in, or that holds `/`, `:` or `*`, is refused: it would name another resource.
"""

from __future__ import annotations

import functools
import inspect
import json
import string
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar, cast

from sandbox.admission import Authorizer, CallRequest, Decision, Resource, Ruling, Subject, canonical_json, new_request_id
from sandbox.admission.denied import not_admitted
from sandbox.admission.spending.reserving import A_TOOL_CALL, Amounts
from sandbox.guarding.procedure import Account, Guard, digest_of_arguments
from sandbox.guarding.subjects import subject_now

P = ParamSpec("P")
R = TypeVar("R")
WhoAsks = Subject | Callable[[Mapping[str, Any]], Subject] | None
_APART = frozenset("/:*")


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
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have every call of a function admitted first; a coroutine function stays one. A call that is refused raises NotAdmitted.

    `action` is the function's name where nothing is said. `resource` may name arguments: `reports/{name}`. `subject` is who asks,
    or works that out of the arguments; without it, it is the request's that an `AdmissionMiddleware` lets through, else nobody.
    A parameter named `account` is given the call's `Account`, to charge what it spends; `estimate` is what is reserved before it.
    """
    procedure = by if isinstance(by, Guard) else Guard(by)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        takes_account = "account" in signature.parameters
        named = action or function.__name__

        def running(*args: Any, **kwargs: Any) -> AbstractContextManager[Account]:
            given = {**kwargs, "account": None} if takes_account else kwargs
            bound = signature.bind(*args, **given)
            bound.apply_defaults()
            seen = _json_of(bound.arguments)
            asks = subject_now() if subject is None else subject if isinstance(subject, Subject) else subject(bound.arguments)
            request = CallRequest(
                new_request_id(),
                asks,
                tool,
                arguments_digest=digest_of_arguments(seen),
                session=session,
                action=named,
                resource=Resource(_named(resource, bound.arguments)),
                arguments=seen,
                metadata=metadata or {},
            )
            return procedure.running(request, estimate)

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with running(*args, **kwargs) as account:
                return function(*args, **_with(kwargs, account if takes_account else None))

        @functools.wraps(function)
        async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            with running(*args, **kwargs) as account:
                return await cast("Any", function)(*args, **_with(kwargs, account if takes_account else None))

        return cast("Callable[P, R]", guarded_async) if inspect.iscoroutinefunction(function) else guarded

    return decorate


def _with(kwargs: Mapping[str, Any], account: Account | None) -> Any:
    return kwargs if account is None else {**kwargs, "account": account}


def _json_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of those that JSON can carry."""
    found = {}
    for name, value in arguments.items():
        try:
            found[name] = json.loads(canonical_json(value))
        except (TypeError, ValueError):
            continue
    found.pop("account", None)
    return found


def _named(pattern: str, arguments: Mapping[str, Any]) -> str:
    named = []
    for text, name, _, _ in string.Formatter().parse(pattern):
        named.append(text)
        if name is None:
            continue
        value = arguments.get(name)
        if not isinstance(value, str | int) or not str(value) or _APART & set(str(value)) or str(value) in (".", ".."):
            said = f"`{name}` names no part of the resource `{pattern}`"
            raise not_admitted(Decision(Ruling.DENY, ("resource",), said))
        named.append(str(value))
    return "".join(named)
