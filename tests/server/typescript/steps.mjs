// What both TypeScript clients do with a server of the files component; the answers are checked in Python.
//
//   node v1.mjs '{"url": "http://...", "file": "/path/to/read", "folder": "/path/to/grant", "sandbox": ["...", "..."]}'
//
// A client is {list, call, read, complete, close, changed}: `call` takes a tool's name, its arguments and {signal, onprogress};
// `changed` is called with a function that wants to hear of `tools/list_changed`.

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

const hintsOf = (tools) => tools.find((tool) => tool.name === "files__read").annotations;

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
  const heard = new Promise((resolve) => client.changed(() => resolve(true)));
  answers.hints = [hintsOf(answers.tools)];
  terminal("permission", "grant", "files", "storage", `fs://${setting.folder}/**`, "--access", "read,write,delete");
  answers.changed = await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, 5000, false))]);
  answers.hints.push(hintsOf(await client.list()));
  answers.policy = JSON.parse((await client.read("sandbox://components/files/policy")).contents[0].text);
  const reference = { type: "ref/resource", uri: "sandbox://components/{component}/policy" };
  answers.completed = (await client.complete({ ref: reference, argument: { name: "component", value: "ex" } })).completion.values;
  answers.progress = [];
  const onprogress = (step) => answers.progress.push(step.message);
  await client.call("exhaust_sleep__sleep", { milliseconds: "200" }, { onprogress });
  const begun = Date.now();
  answers.aborted = await told(() =>
    client.call("exhaust_sleep__sleep", { milliseconds: "20000" }, { signal: AbortSignal.timeout(300) }),
  );
  answers.aborted_after_ms = Date.now() - begun;
  answers.after = await told(() => client.call("every_type__echo-u64", { x: "18446744073709551615" }));
  await client.close();
  console.log(JSON.stringify(answers));
}
