"""A Python evaluator and an HTTP fetch, as a component.

Decides nothing: the files, variables and hosts that the code reaches are the host's to give. World: wit/world.wit.
Only modules imported here exist in the component: componentize-py runs this file once and keeps the result.
"""

import array  # noqa: F401 - for the evaluated code, like the rest of this block
import ast
import base64  # noqa: F401
import binascii  # noqa: F401
import bisect  # noqa: F401
import calendar  # noqa: F401
import cmath  # noqa: F401
import codecs  # noqa: F401
import collections  # noqa: F401
import colorsys  # noqa: F401
import configparser  # noqa: F401
import contextlib
import copy  # noqa: F401
import csv  # noqa: F401
import dataclasses  # noqa: F401
import datetime  # noqa: F401, ICN001 - the code that runs here writes `datetime`
import decimal  # noqa: F401
import difflib  # noqa: F401
import encodings.idna  # noqa: F401 - `socket` wants it when it connects
import enum  # noqa: F401
import fnmatch  # noqa: F401
import fractions  # noqa: F401
import functools  # noqa: F401
import gc
import glob  # noqa: F401
import gzip  # noqa: F401
import hashlib  # noqa: F401
import heapq  # noqa: F401
import hmac  # noqa: F401
import html.parser  # noqa: F401
import http.client  # noqa: F401
import inspect  # noqa: F401
import io
import ipaddress  # noqa: F401
import itertools  # noqa: F401
import json  # noqa: F401
import linecache
import locale  # noqa: F401
import math  # noqa: F401
import numbers  # noqa: F401
import operator  # noqa: F401
import os  # noqa: F401
import pathlib  # noqa: F401
import pprint  # noqa: F401
import queue  # noqa: F401
import random
import re  # noqa: F401
import secrets  # noqa: F401
import select  # noqa: F401
import selectors  # noqa: F401
import shlex  # noqa: F401
import shutil  # noqa: F401
import socket  # noqa: F401
import statistics  # noqa: F401
import string  # noqa: F401
import struct  # noqa: F401
import sys
import tempfile  # noqa: F401
import textwrap  # noqa: F401
import time  # noqa: F401
import timeit  # noqa: F401
import tomllib  # noqa: F401
import traceback
import types as types_  # below the name is WASI's
import typing  # noqa: F401
import unicodedata  # noqa: F401
import urllib.parse
import uuid  # noqa: F401
import xml.etree.ElementTree as ET  # noqa: F401
import zipfile  # noqa: F401
import zlib  # noqa: F401
import zoneinfo  # noqa: F401

import wit_world
from componentize_py_types import Err, Ok
from wit_world.imports import outgoing_handler, types
from wit_world.imports.streams import StreamError_Closed

CHUNK = 1 << 16
BODY_MOST = 4 << 20
TEXT_MOST = 512 << 10
BUILT_IN = "the standard modules that its app.py names are there, others cannot be installed"


