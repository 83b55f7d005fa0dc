"""Sizes and times as a policy writes them, and as numbers.

A number without its unit is refused: `64` may mean bytes, pages or megabytes, and a limit that is misread is no limit.
Sizes are binary (`Ki`, `Mi`, `Gi`), as in Kubernetes; times are `ms`, `s`, `m`, `h`; rates are `/s`,
of requests `/s`, `/min`, `/h`; a share of a core is in thousandths, `500m`.
"""

from __future__ import annotations

import re

from sandbox.policy.refusal import Refusal, quoted

_SIZE = re.compile(r"([1-9][0-9]{0,11})(Ki|Mi|Gi)", re.ASCII)
_TIME = re.compile(r"([1-9][0-9]{0,8})(ms|s|m|h)", re.ASCII)
_RATE = re.compile(r"([1-9][0-9]{0,6})/s", re.ASCII)
_REQUESTS = re.compile(r"([1-9][0-9]{0,4})/(s|min|h)", re.ASCII)
_CPU = re.compile(r"([1-9][0-9]{1,4})m", re.ASCII)
_BYTES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}

MAX_BYTES = 1 << 40
MAX_MILLISECONDS = 24 * 3_600_000
SIZE_PATTERN = r"^[1-9][0-9]{0,11}(Ki|Mi|Gi)$"
TIME_PATTERN = r"^[1-9][0-9]{0,8}(ms|s|m|h)$"
RATE_PATTERN = r"^[1-9][0-9]{0,6}/s$"
CPU_PATTERN = r"^[1-9][0-9]{1,4}m$"
REQUESTS_PATTERN = r"^[1-9][0-9]{0,4}/(s|min|h)$"


def parse_size(text: str) -> int:
    """`64Mi` as bytes; raises `Refusal`."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Refusal(f"{quoted(text)} is no size", _size_help(text))
    size = int(match[1]) * _BYTES[match[2]]
    if size > MAX_BYTES:
        raise Refusal(f"{quoted(text)} is more than this host counts", "write at most `1024Gi`")
    return size


def parse_time(text: str) -> int:
    """`500ms`, `2s`, `1m`, `1h` as milliseconds; raises `Refusal`."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise Refusal(f"{quoted(text)} is no time", "write a whole number and `ms`, `s`, `m` or `h`: `500ms`, `2s`")
    time = int(match[1]) * _MILLISECONDS[match[2]]
    if time > MAX_MILLISECONDS:
        raise Refusal(f"{quoted(text)} is longer than a call may take", "write at most `24h`")
    return time


def parse_rate(text: str) -> int:
    """`1000/s` as a number a second; raises `Refusal`."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise Refusal(f"{quoted(text)} is no rate", "write a whole number a second: `1000/s`")
    return int(match[1])


def parse_cpu(text: str) -> int:
    """`500m` as thousandths of a core; raises `Refusal`."""
    match = _CPU.fullmatch(text)
    if match is None:
        raise Refusal(
            f"{quoted(text)} is no share of a core", "write thousandths from `10m`: `500m` is half a core, `1000m` a whole one"
        )
    return int(match[1])


def show_cpu(thousandths: int) -> str:
    """A share of a core as a policy writes it."""
    return f"{thousandths}m"


def parse_requests(text: str) -> tuple[int, int]:
    """`60/min` as a number and the seconds in which so many may be made; raises `Refusal`."""
    match = _REQUESTS.fullmatch(text)
    if match is None:
        raise Refusal(
            f"{quoted(text)} is no rate of requests", "write a whole number up to 99999, and `/s`, `/min` or `/h`: `60/min`"
        )
    return int(match[1]), _SECONDS[match[2]]


def show_requests(count: int, seconds: int) -> str:
    """A rate of requests as a policy writes it."""
    unit = next(name for name, held in _SECONDS.items() if held == seconds)
    return f"{count}/{unit}"


def show_size(size: int) -> str:
    """Bytes as a policy writes them, rounded up to whole KiB where need be."""
    for unit in ("Gi", "Mi"):
        if size % _BYTES[unit] == 0 and size:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{-(-size // 1024)}Ki"


def show_time(milliseconds: int) -> str:
    """Milliseconds as a policy writes them."""
    for unit in ("h", "m", "s"):
        if milliseconds % _MILLISECONDS[unit] == 0 and milliseconds:
            return f"{milliseconds // _MILLISECONDS[unit]}{unit}"
    return f"{milliseconds}ms"


def _size_help(text: str) -> str:
    number = re.match(r"[1-9][0-9]*", text, re.ASCII)
    return f"write a whole number and `Ki`, `Mi` or `Gi`: `{number[0] if number else '64'}Mi`"
