"""The network rules as tables: who is reached, who is not, and by which line."""

from __future__ import annotations

import re
import time
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.template.addresses import METADATA, SPECIAL_RANGES, forms, is_metadata, special_range
from sandbox.template.authority import AuthorityError, normalise_authority, normalise_host
from sandbox.template.network import NetworkRules
from sandbox.template.template import Effect, NetworkRule
from sandbox.template.url_path import compile_glob, is_request_target, normalise_path

WEB = ("https", "http")
DENY = Effect.DENY


def rule(
    host: str | None = None,
    cidr: str | None = None,
    *,
    effect: Effect = Effect.ALLOW,
    ports: tuple[tuple[int, int], ...] | None = ((443, 443),),
    protocols: tuple[str, ...] = WEB,
    methods: tuple[str, ...] | None = None,
    paths: tuple[str, ...] | None = None,
    origin: str = "policy.yaml:1:1",
) -> NetworkRule:
    return NetworkRule(effect, host, cidr, ports, protocols, methods, paths, origin)


def allows(
    rules: NetworkRules, host: str, path: str = "/", *, scheme: str = "https", port: int = 443, method: str = "GET"
) -> bool:
    return rules.decide(scheme, host, port, method, path).allowed


def dials(rules: NetworkRules, address: str, host: str = "h.test", **rest: str) -> bool:
    return rules.decide_address(host, 443, ip_address(address), **rest).allowed


def test_nothing_is_reached_without_a_rule() -> None:
    """NET-01: absence is deny."""
    rules = NetworkRules(())
    assert not rules.reachable
    assert not allows(rules, "example.com")
    assert not NetworkRules((rule("example.com", effect=DENY),)).reachable


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "evil-example.com",
        "example.com.evil.com",
        "*.example.com",
        ".example.com",
        "x..example.com",
        "-x.example.com",
    ],
)
def test_a_suffix_names_no_other_host(host: str) -> None:
    """NET-05."""
    assert not allows(NetworkRules((rule("*.example.com"),)), host)


@pytest.mark.parametrize(
    "host", ["a.example.com", "a.b.example.com", "A.EXAMPLE.com", "a.example.com.", "xn--e1afmkfd.example.com"]
)
def test_a_suffix_names_true_subdomains(host: str) -> None:
    assert allows(NetworkRules((rule("*.example.com"),)), host)


def test_an_exact_host_names_itself_alone() -> None:
    rules = NetworkRules((rule("example.com"),))
    assert allows(rules, "EXAMPLE.com")
    assert not any(allows(rules, host) for host in ("a.example.com", "example.com.a", "xample.com", "example.co", "com", ""))


def test_every_part_must_fit() -> None:
    """NET-07."""
    rules = NetworkRules((rule("h.test", protocols=("https",), ports=((443, 443), (8000, 8999)), methods=("GET", "HEAD")),))
    assert allows(rules, "h.test")
    assert allows(rules, "h.test", port=8443, method="head")
    assert not allows(rules, "h.test", scheme="http")
    assert not allows(rules, "h.test", scheme="tcp")
    assert not any(allows(rules, "h.test", port=port) for port in (0, 80, 442, 444, 7999, 9000, 65536))
    assert not any(allows(rules, "h.test", method=method) for method in ("POST", "", "GETS", "GE"))
    assert rules.decide("https", "h.test", 80).reason == "no rule for `h.test` allows port 80"


def test_deny_wins_whatever_allows_and_names_its_line() -> None:
    rules = NetworkRules(
        (
            rule("*"),
            rule("*.example.com"),
            rule("admin.example.com"),
            rule("admin.example.com", effect=DENY, ports=None, origin="policy.yaml:9:9"),
            rule("*.secret.example.com", effect=DENY, ports=None),
        )
    )
    assert rules.decide("https", "admin.example.com", 443).origin == "policy.yaml:9:9"
    assert not allows(rules, "x.secret.example.com")
    assert allows(rules, "secret.example.com")


def test_a_deny_for_every_host_holds_for_addresses_too() -> None:
    rules = NetworkRules((rule(cidr="8.8.8.0/24"), rule("*", effect=DENY, ports=None)))
    assert not allows(rules, "8.8.8.8")


