"""For each line of a policy, in words: what it says here, and what enforces it.

The layers of the operating system are named where they hold a line again; `sandbox doctor` says which of them this machine
has.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.policy.fields import TCP
from sandbox.policy.models import PolicyDocument
from sandbox.policy.units import show_size
from sandbox.template.limits import FIELDS, show_limit
from sandbox.template.report import Note
from sandbox.template.template import Effect, EnvironmentRule, FileRule, Limits, NetworkRule, WasiTemplate

_FILES = "filesystem gate (open, stat, list, create, rename, link, remove), then the preopen and Landlock"
_SIZES = "filesystem gate and RLIMIT_FSIZE; several files at once by a watcher within 100 ms"
_FILE_ASK = "a person, asked by the filesystem gate when it is used: no answer is a no; the preopen and Landlock are open"
_FILE_DENY = "filesystem gate; the folder that holds it cannot be renamed"
_NETWORK = "HTTP gate in the worker, and again the egress gateway for the address that it dials"
_NETWORK_DENY = "HTTP and sockets gates and egress gateway, before any allow"
_TCP = "sockets gate in the worker, and again the egress gateway, which dials the address that it checked"
_BOTH = "HTTP and sockets gates in the worker, and again the egress gateway for the address that it dials"
_HTTP_LIMITS = "egress gateway: counted over all calls of the component, measured on the way"
_ENVIRONMENT = "the guest's environment holds these names and no other"
_CREDENTIAL = f"{_NETWORK}, which adds the header: the guest never has the value"
_FROM_STORE = "the host, at each call, from the secret store; no record holds the value"
_KEPT = "the host's own process: each change is measured before it is made"
_LIMITS = {
    "memory": "store limits (each memory) and RLIMIT_DATA (their sum)",
    "cpu": "the supervisor stops and continues the process, by its CPU time in each 100 ms",
    "cpu_time": "a profiling timer whose signal ends the worker",
    "wall_time": "SIGKILL by the supervisor",
    "fuel": "instruction counting in code compiled for it",
    "output": "the result is measured before it leaves the worker",
    "stdio": "pipes that are read on and cut at this size",
    "open_files": "RLIMIT_NOFILE and the filesystem gate",
    "concurrency": "the supervisor's slots for this component",
    "file_ops": "filesystem gate: calls beyond it are held back",
}


def notes_of(template: WasiTemplate, document: PolicyDocument) -> tuple[Note, ...]:
    """One note for each rule and limit; waived lines say that nothing enforces them."""
    found = dict.fromkeys((*_files(template.files), *_network(template.network), *_environment(template.environment)))
    waived = (Note(waiver.origin, waiver.field, "nothing: waived") for waiver in document.waivers)
    kept = () if (rule := template.keyvalue) is None else (Note(rule.origin, f"keyvalue {show_size(rule.max_bytes)}", _KEPT),)
    return (*found, *_limits(template.limits), *kept, *waived)


def _files(rules: tuple[FileRule, ...]) -> Iterator[Note]:
    for rule in rules:
        how = {Effect.ALLOW: _FILES, Effect.ASK: _FILE_ASK, Effect.DENY: _FILE_DENY}[rule.effect]
        yield Note(rule.origin, f"{rule.effect} {', '.join(rule.access.words)} on {rule.pattern}", how)
        for name, most in (("max_file_size", rule.max_file_bytes), ("max_total_size", rule.max_total_bytes)):
            if most is not None:
                yield Note(rule.origin, f"{name} {show_size(most)} on {rule.pattern}", _SIZES)


def _network(rules: tuple[NetworkRule, ...]) -> Iterator[Note]:
    for rule in rules:
        ports = "any port" if rule.ports is None else "port " + ", ".join(_range(bounds) for bounds in rule.ports)
        parts = [f"{rule.effect} {'/'.join(rule.protocols)} {rule.host or rule.cidr}, {ports}"]
        parts += [", ".join(rule.methods)] if rule.methods is not None else []
        parts += ["paths " + ", ".join(rule.paths)] if rule.paths is not None else []
        parts += [f"with the secret {added.secret} in {added.header}"] if (added := rule.credential) is not None else []
        how = _CREDENTIAL if added is not None else _gate_of(rule)
        yield from (
            Note(held.origin, f"{limits} on {rule.host or rule.cidr}", _HTTP_LIMITS)
            for held in rule.limits
            for limits in held.words
        )
        yield Note(rule.origin, ", ".join(parts), how if rule.effect is Effect.ALLOW else _NETWORK_DENY)


def _gate_of(rule: NetworkRule) -> str:
    if TCP not in rule.protocols:
        return _NETWORK
    return _TCP if rule.protocols == (TCP,) else _BOTH


def _environment(rules: tuple[EnvironmentRule, ...]) -> Iterator[Note]:
    for rule in rules:
        whose = "as written" if rule.value is not None else "as the host has it"
        whose = whose if rule.secret is None else f"the secret {rule.secret}"
        line = f"allow {rule.key}, {whose}" if rule.effect is Effect.ALLOW else f"deny {rule.key}"
        yield Note(rule.origin, line, _ENVIRONMENT if rule.secret is None else _FROM_STORE)


def _limits(limits: Limits) -> Iterator[Note]:
    for name, field in FIELDS.items():
        value = getattr(limits, field)
        if value is not None:
            yield Note(limits.origin(field), f"{name} {show_limit(name, value)}", _LIMITS[name])


def _range(bounds: tuple[int, int]) -> str:
    return str(bounds[0]) if bounds[0] == bounds[1] else f"{bounds[0]}-{bounds[1]}"
