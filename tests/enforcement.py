"""Every field of a policy that is enforced: a document with it, a guest that runs into it, and what that gives.

A new field arrives with its row here; `test_enforcement.py` runs the rows and holds their names against the schema.
`{folder}` is a folder with `w/x` and `w/private/x` in it, `{port}` a web server on 127.0.0.1, `{slow}` one that takes its time,
`{long}` one that says much, `{tls}` one that answers with what it was asked; `a.test` and `b.test` lead there.
`row/set` is a secret, `row/missing` is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.attacks.stage import policy

W = 'uri: "fs://{folder}/w/**", access: [read, write, create, delete], mount: /w'
LOOPBACK = "cidr: 127.0.0.0/8, ports: any, protocols: [http, https]"
NAMES = f'host: "*.test", ports: any, protocols: [http, https]\n{LOOPBACK}'
NOT_PERMITTED = "not-permitted"
DENIED = "HTTP-request-denied"


@dataclass(frozen=True)
class Call:
    """A tool of the row's guest, and its arguments."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A field, a document that has it, the call that runs into it with the words it gets, and one that the line lets through.

    `guest` is one of the tests' own, or a component that comes with the host.
    """

    field: str
    document: str
    guest: str
    refused: Call
    message: str
    allowed: Call | None = None
    at_once: int = 1
    """How many of the refused call run together."""


def opening(path: str, mount: str = "/w") -> Call:
    """Read a file."""
    return Call("open-each", {"mount": mount, "paths": [path]})


def filling(path: str, size: int = 10) -> Call:
    """Write a file."""
    return Call("fill", {"mount": "/w", "path": path, "bytes": str(size)})


def get(url: str, method: str = "GET") -> Call:
    """Request a URL."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    parts = {"method": method, "scheme": scheme, "authority": authority, "path": slash + path or "/"}
    return Call("request", {**parts, "headers": [], "body": ""})


def posting(body: str) -> Call:
    """Send a body, to a server that does not answer before it has it."""
    asked = get("http://a.test:{slow}/", "POST")
    return Call(asked.tool, {**asked.arguments, "body": body})


def storage(name: str, rules: str, refused: Call, allowed: Call, guest: str = "escape_traversal") -> Row:
    """A row of the section `storage`."""
    return Row(f"permissions.storage.{name}", policy(rules), guest, refused, NOT_PERMITTED, allowed)


def network(name: str, rules: str, refused: Call, allowed: Call) -> Row:
    """A row of the section `network`."""
    return Row(f"permissions.network.{name}", policy(network=rules), "escape_network", refused, DENIED, allowed)


def environment(name: str, rules: str, seen: str) -> Row:
    """A row of the section `environment`: the variables that the guest sees."""
    document, seen = policy(environment=rules), f'"variables": {seen}'
    return Row(f"permissions.environment.{name}", document, "escape_environment", Call("look"), seen)


def limit(name: str, limits: str, guest: str, refused: Call, message: str, allowed: Call | None = None, at_once: int = 1) -> Row:
    """A row of the section `resources`."""
    return Row(f"permissions.resources.limits.{name}", policy(W, limits=limits), guest, refused, message, allowed, at_once)


MASKED = "*" * len("the value of row/set")


def credential(name: str, added: str, message: str, allowed: Call | None = None) -> Row:
    """A row of a credential: what the server was asked, of which the guest sees how long it is, or why it was not."""
    lines = f"host: a.test, ports: any, protocols: [https], credential: {{{added}}}\nhost: b.test, ports: any\n{LOOPBACK}"
    asked = get("https://a.test:{tls}/")
    return Row(f"permissions.network.allow.credential.{name}", policy(network=lines), "escape_network", asked, message, allowed)


def limited(name: str, limits: str, message: str, refused: Call | None = None, at_once: int = 1) -> Row:
    """A row of a network line's limits."""
    lines = f"host: a.test, ports: any, protocols: [http], limits: {{{limits}}}\nhost: b.test, ports: any\n{LOOPBACK}"
    asked, other = get("http://a.test:{port}/"), get("http://b.test:{port}/")
    document = policy(network=lines)
    field = f"permissions.network.allow.limits.{name}"
    return Row(field, document, "escape_network", refused or asked, message, other, at_once)


KEEPS = 'version: "2.0"\npermissions: {state: {keyvalue: {max_size: 1Ki}}}\n'


def of_tcp(name: str, rules: str, refused: Call, allowed: Call) -> Row:
    """A row of the section `network` about connections: the same fields, read for `protocols: [tcp]`."""
    return Row(f"permissions.network.{name}", policy(network=rules), "dials", refused, "access-denied", allowed)


def dialling(address: str, port: str = "{port}") -> Call:
    """Connect to an address and speak."""
    parts = [int(part) for part in address.split(".")]
    return Call("ask", {"address": parts, "port": port, "text": HELLO, "shut": "", "most": 8})