# --- paths ---


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("/v1/**", "/v1", True),
        ("/v1/**", "/v1/", True),
        ("/v1/**", "/v1/a/b", True),
        ("/v1/**", "/v10", False),
        ("/v1/**", "/V1/a", False),
        ("/v1/*", "/v1/a", True),
        ("/v1/*", "/v1/", False),
        ("/v1/*", "/v1/a/b", False),
        ("/v1/*/x", "/v1/a/x", True),
        ("/**/x", "/x", True),
        ("/**/x", "/a/b/x", True),
        ("/**/x", "/a/b/xx", False),
        ("/a?c", "/abc", True),
        ("/a?c", "/a/c", False),
        ("/{a,b}/c", "/b/c", True),
        ("/{a,b}/c", "/c/c", False),
        ("/[a-c]x", "/bx", True),
        ("/v1", "/v1", True),
        ("/v1", "/v1/", False),
        ("/", "/", True),
        ("/v1/%25", "/v1/%25", False),
        ("/ü", "/%C3%BC", True),
        ("/v1/x", "/v1/x?y=/../z", True),
        ("/v1/x", "/v1/%78", True),
    ],
)
def test_what_a_path_glob_names(glob: str, path: str, fits: bool) -> None:
    assert allows(NetworkRules((rule("h.test", paths=(glob,)),)), "h.test", path) is fits


AMBIGUOUS = [
    "/v1/../admin",
    "/v1/..",
    "/v1/.",
    "/v1/%2e%2e/admin",
    "/v1/.%2e/admin",
    "/v1%2fadmin",
    "/v1%2Fadmin",
    "/v1%5cadmin",
    "/v1\\admin",
    "/v1//admin",
    "//admin",
    "/v1/%",
    "/v1/%zz",
    "/v1/%c0%ae",
    "/v1/%ff",
    "/v1/%252e%252e/admin",
    "/v1/..;/admin",
    "/v1;x/admin",
    "/v1%3b/admin",
    "/v1/%00",
    "/v1/%0a",
    "/v1" + "/a" * 300,
]


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_a_path_with_two_readings_fits_no_allow_and_every_deny(path: str) -> None:
    """What two servers could read differently is refused wherever a rule names paths, and nowhere else."""
    assert normalise_path(path) is None
    assert not allows(NetworkRules((rule("h.test", paths=("/**",)),)), "h.test", path)
    assert not allows(NetworkRules((rule("h.test"), rule("h.test", effect=DENY, paths=("/admin",)))), "h.test", path)
    assert allows(
        NetworkRules((rule("h.test"), rule("h.test", effect=DENY, paths=("/admin",), methods=("POST",)))), "h.test", path
    )
    assert allows(NetworkRules((rule("h.test"),)), "h.test", path)


@given(
    st.lists(
        st.sampled_from(
            ["/", ".", "..", "%2e", "%2F", "%5c", "%25", "2e", ";", "a", "B", "%41", "%C3%BC", "\\", "?", "%", "%00"]
        ),
        max_size=12,
    )
)
def test_a_normal_path_has_one_reading(parts: list[str]) -> None:
    """Whatever it is built of: decoding it again changes nothing, and nothing in it climbs, hides or repeats a slash."""
    path = normalise_path("/" + "".join(parts))
    if path is None:
        return
    assert path.startswith("/")
    assert not re.search(r"//|/\.{1,2}(/|$)|[\\;\x00-\x1f]|%[0-9a-fA-F]{2}", path)
    assert unquote(path) == path


@pytest.mark.parametrize("path", ["", "x", "*", "http://h.test/", "/a b", "/a\r\nb", "/a\x00", "/ü", "/a#b", "/" + "a" * 20_000])
def test_what_is_no_request_target_is_refused_always(path: str) -> None:
    assert not is_request_target(path)
    assert not allows(NetworkRules((rule("*", ports=None),)), "h.test", path)


@pytest.mark.parametrize("path", ["/admin", "/admin/", "/Admin", "/ADMIN/x", "/%61dmin", "/admin?x"])
def test_a_denied_path_is_denied_in_every_spelling(path: str) -> None:
    """Servers differ in the case of letters and the last slash: a deny holds for all of them."""
    for glob in ("/admin/**", "/Admin/**"):
        assert not allows(NetworkRules((rule("h.test"), rule("h.test", effect=DENY, paths=(glob,)))), "h.test", path)


def test_a_denied_path_denies_no_neighbour() -> None:
    rules = NetworkRules((rule("h.test"), rule("h.test", effect=DENY, paths=("/admin", "/secret/"))))
    assert not allows(rules, "h.test", "/admin/")
    assert not allows(rules, "h.test", "/secret")
    assert all(allows(rules, "h.test", path) for path in ("/", "/administrator", "/admin/x", "/a"))


