"""A web application behind admission: who may read and change which report, how often, and what a report may cost.

The middleware asks for every request; a function further in is guarded again, as what the request's subject does. `who` is where
your application says who asks, from what it has verified: here a table of tokens.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.admission import Authorizer, Subject
from sandbox.admission.document.load import load_admission
from sandbox.admission.spending.memory_counts import MemoryCounts
from sandbox.admission.spending.reserving import Budgets
from sandbox.admission.spending.terms import terms_of
from sandbox.guarding import AdmissionMiddleware, Guard, guard

DOCUMENT = """
version: "1.0"
description: Readers read reports, editors change them, nobody from outside deletes one
template: strict
roles:
  reader: {permissions: [{resource: "reports/*", actions: [read]}]}
  editor:
    inherits: [reader]
    permissions:
      - {resource: "reports/*", actions: [modify, delete], conditions: {subject.tenant: sales}}
rules:
  - name: deleting-needs-somebody
    effect: require_approval
    when: {action: delete}
    message: a report is deleted when somebody has approved it
rates:
  - {action: read, per: user, limit: 3/min}
budgets:
  default_user: {max_requests: 100, period: day}
"""
TOKENS = {
    "token-of-ann": Subject("ann", roles=("reader",), tenant="sales"),
    "token-of-ben": Subject("ben", roles=("editor",), tenant="sales"),
    "token-of-cay": Subject("cay", roles=("editor",), tenant="purchase"),
}
NOBODY = Subject("")


def who(scope: MutableMapping[str, Any]) -> Subject:
    """Who asks: whoever has the token; nobody where there is none."""
    token = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
    return TOKENS.get(token, NOBODY)


def application() -> Starlette:
    """The application, in memory; budgets that outlive it lie in SQLite or Redis (`sandbox.state.usage`)."""
    authorizer = Authorizer(load_admission(DOCUMENT, file="reports"))
    by = Guard(authorizer, Budgets(MemoryCounts(), terms_of(None, authorizer.ruleset, {})))
    reports = {"q1": "all is well"}

    @guard(by, action="modify", resource="reports/{name}")
    def write(name: str, text: str) -> None:
        reports[name] = text

    async def report(request: Request) -> Response:
        name = request.path_params["name"]
        if request.method == "PUT":
            write(name, (await request.body()).decode())
        return PlainTextResponse(reports[name]) if name in reports else Response(status_code=404)

    routes = [Route("/reports/{name}", report, methods=["GET", "PUT", "DELETE"])]
    return Starlette(routes=routes, middleware=[Middleware(AdmissionMiddleware, guard=by, subject=who)])
