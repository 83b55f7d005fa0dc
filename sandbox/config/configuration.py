"""The configuration of a command: every layer together, and where each value comes from.

    1. defaults      what holds where nobody says anything
    2. operator      the operator's `sandbox.yaml`
    3. environment   the `SANDBOX_…` twins
    4. flags         what the command line says
    5. project       the project folder's `sandbox.yaml`, which only takes away

Rules: a later layer wins, but for ceilings, which add up: a policy has to be inside the operator's, the project's, and the
flag's, or else the variable's, so none of them can widen the operator's; and but for `isolation: strict` in the operator's file,
which nothing takes back. All problems of all layers come at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from sandbox.config.approvals import ApprovalKeys, WebhookSection
from sandbox.config.oauth import OAuthSection
from sandbox.config.places import Places
from sandbox.config.proxy import Proxy, parse_proxy_url
from sandbox.config.read import read_file
from sandbox.config.settings import DEFAULTS, Layer, Setting
from sandbox.config.spending import BudgetSection
from sandbox.config.telemetry import Collector, in_the_clear
from sandbox.config.variables import read_variables
from sandbox.errors import PolicyError, Problem
from sandbox.policy.load import load_policy_file
from sandbox.policy.models import PolicyDocument
from sandbox.policy.named import admission_names, policy_names
from sandbox.policy.refusal import one_of, quoted

_Value = TypeVar("_Value")
_PROJECT_HELP = "write it into the operator's file: `sandbox config path` says where that is"


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says; None where it says nothing."""

    ceiling: Path | None = None
    isolation: str | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """What holds. `defaults` are policies (names, or files) by the pattern of a component's name, the first that fits holds.

    `files` are those that it was read from; `settings` say where each value comes from, the ceiling's lines do so themselves.
    """

    ceiling: PolicyDocument | None = None
    defaults: Mapping[str, Path | str] = field(default_factory=dict)
    state: str = "sqlite"
    admission: Path | str | None = None
    budgets: BudgetSection | None = None
    isolation: Literal["default", "strict"] = "default"
    max_workers: int = 16
    spares: int = 2
    lasting_in_client: bool = False
    token_file: Path | None = None
    token_variable: str | None = None
    oauth: OAuthSection | None = None
    proxy: Proxy | None = None
    telemetry: Collector | None = None
    approvals: ApprovalKeys = field(default_factory=ApprovalKeys)
    settings: tuple[Setting, ...] = ()
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def own_files(self) -> tuple[Path, ...]:
        """The operator's files that no policy may name: who writes the policy of others' defaults widens them."""
        policies = (policy for policy in self.defaults.values() if isinstance(policy, Path))
        documents = () if not isinstance(self.admission, Path) else (self.admission,)
        return (*self.files, *policies, *documents, *(() if self.token_file is None else (self.token_file,)))


def load_configuration(places: Places, environ: Mapping[str, str], flags: Flags = Flags()) -> Configuration:
    """The configuration of these files, variables and flags; raises `PolicyError` with every problem of every one."""
    problems: list[Problem] = []
    operator = _tried(problems, lambda: Layer() if places.operator is None else read_file(places.operator))
    project = _tried(problems, lambda: Layer() if places.project is None else read_file(places.project))
    variables = _tried(problems, lambda: read_variables(environ))
    flagged = _tried(problems, lambda: _flagged(flags))
    if problems or operator is None or project is None or variables is None or flagged is None:
        raise PolicyError(tuple(problems))
    settings = {key: Setting(key, value) for key, value in DEFAULTS.items()}
    settings |= _placed(operator, None if operator.file is None else operator.file.parent)
    settings |= _placed(variables, Path.cwd()) | dict(flagged.settings)
    settings, kept = _kept_strict(settings, operator)
    settings = _one_source_of_tokens(settings, (operator, variables))
    settings, warnings = _narrowed(settings, project.settings.values())
    chosen = flagged.ceiling if flagged.ceiling is not None else variables.ceiling
    ceiling = _stacked(each for each in (chosen, project.ceiling, operator.ceiling) if each is not None)
    files = tuple(layer.file for layer in (operator, project, variables, flagged) if layer.file is not None)
    return _made(settings, ceiling, files, (*kept, *warnings, *(() if ceiling is None else _said(ceiling))))