def dialling_name(name: str) -> Call:
    """Look a name up, connect and speak."""
    return Call("ask-name", {"name": name, "port": "{port}", "text": HELLO, "most": 8})


HELLO = "GET / HTTP/1.0\r\n\r\n"
HERE = "http://127.0.0.1:{port}/"
SLEEP = Call("sleep", {"milliseconds": "60000"})
NAP = Call("sleep", {"milliseconds": "5"})

ROWS = (
    Row(
        "permissions.state.keyvalue.max_size",
        KEEPS,
        "remember",
        Call("remember", {"name": "long", "text": "x" * 2000}),
        "would keep",
        Call("remember", {"name": "short", "text": "x"}),
    ),
    storage("allow.uri", W, opening("etc/hostname", "/"), opening("x")),
    storage(
        "allow.access",
        W.replace(", write, create, delete", ""),
        filling("x"),
        Call("open-until-error", {"mount": "/w", "path": "x", "most": 1}),
        "exhaust_files",
    ),
    storage("allow.mount", W, opening("{folder}/w/x".lstrip("/"), "/"), opening("w/x", "/")),
    Row(
        "permissions.storage.allow.max_file_size",
        policy(f"{W}, max_file_size: 64Ki"),
        "exhaust_files",
        filling("long", 1 << 20),
        "`max_file_size` of 64Ki is reached",
        filling("short", 60_000),
    ),
    Row(
        "permissions.storage.allow.max_total_size",
        policy(f"{W}, max_total_size: 256Ki"),
        "exhaust_files",
        Call("create-many", {"mount": "/w", "most": 1000}),
        "`max_total_size` of 256Ki is reached",
    ),
    storage(
        "ask.uri",
        W + '\nask uri: "fs://{folder}/w/private/**", access: [read], mount: /w/private',
        opening("private/x"),
        opening("x"),
    ),
    storage(
        "ask.access",
        W + '\nask uri: "fs://{folder}/w/x", access: [write], mount: /w/x',
        filling("x"),
        filling("new"),
        "exhaust_files",
    ),
    storage(
        "ask.mount",
        W + '\nask uri: "fs://{folder}/w/private/**", access: [read], mount: /asked',
        opening("x", "/asked"),
        opening("x"),
    ),
    storage("deny.uri", W + '\ndeny uri: "fs://{folder}/w/private/**"', opening("private/x"), opening("x")),
    storage("deny.access", W + '\ndeny uri: "fs://{folder}/w/x", access: [write]', filling("x"), filling("new"), "exhaust_files"),
    network(
        "allow.host",
        f"host: a.test, ports: any, protocols: [http]\n{LOOPBACK}",
        get("http://b.test:{port}/"),
        get("http://a.test:{port}/"),
    ),
    network("allow.cidr", LOOPBACK.replace("/8", "/32").replace("0.0.0", "0.0.1"), get("http://127.0.0.2:{port}/"), get(HERE)),
    network("allow.ports", LOOPBACK.replace("any", "[{port}]"), get("http://127.0.0.1:9/"), get(HERE)),
    network("allow.protocols", LOOPBACK.replace(", https", ""), get("https://127.0.0.1:{port}/"), get(HERE)),
    network("allow.methods", f"{LOOPBACK}, methods: [GET]", get(HERE, "POST"), get(HERE)),
    network("allow.paths", f'{LOOPBACK}, paths: ["/v1/**"]', get(HERE + "v1/../admin"), get(HERE + "v1/x")),
    limited("requests", "requests: 1/h", "`requests` is reached: 1/h", at_once=2),
    limited("connections", "connections: 1", "`connections` is reached: 1 at a time", get("http://a.test:{slow}/"), at_once=3),
    limited("request_bytes", "request_bytes: 1Ki", "a request body beyond 1024 bytes", posting("x" * 2000)),
    limited("response_bytes", "response_bytes: 1Ki", "an answer beyond 1024 bytes", get("http://a.test:{long}/")),
    limited("timeout", "timeout: 50ms", "`timeout` is reached: 50ms", get("http://a.test:{slow}/")),
    credential(
        "secret",
        "secret: row/missing, header: X-Row",
        "the secret `row/missing` is not set",
        get("https://b.test:{tls}/"),
    ),
    credential("header", "secret: row/set, header: X-Row", f"x-row: {MASKED}\\r\\n"),
    credential("format", 'secret: row/set, header: X-Row, format: "Row {secret}!"', f"x-row: Row {MASKED}!\\r\\n"),
    network("deny.host", f"{NAMES}\ndeny host: b.test", get("http://b.test:{port}/"), get("http://a.test:{port}/")),
    network("deny.cidr", f"{LOOPBACK}\ndeny cidr: 127.0.0.2/32", get("http://127.0.0.2:{port}/"), get(HERE)),
    network("deny.ports", f"{LOOPBACK}\ndeny cidr: 127.0.0.0/8, ports: [9]", get("http://127.0.0.1:9/"), get(HERE)),
    network(
        "deny.protocols", f"{LOOPBACK}\ndeny cidr: 127.0.0.0/8, protocols: [https]", get("https://127.0.0.1:{port}/"), get(HERE)
    ),
    network("deny.methods", f"{LOOPBACK}\ndeny cidr: 127.0.0.0/8, methods: [POST]", get(HERE, "POST"), get(HERE)),
    network(
        "deny.paths", f'{LOOPBACK}\ndeny cidr: 127.0.0.0/8, paths: ["/admin/**"]', get(HERE + "v1/../admin/x"), get(HERE + "v1/x")
    ),
    environment("allow.key", "key: SANDBOX_ROW_A", '[["SANDBOX_ROW_A", "host a"]]'),
    environment("allow.value", "key: SANDBOX_ROW_A, value: written", '[["SANDBOX_ROW_A", "written"]]'),
    environment("allow.secret", "key: SANDBOX_ROW_A, secret: row/set", '[["SANDBOX_ROW_A", "the value of row/set"]]'),
    environment("deny.key", 'key: "SANDBOX_ROW_*"\ndeny key: SANDBOX_ROW_B', '[["SANDBOX_ROW_A", "host a"]]'),
    limit(
        "memory",
        "memory: 64Mi",
        "exhaust_memory",
        Call("grow-once", {"bytes": str(65 << 20)}),
        "0",
        Call("grow-once", {"bytes": "1000"}),
    ),
    limit(
        "cpu",
        "cpu: 100m, cpu_time: 200ms",
        "exhaust_cpu",
        Call("spin"),
        "it is held to 100m of a core",
        Call("work", {"rounds": "10"}),
    ),
    limit(
        "cpu_time",
        "cpu_time: 300ms",
        "exhaust_cpu",
        Call("spin"),
        "`cpu_time` of 300ms was reached",
        Call("work", {"rounds": "10"}),
    ),
    limit("wall_time", "wall_time: 300ms", "exhaust_sleep", SLEEP, "`wall_time` of 300ms was reached", NAP),
    limit("fuel", "fuel: 1000000", "exhaust_cpu", Call("spin"), "`fuel` of 1000000 was reached", Call("work", {"rounds": "10"})),
    limit(
        "output",
        "output: 4Ki",
        "exhaust_output",
        Call("text", {"bytes": 9000}),
        "`output` of 4Ki was reached",
        Call("text", {"bytes": 9}),
    ),
    limit("stdio", "stdio: 4Ki", "exhaust_stdio", Call("flood", {"bytes": "65536"}), "cut", Call("leave-unflushed")),
    limit(
        "open_files",
        "open_files: 8",
        "exhaust_files",
        Call("open-until-error", {"mount": "/w", "path": "x", "most": 99}),
        "more than 8 files are open at a time",
        Call("open-until-error", {"mount": "/w", "path": "x", "most": 3}),
    ),
    limit(
        "file_ops",
        "file_ops: 20/s, wall_time: 1s",
        "exhaust_files",
        Call("open-until-error", {"mount": "/w", "path": "x", "most": 60}),
        "it is held to 20 calls of the file system a second",
        Call("open-until-error", {"mount": "/w", "path": "x", "most": 3}),
    ),
    limit("concurrency", "concurrency: 1", "exhaust_sleep", NAP, "too many calls wait: `concurrency` is 1", NAP, at_once=300),
)