def test_rules_of_one_host_add_up() -> None:
    rules = NetworkRules((rule("h.test", paths=("/a/**",), methods=("GET",)), rule("h.test", paths=("/b",), methods=("POST",))))
    assert allows(rules, "h.test", "/a/x")
    assert allows(rules, "h.test", "/b", method="POST")
    assert not allows(rules, "h.test", "/a/x", method="POST")


# --- authorities ---


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port"),
    [
        ("example.com", "https", "example.com", 443),
        ("example.com", "http", "example.com", 80),
        ("Example.COM.:8443", "https", "example.com", 8443),
        ("under_score.test", "http", "under_score.test", 80),
        ("8.8.8.8:53", "http", "8.8.8.8", 53),
        ("[2001:4860:4860:0::8888]", "https", "2001:4860:4860::8888", 443),
        ("[::1]:80", "http", "::1", 80),
        ("1.2.3.4.example", "http", "1.2.3.4.example", 80),
        ("x.com:65535", "ftp", "x.com", 65535),
    ],
)
def test_an_authority_has_one_spelling(text: str, scheme: str, host: str, port: int) -> None:
    found = normalise_authority(text, scheme)
    assert (found.host, found.port) == (host, port)
    assert normalise_authority(found.text, scheme) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ":80",
        "user@h.test",
        "user:pass@h.test:80",
        "h.test:",
        "h.test:0",
        "h.test:65536",
        "h.test:0443",
        "h.test:+443",
        "h.test:44 3",
        "h.test:443 ",
        " h.test",
        "h.test\n",
        "h.test:４４３",
        "h.test:80:80",
        "a..test",
        ".h.test",
        "h.test..",
        "-h.test",
        "h-.test",
        "h/.test",
        "h%2e.test",
        "h\\.test",
        "h?.test",
        "h#.test",
        "h\x00.test",
        "*.test",
        "münchen.de",
        "ｈ.test",
        "a" * 64 + ".test",
        "a." * 127 + "test",
        # NET-03: whatever some resolver reads as an address.
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "0x7f.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "0",
        "127.0.0.01",
        "127.0.0.1.",
        "256.1.1.1",
        "1.2.3.4.5",
        "a.0x",
        "a.1",
        "１２７.0.0.1",
        "::1",
        "[::1",
        "::1]",
        "[::1]x",
        "[]",
        "[127.0.0.1]",
        "[fe80::1%lo]",
        "[fe80::1%25lo]",
        "[::ffff:127.0.0.01]",
    ],
)
def test_an_authority_without_one_meaning_is_refused(text: str) -> None:
    with pytest.raises(AuthorityError):
        normalise_authority(text, "https")


def test_a_scheme_without_a_port_of_its_own_needs_one() -> None:
    with pytest.raises(AuthorityError):
        normalise_authority("h.test", "ftp")


@given(st.text(max_size=40))
def test_a_host_is_refused_or_has_one_spelling(text: str) -> None:
    """What is let through is its own normal form, plain ASCII, and no number that a resolver could take for an address."""
    try:
        host, address = normalise_host(text)
    except AuthorityError:
        return
    assert host.isascii()
    assert host == host.lower()
    assert normalise_host(host) == (host, address)
    if address is None:
        assert not any(character in host for character in "@:/?#%[]\\ *")
        assert not host.rpartition(".")[2].isdigit()


@given(st.integers(0, 2**32 - 1))
def test_no_number_is_a_host(number: int) -> None:
    quad = IPv4Address(number)
    a, b, c, d = quad.packed
    for text in (
        str(number),
        hex(number),
        oct(number).replace("0o", "0"),
        f"{a}.{b}.{c * 256 + d}",
        f"{a}.{number & 0xFFFFFF}",
        f"{hex(a)}.{b}.{c}.{d}",
    ):
        with pytest.raises(AuthorityError):
            normalise_host(text)
    assert normalise_host(str(quad)) == (str(quad), quad)


# --- addresses ---

INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.1.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:8.8.8.8",
    "::ffff:127.0.0.1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:808:808::1",
    "3fff::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "4000::1",
    "::2",
    "5f00::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_public_needs_a_cidr_that_names_it(address: str) -> None:
    """NET-04: under `*`, through a name and as a literal."""
    rules = NetworkRules((rule("*"), rule("h.test"), rule(cidr="0.0.0.0/0"), rule(cidr="::/0")))
    assert not dials(rules, address)
    assert not allows(rules, f"[{address}]" if ":" in address else address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "223.255.255.255", "2606:4700::1111", "2a00::1"]
)
def test_a_public_address_is_dialled_for_a_granted_name(address: str) -> None:
    assert dials(NetworkRules((rule("h.test"),)), address)


@pytest.mark.parametrize(
    ("cidr", "address"),
    [
        ("10.1.0.0/16", "10.1.2.3"),
        ("127.0.0.1/32", "127.0.0.1"),
        ("fd00::/8", "fd00::1"),
        ("169.254.0.0/16", "169.254.1.1"),
        ("::1/128", "::1"),
    ],
)
def test_a_cidr_inside_the_range_names_it(cidr: str, address: str) -> None:
    rules = NetworkRules((rule("h.test"), rule(cidr=cidr)))
    assert dials(rules, address)
    assert allows(rules, f"[{address}]" if ":" in address else address)


def test_a_cidr_names_no_host() -> None:
    """It exempts an address; which names may lead there, a host rule says."""
    assert not allows(NetworkRules((rule(cidr="10.0.0.0/8"),)), "h.test")


def test_an_exemption_holds_for_its_own_port_and_protocol() -> None:
    rules = NetworkRules((rule("h.test", ports=None), rule(cidr="10.0.0.0/8", ports=((5432, 5432),), protocols=("tcp",))))
    address = ip_address("10.0.0.1")
    assert not rules.decide_address("h.test", 443, address).allowed
    assert not rules.decide_address("h.test", 5432, address, scheme="https").allowed
    assert rules.decide_address("h.test", 5432, address, scheme="tcp").allowed


@pytest.mark.parametrize("address", sorted(map(str, METADATA)))
def test_a_metadata_service_is_never_reached(address: str) -> None:
    literal = f"[{address}]" if ":" in address else address
    prefix = 128 if ":" in address else 32
    rules = NetworkRules(
        (rule("*"), rule("h.test"), rule(cidr=f"{address}/{prefix}"), rule(cidr="fd00::/8"), rule(cidr="169.254.0.0/16"))
    )
    assert not dials(rules, address)
    assert not allows(rules, literal)
    assert "metadata" in rules.decide("https", literal, 443).reason


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001:0:1::5601:5601",
        "2606:4700::5efe:a9fe:a9fe",
    ],
)
def test_a_metadata_service_is_not_reached_in_disguise(address: str) -> None:
    """Mapped, compatible, NAT64, 6to4, Teredo (server and client), ISATAP."""
    assert is_metadata(ip_address(address))
    assert not dials(NetworkRules((rule("h.test"), rule(cidr=f"{address}/128"))), address)


def test_an_embedded_address_needs_its_own_permission() -> None:
    """A rule for mapped addresses is none for the private address inside."""
    mapped = rule(cidr="::ffff:0:0/96")
    assert not dials(NetworkRules((rule("h.test"), mapped)), "::ffff:10.0.0.1")
    assert dials(NetworkRules((rule("h.test"), mapped, rule(cidr="10.0.0.0/8"))), "::ffff:10.0.0.1")
    assert not dials(NetworkRules((rule("h.test"), mapped, rule(cidr="8.8.8.0/24", effect=DENY))), "::ffff:8.8.8.8")


def test_a_denied_address_is_denied_to_names() -> None:
    rules = NetworkRules(
        (rule("*"), rule(cidr="8.8.0.0/16", effect=DENY, ports=None, origin="d"), rule("9.9.9.9", effect=DENY, ports=None))
    )
    assert rules.decide_address("h.test", 443, ip_address("8.8.8.8")).origin == "d"
    assert not dials(rules, "9.9.9.9")
    assert dials(rules, "9.9.9.8")


def test_a_literal_needs_a_rule_of_its_own() -> None:
    assert not allows(NetworkRules((rule("*"),)), "8.8.8.8")
    assert allows(NetworkRules((rule("8.8.8.8"),)), "8.8.8.8")
    assert allows(NetworkRules((rule(cidr="8.8.8.0/24"),)), "8.8.8.8")
    assert allows(NetworkRules((rule(cidr="2606:4700::/32"),)), "[2606:4700::1111]")
    assert not allows(NetworkRules((rule("127.0.0.1"),)), "127.0.0.1")
    assert not allows(NetworkRules((rule(cidr="8.8.8.0/24", ports=((53, 53),)),)), "8.8.8.8")


