import { describe, expect, test } from "vitest";
import { HistoryFormatError, parseKvHistory, parseRegisterHistory } from "@flotilla/simulator";

const write = { client: 1, op: "write", value: 1, invoke: 0, return: 1, result: "ok" };
const put = { client: 1, op: "put", value: "x", version: 3, invoke: 0, return: 1, result: "ok" };

describe("a history file", () => {
  test("skips empty lines and comments, and numbers operations by their lines", () => {
    const operations = parseRegisterHistory(`# made by hand\n\n${JSON.stringify(write)}\n`);
    expect(operations).toEqual([
      { line: 3, client: "1", key: "", op: "write", value: "1", invoke: 0, return: 1, result: "ok" },
    ]);
  });

  test("takes info for unknown, and an answer that never came for any time to come", () => {
    const operations = parseRegisterHistory(
      [
        { ...write, result: "info", return: 9 },
        { ...write, result: "unknown", return: null },
      ]
        .map((line) => JSON.stringify(line))
        .join("\n"),
    );
    expect(operations.map(({ result, return: returned }) => [result, returned])).toEqual([
      ["unknown", Infinity],
      ["unknown", Infinity],
    ]);
  });

  const registerMistakes: Record<string, object | string> = {
    "is not JSON": "{oops",
    "is not an object": "[1]",
    '"op" must be one of': { ...write, op: "append" },
    '"result" must be one of': { ...write, result: "yes" },
    '"invoke" must be a number': { ...write, invoke: "now" },
    'is before "invoke"': { ...write, invoke: 2 },
    'needs "return"': { ...write, return: null },
    '"value" must be a string, number, boolean or null': { ...write, value: [1] },
    '"client" must be a string or a number': { ...write, client: null },
    '"mismatch" is for cas only': { ...write, result: "mismatch" },
  };
  for (const [message, line] of Object.entries(registerMistakes)) {
    test(`of registers refuses a line where it ${message}, and names the line`, () => {
      const text = `${JSON.stringify(write)}\n${typeof line === "string" ? line : JSON.stringify(line)}\n`;
      expect(() => parseRegisterHistory(text)).toThrow(HistoryFormatError);
      expect(() => parseRegisterHistory(text)).toThrow("line 2: ");
      expect(() => parseRegisterHistory(text)).toThrow(message);
    });
  }

  const kvMistakes: Record<string, object> = {
    'needs "expected"': { ...put, condition: "if-version" },
    '"condition" must be one of': { ...put, condition: "if-present" },
    "must be a whole number": { ...put, version: 1.5 },
    "needs a condition": { ...put, result: "mismatch" },
    "absent has no version": { ...put, op: "get", value: null },
    "version 0 is for absent": { ...put, op: "get", version: 0 },
    '"existed" must be true or false': { ...put, op: "delete", existed: "yes" },
  };
  for (const [message, line] of Object.entries(kvMistakes)) {
    test(`of versioned keys refuses a line where it ${message}`, () => {
      expect(() => parseKvHistory(JSON.stringify(line))).toThrow(message);
    });
  }
});
