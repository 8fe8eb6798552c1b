/** The tests that docs/testing-your-app.md shows, run by the runners they are for. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { TemporaryPlace, runNode } from "../cluster/run-program.ts";

const root: string = fileURLToPath(new URL("../..", import.meta.url));
/** Where `flotilla` and `vitest` can be imported. */
const directory: string = join(root, "test", `.documented-${process.pid}`);

const document: string = readFileSync(join(root, "docs", "testing-your-app.md"), "utf8");

function example(language: string): string {
  const text = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "ms").exec(document)?.[1];
  if (text === undefined) throw new Error(`docs/testing-your-app.md has no example marked ${language}`);
  return text;
}

const place = new TemporaryPlace();

beforeAll(() => {
  mkdirSync(directory);
  writeFileSync(join(directory, "shown.test.mjs"), example("js vitest"));
  writeFileSync(join(directory, "node-test.mjs"), example("js node:test"));
  writeFileSync(join(directory, "short.mjs"), example("js"));
  writeFileSync(join(directory, "vitest.config.mjs"), "export default {};\n");
});

afterAll(() => {
  rmSync(directory, { recursive: true });
  place.remove();
});

it("the short example runs", async () => {
  expect(await runNode([join(directory, "short.mjs")], place)).toMatchObject({ exitCode: 0, errors: "" });
});

it("the example for node:test passes under node:test", async () => {
  const result = await runNode(["--test", join(directory, "node-test.mjs")], place);
  expect(result.out).toMatch(/^# pass 1$/m);
  expect(result).toMatchObject({ exitCode: 0 });
});

it("the example for vitest passes under vitest", async () => {
  const vitest = join(root, "test", "node_modules", "vitest", "vitest.mjs");
  const result = await runNode([vitest, "run", "--root", directory, "--no-color", "shown"], place);
  expect(result.out, result.errors).toMatch(/Tests\s+2 passed/);
  expect(result.exitCode).toBe(0);
});

it("they leave no directory behind", () => {
  expect(place.leftovers()).toEqual([]);
});
