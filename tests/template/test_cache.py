"""The caches: bounded, counted, and never true for longer than the disk says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy
from sandbox.template.cache import DocumentCache, TemplateCache
from sandbox.wit.types import Digest
from tests.template.compiling import DATA, ENVIRONMENT, HOME, STATE, resolver

TEXT = 'version: "2.0"\npermissions: {storage: {allow: [{uri: fs:///srv/a/**, access: [read]}]}}\n'


@pytest.fixture
def clock() -> Callable[[], float]:
    """A clock that goes on by a second whenever it is looked at."""
    ticks: Iterator[int] = count()
    return lambda: float(next(ticks))


def compile_with(cache: TemplateCache, text: str = TEXT, **more: Any) -> Any:
    given: dict[str, Any] = {
        "digest": Digest("d"),
        "name": "tool",
        "data_folder": DATA,
        "home": HOME,
        "host_environment": ENVIRONMENT,
        "protected": (STATE,),
        "resolve": resolver({}),
        **more,
    }
    return cache.compile(load_policy(text, file="p.yaml"), **given)


def test_an_error_is_not_kept(clock: Callable[[], float]) -> None:
    cache = DocumentCache(clock)
    for _ in range(2):
        with pytest.raises(PolicyError):
            cache.load("x", file="p.yaml")
    assert (cache.metrics.hits, cache.metrics.misses, cache.metrics.size) == (0, 2, 0)


def test_a_link_that_was_swapped_makes_the_template_anew(clock: Callable[[], float]) -> None:
    cache, links = TemplateCache(clock), {"/srv/a": "/mnt/one"}
    first = compile_with(cache, resolve=resolver(links))
    assert compile_with(cache, resolve=resolver(links)) is first
    links["/srv/a"] = "/mnt/two"
    second = compile_with(cache, resolve=resolver(links))
    assert [rule.pattern for rule in second.template.files] == ["/mnt/two/**"]
    links["/srv/a"] = "/proc"
    with pytest.raises(PolicyError):
        compile_with(cache, resolve=resolver(links))


def test_a_file_that_became_a_folder_makes_the_template_anew(clock: Callable[[], float]) -> None:
    cache = TemplateCache(clock)
    assert compile_with(cache, kind=lambda path: "file").template.preopens[0].host_path == "/srv"
    assert compile_with(cache, kind=lambda path: "folder").template.preopens[0].host_path == "/srv/a"


@pytest.mark.parametrize(
    "more",
    [
        {"digest": Digest("e")},
        {"name": "other"},
        {"home": "/home/you"},
        {"host_environment": {}},
        {"protected": ()},
        {"ceiling": load_policy(TEXT, file="most.yaml")},
        {"text": TEXT.replace("read", "write")},
    ],
)
def test_what_a_template_is_made_of_is_its_key(clock: Callable[[], float], more: dict[str, Any]) -> None:
    cache = TemplateCache(clock)
    compile_with(cache)
    compile_with(cache, **more)
    assert (cache.metrics.hits, cache.metrics.misses) == (0, 2)


def test_a_document_is_kept_by_text_file_and_waivers(clock: Callable[[], float]) -> None:
    cache = DocumentCache(clock)
    first = cache.load(TEXT, file="p.yaml")
    assert cache.load(TEXT.encode(), file="p.yaml") is first
    assert cache.load(TEXT, file="q.yaml").permissions.storage.allow[0].origin.startswith("q.yaml")
    cache.load(TEXT, file="p.yaml", waive=("ipc",))
    assert (cache.metrics.hits, cache.metrics.misses, cache.metrics.seconds) == (1, 3, 3.0)


def test_the_least_recently_used_goes_first(clock: Callable[[], float]) -> None:
    cache = DocumentCache(clock, maxsize=2)
    for file in ("a", "b", "a", "c", "a", "b"):
        cache.load(TEXT, file=file)
    assert (cache.metrics.hits, cache.metrics.misses, cache.metrics.size) == (2, 4, 2)
