"""The Python evaluator and the page reader in JavaScript, as a client has them: hosts granted singly, code that goes wrong."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.components.served import Served, own_policy, served
from tests.components.tls_guest import APPLICATION_DATA, HANDSHAKE, Wire, lay_modules, records, tls_server
from tests.support.components import python_component, web_component
from tests.support.redis_server import redis_server

pytestmark = pytest.mark.timeout(400)
"""Both are compiled first, and one is built where `make` has not done so: seconds, or minutes on a machine that is busy."""

HTML = "text/html; charset=utf-8"
PAGE = """<!doctype html><title> A &amp; B </title><script>if (a < b) document.write("<p>no")</script>
<h1>Hé <em>llo</em></h1><p>Some <b> bold </b>text, a <a href="x?a=1&amp;b=2">link</a><br>&#x1F600; 3 < 4 &nope;
<ul><li>one<li>two<ol start=3><li>three</ol></ul><pre><code class="language-py">a  = 1
</code></pre><table><tr><th>A<th>B|C<tr><td>1<td>2</table><blockquote>quoted</blockquote>"""
MARKDOWN = """# Hé *llo*

Some **bold** text, a [link]({base}/x?a=1&b=2)
😀 3 < 4 &nope;

- one
- two
  3. three

```py
a  = 1
```

| A | B\\|C |
| --- | --- |
| 1 | 2 |

