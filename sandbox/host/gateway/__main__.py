"""The gateway process: `python -I -m sandbox.host.gateway FD [ADDRESS:PORT]`.

FD is its control socket, ADDRESS:PORT the only nameserver to ask. Its environment is empty but for SSL_CERT_FILE and
SSL_CERT_DIR, the system's way to name its trust store, where the server was given them.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys

from sandbox.host.gateway.gateway import serve


def main(arguments: list[str]) -> None:
    """Serve until the server is gone."""
    # Ctrl-C reaches the whole group; the server decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    nameserver = parse_nameserver(arguments[1]) if len(arguments) > 1 else None
    asyncio.run(_serve_and_leave(socket.socket(fileno=int(arguments[0])), nameserver))


async def _serve_and_leave(control: socket.socket, nameserver: tuple[str, int] | None) -> None:
    await serve(control, nameserver)
    # What was reset is closed in the loop's next turn. No end by `asyncio.run`: it would wait for lookups that hang.
    await asyncio.sleep(0)
    os._exit(0)


def parse_nameserver(text: str) -> tuple[str, int]:
    """`192.0.2.1:53` or `[2001:db8::1]:53` as address and port."""
    address, _, port = text.rpartition(":")
    return address.removeprefix("[").removesuffix("]"), int(port)


if __name__ == "__main__":
    main(sys.argv[1:])
