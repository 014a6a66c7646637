// Runs one function node of a flow outside Node-RED: calls on stdin, what it returned on stdout, both JSON.
// usage: node run_function.mjs FLOW.json NAME; stdin {"env": {…}, "context": {…}, "messages": [msg, …]}
import { readFileSync } from "node:fs";

const [flowFile, name] = process.argv.slice(2);
const found = JSON.parse(readFileSync(flowFile, "utf8")).find((one) => one.type === "function" && one.name === name);
const asked = JSON.parse(readFileSync(0, "utf8"));
const context = new Map(Object.entries(asked.context ?? {}));
const flow = { get: (key) => context.get(key), set: (key, value) => context.set(key, value) };
const env = { get: (key) => asked.env?.[key] ?? "" };
const run = new Function("msg", "flow", "env", "node", found.func);
const returned = asked.messages.map((msg) => structuredClone(run(msg, flow, env, { status: () => {} })));
process.stdout.write(JSON.stringify({ returned, context: Object.fromEntries(context) }));