> quoted"""


class Site(http.server.BaseHTTPRequestHandler):
    """Pages by path."""

    pages: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {
        "/page": (200, {"content-type": HTML}, PAGE.encode()),
        "/json": (200, {"content-type": "application/json"}, b'{"a": 1}'),
        "/gone": (404, {"content-type": "text/plain"}, b"no such page"),
        "/latin": (200, {"content-type": "text/html; charset=iso-8859-1"}, "<p>é “q”".encode("cp1252")),
        "/meta": (200, {"content-type": "text/html"}, b"<meta charset=windows-1252><p>\x80"),
        "/wide": (200, {"content-type": "text/plain"}, "é😀".encode("utf-16")),
        "/bytes": (200, {"content-type": "text/plain"}, b"a\xff\xc3(\xed\xa0\x80\x00b"),
        "/koi": (200, {"content-type": "text/html; charset=koi8-r"}, b"<p>"),
        "/png": (200, {"content-type": "image/png"}, b"\x89PNG"),
        "/faces": (200, {"content-type": "text/plain"}, "😀".encode() * 1000),
        "/large": (200, {"content-type": "text/plain"}, b"x" * (5 << 20)),
        "/unclosed": (200, {"content-type": HTML}, b'<p>text<a href="' * 20_000),
        "/once": (302, {"location": "/page"}, b""),
        "/round": (302, {"location": "/round"}, b""),
        "/away": (302, {"location": "http://127.0.0.2:9/"}, b""),
    }

    def do_GET(self) -> None:
        status, headers, body = self.pages[self.path]
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the component has read enough

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """A web server on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Both under their own policies, which name no host; without Node.js the first alone."""
    components = {python_component(): own_policy("python")}
    if shutil.which("npm"):
        components[web_component()] = own_policy("web")
    with served(tmp_path_factory.mktemp("large"), components) as large:
        yield large


@pytest.fixture(scope="module")
def web(large: Served, base: str) -> Served:
    """The page reader, granted the web server by the command that its refusal names."""
    if not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    refused = large.fails("web__fetch", url=f"{base}/page")
    assert (refused["code"], refused["tried"]["host"]) == ("network_access_denied", "127.0.0.1")
    large.granted_as_told(refused)
    port = base.rpartition(":")[2]
    large.terminal("permission", "grant", "web", "network", "--cidr", "127.0.0.1/32", "--port", port, "--protocol", "http")
    return large


def test_a_page_is_given_as_markdown(web: Served, base: str) -> None:
    page = web.gives("web__fetch", url=f"{base}/page#part")
    assert page["text"] == MARKDOWN.format(base=base)
    assert (page["title"], page["status"], page["url"], page["cut"]) == ("A & B", 200, f"{base}/page", False)
    assert web.gives("web__fetch", url=f"{base}/page", form="raw")["text"] == PAGE
    assert "**" not in web.gives("web__fetch", url=f"{base}/page", form="text")["text"]
    assert web.gives("web__links", url=f"{base}/page") == [{"text": "link", "url": f"{base}/x?a=1&b=2"}]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("latin", "é “q”"),
        ("meta", "€"),
        ("wide", "é😀"),
        ("bytes", "a\ufffd\ufffd(\ufffd\ufffd\ufffd\x00b"),
        ("json", '{"a": 1}'),
        ("gone", "no such page"),
    ],
)
def test_bytes_are_read_as_their_charset_says(web: Served, base: str, path: str, text: str) -> None:
    assert web.gives("web__fetch", url=f"{base}/{path}")["text"] == text


def test_a_text_is_given_in_parts_and_no_letter_is_cut(web: Served, base: str) -> None:
    page = web.gives("web__fetch", url=f"{base}/faces", most=1001)
    text = page["text"]
    while page["next"]:
        page = web.gives("web__fetch", url=f"{base}/faces", most=1001, start=page["next"])
        text += page["text"]
    assert text == "😀" * 1000


def test_what_is_too_large_is_cut_and_says_so(web: Served, base: str) -> None:
    page = web.gives("web__fetch", url=f"{base}/large", most=10)
    assert (page["text"], page["total"], page["cut"]) == ("x" * 10, 2 << 20, True)
    assert web.gives("web__fetch", url=f"{base}/unclosed")["text"].startswith("text")


def test_each_redirect_needs_a_rule_of_its_own(web: Served, base: str) -> None:
    assert web.gives("web__fetch", url=f"{base}/once")["url"] == f"{base}/page"
    assert "redirects more than 5 times" in web.says("web__fetch", url=f"{base}/round")
    refused = web.fails("web__fetch", url=f"{base}/away")
    assert (refused["code"], refused["tried"]["host"]) == ("network_access_denied", "127.0.0.2")


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("fetch", {"url": "{base}/png"}, "`image/png`: only text is fetched"),
        ("fetch", {"url": "{base}/koi"}, "`koi8-r`: only UTF-8, UTF-16 and windows-1252 are read"),
        ("fetch", {"url": "{base}/page", "start": 9999}, "`start` is 9999"),
        ("fetch", {"url": "{base}/page", "most": 1}, "`most` is 2 to 200000"),
        ("fetch", {"url": "example.com"}, "is no URL: write one such as https://example.com/page"),
        ("fetch", {"url": "file:///etc/passwd"}, "is no http or https URL"),
        ("fetch", {"url": "http://user:word@127.0.0.1/"}, "a URL with a user name or password is not fetched"),
        ("fetch", {"url": "http://\x00/"}, "is no URL"),
        ("fetch", {"url": "http://\u202e/"}, "is no URL"),
        ("links", {"url": "{base}/json"}, "only HTML has links"),
    ],
)
def test_an_error_of_the_page_reader_says_what_to_write(
    web: Served, base: str, tool: str, arguments: dict[str, Any], words: str
) -> None:
    arguments["url"] = arguments["url"].format(base=base)
    said = web.says(f"web__{tool}", **arguments)
    assert words in said
    assert "word" not in said.replace("password", "").replace(words, "")


def test_python_gives_what_is_printed_and_the_last_value(large: Served) -> None:
    assert large.gives("python__evaluate", code="import json\nprint('é')\njson.loads('[1, 2]')") == "é\n[1, 2]\n"
    assert large.gives("python__evaluate", code="import os\ndict(os.environ)") == "{}\n"


def test_halves_of_letters_are_written_out(large: Served) -> None:
    """WIT has no word for a lone surrogate: it must not end the call."""
    assert large.gives("python__evaluate", code=r"print('\ud800é')") == "\\ud800é\n"
    assert large.says("python__evaluate", code=r"raise ValueError('\udfff')").endswith("ValueError: \\udfff")


def test_a_long_output_is_cut_and_says_so(large: Served) -> None:
    assert large.gives("python__evaluate", code="print('x' * 600_000)").endswith("x\n… 75713 more characters")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = (", "    x = (\n        ^\nSyntaxError: '(' was never closed"),
        ("import numpy", "No module named 'numpy'\n(the standard modules"),
        ("import json\njson.loads('x')", "File \"<code>\", line 2, in <module>\n    json.loads('x')"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("input()", "EOFError"),
        ("\x00", "cannot contain null bytes"),
    ],
)
def test_an_error_in_the_code_is_a_traceback_and_no_missing_permission(large: Served, code: str, words: str) -> None:
    refused = large.fails("python__evaluate", code=code)
    assert refused["code"] == "guest_error"
    assert words in refused["error"]


def test_python_fetches_what_is_granted_and_opens_what_is_granted(
    large: Served, base: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    large.granted_as_told(large.fails("python__fetch", url=f"{base}/gone"))
    assert large.gives("python__fetch", url=f"{base}/gone") == {"status": 404, "body": "no such page", "cut": False}
    note = tmp_path_factory.mktemp("python") / "note.txt"
    note.write_text("hello")
    refused = large.fails("python__evaluate", code=f"open({str(note)!r}).read()")
    assert refused["code"] == "filesystem_access_denied"
    large.granted_as_told(refused)
    assert large.gives("python__evaluate", code=f"open({str(note)!r}).read()") == "'hello'\n"


REDIS = """
import socket
def ask(stream, *words):
    stream.write(b"*%d\\r\\n" % len(words) + b"".join(b"$%d\\r\\n%s\\r\\n" % (len(word), word) for word in words))
    stream.flush()
    line = stream.readline()
    return stream.read(int(line[1:]) + 2)[:-2] if line[:1] == b"$" else line.strip()
