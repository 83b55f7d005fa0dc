"""Cases of an admission document: requests, each with the answer that is expected. A policy author's unit tests.

    document: small-team                  # the name of a document, or a file beside this one
    cases:
      - name: a member may not pay
        subject: {id: ann, roles: [member]}
        tool: billing__charge
        arguments: {amount: 12.5}
        expect: deny
        by: [admins-deploy-and-pay]       # optional: the rules that decide

Read as strictly as the document itself. A case with a `result` is about content that comes out: `becomes` is what is left of it.
A subject without `scopes` has those of a token that names none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from sandbox.admission.authorizer import Authorizer
from sandbox.admission.conditions.operators import scalar
from sandbox.admission.decision import Decision, Ruling
from sandbox.admission.document.fields import Effect, Line, Name
from sandbox.admission.document.load import load_admission_file, named_admission
from sandbox.admission.document.models import AdmissionDocument
from sandbox.admission.request import CallRequest, RequestId, Resource
from sandbox.admission.subject import TOKEN_SCOPES, Subject
from sandbox.admission.usage import Usage
from sandbox.errors import Code, PolicyError
from sandbox.policy.entries import Entry, Strict
from sandbox.policy.file import read_policy_file
from sandbox.policy.problems import in_order, nothing_written, validate
from sandbox.policy.refusal import Refusal
from sandbox.policy.tree import read_tree
from sandbox.wit.types import Digest

_LOADED = Digest("0" * 64)


def _plain(value: Any) -> Any:
    """A JSON value of a document: decimals are numbers here."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else scalar(value)


def _mapping(value: Any) -> Any:
    if not isinstance(value, dict):
        raise Refusal("a mapping is meant here", "write keys and values: `{key: value}`")
    return _plain(value)


def _names(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Plain = Annotated[dict[str, Any], BeforeValidator(_mapping)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_names)]


class Asking(Strict):
    """Who asks in a case."""

    id: Name
    roles: Names = ()
    tenant: Name | None = None
    scopes: Names | None = None
    claims: Plain = {}

    def subject(self) -> Subject:
        """The subject."""
        return Subject(self.id, self.roles, self.tenant, TOKEN_SCOPES if self.scopes is None else self.scopes, self.claims)


class Case(Entry):
    """A request, and the answer that is expected."""

    name: Line
    subject: Asking
    tool: str = ""
    component: str | None = None
    action: str = ""
    kinds: Names = ()
    resource: Plain = {}
    arguments: Plain = {}
    metadata: Plain = {}
    session: str | None = None
    usage: Plain = {}
    labels: Names | None = None
    result: Annotated[Any, BeforeValidator(_plain)] = None
    becomes: Annotated[Any, BeforeValidator(_plain)] = None
    expect: Effect
    by: Names | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.tool and not self.action:
            raise Refusal("a request is for a tool or an action", "write `tool: component__function` or `action: deploy`")
        if self.becomes is not None and self.result is None:
            raise Refusal("`becomes` is of a result, and there is none", "write `result: …` beside it")
        self.seen()
        return self

    def request(self) -> CallRequest:
        """The request."""
        attributes = {key: value for key, value in self.resource.items() if key != "name"}
        return CallRequest(
            RequestId("case"),
            self.subject.subject(),
            self.tool,
            component=self.tool.partition("__")[0] if self.component is None else self.component,
            digest=_LOADED,
            session=self.session,
            action=self.action,
            resource=Resource(str(self.resource.get("name", "")), attributes),
            arguments=self.arguments,
            metadata=self.metadata,
            kinds=self.kinds,
        )

    def seen(self) -> Usage:
        """What happened before."""
        try:
            return Usage(**self.usage, labels=frozenset(self.labels or ()))
        except TypeError as error:
            raise Refusal(f"this is no count: {error}", "the counts are those of `usage.*`") from None


class CaseFile(Strict):
    """A document's name, and cases of it."""

    document: Line
    cases: Annotated[tuple[Case, ...], Field(strict=False, min_length=1)]


@dataclass(frozen=True, slots=True)
class Tried:
    """A case, what was decided, and why that is not what was expected; None where it is."""

    case: Case
    effect: Ruling
    rules: tuple[str, ...]
    reason: str
    wrong: str | None


def load_cases(path: Path) -> tuple[CaseFile, AdmissionDocument]:
    """The cases of a file and the document that they are of; raises `PolicyError` with every problem."""
    tree = read_tree(read_policy_file(path), file=str(path))
    if not isinstance(tree.data, dict):
        problem = tree.problem((), "the cases are no mapping", "begin with `document: NAME` and `cases:`")
        raise PolicyError((*tree.problems, problem), code=Code.INVALID_FORMAT)
    cases, wrong = validate(CaseFile, tree.data, tree)
    problems = [*tree.problems, *nothing_written(tree.data, tree), *wrong]
    if problems or cases is None:
        raise PolicyError(in_order(problems), code=Code.INVALID_FORMAT if tree.problems else None)
    for at, case in enumerate(cases.cases):
        case.from_line(tree.where(("cases", at)))
    named = cases.document
    is_file = "/" in named or Path(named).suffix
    return cases, load_admission_file(path.parent / named) if is_file else named_admission(named)


def tried(cases: CaseFile, document: AdmissionDocument) -> list[Tried]:
    """Every case, decided."""
    # A duty that nobody meets denies, and whether somebody does is not the document's: every one is met here.
    duties = {duty for rule in document.rules for duty in rule.constraints.obligations}
    authorizer = Authorizer(document, handles={"retention", "log_level", *duties})
    return [_tried(case, authorizer) for case in cases.cases]


def _tried(case: Case, authorizer: Authorizer) -> Tried:
    left: Any = None
    if case.result is None:
        decision = authorizer.evaluate(case.request(), case.seen(), now=0.0)
    elif (found := authorizer.inspect(case.result)) is None:
        decision, left = Decision(Ruling.ALLOW, (), "the document says nothing of results"), case.result
    else:
        decision, left = Decision(found.effect, tuple(hit.line.name for hit in found.hits), found.reason), found.value
    return Tried(case, decision.effect, decision.rules, decision.reason, _wrong(case, decision, left))


def _wrong(case: Case, decision: Decision, left: Any) -> str | None:
    if decision.effect is not case.expect:
        return f"{decision.effect.value} instead of {case.expect.value}: {decision.reason}"
    if case.by is not None and set(case.by) != set(decision.rules):
        return f"decided by {', '.join(decision.rules) or 'nothing'} instead of {', '.join(case.by)}"
    if case.becomes is not None and left != case.becomes:
        return f"the result becomes {left!r}"
    return None
