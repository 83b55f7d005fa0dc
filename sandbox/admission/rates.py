"""Which rates a call falls under: how many calls of some tools or of an action there may be in a time, per user, tenant, …

Pure. A rate holds over every stretch of its length, not from one full minute to the next (`sandbox.admission.periods`).
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from sandbox.admission.counting import key_of
from sandbox.admission.lines import Line, Rolling, run_of
from sandbox.admission.request import CallRequest
from sandbox.config.spending import Metric, Per, Rate

_NOBODY = "-"
"""Those without a tenant, a session or a run are counted together: what is not named is no way around a rate."""


def rates_of(rates: Sequence[Rate], request: CallRequest) -> tuple[Line, ...]:
    """The rates that a request falls under, each as what it may take of it."""
    return tuple(_line(rate, request) for rate in rates if _names(rate, request))


def _names(rate: Rate, request: CallRequest) -> bool:
    if rate.action is not None:
        return rate.action == request.action or rate.action in request.kinds
    return fnmatchcase(request.tool, rate.tool or "")


def _line(rate: Rate, request: CallRequest) -> Line:
    whom, of = _counted(rate.per, request), rate.tool or rate.action or ""
    told = f"{rate.limit} of {'the action' if rate.tool is None else 'tools'} `{of}` per {rate.per.value}"
    kind = "action" if rate.tool is None else "tool"
    key = key_of("rate", kind, of, rate.limit, rate.per.value, whom)
    return Line(f"rates.{kind}.{of}", told, Metric.REQUESTS, key, Rolling(rate.length_ms), rate.count)


def _counted(per: Per, request: CallRequest) -> str:
    match per:
        case Per.USER:
            return request.subject.id
        case Per.TENANT:
            return request.subject.tenant or _NOBODY
        case Per.SESSION:
            return request.session or _NOBODY
        case Per.RUN:
            return run_of(request) or _NOBODY
        case Per.COMPONENT:
            return request.component or _NOBODY
        case Per.TOOL:
            return request.tool or _NOBODY
        case Per.GLOBAL:
            return ""