with socket.create_connection(("{host}", {port}), timeout=5) as connection, connection.makefile("rwb") as stream:
    print(ask(stream, b"SET", b"long", b"x" * 200_000), len(ask(stream, b"GET", b"long")))
    print([ask(stream, b"INCR", b"n") for _ in range(20)][-1])
"""


@pytest.fixture(scope="module")
def redis_port() -> Iterator[int]:
    """A Redis server on loopback."""
    with redis_server(options=(), tcp=True) as server:
        yield server.port


def test_python_speaks_with_the_redis_server_that_is_granted(large: Served, redis_port: int) -> None:
    """Its own `socket`, by address and by name: each needs its line, and the refusal names the command."""
    by_address, by_name = (REDIS.format(host=host, port=redis_port) for host in ("127.0.0.1", "localhost"))
    refused = large.fails("python__evaluate", code=by_address)
    assert (refused["code"], refused["tried"]["port"]) == ("network_access_denied", redis_port)
    assert "PermissionError" in refused["error"]
    large.granted_as_told(refused)
    assert large.gives("python__evaluate", code=by_address) == "b'+OK' 200000\nb':20'\n"
    refused = large.fails("python__evaluate", code=by_name)
    command = refused["help"].partition("`sandbox ")[2].partition("`")[0].replace("PORT", str(redis_port))
    large.terminal(*command.split())
    assert large.gives("python__evaluate", code=by_name).endswith("b':40'\n")


NOT_BLOCKING = """
import errno, select, socket
s = socket.socket()
s.setblocking(False)
print(s.connect_ex(("127.0.0.1", {port})) in (0, errno.EINPROGRESS))
print(len(select.select([], [s], [], 5)[1]), s.send(b"PING\\r\\n"), len(select.select([s], [], [], 5)[0]), s.recv(100))
s.settimeout(0.05)
try:
    s.recv(1)
except TimeoutError:
    print("nothing more")
