"""Which rates a call falls under: how many calls of some tools or of an action there may be in a time, per user, tenant, …

Pure. A rate holds over every stretch of its length, not from one full minute to the next (`sandbox.admission.spending.periods`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from sandbox.admission.request import CallRequest
from sandbox.admission.spending.counting import key_of
from sandbox.admission.spending.lines import Line, Rolling, run_of
from sandbox.config.spending import Metric, Per, Rate

_NOBODY = "-"
"""Those without a tenant, a session or a run are counted together: what is not named is no way around a rate."""


Actions = Callable[[CallRequest], frozenset[str]]
"""What a call does, as the document in force says (`sandbox.admission.sections.actions`)."""


def own_actions(request: CallRequest) -> frozenset[str]:
    """What a request does where no document says more: the caller's word, and what the template makes possible."""
    return frozenset((request.action, *request.kinds))


def rates_of(rates: Sequence[Rate], request: CallRequest, actions_of: Actions = own_actions) -> tuple[Line, ...]:
    """The rates that a request falls under, each as what it may take of it."""
    return tuple(_line(rate, request) for rate in rates if _names(rate, request, actions_of))


def _names(rate: Rate, request: CallRequest, actions_of: Actions) -> bool:
    if rate.action is not None:
        return rate.action in actions_of(request)
    return fnmatchcase(request.tool, rate.tool or "")


def _line(rate: Rate, request: CallRequest) -> Line:
    kind, of = ("tool", rate.tool) if rate.tool is not None else ("action", rate.action or "")
    return _line_of(kind, of, rate.limit, rate.per, _counted(rate.per, request))


@lru_cache(maxsize=4096)
def _line_of(kind: str, of: str, limit: str, per: Per, whom: str) -> Line:
    rate = Rate.model_validate({kind: of, "limit": limit})
    told = f"{limit} of {'the action' if kind == 'action' else 'tools'} `{of}` per {per.value}"
    key = key_of("rate", kind, of, limit, per.value, whom)
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
