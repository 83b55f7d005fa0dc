"""TLS that a guest brings along: what it imports, as a folder to mount, and a server that keeps what came over the wire."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from tests.host.gateway import upstream

HANDSHAKE, APPLICATION_DATA = 22, 23


def lay_modules(folder: Path) -> None:
    """tlslite-ng and what it imports that the component has not: sources alone, for the component's Python is another.

    tlslite's own `__init__` is left out: it imports all that could speak over TLS, POP3 too, which the component has not.
    """
    for name in ("tlslite", "ecdsa", "six"):
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        if found.submodule_search_locations:
            shutil.copytree(Path(found.origin).parent, folder / name, ignore=shutil.ignore_patterns("__pycache__", "test_*"))
        else:
            shutil.copy(found.origin, folder)
    (folder / "tlslite" / "__init__.py").write_text("")
    (folder / "platform.py").write_text("")  # imported, and asked nothing outside of Jython


@dataclass
class Wire:
    """A TLS server on the far side of a plain socket, so that both directions are seen as they cross the network."""

    context: ssl.SSLContext
    fingerprint: str
    port: int = 0
    received: bytearray = field(default_factory=bytearray)
    sent: bytearray = field(default_factory=bytearray)
    heard: list[bytes] = field(default_factory=list)

    def answer(self, sock: socket.socket) -> None:
        """Shake hands, hear one line and say it backwards."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self.context.wrap_bio(incoming, outgoing, server_side=True)
        line: bytes | None = None
        while line is None:
            try:
                line = session.read()
            except ssl.SSLWantReadError:
                self._send(sock, outgoing.read())
                part = sock.recv(65536)
                if not part:
                    return
                self.received += part
                incoming.write(part)
        self.heard.append(line)
        session.write(line[::-1])
        self._send(sock, outgoing.read())

    def _send(self, sock: socket.socket, data: bytes) -> None:
        self.sent += data
        sock.sendall(data)


@contextmanager
def tls_server() -> Iterator[Wire]:
    """TLS 1.3 on loopback, with a certificate of an authority that nobody trusts: the guest is told its fingerprint."""
    certificate = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    certificate.configure_cert(context)
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    wire = Wire(context, hashlib.sha1(der).hexdigest())
    server = upstream.start(wire.answer)
    wire.port = server.port
    yield wire
    server.close()


def records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each TLS record (RFC 8446, 5.1); anything else is an error."""
    while data:
        kind, major, length = data[0], data[1], int.from_bytes(data[3:5], "big")
        assert kind in range(20, 24)
        assert major == 3
        assert len(data) >= 5 + length
        yield kind, data[5 : 5 + length]
        data = data[5 + length :]
