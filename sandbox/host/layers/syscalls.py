"""System call numbers of the machines whose filter we know, and the calls that Python and wasmtime-wasi need at work.

The list is what a worker was seen to need, by family; what a C library chooses between has both of its names.
Source: Linux, arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

AUDIT_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_STREAMS = """read write readv writev pread64 pwrite64 preadv pwritev pwritev2 lseek close dup dup3 pipe2 eventfd2 splice
    sendfile copy_file_range"""
# Landlock and the gate say which files.
_FILES = """openat openat2 fstat newfstatat statx getdents64 mkdirat unlinkat renameat renameat2 linkat symlinkat readlinkat
    faccessat faccessat2 ftruncate fallocate fsync fdatasync fadvise64 utimensat getcwd"""
# Of the connection to the gateway and the host's own sockets; making one is judged by argument.
_SOCKETS = "connect sendto recvfrom sendmsg recvmsg shutdown setsockopt getsockopt getsockname getpeername"
_WAITING = """poll ppoll epoll_create1 epoll_ctl epoll_wait epoll_pwait nanosleep clock_nanosleep clock_gettime clock_getres
    gettimeofday futex sched_yield setitimer getrusage restart_syscall"""
_PROCESS = """munmap mremap madvise brk rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack set_robust_list rseq membarrier
    sched_getaffinity getpid gettid exit exit_group getrandom"""

ALLOWED = frozenset(f"{_STREAMS} {_FILES} {_SOCKETS} {_WAITING} {_PROCESS}".split())
"""Allowed whatever the arguments. `sandbox.host.layers.seccomp` judges the others that it names by argument."""

_X86_64 = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12,
    "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "pwrite64": 18, "readv": 19,
    "writev": 20, "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32, "nanosleep": 35, "setitimer": 38, "getpid": 39,
    "sendfile": 40, "socket": 41, "connect": 42, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47, "shutdown": 48,
    "getsockname": 51, "getpeername": 52, "socketpair": 53, "setsockopt": 54, "getsockopt": 55, "clone": 56, "exit": 60,
    "fcntl": 72, "fsync": 74, "fdatasync": 75, "ftruncate": 77, "getcwd": 79, "gettimeofday": 96, "getrusage": 98,
    "sigaltstack": 131, "prctl": 157, "gettid": 186, "futex": 202, "sched_getaffinity": 204, "getdents64": 217,
    "restart_syscall": 219, "fadvise64": 221, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
    "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233, "tgkill": 234, "openat": 257, "mkdirat": 258, "newfstatat": 262,
    "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "readlinkat": 267, "faccessat": 269, "ppoll": 271,
    "set_robust_list": 273, "splice": 275, "utimensat": 280, "epoll_pwait": 281, "fallocate": 285, "eventfd2": 290,
    "epoll_create1": 291, "dup3": 292, "pipe2": 293, "preadv": 295, "pwritev": 296, "prlimit64": 302, "renameat2": 316,
    "getrandom": 318, "membarrier": 324, "copy_file_range": 326, "pwritev2": 328, "statx": 332, "rseq": 334,
    "clone3": 435, "openat2": 437, "faccessat2": 439,
}  # fmt: skip

_AARCH64 = {
    "getcwd": 17, "eventfd2": 19, "epoll_create1": 20, "epoll_ctl": 21, "epoll_pwait": 22, "dup": 23, "dup3": 24, "fcntl": 25,
    "ioctl": 29, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "ftruncate": 46,
    "fallocate": 47, "faccessat": 48, "openat": 56, "close": 57, "pipe2": 59, "getdents64": 61, "lseek": 62, "read": 63,
    "write": 64, "readv": 65, "writev": 66, "pread64": 67, "pwrite64": 68, "preadv": 69, "pwritev": 70, "sendfile": 71,
    "ppoll": 73, "splice": 76, "readlinkat": 78, "newfstatat": 79, "fstat": 80, "fsync": 82, "fdatasync": 83,
    "utimensat": 88, "exit": 93, "exit_group": 94, "futex": 98, "set_robust_list": 99, "nanosleep": 101, "setitimer": 103,
    "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "sched_getaffinity": 123, "sched_yield": 124,
    "restart_syscall": 128, "tgkill": 131, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135,
    "rt_sigreturn": 139, "getrusage": 165, "prctl": 167, "gettimeofday": 169, "getpid": 172, "gettid": 178, "socket": 198,
    "socketpair": 199, "connect": 203, "getsockname": 204, "getpeername": 205, "sendto": 206, "recvfrom": 207,
    "setsockopt": 208, "getsockopt": 209, "shutdown": 210, "sendmsg": 211, "recvmsg": 212, "brk": 214, "munmap": 215,
    "mremap": 216, "clone": 220, "mmap": 222, "fadvise64": 223, "mprotect": 226, "madvise": 233, "prlimit64": 261,
    "renameat2": 276, "getrandom": 278, "membarrier": 283, "copy_file_range": 285, "pwritev2": 287, "statx": 291,
    "rseq": 293, "clone3": 435, "openat2": 437, "faccessat2": 439,
}  # fmt: skip

NUMBERS = {"x86_64": _X86_64, "aarch64": _AARCH64}
"""By machine; a call that a machine does not have is not in its table."""
