/** The logger of a store's thread: lines go to the main thread, so that a log output that hangs never stops the store. */
import type { MessagePort } from "node:worker_threads";
import type { Logger } from "@flotilla/base";
import { LineRate } from "../log/log-output.ts";
import { errorFields } from "../log/error-fields.ts";
import { logLevels } from "../settings/log-level.ts";
import type { LogLevel } from "../settings/log-level.ts";
import type { FromStoreThread } from "./store-thread-messages.ts";

const linesPerSecondMax = 1000;

export function createThreadLogger(port: Pick<MessagePort, "postMessage">, level: LogLevel): Logger {
  const rate = new LineRate(linesPerSecondMax);
  const lowest = logLevels.indexOf(level);
  const log = (name: "debug" | "info" | "warn" | "error", fields: object, message: string): void => {
    if (logLevels.indexOf(name) < lowest) return;
    const dropped = rate.allow(performance.now());
    if (dropped === undefined) return;
    const line: FromStoreThread = { type: "log", level: name, fields: plainFields(fields, dropped), message };
    port.postMessage(line);
  };
  return {
    debug: (fields, message) => log("debug", fields, message),
    info: (fields, message) => log("info", fields, message),
    warn: (fields, message) => log("warn", fields, message),
    error: (fields, message) => log("error", fields, message),
  };
}

/** Only what can cross the boundary between threads: one level of plain values, errors as fields, the rest as text. */
function plainFields(fields: object, droppedLines: number): object {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    const type = typeof value;
    if (value instanceof Error) plain[name] = errorFields(value);
    else if (type === "object" && value !== null) plain[name] = JSON.parse(JSON.stringify(value)) as unknown;
    else plain[name] = type === "function" || type === "symbol" || type === "bigint" ? String(value) : value;
  }
  if (droppedLines > 0) plain["droppedLines"] = droppedLines;
  return plain;
}
