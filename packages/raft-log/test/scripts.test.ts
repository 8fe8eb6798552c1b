import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runScript } from "./script-runner.ts";

const directory = fileURLToPath(new URL("./scripts/", import.meta.url));

for (const name of readdirSync(directory).sort()) {
  test(`script ${name}`, async () => {
    await expect(await runScript(readFileSync(directory + name, "utf8"))).toMatchFileSnapshot(directory + name);
  });
}
