/** The programs in examples/ do what they say. They are also checked against the types, as all files of tests are. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { TemporaryPlace, runNode } from "./run-program.ts";

const directory: string = fileURLToPath(new URL("../../examples/", import.meta.url));

const outputs: Readonly<Record<string, string>> = {
  "configuration-service.mjs": `{
  host: 'smtp.example.org',
  port: 25,
  revision: 20,
  a: 4,
  b: 4,
  c: 4,
  d: 4
}
nodes: running, running, running
`,
  "job-table.mjs": `1.3 page the operator
2.1 send the newsletter
2.4 bill the customers
10.2 tidy up
done: 4 left: 0
the slow worker's "page the operator": ConditionFailed
`,
  "session-store.mjs": `at 10 min: ann
at 35 min: ann undefined
swept: 1
left: 1
`,
};

it.each(Object.entries(outputs))("examples/%s prints what it should, and leaves nothing behind", async (name, out) => {
  const place = new TemporaryPlace();
  try {
    const result = await runNode([directory + name], place);
    expect(result).toEqual({ exitCode: 0, signal: null, out, errors: "" });
    expect(place.leftovers()).toEqual([]);
  } finally {
    place.remove();
  }
});

it("every example is run", () => {
  expect(readdirSync(directory).filter((name) => name.endsWith(".mjs"))).toEqual(Object.keys(outputs));
});
