"""When the call of a function is over: at its return, or for what goes on afterwards, at that end.

Decides nothing. Rules: a coroutine or a generator is admitted when it is begun and over when it ends, be it that nobody reads on;
a plain function that hands out one of them would be settled before it ran, and is refused.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, aclosing
from typing import Any

Admitted = Callable[[Any, Mapping[str, Any]], AbstractContextManager[Any]]
"""The block in which a call runs, by its arguments; what it gives are the named arguments for the function."""
Awaited = Callable[[Any, Mapping[str, Any]], Awaitable[None]]
"""What a call waits for before it is admitted, by its arguments."""


def after(awaited: Awaited, function: Callable[..., Any], guarded: Callable[..., Any]) -> Callable[..., Any]:
    """A guarded coroutine function, each of its calls after `awaited`. Raises TypeError for any other, which cannot wait."""
    if not inspect.iscoroutinefunction(function):
        raise TypeError(
            f"`{getattr(function, '__name__', 'it')}` cannot wait for an answer: only what is written `async def` can"
        )

    async def waiting(*args: Any, **kwargs: Any) -> Any:
        await awaited(args, kwargs)
        return await guarded(*args, **kwargs)

    return waiting


def settled_at_its_end(function: Callable[..., Any], admitted: Admitted) -> Callable[..., Any]:
    """The function, of the same kind, each of its calls within `admitted`."""
    for is_one, around in _KINDS:
        if is_one(function) or is_one(type(function).__call__):
            return around(function, admitted)
    return _plain(function, admitted)


def _plain(function: Callable[..., Any], admitted: Admitted) -> Callable[..., Any]:
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with admitted(args, kwargs) as given:
            return _over(function, function(*args, **given))

    return guarded


def _coroutine(function: Callable[..., Any], admitted: Admitted) -> Callable[..., Any]:
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        with admitted(args, kwargs) as given:
            return await function(*args, **given)

    return guarded


def _generator(function: Callable[..., Any], admitted: Admitted) -> Callable[..., Any]:
    def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with admitted(args, kwargs) as given:
            try:
                return (yield from function(*args, **given))
            except GeneratorExit:
                # Who reads has enough, and the function was told so: an end like another.
                return None

    return guarded


def _async_generator(function: Callable[..., Any], admitted: Admitted) -> Callable[..., Any]:
    async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with admitted(args, kwargs) as given:
            async with aclosing(function(*args, **given)) as inner:
                step = inner.asend(None)
                while True:
                    try:
                        item = await step
                    except StopAsyncIteration:
                        return
                    try:
                        step = inner.asend((yield item))
                    except GeneratorExit:
                        return
                    except BaseException as error:  # noqa: BLE001 - the function's to answer
                        step = inner.athrow(error)

    return guarded


_KINDS = (
    (inspect.iscoroutinefunction, _coroutine),
    (inspect.isgeneratorfunction, _generator),
    (inspect.isasyncgenfunction, _async_generator),
)


def _over(function: Callable[..., Any], result: Any) -> Any:
    """What a plain function gave. Raises TypeError for what has still to run, which does not."""
    if not (inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result)):
        return result
    stop = getattr(result, "close", None) or getattr(result, "cancel", None)
    if stop is not None:
        stop()
    name = getattr(function, "__name__", type(function).__name__)
    kind = type(result).__name__
    raise TypeError(
        f"`{name}` is guarded and gave a {kind}, which runs after it: write it as `async def`, or with `yield` itself"
    )
