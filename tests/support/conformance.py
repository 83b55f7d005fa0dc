"""What the official conformance suite asks a server to have, offered by this project's own server class.

The suite calls tools, resources and prompts of fixed names, none of which a component could have: they are given to the server as
the host's own tools are, and everything between the socket and them is what `sandbox serve` has.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import mcp.types as t
from mcp import MCPError

from sandbox.server.clients import Context
from sandbox.server.own_tools import Answer
from sandbox.server.pages import cursor_in
from sandbox.server.server import SandboxServer

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
OK = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
JSON_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}
TITLED = [{"const": "value1", "title": "One"}, {"const": "value2", "title": "Two"}]
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": TITLED},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["One", "Two"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
    },
}
RESPONSE = {
    "type": "object",
    "properties": {"response": {"type": "string", "description": "User's response"}},
    "required": ["response"],
}

Handler = Callable[[Context, t.CallToolRequestParams], Awaitable[Answer]]
HANDLERS: dict[str, tuple[dict[str, Any], Handler]] = {}


def tool(name: str, schema: dict[str, Any] = NOTHING) -> Callable[[Handler], Handler]:
    """Offer a tool."""

    def add(handler: Handler) -> Handler:
        HANDLERS[name] = (schema, handler)
        return handler

    return add


def words(text: str, **more: Any) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(text=text)], **more)


def always(name: str, *content: Any, schema: dict[str, Any] = NOTHING) -> None:
    """A tool that always answers this."""

    async def handler(ctx: Context, params: t.CallToolRequestParams) -> Answer:
        return t.CallToolResult(content=list(content))

    tool(name, schema)(handler)


def embedded(uri: str, kind: str, text: str) -> t.EmbeddedResource:
    return t.EmbeddedResource(resource=t.TextResourceContents(uri=uri, mime_type=kind, text=text))


def ask(message: str = "What is your name?", schema: dict[str, Any] = NAME) -> t.ElicitRequest:
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(question: str, tokens: int = 100) -> t.CreateMessageRequest:
    messages = [t.SamplingMessage(role="user", content=t.TextContent(text=question))]
    return t.CreateMessageRequest(params=t.CreateMessageRequestParams(messages=messages, max_tokens=tokens))


always("test_simple_text", t.TextContent(text="This is a simple text response for testing."))
always("test_image_content", t.ImageContent(data=PNG, mime_type="image/png"))
always("test_audio_content", t.AudioContent(data=WAV, mime_type="audio/wav"))
always("test_embedded_resource", embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))
always(
    "test_multiple_content_types",
    t.TextContent(text="Multiple content types test:"),
    t.ImageContent(data=PNG, mime_type="image/png"),
    embedded("test://mixed-content-resource", "application/json", '{"test": "data", "value": 123}'),
)
always("json_schema_2020_12_tool", t.TextContent(text="ok"), schema=JSON_SCHEMA)
REGION = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
always("test_x_mcp_header", t.TextContent(text="region"), schema=REGION)


@tool("test_error_handling")
async def _error(ctx: Context, params: t.CallToolRequestParams) -> Answer:
    return words("This tool intentionally returns an error for testing", is_error=True)


@tool("test_logging_tool")
@tool("test_tool_with_logging")
async def _logging(ctx: Context, params: t.CallToolRequestParams) -> Answer:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", line, related_request_id=ctx.request_id)
        await asyncio.sleep(0.05)
    return words("done")


@tool("test_tool_with_progress")
async def _progress(ctx: Context, params: t.CallToolRequestParams) -> Answer:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100, f"Completed step {done} of 100")
        await asyncio.sleep(0.05)
    return words(str((ctx.meta or {}).get("progress_token", 0)))


@tool("test_streaming_elicitation")
async def _streaming(ctx: Context, params: t.CallToolRequestParams) -> Answer:
    await ctx.session.report_progress(1, 2, "working")
    return t.InputRequiredResult(input_requests={"user_name": ask()})


@tool("test_sampling", {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]})
async def _sampling(ctx: Context, params: t.CallToolRequestParams) -> Answer:
    prompt = t.SamplingMessage(role="user", content=t.TextContent(text=(params.arguments or {})["prompt"]))
    answer = await ctx.session.create_message([prompt], max_tokens=100, related_request_id=ctx.request_id)
    return words(f"LLM response: {getattr(answer.content, 'text', '?')}")


def elicits(name: str, message: str, schema: dict[str, Any], arguments: dict[str, Any] = NOTHING) -> None:
    """A tool that asks in the midst of its call, as the handshake era does."""

    async def handler(ctx: Context, params: t.CallToolRequestParams) -> Answer:
        asked = (params.arguments or {}).get("message", message)
        answer = await ctx.session.elicit_form(asked, schema, related_request_id=ctx.request_id)
        return words(f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}")

    tool(name, arguments)(handler)


MESSAGE = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
elicits("test_elicitation", "?", RESPONSE, MESSAGE)
elicits("test_elicitation_sep1034_defaults", "Please provide user information", DEFAULTS)
elicits("test_elicitation_sep1330_enums", "Please select", ENUMS)


@tool("test_missing_capability")
async def _missing(ctx: Context, params: t.CallToolRequestParams) -> Answer:
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        needed = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(t.MISSING_REQUIRED_CLIENT_CAPABILITY, "needs sampling", needed)
    return words("ok")


def requires(name: str, asked: dict[str, Any], state: str | None = None, told: str = "ok") -> None:
    """A tool that answers once it has every input, and its own state back."""

    async def handler(ctx: Context, params: t.CallToolRequestParams) -> Answer:
        whole = set(asked) <= set(params.input_responses or {}) and state in {None, params.request_state}
        return words(told) if whole else t.InputRequiredResult(input_requests=asked, request_state=state)

    tool(name)(handler)


requires("test_input_required_result_elicitation", {"user_name": ask()}, told="Hello!")
requires("test_input_required_result_sampling", {"capital_question": sample("What is the capital of France?")})
requires("test_input_required_result_list_roots", {"client_roots": t.ListRootsRequest()})
CONFIRM = {"confirm": ask("Please confirm", OK)}
requires("test_input_required_result_request_state", CONFIRM, "nonce", "state-ok: confirmed")
requires("test_input_required_result_tampered_state", CONFIRM, "round-1")
SEVERAL = {"user_name": ask(), "greeting": sample("Generate a greeting", 50), "client_roots": t.ListRootsRequest()}
requires("test_input_required_result_multiple_inputs", SEVERAL, "multi")


@tool("test_input_required_result_multi_round")
async def _rounds(ctx: Context, params: t.CallToolRequestParams) -> Answer:
    past, got = json.loads(params.request_state or '{"round":0}')["round"], params.input_responses or {}
    if past == 1 and "step1" in got:
        return t.InputRequiredResult(input_requests={"step2": ask("Step 2: favorite color?")}, request_state='{"round":2}')
    if past == 2 and "step2" in got:
        return words("done")
    return t.InputRequiredResult(input_requests={"step1": ask("Step 1: name?")}, request_state='{"round":1}')


@tool("test_input_required_result_capabilities")
async def _capabilities(ctx: Context, params: t.CallToolRequestParams) -> Answer:
    capabilities = ctx.session.client_capabilities or t.ClientCapabilities()
    asked: dict[str, Any] = {} if capabilities.sampling is None else {"sample": sample("hello", 50)}
    asked |= {} if capabilities.elicitation is None else {"ask": ask()}
    return t.InputRequiredResult(input_requests=asked, request_state="gated")


@tool("test_trigger_tool_change")
async def _change(ctx: Context, params: t.CallToolRequestParams) -> Answer:
    await ctx.lifespan_context.tools_changed()
    return words("changed")


@tool("test_trigger_prompt_change")
async def _prompt_change(ctx: Context, params: t.CallToolRequestParams) -> Answer:
    return words("nothing changes: this server has no prompts of its own")


@tool("test_reconnection")
async def _reconnection(ctx: Context, params: t.CallToolRequestParams) -> Answer:
    return words("Reconnection test completed")


class Fixtures:
    """The tools, as the server takes the host's own."""

    def tools(self) -> list[t.Tool]:
        return [t.Tool(name=name, description=name, input_schema=schema) for name, (schema, _) in HANDLERS.items()]

    def knows(self, name: str) -> bool:
        return name in HANDLERS

    async def call(self, ctx: Context, params: t.CallToolRequestParams) -> Answer:
        return await HANDLERS[params.name][1](ctx, params)


