/**
 * One line of a jsonl file: `{"key","value"}` with an optional `"encoding"` for both, which is what exports write; or, with
 * a key field, any object, whose line as it stands becomes the value.
 */
import { Failure } from "@flotilla/base";
import type { Line } from "./read-lines.ts";
import { bytesFromText, encodeTogether, utf8TextOf } from "../output/bytes-text.ts";
import type { Encoding } from "../output/bytes-text.ts";

export interface JsonLineRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Throws `InvalidArgument` that names the line. */
export function parseJsonLine({ number, bytes }: Line, keyField: string | undefined): JsonLineRecord {
  const wrong = (why: string): Failure =>
    new Failure("InvalidArgument", `line ${number}: ${why}`, { details: { line: number } });
  const text = utf8TextOf(bytes);
  if (text === undefined) throw wrong("it is not UTF-8");
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw wrong(`it is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) throw wrong("it is not an object");
  const fields = content as Record<string, unknown>;
  return keyField === undefined ? parsePair(fields, wrong) : parseKeyed(fields, keyField, bytes, wrong);
}

function parsePair(fields: Record<string, unknown>, wrong: (why: string) => Failure): JsonLineRecord {
  const { key, value, encoding = "utf8" } = fields;
  if (typeof key !== "string") throw wrong('it has no string "key"');
  if (typeof value !== "string") throw wrong('it has no string "value"');
  if (encoding !== "utf8" && encoding !== "base64" && encoding !== "hex")
    throw wrong(`its "encoding" must be utf8, base64 or hex, got ${JSON.stringify(encoding)}`);
  try {
    return { key: bytesFromText("key", key, encoding), value: bytesFromText("value", value, encoding) };
  } catch (error) {
    throw wrong(error instanceof Error ? error.message.slice(0, 200) : String(error));
  }
}

function parseKeyed(
  fields: Record<string, unknown>,
  keyField: string,
  line: Buffer,
  wrong: (why: string) => Failure,
): JsonLineRecord {
  const key = Object.hasOwn(fields, keyField) ? fields[keyField] : undefined;
  if (typeof key !== "string" && typeof key !== "number")
    throw wrong(`it has no field ${JSON.stringify(keyField)} with a string or a number`);
  return { key: Buffer.from(String(key), "utf8"), value: line };
}

export function formatJsonLine(key: Uint8Array, value: Uint8Array, version: number, wanted: Encoding): string {
  const { key: keyText, value: valueText, encoding } = encodeTogether({ key, value }, wanted);
  return JSON.stringify({ key: keyText, value: valueText, version, encoding }) + "\n";
}
