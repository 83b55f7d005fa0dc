"""How often the gates of a call judged, by the kind of what was asked for: read from what they count anyhow, at its end.

Decides nothing and slows nothing: a call of the filesystem, or of the values that a component keeps, is one of its pace, a
request is counted as it leaves, a refusal as it is told.
"""

from __future__ import annotations

from sandbox.host.gates.call import Call
from sandbox.host.outcome import KINDS, kind_of_denial


def checks_of(call: Call, variables: int) -> dict[str, list[int]]:
    """Of each kind that was asked for: how often it was allowed, how often refused. `variables` were given at the start."""
    refused = dict.fromkeys(KINDS, 0)
    for (code, resource), times in call.refused.items():
        refused[kind_of_denial(code, resource)] += times
    asked = {
        "storage": 0 if call.files is None else call.files.pace.taken,
        "network": call.requests + refused["network"],
        "environment": variables + refused["environment"],
        "state": 0 if call.kept is None else call.kept.pace.taken,
    }
    allowed = {kind: max(0, asked.get(kind, 0) - refused[kind]) for kind in KINDS}
    return {kind: [allowed[kind], refused[kind]] for kind in KINDS if allowed[kind] or refused[kind]}
