"""The operations of an operator's program: look at grants, give one, take one back.

Decides who may: whoever gives or takes has `admin` beside `resources:write`, since the tokens of agents have the latter, and an
agent gives nothing in its own name. What a grant means is `Sandbox`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.changes.granting import About
from sandbox.errors import Code, NotFound
from sandbox.in_force.views import grant_json
from sandbox.policy import grants as policy
from sandbox.policy.effect import Effect
from sandbox.server.http.api.catalogue import page_of, seen_by
from sandbox.server.http.api.models import Grant, GrantId, GrantPage, NewGrant, Revoked
from sandbox.server.http.api.operations import ADMIN, READ, WRITE, Asked, Example, Link, Operation
from sandbox.server.http.api.queries import GrantsAsked

_ID = "g-0123456789ab"
_ENTRY = {"host": "api.example.com", "protocols": ["https"]}
_GRANT = {
    "id": _ID,
    "component": "fetch",
    "digest": "0" * 64,
    "kind": "network",
    "effect": "allow",
    "entry": _ENTRY,
    "who": "operator",
    "why": "for the weather",
    "created_at": "2026-11-23T02:00:00.000Z",
    "expires_at": "2026-11-23T03:00:00.000Z",
    "max_uses": None,
    "uses": 0,
    "lifetime": "lasting",
    "session": None,
}
_NO_GRANT = "There is no grant of that id, or it has ended"
_THIS = {"grant_id": "$response.body#/id"}


async def _grants(asked: Asked) -> GrantPage:
    query: GrantsAsked = asked.query
    await asked.sandbox.sync()
    found = await _told(asked, query.component)
    page, following = page_of(found, lambda one: one.id, query.after, query.limit)
    return GrantPage(grants=tuple(map(_shown, page)), next=following)


async def _grant(asked: Asked) -> Grant:
    await asked.sandbox.sync()
    return _shown(await _found(asked))


async def _give(asked: Asked) -> Grant:
    wanted: NewGrant = asked.body
    # A component that is not there is said first: its grant could be anything.
    asked.sandbox.get_policy(wanted.component)
    entry = policy.make_entry(wanted.kind, wanted.entry, wanted.effect)
    about = About(asked.who.id, wanted.reason, wanted.expires_in_s, wanted.max_uses, wanted.lifetime)
    proposal = asked.sandbox.propose(wanted.component, wanted.kind, entry, about=about, effect=wanted.effect)
    return _shown(await asked.sandbox.grant_proposed(proposal))


async def _revoke(asked: Asked) -> Revoked:
    await asked.sandbox.sync()
    grant = await _found(asked)
    receipt = await asked.sandbox.revoke(grant.id)
    return Revoked(grant=grant.id, stopped_calls=len(receipt.every_stop), unconfirmed_servers=receipt.unconfirmed)


async def _told(asked: Asked, component: str | None = None) -> Sequence[policy.Grant]:
    """The grants of a component, or of all: of those that the subject is told of."""
    found = asked.sandbox.grants(component)
    if asked.sees_all:
        return found
    there = {one.name for one in (await seen_by(asked))[0]}
    return [one for one in found if one.component_name in there]


async def _found(asked: Asked) -> policy.Grant:
    wanted = asked.parameters["grant_id"]
    found = next((one for one in await _told(asked) if one.id == wanted), None)
    if found is None:
        help_ = "GET /api/v1/grants lists those that hold"
        raise NotFound(f"no grant `{wanted}` holds", help=help_, code=Code.GRANT_NOT_FOUND)
    return found


def _shown(grant: policy.Grant) -> Grant:
    told = grant_json(grant)
    entry = {key: "…" if key == "value" else each for key, each in grant.entry.items()}
    return Grant.model_validate({**told, "effect": Effect(grant.effect).value, "entry": entry})


GRANTS = (
    Operation(
        id="listGrants",
        method="GET",
        path="grants",
        summary="List the grants that hold",
        description="By id, of all components or of one.",
        scopes=(READ,),
        does=_grants,
        gives=GrantPage,
        query=GrantsAsked,
        example=Example(answer={"grants": [_GRANT], "next": None}),
        links=(Link("getGrant", {"grant_id": "$response.body#/grants/0/id"}),),
    ),
    Operation(
        id="giveGrant",
        method="POST",
        path="grants",
        summary="Give a component more, or deny it something",
        description="One line of a policy, which holds from the next call. It is inside the operator's ceiling or it is refused. "
        "Needs a token with `admin`: an agent gives nothing in its own name. Said twice it is given twice.",
        scopes=(WRITE, ADMIN),
        needs_token=True,
        does=_give,
        takes=NewGrant,
        gives=Grant,
        changes=True,
        status=201,
        example=Example(
            body={
                "component": "fetch",
                "kind": "network",
                "entry": _ENTRY,
                "reason": "for the weather",
                "expires_in_s": 3600,
            },
            answer=_GRANT,
        ),
        refusals={404: "There is no component of that name"},
        links=(Link("getGrant", _THIS), Link("revokeGrant", _THIS)),
    ),
    Operation(
        id="getGrant",
        method="GET",
        path="grants/{grant_id}",
        summary="Show a grant",
        description="While it holds.",
        scopes=(READ,),
        does=_grant,
        gives=Grant,
        parameters={"grant_id": GrantId},
        example=Example(answer=_GRANT),
        refusals={404: _NO_GRANT},
    ),
    Operation(
        id="revokeGrant",
        method="DELETE",
        path="grants/{grant_id}",
        summary="Revoke a grant",
        description="Ends it for good; running calls that held what it gave are stopped before the answer comes.",
        scopes=(WRITE, ADMIN),
        needs_token=True,
        does=_revoke,
        gives=Revoked,
        parameters={"grant_id": GrantId},
        changes=True,
        example=Example(answer={"grant": _ID, "stopped_calls": 1, "unconfirmed_servers": []}),
        refusals={404: _NO_GRANT},
    ),
)
