"""`wasi:filesystem`, gated: which function of the gate answers which function of WASI.

Decides nothing: `opening`, `paths` and `methods` do, by the rules of the template. Defined whole, at the version that
Wasmtime itself defines, so that nothing of its own is left for a guest to reach.
"""

from __future__ import annotations

from wasmtime.component import ResourceType

from sandbox.host.gates.call import Call
from sandbox.host.gates.filesystem import answers, methods, opening, paths
from sandbox.host.gates.filesystem.answers import Refusal
from sandbox.host.gates.filesystem.descriptors import DESCRIPTOR, DIRECTORY_ENTRY_STREAM, Files
from sandbox.host.gates.filesystem.methods import Method
from sandbox.host.gates.native.interface import Handler, Interface
from sandbox.host.gates.native.passthrough import Passthrough

VERSION = "0.2.12"
_DESCRIPTOR: dict[str, Method] = {
    **methods.METHODS,
    "open-at": opening.open_at,
    "stat-at": paths.stat_at,
    "metadata-hash-at": paths.metadata_hash_at,
    "create-directory-at": paths.create_directory_at,
    "remove-directory-at": paths.remove_directory_at,
    "unlink-file-at": paths.unlink_file_at,
    "readlink-at": paths.readlink_at,
    "symlink-at": paths.symlink_at,
    "set-times-at": paths.set_times_at,
    "rename-at": paths.rename_at,
    "link-at": paths.link_at,
}


def interfaces(passthrough: Passthrough) -> tuple[Interface, ...]:
    """`types` and `preopens`."""
    kept = {
        "descriptor": (ResourceType.host(DESCRIPTOR), _dropped),
        "directory-entry-stream": (ResourceType.host(DIRECTORY_ENTRY_STREAM), _dropped),
    }
    native = tuple((name, passthrough.resources[name], None) for name in ("input-stream", "output-stream", "error"))
    types = Interface(
        f"wasi:filesystem/types@{VERSION}",
        (
            *((f"[method]descriptor.{name}", _answered(method)) for name, method in _DESCRIPTOR.items()),
            ("[method]descriptor.is-same-object", _plain(methods.is_same_object)),
            ("[method]directory-entry-stream.read-directory-entry", _answered(methods.read_directory_entry)),
            ("filesystem-error-code", _plain(methods.filesystem_error_code)),
        ),
        (*((name, kind, drop) for name, (kind, drop) in kept.items()), *native),
    )
    directories = ("get-directories", _plain(methods.get_directories))
    descriptor = ("descriptor", *kept["descriptor"])
    return types, Interface(f"wasi:filesystem/preopens@{VERSION}", (directories,), (descriptor,))


def close(call: Call) -> None:
    """Free what the gate kept for a call."""
    if call.files is not None:
        call.files.close()
        call.files = None


def _files(call: Call) -> Files:
    if call.files is None:
        call.files = Files(call)
    files: Files = call.files
    return files


def _answered(method: Method) -> Handler:
    """A function that answers with a `result`: a refusal becomes its error."""

    def handler(call: Call, arguments: int, results: int) -> None:
        files = call.files or _files(call)
        files.pace.left -= 1
        if files.pace.left < 0:
            files.pace.hold(call.report)
        try:
            method(files, arguments, results)
        except Refusal as refusal:
            answers.refuse(results, refusal.code)
        except OSError as error:  # what the system says of a guest's file is for the guest
            answers.refuse(results, answers.code_of(error))

    return handler


def _plain(method: Method) -> Handler:
    """A function whose answer has no error."""

    def handler(call: Call, arguments: int, results: int) -> None:
        files = call.files or _files(call)
        files.pace.left -= 1
        if files.pace.left < 0:
            files.pace.hold(call.report)
        method(files, arguments, results)

    return handler


def _dropped(call: Call, rep: int) -> None:
    _files(call).dropped(rep)