ONE, OTHER = dialling("127.0.0.1"), dialling("127.0.0.2")
TCP = "cidr: 127.0.0.0/8, ports: [{port}], protocols: [tcp]"
ONE_TCP = TCP.replace("0.0.0/8", "0.0.1/32")
A_TEST, B_TEST = dialling_name("a.test"), dialling_name("b.test")
TCP_ROWS = (
    of_tcp("allow.host", f"host: a.test, ports: [{{port}}], protocols: [tcp]\n{TCP}", B_TEST, A_TEST),
    of_tcp("allow.cidr", ONE_TCP, OTHER, ONE),
    of_tcp("allow.ports", TCP, dialling("127.0.0.1", "9"), ONE),
    of_tcp("allow.protocols", f"cidr: 127.0.0.2/32, ports: any, protocols: [http, https]\n{ONE_TCP}", OTHER, ONE),
    of_tcp("deny.host", f'host: "*.test", ports: [{{port}}], protocols: [tcp]\n{TCP}\ndeny host: b.test', B_TEST, A_TEST),
    of_tcp("deny.cidr", f"{TCP}\ndeny cidr: 127.0.0.2/32", OTHER, ONE),
    of_tcp(
        "deny.ports",
        f"{TCP.replace('[{port}]', 'any')}\ndeny cidr: 127.0.0.0/8, ports: [9]",
        dialling("127.0.0.1", "9"),
        ONE,
    ),
    of_tcp("deny.protocols", f"{TCP}\n{LOOPBACK}\ndeny cidr: 127.0.0.2/32, protocols: [tcp]", OTHER, ONE),
)
"""The same fields once more, where they are about connections."""
