/** The node's own log: pino JSON lines to standard error, readable ones when that is a terminal. */
import { pino } from "pino";
import type { Logger } from "@flotilla/base";
import type { LogLevel } from "../settings/log-level.ts";
import { errorFields } from "./error-fields.ts";
import { BoundedOutput } from "./log-output.ts";
import type { OutputStream } from "./log-output.ts";
import { readableLine } from "./readable-line.ts";

const waitingMax = 8 * 1024 * 1024;

export function createNodeLogger(level: LogLevel, stream: OutputStream & { readonly isTTY?: boolean }): Logger {
  const format = stream.isTTY === true ? readableLine : (line: string): string => line;
  const output = new BoundedOutput(stream, { waitingMax, format });
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers: { error: errorFields } },
    output,
  );
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
  };
}
