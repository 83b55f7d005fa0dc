"""One decision: `Authorizer.admit()` at 10 and 10,000 rules, beside cedarpy, casbin and a plain list of rules, in one process.

All decide the same thing: a call of one tool with one path is allowed by one rule, and the other rules are about other tools, of
which none can match. Microseconds for one decision, the median; `ratio` is ours at 10,000 rules over ours at 10. Patterns and a
store of counts are not part of it: `python -m benchmarks.budgets` has the store.

    python -m benchmarks.admission
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import casbin  # type: ignore[import-untyped]
import cedarpy

from sandbox.admission import Authorizer, CallRequest, Ruling, Subject, new_request_id
from sandbox.admission.document.models import AdmissionDocument, Rule
from sandbox.wit.types import Digest

SIZES = (10, 10_000)
RIVAL_SIZES = (1, 10, 1_000)
TOOL, PATH = "files__read", "/data/report.txt"
REQUEST = CallRequest(new_request_id(), Subject.local("ann"), TOOL, "files", Digest("0" * 64), arguments={"path": PATH})
CASBIN_MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""


def document(rules: int) -> AdmissionDocument:
    """One rule that allows the call, and others about other tools."""
    mine = Rule(name="mine", effect=Ruling.ALLOW, when={"tool": TOOL, "arguments.path": {"starts_with": "/data/"}})
    others = (
        Rule(name=f"rule-{at}", effect=Ruling.DENY, priority=at % 5, when={"tool": f"tool{at}__run", "arguments.path": "/x"})
        for at in range(rules - 1)
    )
    return AdmissionDocument(version="1.0", rules=(*others, mine))


def ours(rules: int) -> Callable[[], bool]:
    """A decision of this project, with the admission that it makes."""
    authorizer = Authorizer(document(rules))
    return lambda: authorizer.admit(REQUEST, now=0.0).admission is not None


def naive(rules: int) -> Callable[[], bool]:
    """A list of rules, each asked in turn: what an index is measured against."""
    listed: list[tuple[str, Callable[[str], bool], bool]] = [
        (f"tool{at}__run", lambda path: path == "/x", False) for at in range(rules - 1)
    ]
    listed.append((TOOL, lambda path: path.startswith("/data/"), True))

    def decide() -> bool:
        matching = [allows for tool, holds, allows in listed if tool == REQUEST.tool and holds(REQUEST.arguments["path"])]
        return bool(matching) and all(matching)

    return decide


def cedar(rules: int) -> Callable[[], bool]:
    """Cedar by its Python binding: texts in, as its API is."""
    others = "".join(
        f'forbid(principal, action, resource == Tool::"tool{at}__run") when {{ context.path == "/x" }};\n'
        for at in range(rules - 1)
    )
    mine = f'permit(principal, action, resource == Tool::"{TOOL}") when {{ context.path like "/data/*" }};\n'
    asked = {
        "principal": 'User::"ann"',
        "action": 'Action::"invoke"',
        "resource": f'Tool::"{TOOL}"',
        "context": {"path": PATH},
    }
    entities = json.dumps([])
    return lambda: cedarpy.is_authorized(asked, others + mine, entities).allowed


def casbin_(rules: int) -> Callable[[], bool]:
    """Casbin with a model of subject, object and action; conditions on arguments are not part of it."""
    model = casbin.Enforcer.new_model(text=CASBIN_MODEL)
    enforcer = casbin.Enforcer(model)
    for at in range(rules - 1):
        enforcer.add_policy("ann", f"tool{at}__run", "invoke")
    enforcer.add_policy("ann", TOOL, "invoke")
    return lambda: bool(enforcer.enforce("ann", TOOL, "invoke"))


def median_us(decide: Callable[[], bool], seconds: float = 0.5) -> float:
    """The median of one decision, in microseconds."""
    assert decide(), "it allows"
    for _ in range(20):
        decide()
    times: list[int] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        begun = time.perf_counter_ns()
        decide()
        times.append(time.perf_counter_ns() - begun)
    return round(statistics.median(times) / 1000, 2)


def beside_each_other(decisions: dict[str, Callable[[], bool]], rounds: int = 40) -> dict[str, float]:
    """The median of each, taken in turns: what else this machine does meets all of them alike."""
    times: dict[str, list[int]] = {name: [] for name in decisions}
    for _ in range(rounds):
        for name, decide in decisions.items():
            for _ in range(500):
                begun = time.perf_counter_ns()
                decide()
                times[name].append(time.perf_counter_ns() - begun)
    return {name: round(statistics.median(took) / 1000, 2) for name, took in times.items()}


def measured() -> dict[str, Any]:
    """Every figure."""
    mine = beside_each_other({f"ours_{rules}": ours(rules) for rules in SIZES})
    ratio = round(mine[f"ours_{SIZES[1]}"] / mine[f"ours_{SIZES[0]}"], 2)
    naives = {f"naive_{rules}": median_us(naive(rules)) for rules in SIZES}
    rivals = {
        f"{name}_{rules}": median_us(made(rules))
        for name, made in (("cedarpy", cedar), ("casbin", casbin_))
        for rules in RIVAL_SIZES
    }
    nothing = Authorizer()
    alone = median_us(lambda: nothing.admit(REQUEST, now=0.0).admission is not None)
    return {**mine, "ratio": ratio, "without_document": alone, **naives, **rivals}


def main() -> None:
    """Print the figures as JSON."""
    print(json.dumps(measured(), indent=2))


if __name__ == "__main__":
    main()