def _tried(problems: list[Problem], read: Callable[[], _Value]) -> _Value | None:
    try:
        return read()
    except PolicyError as error:
        problems += error.problems
        return None


def _flagged(flags: Flags) -> Layer:
    settings = {} if flags.isolation is None else {"isolation": Setting("isolation", flags.isolation, "--isolation")}
    ceiling = None if flags.ceiling is None else load_policy_file(flags.ceiling)
    return Layer(settings, ceiling, None if flags.ceiling is None else flags.ceiling.absolute())


def _kept_strict(settings: dict[str, Setting], operator: Layer) -> tuple[dict[str, Setting], tuple[str, ...]]:
    """`isolation: strict` of the operator's file holds, whatever a variable or a flag says."""
    said, later = operator.settings.get("isolation"), settings["isolation"]
    if said is None or said.value != "strict" or later.value == "strict":
        return settings, ()
    told = f"{later.origin}: `isolation: {later.value}` loosens nothing: {said.value} holds ({said.origin})"
    return settings | {"isolation": said}, (told,)


def _one_source_of_tokens(settings: dict[str, Setting], layers: Iterable[Layer]) -> dict[str, Setting]:
    """The later layer's file or variable takes the place of the earlier one's variable or file."""
    keys = ("auth.token_file", "auth.token_variable")
    last = [layer for layer in layers if any(key in layer.settings for key in keys)]
    return settings | {key: last[-1].settings.get(key, Setting(key, None)) for key in keys} if last else settings


def _narrowed(settings: dict[str, Setting], asked: Iterable[Setting]) -> tuple[dict[str, Setting], tuple[str, ...]]:
    """The settings under a project's; raises `PolicyError` for what no project may say."""
    problems, warnings, narrowed = [], [], dict(settings)
    for one in asked:
        rule = _NARROWER.get(one.key)
        if rule is None:
            told = f"`{one.key}` is the operator's to say: a file in a project can only narrow"
            problems.append(Problem(one.origin, one.key, told, _PROJECT_HELP))
        elif rule(one.value, settings[one.key].value):
            narrowed[one.key] = one
        elif one.value != settings[one.key].value:
            held = settings[one.key]
            warnings.append(f"{one.origin}: `{one.key}: {one.value}` narrows nothing: {held.value} holds ({held.origin})")
    if problems:
        raise PolicyError(tuple(problems))
    return narrowed, tuple(warnings)


_NARROWER: Mapping[str, Callable[[Any, Any], bool]] = {
    "isolation": lambda asked, held: (asked, held) == ("strict", "default"),
    "workers.max": lambda asked, held: asked < held,
    "workers.spares": lambda asked, held: asked < held,
    "grants.lasting_in_client": lambda asked, held: held and not asked,
}
"""What a project may say, and when it takes away."""


def _placed(layer: Layer, folder: Path | None) -> dict[str, Setting]:
    """A layer's settings, the documents that it names found: a file's path is relative to `folder`.

    Raises `PolicyError` for a name that is none.
    """
    return _with_placed_defaults(_with_placed_admission(layer, folder), folder)


def _with_placed_admission(layer: Layer, folder: Path | None) -> Layer:
    setting = layer.settings.get("admission")
    if setting is None:
        return layer
    if "/" in setting.value or Path(setting.value).suffix:
        place = str((folder or Path()).absolute() / Path(setting.value).expanduser())
        return replace(layer, settings={**layer.settings, "admission": replace(setting, value=place)})
    if setting.value not in admission_names():
        told = f"there is no admission document named {quoted(setting.value)}"
        help_ = one_of(setting.value, admission_names()) + ", or name its file"
        raise PolicyError((Problem(setting.origin, "admission", told, help_),))
    return layer


