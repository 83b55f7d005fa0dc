// The client that most hosts use today: it speaks the handshake era and holds results to their output schemas.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { setting, steps } from "./steps.mjs";

const transport = setting.url
  ? new StreamableHTTPClientTransport(new URL(setting.url), { requestInit: { headers: setting.headers } })
  : new StdioClientTransport({ command: setting.command, args: setting.args, stderr: "inherit" });
const client = new Client({ name: "v1", version: "1" }, { capabilities: {} });
await client.connect(transport);
await steps({
  list: async () => (await client.listTools()).tools,
  call: (name, args, options) => client.callTool({ name, arguments: args }, undefined, options),
  read: (uri) => client.readResource({ uri }),
  complete: (params) => client.complete(params),
  changed: (hear) => client.setNotificationHandler(ToolListChangedNotificationSchema, hear),
  close: () => client.close(),
});
