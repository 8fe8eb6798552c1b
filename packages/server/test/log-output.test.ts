import { expect, test } from "vitest";
import { BoundedOutput, LineRate } from "../src/log/log-output.ts";
import { readableLine } from "../src/log/readable-line.ts";
import { createThreadLogger } from "../src/node/thread-logger.ts";

class FakeStream {
  writableLength = 0;
  readonly written: string[] = [];
  #onError: ((error: Error) => void) | undefined;

  write(text: string): boolean {
    this.written.push(text);
    this.writableLength += text.length;
    return false;
  }

  on(_event: "error", listener: (error: Error) => void): void {
    this.#onError = listener;
  }

  fail(): void {
    this.#onError?.(new Error("EPIPE"));
  }
}

test("H5 an output that nobody reads holds a bounded number of lines; the rest is dropped and counted", () => {
  const stream = new FakeStream();
  const output = new BoundedOutput(stream, { waitingMax: 100, format: (line) => line });
  for (let i = 0; i < 1000; i++) output.write("0123456789");
  expect(stream.written.length).toBe(11);
  expect(output.droppedLines).toBe(989);
  stream.writableLength = 0;
  output.write("again");
  expect(stream.written.at(-1)).toBe("again");
});

test("a closed output is never written to again, and is no error", () => {
  const stream = new FakeStream();
  const output = new BoundedOutput(stream, { waitingMax: 100, format: (line) => line });
  stream.fail();
  output.write("x");
  expect(stream.written).toEqual([]);
});

test("H5 lines above the rate are dropped, and the next line that goes through says how many", () => {
  const rate = new LineRate(3);
  expect([rate.allow(0), rate.allow(10), rate.allow(999), rate.allow(999), rate.allow(999)]).toEqual([
    0,
    0,
    0,
    undefined,
    undefined,
  ]);
  expect(rate.allow(1000)).toBe(2);
  expect(rate.allow(1001)).toBe(0);
});

test("a store's thread sends lines of its level and above, with errors as plain fields", () => {
  const posted: unknown[] = [];
  const logger = createThreadLogger({ postMessage: (message: unknown) => void posted.push(message) }, "warn");
  logger.info({}, "not this");
  logger.error({ error: new TypeError("boom"), size: 10n, call: () => 1, nested: { a: [1] } }, "this");
  expect(posted).toHaveLength(1);
  expect(structuredClone(posted[0])).toMatchObject({
    type: "log",
    level: "error",
    message: "this",
    fields: { error: { name: "TypeError", message: "boom" }, size: "10", nested: { a: [1] } },
  });
});

test("a line that is no JSON is shown as it is", () => {
  expect(readableLine("plain")).toBe("plain");
  expect(readableLine('{"level":40,"time":"2026-01-02T03:04:05.678Z","rangeId":3,"msg":"slow"}\n')).toMatch(
    /03:04:05\.678.*WARN.*slow.*rangeId=3/,
  );
});
