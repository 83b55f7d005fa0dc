// Both clients with credentials of their own: they find the issuer and get a token; the newer one another, where a tool needs more.
import * as v2 from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { ClientCredentialsProvider } from "@modelcontextprotocol/sdk/client/auth-extensions.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const setting = JSON.parse(process.argv[2]);
const credentials = { clientId: "robot", clientSecret: "its-secret", expectedIssuer: setting.issuer, scope: setting.scope };
const got = {};

async function use(client, transport, call) {
  await client.connect(transport);
  for (const [tool, args] of setting.calls) got[tool] = await call(tool, args);
  await client.close();
}

if (setting.client === "v1") {
  const transport = new StreamableHTTPClientTransport(new URL(setting.url), { authProvider: new ClientCredentialsProvider(credentials) });
  const client = new Client({ name: "v1", version: "1" });
  await use(client, transport, (name, args) => client.callTool({ name, arguments: args }));
} else {
  const provider = new v2.ClientCredentialsProvider(credentials);
  const transport = new v2.StreamableHTTPClientTransport(new URL(setting.url), { authProvider: provider });
  const client = new v2.Client({ name: "v2", version: "1" }, { versionNegotiation: { mode: setting.mode } });
  await use(client, transport, (name, args) => client.callTool({ name, arguments: args }));
}
console.log(JSON.stringify(got));
