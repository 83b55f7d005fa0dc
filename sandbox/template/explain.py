"""May this template read that path, reach that URL, see that variable, and which line says so.

Asks the same indexes that the gates ask, and puts the answer in words for a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.policy.fields import EVERY_PROTOCOL, TCP
from sandbox.policy.network_cover import DEFAULT_PORTS
from sandbox.policy.refusal import quoted
from sandbox.template.environment import EnvironmentRules
from sandbox.template.files import FileRules
from sandbox.template.network import NetworkRules
from sandbox.template.template import Access, WasiTemplate


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether it may be, the line that decided (None: no line allows it), and the answer in one sentence.

    `asked` is of a no that a person may turn into a yes at the moment of use.
    """

    allowed: bool
    origin: str | None
    line: str
    asked: bool = False


def explain_file(template: WasiTemplate, path: str, wanted: Access) -> Explanation:
    """About a real absolute host path, links resolved."""
    rules = FileRules(template.files)
    decision = rules.decide(path, wanted)
    words = " and ".join(wanted.words)
    if decision.allowed:
        return Explanation(True, decision.origin, f"{words} {quoted(path)}: allowed by {decision.origin}")
    missing = " and ".join(decision.missing.words)
    if not decision.missing & ~rules.asked(path):
        origin = rules.asking(path, decision.missing)
        return Explanation(False, origin, f"{words} {quoted(path)}: {missing} after a person's yes, by {origin}", asked=True)
    return Explanation(False, decision.origin, f"{words} {quoted(path)}: {missing} denied, {_why(decision.origin)}")


def explain_url(template: WasiTemplate, url: str, method: str = "GET") -> Explanation:
    """About a request, or a connection (`tcp://db.internal:5432`), as far as it is known before the name is resolved."""
    asked = quoted(url) if url.startswith(f"{TCP}:") else f"{method} {quoted(url)}"
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError as error:
        return Explanation(False, None, f"{asked}: denied, it is no URL ({error})")
    if parts.scheme not in EVERY_PROTOCOL or not parts.hostname:
        return Explanation(False, None, f"{asked}: denied, only http, https and tcp leave this host")
    if not port:
        return Explanation(False, None, f"{asked}: denied, a connection needs a port: `{url}:5432`")
    path = "/" if parts.scheme == TCP else parts.path or "/"
    rules = NetworkRules(template.network)
    decision = rules.decide(parts.scheme, parts.hostname, port, method, path)
    if decision.allowed:
        then = "where its addresses are public or a `cidr` rule names them"
        limits = () if parts.scheme == TCP else rules.limits(parts.scheme, parts.hostname, port, method, path)
        held = " or ".join(", ".join(word for one in line for word in one.words) for line in limits)
        then += f", under {held}" if held else ""
        return Explanation(True, decision.origin, f"{asked}: allowed by {decision.origin}, {then}")
    return Explanation(False, decision.origin, f"{asked}: denied, {decision.reason or _why(decision.origin)}")


def explain_environment(template: WasiTemplate, name: str) -> Explanation:
    """About a variable; whether the host has it is not said."""
    decision = EnvironmentRules(template.environment).decide(name)
    if decision.allowed:
        whose = "the host's value" if decision.value is None else "the value written there"
        whose = whose if decision.secret is None else f"the secret {quoted(decision.secret)}"
        return Explanation(True, decision.origin, f"{quoted(name)}: {whose}, allowed by {decision.origin}")
    origin = decision.origin or dict(template.denied_environment).get(name)
    return Explanation(False, origin, f"{quoted(name)}: not shown, {_why(origin)}")


def _why(origin: str | None) -> str:
    return "no line allows it" if origin is None else f"by {origin}"