STATIC = {
    "test://static-text": t.TextResourceContents(
        uri="test://static-text", mime_type="text/plain", text="This is the content of the static text resource."
    ),
    "test://static-binary": t.BlobResourceContents(uri="test://static-binary", mime_type="image/png", blob=PNG),
    "test://watched-resource": t.TextResourceContents(uri="test://watched-resource", mime_type="text/plain", text="watched"),
}
TEMPLATE = "test://template/{id}/data"
PROMPTS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, str]], list[Any]]]] = {
    "test_simple_prompt": ((), lambda given: [t.TextContent(text="This is a simple prompt for testing.")]),
    "test_prompt_with_arguments": (
        ("arg1", "arg2"),
        lambda given: [t.TextContent(text=f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'")],
    ),
    "test_prompt_with_embedded_resource": (
        ("resourceUri",),
        lambda given: [
            embedded(given["resourceUri"], "text/plain", "Embedded resource content for testing."),
            t.TextContent(text="Please process the embedded resource above."),
        ],
    ),
    "test_prompt_with_image": (
        (),
        lambda given: [t.ImageContent(data=PNG, mime_type="image/png"), t.TextContent(text="Please analyze the image above.")],
    ),
    "test_input_required_result_prompt": ((), lambda given: [t.TextContent(text="ok")]),
}


class ConformanceServer(SandboxServer):
    """The server with the suite's resources and prompts beside its own."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given, Fixtures())
        self.add_request_handler("resources/list", t.PaginatedRequestParams, self._listed)
        self.add_request_handler("resources/templates/list", t.PaginatedRequestParams, self._templates)
        self.add_request_handler("resources/read", t.ReadResourceRequestParams, self._read)
        self.add_request_handler("resources/subscribe", t.SubscribeRequestParams, self._watched)
        self.add_request_handler("prompts/list", t.PaginatedRequestParams, self._prompts)
        self.add_request_handler("prompts/get", t.GetPromptRequestParams, self._prompt)
        self.add_request_handler("completion/complete", t.CompleteRequestParams, self._completed)

    async def _listed(self, ctx: Context, params: t.PaginatedRequestParams | None) -> t.ListResourcesResult:
        found = self.resources.page(cursor_in(params), await self._reader(ctx))
        fixtures = [t.Resource(uri=uri, name=uri[7:], mime_type=content.mime_type) for uri, content in STATIC.items()]
        return found.model_copy(update={"resources": [*found.resources, *fixtures]})

    async def _templates(self, ctx: Context, params: t.PaginatedRequestParams | None) -> t.ListResourceTemplatesResult:
        found = self.resources.templates(cursor_in(params))
        fixture = t.ResourceTemplate(uri_template=TEMPLATE, name="template", mime_type="application/json")
        return found.model_copy(update={"resource_templates": [*found.resource_templates, fixture]})

    async def _read(self, ctx: Context, params: t.ReadResourceRequestParams) -> t.ReadResourceResult:
        if params.uri in STATIC:
            return t.ReadResourceResult(contents=[STATIC[params.uri]])
        if params.uri.startswith("test://template/"):
            of = params.uri.removeprefix("test://template/").removesuffix("/data")
            text = json.dumps({"id": of, "templateTest": True, "data": f"Data for ID: {of}"})
            return t.ReadResourceResult(
                contents=[t.TextResourceContents(uri=params.uri, mime_type="application/json", text=text)]
            )
        return self.resources.read(params.uri, await self._reader(ctx))

    async def _watched(self, ctx: Context, params: t.SubscribeRequestParams) -> t.EmptyResult:
        self.clients.watch(ctx, params.uri)
        return t.EmptyResult()

    async def _prompts(self, ctx: Context, params: t.PaginatedRequestParams | None) -> t.ListPromptsResult:
        shown = [
            t.Prompt(name=name, description=name, arguments=[t.PromptArgument(name=each, required=True) for each in wanted])
            for name, (wanted, _) in PROMPTS.items()
        ]
        return t.ListPromptsResult(prompts=shown)

    async def _prompt(self, ctx: Context, params: t.GetPromptRequestParams) -> t.GetPromptResult | t.InputRequiredResult:
        if params.name not in PROMPTS:
            raise MCPError(t.INVALID_PARAMS, "unknown prompt")
        if params.name == "test_input_required_result_prompt" and "user_context" not in (params.input_responses or {}):
            schema = {"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]}
            return t.InputRequiredResult(input_requests={"user_context": ask("What context?", schema)})
        content = PROMPTS[params.name][1](params.arguments or {})
        return t.GetPromptResult(messages=[t.PromptMessage(role="user", content=each) for each in content])

    async def _completed(self, ctx: Context, params: t.CompleteRequestParams) -> t.CompleteResult:
        if isinstance(params.ref, t.PromptReference):
            return t.CompleteResult(completion=t.Completion(values=[], total=0, has_more=False))
        asked = params.ref.uri, params.argument.name, params.argument.value
        return t.CompleteResult(completion=self.resources.complete(*asked, await self._reader(ctx)))
