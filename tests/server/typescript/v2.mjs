// The client of the next major version, in the mode that the setting names: legacy, auto or a pinned protocol version.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { setting, steps } from "./steps.mjs";

const transport = setting.url
  ? new StreamableHTTPClientTransport(new URL(setting.url), { requestInit: { headers: setting.headers } })
  : new StdioClientTransport({ command: setting.command, args: setting.args, stderr: "inherit" });
const mode = setting.mode.startsWith("2") ? { pin: setting.mode } : setting.mode;
const client = new Client({ name: "v2", version: "1" }, { capabilities: {}, versionNegotiation: { mode } });
await client.connect(transport);
const hearers = [];
client.setNotificationHandler("notifications/tools/list_changed", () => hearers.forEach((hear) => hear()));
if (setting.mode !== "legacy") await client.listen({ toolsListChanged: true });
await steps({
  list: async () => (await client.listTools()).tools,
  call: (name, args, options) => client.callTool({ name, arguments: args }, options),
  read: (uri) => client.readResource({ uri }),
  complete: (params) => client.complete(params),
  changed: (hear) => hearers.push(hear),
  close: () => client.close(),
});
