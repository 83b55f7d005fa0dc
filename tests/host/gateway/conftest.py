"""A gateway process for the run, a nameserver, servers, and a certificate authority made for the run."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.host.gateway import driver, upstream


@pytest.fixture(scope="session")
def certificates() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def environment(certificates: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What names the trust store to the gateway: the run's own authority, and hostile proxies (NET-15)."""
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    certificates.cert_pem.write_to_path(str(path))
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:1")
    return {"SSL_CERT_FILE": str(path), **proxies}


@pytest.fixture
def server_context(certificates: trustme.CA) -> Callable[..., ssl.SSLContext]:
    def make(*names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificates.issue_cert(*names).configure_cert(context)
        return context

    return make


@pytest.fixture(scope="session")
def _nameserver() -> Iterator[upstream.Nameserver]:
    server = upstream.Nameserver()
    yield server
    server.close()


@pytest.fixture
def nameserver(_nameserver: upstream.Nameserver) -> upstream.Nameserver:
    """The tests' nameserver, new: nothing asked, a few names that lead to loopback; a test adds its own to `zone`."""
    _nameserver.renew({name: [("127.0.0.1",)] for name in ("ok.test", "other.test", "api.example.com")})
    return _nameserver


@pytest.fixture
def zone(nameserver: upstream.Nameserver) -> dict[str, list[tuple[str, ...]]]:
    return nameserver.zone


@pytest.fixture(scope="session")
def _gateway(_nameserver: upstream.Nameserver, environment: dict[str, str]) -> Iterator[driver.Gateway]:
    with driver.running(_nameserver.address, environment) as process:
        yield process


@pytest.fixture
def gateway(_gateway: driver.Gateway, nameserver: upstream.Nameserver) -> Iterator[driver.Gateway]:
    """The gateway process, without the workers and events of earlier tests."""
    yield _gateway
    _gateway.detach_all()


@pytest.fixture
def serve() -> Iterator[Callable[..., upstream.Upstream]]:
    """Start a server on loopback: `serve(handler, context=None, address="127.0.0.1")`."""
    started: list[upstream.Upstream] = []

    def start(handler: upstream.Handler, context: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> upstream.Upstream:
        started.append(upstream.start(handler, context, address))
        return started[-1]

    yield start
    for one in started:
        one.close()
