"""What a call costs: by its tool, its CPU time, the tokens of a model.

Pure but for the price list that ships with the host (`model_prices.json`, with its date). Whole numbers: prices in thousandths
of a millionth (`nanos`), costs in millionths, rounded up once, so that a thousand small calls never cost less than they did.

Rule: a model without a price has none, which is an error and not zero.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from typing import Any

from sandbox.config.spending import ModelPrice, Prices, nanos
from sandbox.errors import Code, SandboxError
from sandbox.policy.refusal import did_you_mean, quoted

MOST = 2**53
"""Of anything: from here on not every store can add exactly."""
_DATED = re.compile(r"-(?:[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}|latest)$", re.ASCII)
NANOS = 1_000
"""Thousandths of a millionth in a millionth."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a call of a model took: all of its input, of that what came from the cache, and its output."""

    input: int = 0
    output: int = 0
    cached: int = 0

    def __post_init__(self) -> None:
        whole(input=self.input, output=self.output, cached=self.cached)
        if self.cached > self.input:
            told = f"{self.input} tokens of input, {self.cached} of them cached, and {self.output} of output cannot be"
            raise SandboxError(told, help="`cached` is a part of `input`", code=Code.INVALID_ARGUMENTS)

    @property
    def count(self) -> int:
        """All of them."""
        return self.input + self.output


def whole(**amounts: Any) -> None:
    """Raise SandboxError where an amount is no whole number, or less than nothing: taking it would give something back."""
    for name, amount in amounts.items():
        if not isinstance(amount, int) or isinstance(amount, bool) or not 0 <= amount <= MOST:
            said = "so large" if isinstance(amount, int) and abs(amount) > MOST else quoted(repr(amount))
            raise SandboxError(f"`{name}` cannot be {said}", help=f"a whole number from 0 to {MOST}", code=Code.INVALID_ARGUMENTS)


NO_TOKENS = Tokens()


@dataclass(frozen=True, slots=True)
class ShippedPrices:
    """The prices of models as they were on a day."""

    as_of: date
    currency: str
    models: Mapping[str, ModelPrice] = field(hash=False)


@lru_cache(maxsize=1)
def shipped_prices() -> ShippedPrices:
    """The price list that ships with the host."""
    text = resources.files("sandbox.admission.spending").joinpath("model_prices.json").read_text(encoding="utf-8")
    found = json.loads(text)
    models = {name: ModelPrice.model_validate(price) for name, price in found["models"].items()}
    return ShippedPrices(date.fromisoformat(found["as_of"]), found["currency"], models)


class PriceList:
    """The prices in force: those that are written, and for models that they do not name those that ship with the host."""

    def __init__(self, written: Prices | None = None) -> None:
        # Constructed, not validated: nothing is made ready for an application without prices.
        self._written = Prices.model_construct() if written is None else written
        self._patterns = [(pattern, nanos(price)) for pattern, price in self._written.per_call.items()]
        self._per_call = lru_cache(maxsize=1024)(self._first_that_fits)
        self._cpu_second = nanos(self._written.cpu_second) if self._written.cpu_second is not None else 0

    @property
    def says_something(self) -> bool:
        """Whether any price is written."""
        written = self._written
        return bool(written.per_call or written.models or written.cpu_second is not None)

    def call_micros(self, tool: str, cpu_ms: int = 0) -> int:
        """What a call of a tool costs that has used so much CPU time."""
        return _micros(self._per_call(tool) * 1_000 + self._cpu_second * cpu_ms, 1_000)

    def _first_that_fits(self, tool: str) -> int:
        return next((price for pattern, price in self._patterns if fnmatchcase(tool, pattern)), 0)

    def tokens_micros(self, model: str, tokens: Tokens) -> int:
        """What a model's tokens cost; raises SandboxError for a model without a price."""
        price = self.of_model(model)
        cached = price.input if price.cached is None else price.cached
        parts = ((price.input, tokens.input - tokens.cached), (cached, tokens.cached), (price.output, tokens.output))
        return _micros(sum(nanos(each) * count for each, count in parts), 1_000)

    def of_model(self, model: str) -> ModelPrice:
        """A model's price: of its whole name, or without its provider and its date; raises SandboxError where it has none."""
        known = {**shipped_prices().models, **self._written.models}
        plain = model.rsplit("/", 1)[-1]
        for name in (model, plain, _DATED.sub("", plain)):
            if (price := known.get(name)) is not None:
                return price
        near = did_you_mean(model, known)
        told = "write it into `prices.models`: `{input: 0.001, output: 0.002}`"
        help_ = f"{near} or {told}" if near else told
        raise SandboxError(f"the model {quoted(model)} has no price", help=help_, code=Code.INVALID_ARGUMENTS)


def _micros(amount_nanos: int, per: int) -> int:
    """Thousandths of a millionth, times `per`, as millionths, rounded up."""
    return -(-amount_nanos // (per * NANOS))