def unopened(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: the compiler looks for the line of a syntax error in a file called `<code>`, or `<unknown>`, which is none.

    Without this the host sees an attempt to read `/<code>`, refuses it, and the error looks like a missing permission.
    """
    if event == "open" and arguments[0] in {"<code>", "<unknown>"}:
        raise FileNotFoundError


def run(code: str) -> str:
    """What `code` prints, then the representation of its last expression unless that is None."""
    linecache.cache["<code>"] = (len(code), None, code.splitlines(keepends=True), "<code>")
    body, last = compiled(code)
    scope: dict[str, object] = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if body is not None:
            exec(body, scope)
        if last is not None:
            value = eval(last, scope)
            if value is not None:
                print(repr(value))
    return printed.getvalue()


def compiled(code: str) -> tuple[types_.CodeType | None, types_.CodeType | None]:
    """The statements of `code`, and the expression that it ends with; None for what it has not."""
    with contextlib.suppress(SyntaxError):
        return None, compile(code, "<code>", "eval")  # a lone expression needs no tree
    tree = ast.parse(code, "<code>")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    return compile(tree, "<code>", "exec"), None if last is None else compile(ast.Expression(last.value), "<code>", "eval")


def sayable(text: str) -> str:
    """`text` as WIT can carry it: halves of characters are written out, and the rest of a long one is left out."""
    left_out = f"\n… {len(text) - TEXT_MOST} more characters" if len(text) > TEXT_MOST else ""
    return text[:TEXT_MOST].encode("utf-8", "backslashreplace").decode() + left_out


def explained(error: BaseException) -> str:
    """The traceback as a terminal shows it, without this file's own frames."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != "<code>":
        trace = trace.tb_next
    told = "".join(traceback.format_exception(type(error), error, trace)).rstrip("\n")
    return f"{told}\n({BUILT_IN})" if isinstance(error, ModuleNotFoundError) else told


def outgoing(url: str) -> types.OutgoingRequest:
    """A GET request for `url`."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise Err(f"`{url}` is no URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise Err(f"`{url}` is no http or https URL: write one such as https://example.com/data.json")
    if not f"{parts.path}{parts.query}{parts.netloc}".isascii():
        raise Err(f"`{url}` has letters that a URL writes otherwise: urllib.parse.quote does it for a path, punycode for a host")
    request = types.OutgoingRequest(types.Fields.from_list([("accept", b"*/*"), ("user-agent", b"sandbox-python")]))
    request.set_method(types.Method_Get())
    request.set_scheme(types.Scheme_Https() if parts.scheme == "https" else types.Scheme_Http())
    request.set_authority(parts.netloc)
    request.set_path_with_query((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    return request


def answer(request: types.OutgoingRequest) -> types.IncomingResponse:
    """The response's head; an `Err` with WASI's error otherwise."""
    with outgoing_handler.handle(request, None) as future:
        with future.subscribe() as ready:
            ready.block()
        got = future.get()
    assert isinstance(got, Ok), "a ready future has an answer, once"
    if isinstance(got.value, Err):
        raise got.value
    return got.value.value


def content(response: types.IncomingResponse) -> tuple[bytes, bool]:
    """At most BODY_MOST bytes of the body, and whether there were more."""
    whole = bytearray()
    with response.consume() as body, body.stream() as stream:
        while len(whole) <= BODY_MOST:
            try:
                whole += stream.blocking_read(CHUNK)
            except Err as end:
                if isinstance(end.value, StreamError_Closed):
                    break
                raise
    return bytes(whole[:BODY_MOST]), len(whole) > BODY_MOST


def spelled(error: object) -> str:
    """WASI's `ErrorCode_HttpRequestDenied()` as `HttpRequestDenied`, with its payload if it has one."""
    name = type(error).__name__.removeprefix("ErrorCode_")
    payload = getattr(error, "value", None)
    return name if payload is None else f"{name}: {payload}"


class WitWorld(wit_world.WitWorld):
    """The exports."""

    def evaluate(self, code: str) -> str:
        """Run `code`; an exception, `SystemExit` too, is the `err`."""
        random.seed()  # the generator's state was frozen at build time: without this every call draws the same numbers
        try:
            return sayable(run(code))
        except BaseException as error:  # noqa: BLE001 - the evaluated code may raise anything
            raise Err(sayable(explained(error))) from None
        finally:
            sys.stderr.flush()

    def fetch(self, url: str) -> wit_world.Response:
        """GET `url`."""
        request = outgoing(url)
        try:
            with answer(request) as response:
                body, cut = content(response)
                return wit_world.Response(response.status(), body.decode("utf-8", "replace"), cut)
        except Err as error:
            raise Err(f"no answer from `{url}`: {spelled(error.value)}") from None


sys.addaudithook(unopened)
# All that is there is loaded already, and its sources are not: to look for either would be an attempt at a path, which the host
# refuses, and the evaluated code's own error would look like a missing permission.
sys.path.clear()
linecache.updatecache = lambda filename, module_globals=None: []  # noqa: ARG005 - the standard library's signature

# componentize-py keeps what is here now: what Python makes at the first evaluation is made once, instead of in every call.
for each in ("1 + 1", "x = [n for n in range(9)]\nprint(x)", "1 / 0") * 20:
    with contextlib.suppress(Err):
        WitWorld().evaluate(each)
linecache.cache.clear()
gc.collect()
gc.freeze()
