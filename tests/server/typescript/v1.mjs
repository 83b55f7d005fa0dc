// The client that most hosts use today: it speaks the handshake era and holds results to their output schemas.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { setting, steps } from "./steps.mjs";

const client = new Client({ name: "v1", version: "1" }, { capabilities: {} });
await client.connect(new StdioClientTransport({ command: setting.command, args: setting.args, stderr: "inherit" }));
await steps({
  list: async () => (await client.listTools()).tools,
  call: (name, args, signal) => client.callTool({ name, arguments: args }, undefined, { signal }),
  close: () => client.close(),
});
