// The client of the next major version, in the mode that the setting names: legacy, auto or a pinned protocol version.
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { setting, steps } from "./steps.mjs";

const mode = setting.mode.startsWith("2") ? { pin: setting.mode } : setting.mode;
const client = new Client({ name: "v2", version: "1" }, { capabilities: {}, versionNegotiation: { mode } });
await client.connect(new StdioClientTransport({ command: setting.command, args: setting.args, stderr: "inherit" }));
await steps({
  list: async () => (await client.listTools()).tools,
  call: (name, args, signal) => client.callTool({ name, arguments: args }, { signal }),
  close: () => client.close(),
});
