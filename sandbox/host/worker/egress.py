"""The worker's way out: a loopback listener that it gives away before lockdown, and a socket to say what is asked for.

Decides nothing: the gateway answers on the listener, judges, resolves and connects. In a network namespace nobody else can
reach it; where there is none, the token in every request's path must do.
"""

from __future__ import annotations

import json
import secrets
import socket

from sandbox.host.gates import egress

_BACKLOG = 64
_TOKEN_BYTES = 16


class WorkerEgress:
    """One worker's socket to the gateway (SEQPACKET), its listener's port, its token, and the call that runs."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.call = ""
        self.token = secrets.token_hex(_TOKEN_BYTES)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(_BACKLOG)
            self.port: int = listener.getsockname()[1]
            hello = json.dumps({"listen": self.port, "token": self.token}).encode()
            socket.send_fds(sock, [hello], [listener.fileno()])

    def announce(self, number: int, method: str, scheme: str, authority: str, path: str) -> None:
        """Tell the gateway what request `number` of the current call really asks for, before it arrives."""
        said = {"method": method, "scheme": scheme, "authority": authority, "path": path}
        self._say({"call": self.call, "n": number, **said})

    def dial(self, number: int, address: str, port: int) -> None:
        """Tell the gateway where the tunnel `number` of the current call is to lead; once."""
        self._say({"call": self.call, "n": number, "dial": address, "port": port})

    def end(self, number: int, what: egress.End) -> None:
        """Tell the gateway what the guest is done with, of the tunnel `number`."""
        self._say({"call": self.call, "n": number, "end": what})

    def _say(self, message: dict[str, object]) -> None:
        self._sock.send(json.dumps(message).encode())
