"""What a person is shown before a grant or a component: exactly what would happen, and nothing that could hide it.

Decides the words. The same text is put on record.

Rules: what an agent or a component wrote is shown with every character that does not print escaped, and an agent's reason as a
quotation that is said to be one; what would have to be cut is not asked at all, since a cut question hides something; what a
terminal would be given is spelled so that a shell takes it as it is.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.changes.proposals import Proposal
from sandbox.errors import GrantError
from sandbox.policy.grants import SIZES, Lifetime
from sandbox.policy.refusal import visible
from sandbox.wit.docs import suspicions

LONGEST = 6_000
"""Characters of a question: more than that nobody reads in a dialogue."""

REASON_CHARACTERS = 300
"""Characters of an agent's reason that are kept and shown; it is no part of what is granted."""

_FOR: dict[Lifetime, str] = {
    "once": "one call",
    "session": "this session",
    "lasting": "until somebody revokes it",
}


def about_grant(proposal: Proposal, ends: str) -> str:
    """The question for a grant; `ends` says when the session does. Raises GrantError where it is too long to be shown whole."""
    change, about = proposal.change, proposal.about
    lines = [
        f"An agent asks for a permission for the component `{visible(proposal.component)}`.",
        f"Component: {visible(digest(proposal.digest))}",
        f"Permission: {proposal.effect.value} {proposal.kind}",
        *(f"  {name}: {spelled(value)}" for name, value in proposal.entry.items()),
        "It changes:",
        *(f"  + {visible(line)}" for line in change.gives),
        *(f"  - {visible(line)}" for line in change.takes),
        *([] if change.gives or change.takes else ["  nothing: it holds already"]),
        *(f"  WIDER than today: {visible(one.line)} ({visible(one.origin)})" for one in change.wider_than),
        f"For: {_FOR[about.lifetime]}{f' ({ends})' if about.session else ''}{_until(about.expires_in, about.max_uses)}",
        *_reason(about.reason),
    ]
    return whole("\n".join(lines))


def about_component(what: str, facts: Mapping[str, str], lines: Iterable[str]) -> str:
    """The question to load or to unload: what is known of the component. Raises GrantError where it is too long."""
    said = [f"An agent asks to {what} a component.", *(f"{name}: {visible(value)}" for name, value in facts.items())]
    return whole("\n".join([*said, *(visible(line) for line in lines)]))


def whole(question: str) -> str:
    """The question, if it can be shown whole."""
    if len(question) > LONGEST:
        raise GrantError("what is asked is too long to be shown to a person", help="ask for less at a time")
    return question


def terminal_command(proposal: Proposal) -> str:
    """What a person types in a terminal to grant the same: for the session that is asked for there is no more than lasting."""
    entry, about = proposal.entry, proposal.about
    words = ["sandbox", "permission", "grant", proposal.component, proposal.kind, *_SPELLED[proposal.kind](entry)]
    words += ["--expires-in", f"{about.expires_in:.0f}s"] if about.expires_in is not None else []
    words += ["--max-uses", str(about.max_uses)] if about.max_uses is not None and about.lifetime != "once" else []
    return shlex.join([*words, "--once" if about.lifetime == "once" else "--lasting"])


def spelled(value: Any) -> str:
    """A value of an entry on one line."""
    return visible(", ".join(map(str, value)) if isinstance(value, list | tuple) else value)


def digest(of: str) -> str:
    """A component's digest as it is shown."""
    return of if of.startswith("sha256:") else f"sha256:{of}"


def _reason(reason: str | None) -> list[str]:
    if not reason:
        return []
    doubts = [f"  CAREFUL: the reason {doubt}" for doubt in suspicions(reason)]
    return [f"The agent's own words, which nobody checked: “{visible(reason)}”", *doubts]


def _until(expires_in: float | None, max_uses: int | None) -> str:
    seconds = "" if expires_in is None else f", at most {expires_in:.0f} seconds"
    return seconds if max_uses is None else f"{seconds}, at most {max_uses} calls"


def _storage(entry: Mapping[str, Any]) -> list[str]:
    mount = ["--mount", entry["mount"]] if entry.get("mount") else []
    sizes = [word for key in SIZES if key in entry for word in (f"--{key.replace('_', '-')}", str(entry[key]))]
    return [entry["uri"], "--access", ",".join(entry["access"]), *mount, *sizes]


def _network(entry: Mapping[str, Any]) -> list[str]:
    options = {"port": "ports", "protocol": "protocols", "method": "methods", "path": "paths"}
    named = [word for option, key in options.items() for value in entry.get(key) or () for word in (f"--{option}", str(value))]
    return [entry["host"], *named]


def _environment(entry: Mapping[str, Any]) -> list[str]:
    value = entry.get("value")
    return [entry["key"] if value is None else f"{entry['key']}={value}"]


def _resource(entry: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in entry.items()]


_SPELLED = {"storage": _storage, "network": _network, "environment": _environment, "resource": _resource}