s.settimeout(5)
s.shutdown(socket.SHUT_WR)
print(s.recv(10), s.getpeername()[1] == {port})
"""


def test_a_socket_that_does_not_block_is_polled(large: Served, redis_port: int) -> None:
    """`select`, a timeout, a half-closed connection: as a program expects them."""
    large.terminal(
        "permission", "grant", "python", "network", "--cidr", "127.0.0.1/32", "--port", str(redis_port), "--protocol", "tcp"
    )
    said = large.gives("python__evaluate", code=NOT_BLOCKING.format(port=redis_port))
    assert said == "True\n1 6 1 b'+PONG\\r\\n'\nnothing more\nb'' True\n"


TLS = """
import sys
sys.dont_write_bytecode = True
sys.path.append({modules!r})
import socket
from tlslite.checker import Checker
from tlslite.handshakesettings import HandshakeSettings
from tlslite.tlsconnection import TLSConnection
settings = HandshakeSettings()
settings.minVersion, settings.keyShares, settings.cipherNames = (3, 4), ["x25519"], ["chacha20-poly1305"]
with socket.create_connection(("127.0.0.1", {port}), timeout=20) as connection:
    tls = TLSConnection(connection)
    tls.handshakeClientCert(serverName="localhost", settings=settings, checker=Checker(x509Fingerprint={fingerprint!r}))
    tls.write(b"canary-of-the-guest")
    print(tls.getVersionName(), tls.read(max=100))
"""
"""Not AES, which warns of an old name after a look at its caller's source: the component has no sources."""


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """A TLS server on loopback."""
    with tls_server() as wire:
        yield wire


def test_python_brings_its_own_tls_and_the_host_carries_ciphertext(large: Served, wire: Wire, tmp_path: Path) -> None:
    """A pure-Python TLS 1.3 in a mounted folder speaks with `ssl` through a granted port, whose certificate it sees itself."""
    lay_modules(tmp_path)
    code = TLS.format(modules=str(tmp_path), port=wire.port, fingerprint=wire.fingerprint)
    assert large.fails("python__evaluate", code=code)["code"] == "filesystem_access_denied"
    large.terminal("permission", "grant", "python", "storage", f"fs://{tmp_path}/**", "--access", "read")
    refused = large.fails("python__evaluate", code=code)
    assert (refused["code"], refused["tried"]["port"]) == ("network_access_denied", wire.port)
    assert not wire.received
    large.granted_as_told(refused)
    assert large.gives("python__evaluate", code=code) == "TLS 1.3 b'tseug-eht-fo-yranac'\n"
    assert wire.heard == [b"canary-of-the-guest"]
    for data in (bytes(wire.received), bytes(wire.sent)):
        assert b"canary" not in data
        assert b"yranac" not in data
        kinds = [kind for kind, _ in records(data)]
        assert (kinds[0], kinds[-1]) == (HANDSHAKE, APPLICATION_DATA)
    other = large.fails("python__evaluate", code=TLS.format(modules=str(tmp_path), port=9, fingerprint=""))
    assert (other["code"], other["tried"]["port"]) == ("network_access_denied", 9)
    assert other["grant"] == {"cidr": "127.0.0.1/32", "ports": [9], "protocols": ["tcp"]}


@pytest.mark.parametrize(
    ("code", "operation"),
    [
        ("socket.create_server(('127.0.0.1', 0))", "bind"),
        ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "create"),
        ("socket.getaddrinfo('example.com', 80)", "lookup"),
    ],
)
def test_what_no_grant_gives_is_a_permission_error(large: Served, code: str, operation: str) -> None:
    refused = large.fails("python__evaluate", code=f"import socket\n{code}")
    assert (refused["code"], refused["tried"]["operation"]) == ("network_access_denied", operation)
    assert "PermissionError" in refused["error"]
    assert "grant" not in refused, "no line would give it, or not without a port"


def test_an_endless_loop_ends_at_its_limit(large: Served) -> None:
    large.terminal("permission", "grant", "python", "resource", "cpu_time=300ms")
    assert large.fails("python__evaluate", code="while True: pass")["code"] == "resource_limit_exceeded"
    assert large.gives("python__evaluate", code="1 + 1") == "2\n"
