"""Servers on loopback for the gateway to dial: plain and TLS, each connection handed to a function in a thread of its own."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Handler = Callable[[socket.socket], None]


def read_head(sock: socket.socket) -> bytes:
    """Bytes up to the empty line (and whatever came in the same packets)."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            break
        data += part
    return data


def answer(body: bytes, *, status: str = "200 OK", headers: tuple[str, ...] = ()) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers))
    return head.encode() + b"\r\n" + body


@dataclass
class Upstream:
    """A listening server; `server_names` are the SNI names it was asked for."""

    listener: socket.socket
    handler: Handler
    context: ssl.SSLContext | None = None
    connections: int = 0
    server_names: list[str | None] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def run(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            sock.settimeout(20)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
            self.handler(sock)
        except OSError as error:
            self.failures.append(error)
        finally:
            sock.close()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def start(handler: Handler, context: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> Upstream:
    upstream = Upstream(socket.create_server((address, 0)), handler, context)
    if context is not None:
        context.sni_callback = lambda _sock, name, _context: upstream.server_names.append(name)
    threading.Thread(target=upstream.run, daemon=True).start()
    return upstream


class Nameserver:
    """A UDP nameserver on loopback. `zone` maps a name to its answers, query after query (the last stays); none: silence."""

    def __init__(self) -> None:
        self.renew({})
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        threading.Thread(target=self._run, daemon=True).start()

    def renew(self, zone: dict[str, list[tuple[str, ...]]]) -> None:
        self.zone = zone
        self.asked: list[tuple[str, str]] = []
        self._turns: dict[tuple[str, str], int] = {}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._sock.getsockname()[1]}"

    def _run(self) -> None:
        while True:
            try:
                data, peer = self._sock.recvfrom(4096)
            except OSError:
                return
            if (reply := self._reply(dns.message.from_wire(data))) is not None:
                self._sock.sendto(reply.to_wire(), peer)

    def _reply(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        reply = dns.message.make_response(query)
        turns = self.zone.get(name)
        if turns is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            return reply
        if not turns:
            return None
        at = self._turns.get((name, kind), 0)
        self._turns[name, kind] = at + 1
        found = [text for text in turns[min(at, len(turns) - 1)] if (":" in text) == (kind == "AAAA")]
        if found:
            reply.answer.append(dns.rrset.from_text(question.name, 0, "IN", kind, *found))
        return reply

    def close(self) -> None:
        self._sock.close()