def _with_placed_defaults(layer: Layer, folder: Path | None) -> dict[str, Setting]:
    if (setting := layer.settings.get("defaults")) is None:
        return dict(layer.settings)
    problems, placed = [], {}
    for pattern, policy in setting.value.items():
        if "/" in policy or Path(policy).suffix:
            placed[pattern] = str((folder or Path()) / Path(policy).expanduser())
        elif policy in policy_names():
            placed[pattern] = policy
        else:
            told = f"there is no policy named {quoted(policy)}"
            problems.append(Problem(setting.origin, "defaults", told, one_of(policy, policy_names()) + ", or name its file"))
    if problems:
        raise PolicyError(tuple(problems))
    return {**layer.settings, "defaults": replace(setting, value=placed)}


def _stacked(ceilings: Iterable[PolicyDocument]) -> PolicyDocument | None:
    """The ceilings as one: the first, under all the others."""
    found = tuple(ceilings)
    return found[0].under(*found[1:]) if found else None


def _said(ceiling: PolicyDocument) -> tuple[str, ...]:
    return tuple(warning for each in ceiling.ceilings for warning in each.warnings)


def _collector(value: Mapping[str, Any], origin: str) -> Collector | None:
    """The collector, where one is named; without an endpoint the other keys say nothing."""
    endpoint, headers = value["telemetry.endpoint"], value["telemetry.headers"]
    if endpoint is None:
        return None
    if headers and in_the_clear(endpoint):
        told = "`telemetry.headers` hold secrets, and everybody on the way could read them"
        raise PolicyError((Problem(origin, "telemetry.endpoint", told, "write `https://…`, or take `headers` out"),))
    return Collector(endpoint, tuple(sorted(headers.items())), value["telemetry.sample"], value["telemetry.records"])


def _proxy(value: Mapping[str, Any]) -> Proxy | None:
    """The proxy, where one is named; without a URL the other keys say nothing."""
    if value["proxy.url"] is None:
        return None
    host, port = parse_proxy_url(value["proxy.url"])
    return Proxy(host, port, value["proxy.secret"], tuple(value["proxy.direct"]), value["proxy.names"])


def _webhook(value: Any) -> WebhookSection | None:
    return None if value is None else WebhookSection.model_validate(value)


def _made(
    settings: Mapping[str, Setting], ceiling: PolicyDocument | None, files: tuple[Path, ...], warnings: tuple[str, ...]
) -> Configuration:
    value = {key: one.value for key, one in settings.items()}
    token_file = None if value["auth.token_file"] is None else Path(value["auth.token_file"]).expanduser()
    return Configuration(
        ceiling=ceiling,
        defaults={pattern: Path(policy) if "/" in policy else policy for pattern, policy in value["defaults"].items()},
        state=value["state"],
        admission=Path(admission) if (admission := value["admission"]) is not None and "/" in admission else admission,
        budgets=None if value["budgets"] is None else BudgetSection.model_validate(value["budgets"]),
        isolation=value["isolation"],
        max_workers=value["workers.max"],
        spares=value["workers.spares"],
        lasting_in_client=value["grants.lasting_in_client"],
        token_file=token_file,
        token_variable=value["auth.token_variable"],
        oauth=None if value["auth.oauth"] is None else OAuthSection.model_validate(value["auth.oauth"]),
        proxy=_proxy(value),
        approvals=ApprovalKeys(wait=value["approvals.wait"], webhook=_webhook(value["approvals.webhook"])),
        telemetry=_collector(value, settings["telemetry.endpoint"].origin),
        settings=tuple(settings.values()),
        files=files,
        warnings=warnings,
    )
