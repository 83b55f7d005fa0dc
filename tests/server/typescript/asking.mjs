// Both TypeScript clients with a person who answers: `node asking.mjs '{"version": "v1"|"v2", "mode": …, "url": …, "headers": {…}}'`.
//
// The answers of two calls of `grant_storage_permission` are written, the first declined and the second accepted, with what was shown.
const setting = JSON.parse(process.argv[2]);
const shown = [];
const answers = [{ action: "decline" }, { action: "accept", content: { approve: true } }];
const answer = async (request) => {
  shown.push(request.params.message);
  return answers.shift();
};
const options = { capabilities: { elicitation: { form: {} } } };
const headers = { requestInit: { headers: setting.headers } };
let client, call;
if (setting.version === "v1") {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { ElicitRequestSchema } = await import("@modelcontextprotocol/sdk/types.js");
  client = new Client({ name: "v1", version: "1" }, options);
  client.setRequestHandler(ElicitRequestSchema, answer);
  await client.connect(new StreamableHTTPClientTransport(new URL(setting.url), headers));
} else {
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const mode = ["legacy", "auto"].includes(setting.mode) ? setting.mode : { pin: setting.mode };
  client = new Client({ name: "v2", version: "1" }, { ...options, versionNegotiation: { mode } });
  client.setRequestHandler("elicitation/create", answer);
  await client.connect(new StreamableHTTPClientTransport(new URL(setting.url), headers));
}
await client.listTools();
const told = async (name, args) => {
  const result = await client.callTool({ name, arguments: args });
  return { error: result.isError ?? false, structured: result.structuredContent ?? null, text: result.content[0].text };
};
const read = () => told("files__read", { path: setting.file });
const ask = (access) => told("grant_storage_permission", { component_id: "files", uri: setting.uri, access });
const declined = await ask(["read", "write"]);
const before = await read();
const granted = await ask(["read"]);
const after = await read();
const policy = await told("get_policy", { component_id: "files" });
const revoked = await told("revoke_storage_permission", { component_id: "files", uri: setting.uri });
const last = await read();
await client.close();
console.log(JSON.stringify({ declined, before, granted, after, policy, revoked, last, shown }));
