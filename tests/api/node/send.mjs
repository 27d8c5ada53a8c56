// Sends what the test says on its standard input with Inngest's own client, and prints the outcome.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { baseUrl, eventKey, events } = JSON.parse(readFileSync(0, "utf8"));
const { Inngest } = createRequire(`${process.cwd()}/`)("inngest");
const logger = { info() {}, warn() {}, error() {}, debug() {} };

const client = new Inngest({ id: "test", baseUrl, eventKey, isDev: false, logger });

try {
  console.log(JSON.stringify({ ids: (await client.send(events)).ids }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