@given(st.integers(0, 2**128 - 1))
def test_only_global_unicast_is_public(number: int) -> None:
    address = IPv6Address(number)
    if special_range(address) is None:
        assert number >> 125 == 1
    assert forms(address)[0] == address


@given(st.sampled_from(SPECIAL_RANGES), st.data())
def test_every_address_of_a_special_range_is_refused(special: object, data: st.DataObject) -> None:
    network = special.network  # type: ignore[attr-defined]
    address = network[data.draw(st.integers(0, min(network.num_addresses, 2**64) - 1))]
    assert not dials(NetworkRules((rule("h.test"),)), str(address))


# --- the index ---


HOSTS = st.sampled_from(["a.test", "b.test", "x.a.test", "y.x.a.test", "8.8.8.8"])
RULES = st.lists(
    st.builds(
        rule,
        host=st.sampled_from(["a.test", "*.a.test", "*.test", "*", "b.test", "8.8.8.8"]),
        effect=st.sampled_from((Effect.ALLOW, Effect.DENY)),
        ports=st.sampled_from([None, ((443, 443),), ((80, 80),)]),
        methods=st.sampled_from([None, ("GET",), ("POST",)]),
        paths=st.sampled_from([None, ("/a/**",), ("/a", "/b/*"), ("/*/c",), ("/{a,b}/c",)]),
    ),
    max_size=6,
)


def names(written: str, host: str, effect: Effect) -> bool:
    literal = host[0].isdigit()
    if written == "*":
        return effect is DENY or not literal
    return host.endswith(written[1:]) if written.startswith("*.") else host == written


def slow(rules: list[NetworkRule], host: str, method: str, path: str) -> bool:
    """The same decision by looking at every rule."""

    def covers(one: NetworkRule) -> bool:
        assert one.host is not None
        return (
            names(one.host, host, one.effect)
            and (one.ports is None or one.ports == ((443, 443),))
            and (one.methods is None or method in one.methods)
            and (one.paths is None or any(compile_glob(glob).matches(path) for glob in one.paths))
        )

    fitting = [one.effect for one in rules if covers(one)]
    return bool(fitting) and DENY not in fitting


@given(RULES, HOSTS, st.sampled_from(["GET", "POST"]), st.sampled_from(["/", "/a", "/a/c", "/b/x", "/b/c", "/c"]))
def test_the_index_decides_as_a_look_at_every_rule(rules: list[NetworkRule], host: str, method: str, path: str) -> None:
    assert allows(NetworkRules(tuple(rules)), host, path, method=method) is slow(rules, host, method, path)


def test_a_decision_costs_the_same_for_many_rules() -> None:
    """Ten thousand rules, of hosts, of suffixes, of paths of one host, of ranges: as quick as ten of each."""

    def built(count: int) -> NetworkRules:
        return NetworkRules(
            (
                *(rule(f"h{i}.test") for i in range(count)),
                *(rule(f"*.s{i}.test") for i in range(count)),
                *(rule("one.test", paths=(f"/p{i}/**",)) for i in range(count)),
                *(rule(cidr=f"20.{i // 256}.{i % 256}.0/24", effect=DENY) for i in range(count)),
            )
        )

    def seconds(rules: NetworkRules) -> float:
        best = 1.0
        for _ in range(5):
            start = time.process_time()
            for _ in range(100):
                assert allows(rules, "h9.test")
                assert allows(rules, "x.s9.test")
                assert allows(rules, "one.test", "/p9/x")
                assert dials(rules, "9.9.9.9")
            best = min(best, time.process_time() - start)
        return best

    assert seconds(built(10_000)) < 5 * seconds(built(10))


@pytest.mark.parametrize("glob", ["v1", "/[", "/{a", "/a**b"])
def test_a_glob_that_is_none_makes_no_rules(glob: str) -> None:
    """Rules that cannot be compared are not made: their reader then allows nothing."""
    with pytest.raises(ValueError):
        NetworkRules((rule("h.test", paths=(glob,)),))


@pytest.mark.parametrize(
    "bad", [rule("h.test/x"), rule("*.8.8.8.8"), rule("127.1"), rule(), rule(cidr="10.0.0.1/8"), rule("a.*.test")]
)
def test_a_host_that_is_none_makes_no_rules(bad: NetworkRule) -> None:
    with pytest.raises(ValueError):
        NetworkRules((bad,))
