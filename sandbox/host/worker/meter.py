"""What a call uses: CPU time with the timer that ends it, and memory.

The memory of a guest is read from the kernel: linear memories never shrink, so what the process's data segment has grown by
when the call ends is the most that all of them held together (with the host's own few hundred kilobytes in it).

Rules: the files of `/proc` are opened before Landlock closes it; SIGPROF has its default action and kills: nothing that the
guest or a gate does can hold it up.
"""

from __future__ import annotations

import os
import resource
import signal

_PAGE = resource.getpagesize()
_STATM_DATA = 5


class Meter:
    """The counters of one worker."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._cpu_at_start = 0.0
        self._data_without_guest = 0

    def data_bytes(self) -> int:
        """Writable private memory of the process, stack included: what RLIMIT_DATA counts, and a little more."""
        return int(os.pread(self._statm, 256, 0).split()[_STATM_DATA]) * _PAGE

    def before_guest(self) -> None:
        """Take the measure that an instance's memory is told from: now, while there is none."""
        self._data_without_guest = self.data_bytes()

    def start(self, cpu_time_ms: int) -> None:
        """Begin a call: from now on `cpu_time_ms` of CPU, all threads and host calls included, end the process."""
        self._cpu_at_start = cpu_ms()
        signal.setitimer(signal.ITIMER_PROF, cpu_time_ms / 1000)

    def stop(self) -> tuple[float, int]:
        """End a call while its store still lives: CPU time in milliseconds and the peak of its memory in bytes."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        return cpu_ms() - self._cpu_at_start, max(0, self.data_bytes() - self._data_without_guest)


def cpu_ms() -> float:
    """CPU time of the process so far, in milliseconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1000
