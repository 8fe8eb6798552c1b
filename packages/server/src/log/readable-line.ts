/** A pino JSON line as a person reads it on a terminal: `12:03:04.123 WARN message  name=value`. */
import { styleText } from "node:util";

const levels: Readonly<Record<number, readonly [string, "gray" | "green" | "yellow" | "red"]>> = {
  20: ["DEBUG", "gray"],
  30: ["INFO ", "green"],
  40: ["WARN ", "yellow"],
  50: ["ERROR", "red"],
  60: ["FATAL", "red"],
};

export function readableLine(line: string): string {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const { level, time, msg, ...rest } = fields;
  const [name, color] = levels[Number(level)] ?? ["LOG  ", "gray"];
  const clock = typeof time === "string" ? time.slice(11, 23) : "";
  const pairs = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const tail = pairs.length === 0 ? "" : "  " + styleText("gray", pairs.join(" "));
  return `${clock} ${styleText(color, name)} ${String(msg)}${tail}\n`;
}
