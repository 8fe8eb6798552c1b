import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkHistoryCommand } from "../../src/command/check-history-command.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-history-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

function file(...lines: (object | string)[]): string {
  const path = join(directory, "history.jsonl");
  writeFileSync(path, lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"));
  return path;
}

const write = { client: 1, key: "x", op: "write", value: 3, invoke: 10, return: 14, result: "ok" };
const read = { client: 2, key: "x", op: "read", value: 3, invoke: 15, return: 16, result: "ok" };
const stale = { ...read, value: null };

describe("check-history", () => {
  test("ends with 0 for a history that passes, with 1 for one that fails, naming the operations", () => {
    expect(checkHistoryCommand(["--model", "register", file(write, read)])).toMatchObject({ exitCode: 0 });
    const failed = checkHistoryCommand(["--model=register", file(write, stale)]);
    expect(failed.exitCode).toBe(1);
    expect(failed.stdout).toContain("fail  2 operations, 1 keys");
    expect(failed.stdout).toContain("line 1: [10, 14] client=1 result=ok op=write value=3");
    expect(failed.stdout).toContain("line 2: [15, 16] client=2 result=ok op=read value=null");
  });

  test("checks versioned keys with --model kv", () => {
    const put = { client: 1, op: "put", value: "a", version: 5, invoke: 0, return: 1, result: "ok" };
    const get = { client: 1, op: "get", value: null, version: 0, invoke: 2, return: 3, result: "ok" };
    expect(checkHistoryCommand(["--model", "kv", file(put)]).exitCode).toBe(0);
    expect(checkHistoryCommand(["--model", "kv", file(put, get)]).exitCode).toBe(1);
  });

  test("ends with 1 when it gives up", () => {
    const { exitCode, stdout } = checkHistoryCommand([
      "--model",
      "register",
      "--steps",
      "1",
      file(write, { ...write, value: 4, client: 2 }, read),
    ]);
    expect([exitCode, stdout.split(" ")[0]]).toEqual([1, "undecided"]);
  });

  test("prints the verdict as JSON", () => {
    const { stdout } = checkHistoryCommand(["--model", "register", "-o", "json", file(write, stale)]);
    const verdict: unknown = JSON.parse(stdout);
    expect(verdict).toMatchObject({
      verdict: "fail",
      operations: 2,
      keys: 1,
      failures: [{ key: "x", verdict: "fail" }],
    });
  });

  test("ends with 2 for a malformed line, and says which", () => {
    const { exitCode, stderr } = checkHistoryCommand(["--model", "register", file(write, "# a comment", "{}")]);
    expect([exitCode, stderr.includes("line 3:")]).toEqual([2, true]);
  });

  test("ends with 2 for wrong arguments and a file that cannot be read, and says what is wrong", () => {
    const wrong: [string[], string][] = [
      [[], "--model is missing"],
      [["--model", "list", "file"], "no model list"],
      [["--model", "kv"], "FILE is missing"],
      [["--model", "kv", "a", "b"], "one file at a time"],
      [["--model", "kv", "--fast", "a"], "unknown option --fast"],
      [["--model"], "--model needs a value"],
      [["--model", "kv", "-o", "xml", "a"], "-o is table or json"],
      [["--model", "kv", "--steps", "0", "a"], "--steps must be"],
      [["--model", "kv", join(directory, "missing")], "cannot read"],
    ];
    for (const [given, message] of wrong) {
      const { exitCode, stderr } = checkHistoryCommand(given);
      expect([exitCode, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
  });

  test("explains the format with --help", () => {
    const { exitCode, stdout } = checkHistoryCommand(["--help"]);
    expect(exitCode).toBe(0);
    for (const word of ["invoke", "mismatch", "cas", "if-version", "JSON Lines", "Exit code"])
      expect(stdout).toContain(word);
  });
});
