// What both TypeScript clients do with a server of the files component; the answers are checked in Python.
//
//   node v1.mjs '{"command": "...", "args": [...], "file": "/path/to/read", "sandbox": ["...", "..."]}'
//
// A client is {list, call, close, changed}: `call` takes a tool's name, its arguments and an AbortSignal.

import { execFileSync } from "node:child_process";

export const setting = JSON.parse(process.argv[2]);

const told = async (work) => {
  try {
    return await work();
  } catch (error) {
    return { thrown: { code: error.code ?? null, message: String(error.message) } };
  }
};

const terminal = (...words) => {
  const [program, ...first] = setting.sandbox;
  return JSON.parse(execFileSync(program, [...first, ...words, "--json"], { encoding: "utf8" }));
};

export async function steps(client) {
  const answers = { tools: await client.list() };
  const read = () => told(() => client.call("files__read", { path: setting.file }));
  answers.refused = await read();
  const { denial_id } = answers.refused._meta["sandbox/error"];
  const grant = terminal("permission", "grant", "--from-denial", denial_id);
  answers.granted = await read();
  terminal("permission", "revoke", grant.id);
  answers.revoked = await read();
  answers.unknown = await told(() => client.call("files__nope", {}));
  answers.wrong = await told(() => client.call("files__read", { path: 7 }));
  const aborted = AbortSignal.timeout(300);
  const begun = Date.now();
  answers.aborted = await told(() => client.call("exhaust_sleep__sleep", { milliseconds: "20000" }, aborted));
  answers.aborted_after_ms = Date.now() - begun;
  answers.after = await told(() => client.call("every_type__echo-u64", { x: "18446744073709551615" }));
  await client.close();
  console.log(JSON.stringify(answers));
}
