"""Turn a policy document into the WASI template of one component.

    1. storage      anchors, links, mounts, the ceiling → file rules and preopens
    2. network      the ceiling → network rules
    3. environment  the ceiling → names and written values, and what was taken away
    4. limits       document, else ceiling, else default
    5. notes        for every line, what enforces it here

Pure: opens no file and reads no clock; the caller gives `resolve` (realpath) and `kind`. A capability that the document does
not grant is absent from the template. The ceiling is no part of the template: each allow has been narrowed to it, exactly, so
whoever judges by the template judges by the ceiling too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sandbox.errors import Code, PolicyError
from sandbox.policy.models import PolicyDocument
from sandbox.template.environment import compile_environment, denied_variables
from sandbox.template.keyvalue import compile_keyvalue
from sandbox.template.limits import compile_limits
from sandbox.template.notes import notes_of
from sandbox.template.place import Kind, Surroundings
from sandbox.template.report import Note, Report
from sandbox.template.storage import compile_storage
from sandbox.template.template import WasiTemplate
from sandbox.template.web import compile_network
from sandbox.template.wire import to_wire
from sandbox.wit.types import Digest

__all__ = ["CompiledPolicy", "Kind", "Note", "compile_template"]


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A template, what is doubtful about it, and for each line what enforces it.

    `own_folders` are folders of the component's own data that its rules name and that must exist before a call; their
    parents too, up to the data folder.
    """

    template: WasiTemplate
    warnings: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    own_folders: tuple[str, ...] = ()


def compile_template(
    document: PolicyDocument,
    *,
    digest: Digest,
    name: str,
    ceiling: PolicyDocument | None = None,
    data_folder: str,
    home: str,
    host_environment: Mapping[str, str],
    protected: tuple[str, ...],
    resolve: Callable[[str], str],
    kind: Callable[[str], Kind] | None = None,
    shared: tuple[str, ...] = (),
) -> CompiledPolicy:
    """The template of the component `digest`, called `name` in messages.

    `data_folder` is where relative uris lie, `protected` are the host's own folders, `shared` what other
    components share; all are absolute paths. `kind` tells a
    file from a folder, by which a line that names one file is opened in the file's folder; without it `/x/**` is taken for a
    folder and a plain path for a file. Raises `PolicyError` (`compilation_failed`) with every problem.
    """
    report = Report()
    around = Surroundings(data_folder, home, host_environment, protected, resolve, kind, shared)
    parts, most = document.permissions, [each.permissions for each in ceiling.ceilings] if ceiling is not None else []
    storage = compile_storage(parts.storage, [each.storage for each in most], around, report)
    network = compile_network(parts.network, [each.network for each in most], report)
    environment = compile_environment(parts.environment, [each.environment for each in most], report)
    limits = compile_limits(parts.resources.limits, [each.resources.limits for each in most], report)
    keyvalue = compile_keyvalue(parts.state, [each.state for each in most], report)
    if report.problems:
        raise PolicyError(tuple(report.problems), code=Code.COMPILATION_FAILED)
    template = WasiTemplate(
        component=digest,
        preopens=storage.preopens,
        files=storage.rules,
        network=network,
        environment=environment,
        denied_environment=denied_variables(parts.environment, environment, bool(most), host_environment),
        limits=limits,
        keyvalue=keyvalue,
    )
    template = replace(template, generation=_generation(template, document, ceiling, name))
    warnings = (*document.warnings, *(str(waived) for waived in _waived(document)), *report.warnings)
    return CompiledPolicy(template, warnings, notes_of(template, document), storage.own_folders)


def _generation(template: WasiTemplate, document: PolicyDocument, ceiling: PolicyDocument | None, name: str) -> str:
    """A digest of all that the template was compiled from and of what came out: links on the disk are in the latter."""
    made_of = [name, document.digest, ceiling.digest if ceiling is not None else None, to_wire(template)]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def _waived(document: PolicyDocument) -> list[str]:
    return [f"{waiver.origin}: `{waiver.field}` is waived: it has no effect" for waiver in document.waivers]
