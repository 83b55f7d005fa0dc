"""How fast secrets are hidden in a mebibyte of log text, beside counting its line ends.

1. clean: lines of servers, of JSON, of access logs, traces, with ids, digests, paths and escaped addresses, and no secret
2. with hits: every fiftieth line has a password and a token
3. hostile: texts built against one step of the search each, a sixteenth as long; the slowest is told

    python -m benchmarks.redaction

MiB of text for a second of this process's CPU, best of rounds, and how often `bytes.count` would read the text meanwhile.
Fails where clean text costs more than `MOST_RATIO` readings by `re.findall` of its words in the same run.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from random import Random

from sandbox.redaction.redact import Redactor

MIB = 1 << 20
ROUNDS = 5
MOST_RATIO = 8.0
HOSTILE = (
    "eyJ",
    "sk-",
    "://",
    "://a:",
    "token=",
    "key ",
    "%41",
    "AAAA",
    "VVVV",
    "41",
    "\\u0041",
    "bearer ",
    "dG9rZW49YWJj ",
    "a=",
)

_random = Random(1)


def _line() -> str:
    number, bits = _random.randrange, _random.getrandbits
    at = f"2026-11-23T01:{number(60):02}:{number(60):02}.{number(10**6):06}Z"
    uuid = f"{bits(32):08x}-{bits(16):04x}-4{bits(12):03x}-8{bits(12):03x}-{bits(48):012x}"
    return _random.choice(
        (
            f"{at} INFO server.http id={uuid} method=GET path=/v1/reports/{number(9999)}/items status=200 took_ms={number(900)}",
            f"{at} DEBUG worker[{number(9999)}]: cache hit for key reports:{number(999)} size={number(10**6)} bytes, ttl 300 s",
            f'10.0.0.{number(255)} - - [23/Nov/2026:01:02:03 +0000] "GET /main.{bits(64):016x}.js?v=1%20a HTTP/1.1" 200',
            f'{{"time":"{at}","level":"info","msg":"job finished","job":"{uuid}","user":"bob@example.com","tags":["eu-west-1"]}}',
            f"{at} WARN git.fetch commit {bits(160):040x} of refs/heads/feature/some-longer-branch-name is behind",
            '  File "/usr/lib/python3.11/site-packages/package/submodule.py", line 123, in do_something_useful',
        )
    )


def _cpu(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)


def main() -> int:
    """Measure and print one JSON document."""
    lines = [_line() for _ in range(12_000)]
    clean = "\n".join(lines)[:MIB]
    token = "ghp_" + "a1B2" * 10
    hits = "\n".join(line + f" password=hunter2 {token}" * (at % 50 == 0) for at, line in enumerate(lines))[:MIB]
    redactor = Redactor([("SERVICE_TOKEN", "a value to look for"), ("PIN", "short7")])
    assert redactor.redact(clean).hidden == ()
    assert redactor.redact(hits).hidden == ("GITHUB_TOKEN", "PASSWORD")
    data, words = clean.encode(), re.compile(r"\w+")
    counting, reading = _cpu(lambda: [data.count(b"\n") for _ in range(20)]) / 20, _cpu(lambda: words.findall(clean))
    took = {"clean": _cpu(lambda: redactor.redact(clean)), "hits": _cpu(lambda: redactor.redact(hits))}
    hostile = {unit: 16 * _cpu(lambda unit=unit: redactor.redact((unit * MIB)[: MIB // 16])) for unit in HOSTILE}  # type: ignore[misc]
    slowest = max(hostile, key=lambda unit: hostile[unit])
    report = {
        "mib_per_second": {name: round(1 / taken, 1) for name, taken in (*took.items(), ("hostile", hostile[slowest]))},
        "slowest_hostile": slowest,
        "against_bytes_count": {name: round(taken / counting) for name, taken in took.items()},
        "against_findall_of_words": {name: round(taken / reading, 1) for name, taken in took.items()},
    }
    print(json.dumps(report, indent=2))
    return int(took["clean"] / reading > MOST_RATIO)


if __name__ == "__main__":
    sys.exit(main())
