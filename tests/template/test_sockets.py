"""What a socket may look up and dial: names and addresses together."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from sandbox.template.authority import AuthorityError
from sandbox.template.network import NetworkRules
from sandbox.template.sockets import decide_answers, decide_dial, decide_name, normal_name
from sandbox.template.template import Effect, NetworkRule

PUBLIC, OTHER, PRIVATE = ip_address("8.8.8.8"), ip_address("9.9.9.9"), ip_address("10.0.0.7")
LOOPBACK = ip_address("127.0.0.1")


def rule(
    host: str | None = None,
    *,
    cidr: str | None = None,
    ports: tuple[tuple[int, int], ...] | None = ((5432, 5432),),
    protocols: tuple[str, ...] = ("tcp",),
    effect: Effect = Effect.ALLOW,
) -> NetworkRule:
    return NetworkRule(effect, host, cidr, ports, protocols, None, None, f"{effect} {host or cidr}")


def rules(*given: NetworkRule) -> NetworkRules:
    return NetworkRules(given)


def test_an_address_that_no_name_led_to_needs_a_range() -> None:
    named = rules(rule("db.example.com"), rule("*"))
    assert not decide_dial(named, PUBLIC, 5432, ()).allowed
    assert decide_dial(rules(rule(cidr="8.8.8.0/24")), PUBLIC, 5432, ()).allowed


def test_a_name_gives_its_own_addresses_at_its_own_port() -> None:
    named = rules(rule("db.example.com"))
    allowed = decide_dial(named, PUBLIC, 5432, ["db.example.com"])
    assert (allowed.allowed, allowed.host) == (True, "db.example.com")
    for address, port, names in (
        (PUBLIC, 5433, ["db.example.com"]),
        (OTHER, 5432, []),
        (PUBLIC, 5432, ["other.example.com"]),
    ):
        assert not decide_dial(named, address, port, names).allowed


def test_one_of_several_names_is_enough() -> None:
    both = rules(rule("a.example.com"), rule("b.example.com", ports=((6379, 6379),)))
    for names in (["a.example.com", "b.example.com"], ["b.example.com", "a.example.com"]):
        assert decide_dial(both, PUBLIC, 5432, names).host == "a.example.com"
        assert decide_dial(both, PUBLIC, 6379, names).host == "b.example.com"


def test_a_name_that_leads_inside_needs_a_range_too() -> None:
    refused = decide_dial(rules(rule("db.internal")), PRIVATE, 5432, ["db.internal"])
    assert (refused.allowed, refused.host, refused.address) == (False, "db.internal", PRIVATE)
    for port, allowed in ((5432, True), (5433, False)):
        exempt = rules(rule("db.internal", ports=None), rule(cidr="10.0.0.0/8", ports=((port, port),)))
        assert decide_dial(exempt, PRIVATE, 5432, ["db.internal"]).allowed is allowed


@pytest.mark.parametrize("given", [rule("*", protocols=("https", "http")), rule(cidr="8.0.0.0/8", protocols=("https",))])
def test_a_rule_for_requests_gives_no_socket(given: NetworkRule) -> None:
    assert not decide_dial(rules(given), PUBLIC, 5432, ["a.example.com"]).allowed
    assert not decide_name(rules(given), "a.example.com").allowed


def test_a_rule_for_sockets_gives_no_request() -> None:
    both = rules(rule("a.example.com"), rule(cidr="8.0.0.0/8"))
    assert not both.decide("http", "a.example.com", 5432).allowed
    assert not both.decide("http", "8.8.8.8", 5432).allowed


def test_a_deny_beats_the_name_and_the_range() -> None:
    for deny in (rule("db.example.com", effect=Effect.DENY), rule(cidr="8.8.8.8/32", effect=Effect.DENY, ports=None)):
        decided = decide_dial(rules(rule("db.example.com"), deny), PUBLIC, 5432, ["db.example.com"])
        assert (decided.allowed, decided.decision.origin) == (False, deny.origin)


def test_a_deny_of_a_name_that_led_there_beats_a_range_and_another_name() -> None:
    deny = rule("admin.example.com", effect=Effect.DENY)
    for allow in (rule(cidr="8.8.8.0/24"), rule("*.example.com")):
        for names in (["admin.example.com"], ["admin.example.com", "www.example.com"], ["www.example.com", "admin.example.com"]):
            decided = decide_dial(rules(allow, deny), PUBLIC, 5432, names)
            assert (decided.allowed, decided.decision.origin) == (False, deny.origin)
        assert decide_dial(rules(allow, deny), PUBLIC, 5432, ["www.example.com"]).allowed


def test_of_an_address_that_is_written_out_no_name_is_known() -> None:
    """docs/policy.md: a deny of its name does not hold for it, a deny of the address does."""
    allow, named = rule(cidr="8.8.8.0/24"), rule("admin.example.com", effect=Effect.DENY)
    assert decide_dial(rules(allow, named), PUBLIC, 5432, ()).allowed
    assert not decide_dial(rules(allow, named), PUBLIC, 5432, ["admin.example.com"]).allowed
    assert not decide_dial(rules(allow, rule(cidr=f"{PUBLIC}/32", effect=Effect.DENY)), PUBLIC, 5432, ()).allowed


def test_a_name_is_asked_for_where_some_port_of_it_is_open() -> None:
    deny = rule("*.example.com", ports=((1, 5432),), effect=Effect.DENY)
    wide = rule("db.example.com", ports=((1, 65535),))
    assert decide_name(rules(wide, deny), "db.example.com").allowed
    assert not decide_name(rules(rule("db.example.com"), deny), "db.example.com").allowed
    assert not decide_name(rules(wide), "example.com").allowed


def test_one_refused_answer_refuses_them_all() -> None:
    named = rules(rule("db.example.com"))
    assert decide_answers(named, "db.example.com", [PUBLIC, OTHER]).allowed
    refused = decide_answers(named, "db.example.com", [PUBLIC, PRIVATE])
    assert (refused.allowed, refused.address) == (False, PRIVATE)
    assert not decide_answers(rules(rule("*"), rule(cidr="169.254.0.0/16")), "a.test", [ip_address("169.254.169.254")]).allowed


def test_an_answer_is_told_where_one_port_of_it_is_exempt() -> None:
    """The exemption is of a port in the middle of a wide line."""
    wide = rule("db.internal", ports=((1, 65535),))
    assert decide_answers(rules(wide, rule(cidr="127.0.0.0/8", ports=((6000, 6001),))), "db.internal", [LOOPBACK]).allowed
    assert not decide_answers(
        rules(rule("db.internal"), rule(cidr="127.0.0.0/8", ports=((9, 9),))), "db.internal", [LOOPBACK]
    ).allowed


@pytest.mark.parametrize("text", ["127.1", "0x7f.1", "2130706433", "[::1]", "fe80::1%lo", "a b", "", "ö.test", "a..b", "1e3.7"])
def test_what_is_read_in_several_ways_is_no_name(text: str) -> None:
    with pytest.raises(AuthorityError):
        normal_name(text)


def test_a_name_has_one_spelling_and_an_address_is_one() -> None:
    assert normal_name("DB.Example.COM.") == ("db.example.com", None)
    assert normal_name("127.0.0.1") == ("127.0.0.1", LOOPBACK)
    assert normal_name("::1") == ("::1", ip_address("::1"))
