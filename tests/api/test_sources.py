"""Where a component comes from: what has no digest, no certificate, no end or another content is refused before it is read."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from sandbox import ComponentError
from sandbox.errors import Code
from sandbox.registry import https
from sandbox.registry.sources import components_in, name_of, read_source
from tests.support.guests import guest
from tests.support.variants import asking

pytestmark = pytest.mark.asyncio(loop_scope="package")

BODY = guest("traps").read_bytes()
DIGEST = hashlib.sha256(BODY).hexdigest()
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def whole(body: bytes, status: str = "200 OK", head: str = "") -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body)
        await writer.drain()

    return answer


def to(location: str) -> Answer:
    return whole(b"", "302 Found", f"location: {location}\r\n")


async def huge(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(64):
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def drips(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def long_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"x-header: y\r\n" * 20_000 + b"\r\n")
    await writer.drain()


@dataclass
class Site:
    """A server of https on loopback: what it answers by path, and what it was asked."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    heads: list[bytes] = field(default_factory=list)

    def url(self, path: str = "/traps.wasm", host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            await self.answers[head.split()[1].decode()](writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has seen enough
        finally:
            writer.close()


@pytest_asyncio.fixture(loop_scope="package")
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    site = Site(answers={"/traps.wasm": whole(BODY)})
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=context)
    site.port = server.sockets[0].getsockname()[1]
    yield site
    server.close()


async def test_a_url_without_a_digest_is_not_asked(site: Site) -> None:
    with pytest.raises(ComponentError, match="has no digest") as refused:
        await read_source(site.url())
    assert "#sha256=" in str(refused.value)
    assert site.heads == []


@pytest.mark.parametrize("digest", ["sha256=12", "md5=" + "0" * 64, "sha256:" + "g" * 64, "latest"])
async def test_what_is_no_digest_is_refused(site: Site, digest: str) -> None:
    with pytest.raises(ComponentError, match="is no digest"):
        await read_source(f"{site.url()}#{digest}")
    assert site.heads == []


@pytest.mark.parametrize(
    "url", ["http://localhost/x.wasm", "ftp://localhost/x.wasm", "oci://ghcr.example/x:1", "https:///x.wasm"]
)
async def test_only_https_is_fetched(url: str) -> None:
    with pytest.raises(ComponentError, match="only https is"):
        await read_source(url, digest=DIGEST)


async def test_user_information_is_not_sent_and_not_repeated(site: Site) -> None:
    with pytest.raises(ComponentError) as refused:
        await read_source(f"https://me:hunter2@localhost:{site.port}/traps.wasm#sha256={DIGEST}")
    assert "hunter2" not in str(refused.value)
    assert site.heads == []


async def test_another_content_than_its_digest_says_is_refused(site: Site) -> None:
    with pytest.raises(ComponentError, match="another component than the one that was named"):
        await read_source(site.url(), digest="0" * 64)
    with pytest.raises(ComponentError, match="two digests"):
        await read_source(f"{site.url()}#sha256={DIGEST}", digest="0" * 64)


async def test_a_certificate_that_nobody_known_signed_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    with pytest.raises(ComponentError, match="certificate is not valid") as refused:
        await read_source(site.url(), digest=DIGEST)
    assert refused.value.code is Code.NETWORK_ERROR


async def test_a_certificate_for_another_name_is_refused(site: Site) -> None:
    with pytest.raises(ComponentError, match="certificate is not valid"):
        await read_source(site.url(host="127.0.0.1"), digest=DIGEST)


@pytest.mark.parametrize("status", ["404 Not Found", "500 Broken", "204 No Content"])
async def test_an_answer_that_is_none_is_told(site: Site, status: str) -> None:
    site.answers["/traps.wasm"] = whole(b"", status)
    with pytest.raises(ComponentError, match=f"answered {status[:3]}"):
        await read_source(site.url(), digest=DIGEST)


@pytest.mark.parametrize("location", ["http://localhost/traps.wasm", "file:///etc/passwd", "https://me:x@localhost/traps.wasm"])
async def test_a_redirect_to_anything_but_https_is_not_followed(site: Site, location: str) -> None:
    site.answers["/old.wasm"] = to(location)
    with pytest.raises(ComponentError, match="is not fetched"):
        await read_source(site.url("/old.wasm"), digest=DIGEST)


@pytest.mark.parametrize("location", ["https://[", f"https://{'a' * 70}.test/", "https://a..b/", "//%00/"])
async def test_a_redirect_to_what_is_no_url_is_a_network_error(site: Site, location: str) -> None:
    site.answers["/old.wasm"] = to(location)
    with pytest.raises(ComponentError, match="cannot be fetched") as refused:
        await read_source(site.url("/old.wasm"), digest=DIGEST)
    assert refused.value.code is Code.NETWORK_ERROR


@pytest.mark.parametrize("url", ["https://[", "https://a:99999/x.wasm", "https://a..b/x.wasm"])
async def test_what_is_no_url_is_refused(url: str) -> None:
    for digest in (None, DIGEST):
        with pytest.raises(ComponentError):
            await read_source(url, digest=digest)


async def test_redirects_are_followed_some_times_and_then_no_more(site: Site) -> None:
    site.answers |= {"/old.wasm": to("/traps.wasm"), "/loop.wasm": to("/loop.wasm")}
    assert (await read_source(site.url("/old.wasm"), digest=DIGEST)).digest == DIGEST
    with pytest.raises(ComponentError, match="redirected more than 5 times"):
        await read_source(site.url("/loop.wasm"), digest=DIGEST)


@pytest.mark.parametrize(("answer", "said"), [(huge, "has more than"), (long_head, "cannot be fetched")])
async def test_what_does_not_end_is_cut_by_its_size(site: Site, answer: Answer, said: str) -> None:
    site.answers["/traps.wasm"] = answer
    with pytest.raises(ComponentError, match=said):
        await https.fetch(site.url(), limit=1 << 20)


async def test_what_drips_is_cut_by_its_time(site: Site) -> None:
    site.answers["/traps.wasm"] = drips
    with pytest.raises(ComponentError, match=r"took longer than 0\.2s"):
        await https.fetch(site.url(), limit=1 << 20, seconds=0.2)


async def test_nobody_there_is_a_network_error() -> None:
    with pytest.raises(ComponentError) as refused:
        await read_source("https://localhost:1/x.wasm", digest=DIGEST)
    assert refused.value.code is Code.NETWORK_ERROR


async def test_a_component_by_url_is_its_bytes_and_nothing_of_this_host_is_sent(site: Site) -> None:
    site.answers["/traps.wasm?v=1"] = whole(BODY)
    source = await read_source(f"{site.url()}?v=1#sha256={DIGEST}")
    assert (source.name, source.data, source.asked) == ("traps", BODY, None)
    assert source.origin == site.url()
    names = {line.split(b":")[0].lower() for line in site.heads[-1].splitlines()[1:] if line}
    assert names == {b"host", b"user-agent", b"accept-encoding", b"connection"}


async def test_the_policy_within_a_component_by_url_is_read(site: Site, tmp_path: Path) -> None:
    data = asking(tmp_path, "traps", 'version: "2.0"\n').read_bytes()
    site.answers["/traps.wasm"] = whole(data)
    source = await read_source(site.url(), digest=hashlib.sha256(data).hexdigest())
    assert source.asked is not None
    assert source.asked.file == "sandbox-policy"


@pytest.mark.parametrize("path", ["/srv/a\0.wasm", "file:///srv/a%00.wasm"])
async def test_a_path_that_no_file_can_have_is_refused(path: str) -> None:
    with pytest.raises(ComponentError, match="NUL"):
        await read_source(path)


async def test_a_files_digest_is_held_too(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="another component"):
        await read_source(guest("traps"), digest="sha256:" + "0" * 64)
    assert (await read_source(guest("traps"), digest=f"sha256:{DIGEST}")).name == "traps"
    assert (await read_source(f"file://{guest('traps')}")).digest == DIGEST


async def test_a_folder_is_its_one_component_or_names_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="there is no component in"):
        await read_source(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.wasm").write_bytes(BODY)
    assert (await read_source(tmp_path / "one")).name == "one"
    with pytest.raises(ComponentError, match=r"`one\.wasm`, `two\.wasm`"):
        await read_source(tmp_path)
    assert [path.name for path in components_in(tmp_path)] == ["one.wasm", "two.wasm"]


async def test_a_shared_policy_is_that_of_a_folders_only_component(tmp_path: Path) -> None:
    (tmp_path / "one.wasm").write_bytes(BODY)
    (tmp_path / "policy.yaml").write_text('version: "2.0"\n')
    assert (await read_source(tmp_path / "one.wasm")).asked is not None
    (tmp_path / "two.wasm").write_bytes(BODY)
    assert (await read_source(tmp_path / "one.wasm")).asked is None
    (tmp_path / "one.policy.yaml").write_text('version: "2.0"\n')
    asked = (await read_source(tmp_path / "one.wasm")).asked
    assert asked is not None
    assert asked.file == "one.policy.yaml"


@pytest.mark.parametrize(
    ("origin", "name"), [("a b.wasm", "a-b"), ("-x.wasm", "x"), ("ü.wasm", "component"), ("x" * 90 + ".wasm", "x" * 64)]
)
async def test_a_name_is_made_that_a_folder_can_have(origin: str, name: str) -> None:
    assert name_of(origin) == name
