"""What the kernel counts for the whole process: memory of all kinds together, CPU time, descriptors, file size.

`RLIMIT_DATA` holds the sum of all linear memories: Wasmtime's reservations are PROT_NONE and are not counted until they
grow. `RLIMIT_AS` would count the reservations.

Rules: soft and hard limit are the same (of CPU time, a second apart), so a process that is taken over cannot raise them again.
"""

from __future__ import annotations

import resource
import signal

_LOCKED_BYTES = 0
_THREADS = 128


def apply(*, descriptors: int, own_user_namespace: bool) -> None:
    """The limits that do not depend on a template. NPROC counts every process of the user unless we have a namespace."""
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_NOFILE, descriptors)
    _set(resource.RLIMIT_MEMLOCK, _LOCKED_BYTES)
    _set(resource.RLIMIT_MSGQUEUE, 0)
    if own_user_namespace:
        _set(resource.RLIMIT_NPROC, _THREADS)


def limit_memory(data_bytes: int) -> None:
    """Bound all writable private memory of the process together."""
    _set(resource.RLIMIT_DATA, data_bytes)


def limit_files(length: int) -> None:
    """Bound the length of every file that is written: the write beyond it fails, the signal with it is ignored.

    The soft limit may be lowered and raised again below it, as the files that are open demand (`gates/filesystem/sizes.py`).
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _set(resource.RLIMIT_FSIZE, length)


def limit_descriptors(descriptors: int) -> None:
    """Bound the descriptors that are open at once."""
    _set(resource.RLIMIT_NOFILE, descriptors)


def limit_cpu(seconds: int) -> None:
    """Bound the CPU time of the process's life: SIGXCPU ends it. The backstop behind each call's timer."""
    # At the hard limit the kernel sends SIGKILL, which could be anybody's.
    _set(resource.RLIMIT_CPU, seconds, hard=seconds + 1)


def _set(kind: int, value: int, *, hard: int | None = None) -> None:
    """Lower soft and hard limit to `value` (the hard one to `hard`), or to the hard limit that is already lower."""
    _, most = resource.getrlimit(kind)
    wanted = [limit if most == resource.RLIM_INFINITY else min(limit, most) for limit in (value, value if hard is None else hard)]
    resource.setrlimit(kind, (wanted[0], wanted[1]))


def probe() -> str | None:
    """None where memory, CPU, descriptors and core dumps are bounded."""
    kinds = {"data": resource.RLIMIT_DATA, "cpu": resource.RLIMIT_CPU, "fsize": resource.RLIMIT_FSIZE}
    loose = [name for name, kind in kinds.items() if resource.getrlimit(kind)[0] == resource.RLIM_INFINITY]
    if resource.getrlimit(resource.RLIMIT_CORE)[0]:
        loose.append("core")
    return f"not limited: {', '.join(loose)}" if loose else None
