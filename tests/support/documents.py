"""Documents that hypothesis writes: small names over a small alphabet, so that lines meet each other often."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "ab", "ba", "*", "a*", "*b", "?", "[ab]", "a?", "{a,b}"])
PATTERN = st.lists(NAMES | st.just("**"), min_size=1, max_size=3).filter(lambda names: names.count("**") < 3)
HOSTS = st.sampled_from(["a.test", "b.a.test", "c.b.a.test", "*.a.test", "*.test", "*", "z.org"])
RANGES = st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "93.0.0.0/8", "0.0.0.0/0", "fd00::/8", "::/0"])
PORTS = st.sampled_from([["any"], [443], [80], [443, 8443], ["1-1000"], ["1-442", "444-65535"]])
PATHS = st.lists(st.sampled_from(["/", "/a", "/a/**", "/*/b", "/**/b", "/a/*", "/{a,b}/*"]), min_size=1, max_size=2, unique=True)
KEYS = st.sampled_from(["A", "B", "AB", "A*", "*B", "A?", "*"])


def words(*known: str) -> st.SearchStrategy[list[str]]:
    """Some of the words, each once."""
    return st.lists(st.sampled_from(known), min_size=1, max_size=len(known), unique=True)


ACCESS = words("read", "write", "create", "delete")


def uri(names: list[str]) -> str:
    """The names below `/srv`."""
    return "fs:///srv/" + "/".join(names)


def entry(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with each field or without it."""
    return st.fixed_dictionaries({}, optional=fields)


STORAGE = st.fixed_dictionaries({"uri": PATTERN.map(uri), "access": ACCESS})
SIZES = entry(max_file_size=st.sampled_from(["1Mi", "2Mi"]), max_total_size=st.sampled_from(["4Mi", "8Mi"]))
GIVEN = st.tuples(STORAGE, SIZES).map(
    lambda both: {**both[0], **both[1]} if {"write", "create"} & set(both[0]["access"]) else both[0]
)
DOOR = entry(ports=PORTS, protocols=words("https", "http"), methods=words("GET", "POST", "PUT"), paths=PATHS)
TARGET = HOSTS.map(lambda host: {"host": host}) | RANGES.map(lambda cidr: {"cidr": cidr})
NETWORK = st.tuples(TARGET, DOOR).map(lambda both: {**both[0], **both[1]})
VARIABLE = KEYS.map(lambda key: {"key": key}) | st.sampled_from("AB").map(lambda key: {"key": key, "value": "x"})
LIMITS = entry(memory=st.sampled_from(["64Mi", "128Mi"]), wall_time=st.sampled_from(["1s", "2s"]), fuel=st.integers(1, 5))


def section(allow: st.SearchStrategy[Any], deny: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """A section with some lines of each effect."""
    return st.fixed_dictionaries({}, optional={"allow": st.lists(allow, max_size=most), "deny": st.lists(deny, max_size=2)})


def documents(most: int = 3, **only: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Documents of version "2.0" as plain data; with names, of these sections alone."""
    sections = {
        "storage": section(GIVEN, STORAGE, most),
        "network": section(NETWORK, NETWORK, most),
        "environment": section(VARIABLE, KEYS.map(lambda key: {"key": key}), most),
        "resources": LIMITS.map(lambda limits: {"limits": limits}),
    }
    chosen = {name: made for name, made in sections.items() if not only or only.get(name)}
    return st.fixed_dictionaries({}, optional=chosen).map(lambda parts: {"version": "2.0", "permissions": parts})


OLD_ACCESS = words("read", "write")
OLD_STORAGE = st.fixed_dictionaries({"uri": PATTERN.map(uri), "access": OLD_ACCESS})
OLD_SECTIONS = {
    "storage": section(OLD_STORAGE, OLD_STORAGE, 3),
    "network": section(TARGET, TARGET, 3),
    "environment": entry(allow=st.lists(st.sampled_from(["A", "B", "AB"]).map(lambda key: {"key": key}), max_size=3)),
    "resources": st.sampled_from([{}, {"memory": 64}, {"limits": {"memory": "64Mi"}}, {"limits": {}}]),
}
OLD_DOCUMENTS = st.tuples(
    st.fixed_dictionaries({}, optional=OLD_SECTIONS), st.sampled_from(["", "What it does", "yes", "a: b", "# no", "~", "1.0"])
).map(lambda both: {"version": "1.0", "description": both[1], "permissions": both[0]})
"""Documents of version "1.0" as plain data."""
