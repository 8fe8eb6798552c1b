/** Hazard I1: what was checked before a wait may not hold behind it. Where that would lose data, nothing waits. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const packages = fileURLToPath(new URL("../../packages/", import.meta.url));

/** Code that decides by role, term, epoch or configuration, and what a round of a store calls besides it. */
const synchronous: readonly string[] = [
  "raft/src",
  "placement/src",
  "store/src/replica",
  "store/src/clients/routing-refusal.ts",
  "store/src/intake.ts",
  "store/src/peer-inbox.ts",
  "store/src/raft-outbox.ts",
  "store/src/store-rounds.ts",
  "store/src/store-ticks.ts",
];

function sources(path: string): string[] {
  if (path.endsWith(".ts")) return [path];
  return readdirSync(join(packages, path), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${path}/${name}`);
}

/** Lines that wait, or do something when a promise is settled. */
function waits(source: string): string[] {
  const code = source.replace(/\/\*[^]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, "");
  return code.split("\n").filter((line) => /\b(?:await|async)\b|\.(?:then|catch|finally)\(/.test(line));
}

test("I1 nothing waits between the check of a role, a term or an epoch and what is done on it", () => {
  const found = synchronous.flatMap(sources);
  expect(found.length).toBeGreaterThan(60);
  for (const path of found) expect(waits(readFileSync(join(packages, path), "utf8")), path).toEqual([]);
});

test("code that waits is found, words that look like it are not", () => {
  expect(waits("const a = await b();")).toHaveLength(1);
  expect(waits("log.flush().then(() => this.#released());")).toHaveLength(1);
  expect(waits('// await\n/** async */ const awaited = "await";')).toEqual([]);
});
