/**
 * The documents that are made from the code. Each has a part written by hand, down to the marker, and a part below it that
 * `vitest run packages/cli/test/documents.test.ts -u` writes anew.
 */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { expect, test } from "vitest";
import { keyBytesMax, valueBytesMaxDefault, valueBytesMaxHighest } from "@flotilla/base";
import { FlotillaError } from "@flotilla/client";
import { defaultSettings } from "@flotilla/client/internal";
import { formatQuantity, environmentVariableOf, flagOf, settingDefinitions } from "@flotilla/server/settings";
import { defaultGrpcSettings } from "@flotilla/transport/grpc";
import { nodesMax } from "../src/dev/dev-plan.ts";
import { errorCodes } from "../src/error-codes.ts";
import { exitCodeOf } from "../src/exit-code.ts";
import { allVerbs } from "../src/all-verbs.ts";
import { groups } from "../src/verb-table.ts";
import { run } from "./fake-cluster.ts";

const marker = "<!-- Below: made from the code by packages/cli/test/documents.test.ts -->\n";

async function expectDocument(name: string, generated: string): Promise<void> {
  const path = fileURLToPath(new URL(`../../../docs/${name}`, import.meta.url));
  const byHand = existsSync(path) ? readFileSync(path, "utf8").split(marker)[0]! : `# ${name}\n\n`;
  await expect(`${byHand}${marker}\n${generated}`).toMatchFileSnapshot(path);
}

test("docs/configuration.md lists every setting with its three spellings, default and meaning", async () => {
  const rows = settingDefinitions.map(({ name, description, defaultValue, unit }) => {
    const shown =
      typeof defaultValue === "number"
        ? formatQuantity(defaultValue, unit ?? "count")
        : typeof defaultValue === "object" || defaultValue === undefined
          ? ""
          : JSON.stringify(defaultValue);
    return `| \`${name}\` | \`${flagOf(name)}\` | \`${environmentVariableOf(name)}\` | ${shown === "" ? "" : `\`${shown}\``} | ${description} |`;
  });
  await expectDocument(
    "configuration.md",
    `| in the file | flag | environment | default | meaning |\n|---|---|---|---|---|\n${rows.join("\n")}\n`,
  );
});

test("docs/errors.md lists every code with its meaning and exit code", async () => {
  const rows = Object.entries(errorCodes).map(
    ([code, { meaning, exitCode, retryable }]) => `| ${code} | ${meaning} | ${exitCode} | ${retryable ? "yes" : ""} |`,
  );
  await expectDocument(
    "errors.md",
    `| code | meaning | exit code | retryable |\n|---|---|---|---|\n${rows.join("\n")}\n`,
  );
});

test("docs/limits.md says the limits that the code has", () => {
  const text = readFileSync(fileURLToPath(new URL("../../../docs/limits.md", import.meta.url)), "utf8");
  const spaced = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, " ");
  const mebibytes = (bytes: number): string => `${bytes / 2 ** 20} MiB`;
  const setting = (name: string): number =>
    settingDefinitions.find((definition) => definition.name === name)!.defaultValue as number;
  const { inFlightMax, queuedMax, timeoutMs } = defaultSettings;
  const rows = [
    `| key | 1 to ${spaced(keyBytesMax)} bytes |`,
    `| value | ${mebibytes(valueBytesMaxDefault)}; \`valueBytesMax\` up to ${mebibytes(valueBytesMaxHighest)} |`,
    `| nodes of \`flotilla dev\` | ${nodesMax} |`,
    `| connections of one node | ${spaced(defaultGrpcSettings.connectionsMax)} |`,
    `| uncommitted bytes of one range | ${mebibytes(setting("uncommittedBytesMax"))} (\`uncommittedBytesMax\`) |`,
    `| operations under way in one client | ${spaced(inFlightMax)}, and ${spaced(queuedMax)} that wait |`,
    `| a call | ${timeoutMs / 1000} s (\`timeoutMs\`) |`,
  ];
  for (const row of rows) expect(text).toContain(`\n${row}`);
});

test("docs/cli.md shows the help of every verb", async () => {
  let text = "";
  for (const { path } of allVerbs) {
    const { out } = await run([...path, "--help"]);
    text += `## flotilla ${path.join(" ")}\n\n\`\`\`\n${out.trimEnd().replace(/[ \t]+$/gm, "")}\n\`\`\`\n\n`;
  }
  expect(new Set(allVerbs.filter(({ path }) => path.length === 2).map(({ path }) => path[0]))).toEqual(
    new Set(Object.keys(groups)),
  );
  await expectDocument("cli.md", text.trimEnd() + "\n");
});

test.each(["deploying.md", "operations.md"])("docs/%s names only verbs and options that exist", async (name) => {
  const text = readFileSync(fileURLToPath(new URL(`../../../docs/${name}`, import.meta.url)), "utf8");
  const lines = text.match(/^(?: {4})?flotilla .*$/gm) ?? [];
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    const words = line.replace(/ #.*$/, "").trim().split(/\s+/).slice(1);
    const entry = allVerbs.find(({ path }) => path.every((word, index) => words[index] === word));
    expect(entry, line).toBeDefined();
    const command = new Command();
    (await entry!.load()).verb.configure(command);
    const known = new Set(command.options.flatMap(({ long, short }) => [long, short]));
    for (const word of words) if (word.startsWith("-")) expect([line, known.has(word)]).toEqual([line, true]);
  }
});

test("the exit code of an error is the one in the table, and retryable is what the client says", () => {
  for (const [code, { exitCode, retryable }] of Object.entries(errorCodes)) {
    const error = new FlotillaError(code as keyof typeof errorCodes, "x");
    expect([code, exitCodeOf(error), error.retryable]).toEqual([code, exitCode, retryable]);
  }
  expect(exitCodeOf(new FlotillaError("Timeout", "x", { outcome: "unknown" }))).toBe(3);
  expect(exitCodeOf(new Error("anything"))).toBe(1);
  expect(exitCodeOf(new FlotillaError("Refused", "x"), true)).toBe(2);
});
