/** Keys and values on the outside: UTF-8 text, base64 or hex. In memory keys are binary strings. */
import { Failure } from "@flotilla/base";

export type Encoding = "utf8" | "base64" | "hex";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of the bytes, or `undefined` when they are not UTF-8. */
export function utf8TextOf(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/** What the user typed as bytes; `name` stands in front of the error. */
export function bytesFromText(name: string, text: string, encoding: Encoding): Uint8Array {
  switch (encoding) {
    case "utf8":
      return Buffer.from(text, "utf8");
    case "hex":
      if (!/^([0-9a-fA-F]{2})*$/.test(text))
        throw new Failure("InvalidArgument", `${name} is not hex: "${text}"`, {
          hint: "two digits 0-9 or a-f for each byte",
        });
      return Buffer.from(text, "hex");
    case "base64": {
      const bytes = Buffer.from(text, "base64");
      if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text) || bytes.toString("base64").replace(/=+$/, "") !== plainBase64(text)) {
        throw new Failure("InvalidArgument", `${name} is not base64: "${text}"`);
      }
      return bytes;
    }
    default:
      return encoding satisfies never;
  }
}

const plainBase64 = (text: string): string => text.replace(/=+$/, "").replace(/-/g, "+").replace(/_/g, "/");

/**
 * Several byte strings of one object in one encoding: the wanted one, or base64 when that is UTF-8 and one of them is
 * not. `undefined` stays `null`.
 */
export function encodeTogether<Name extends string>(
  fields: Readonly<Record<Name, Uint8Array | undefined>>,
  wanted: Encoding,
): Record<Name, string | null> & { encoding: Encoding } {
  const texts: Record<string, string | null> = {};
  for (const [name, bytes] of Object.entries<Uint8Array | undefined>(fields)) {
    const text = bytes === undefined ? null : encodeBytes(bytes, wanted);
    if (text === undefined) return encodeTogether(fields, "base64");
    texts[name] = text;
  }
  return { ...(texts as Record<Name, string | null>), encoding: wanted };
}

/** `undefined` only for `utf8` and bytes that are not. */
function encodeBytes(bytes: Uint8Array, encoding: Encoding): string | undefined {
  if (encoding === "utf8") return utf8TextOf(bytes);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(encoding);
}

export const bytesOfBinaryString = (binary: string): Uint8Array => Buffer.from(binary, "latin1");

/** For a terminal: UTF-8 text without control characters, everything else as `\xNN`. */
export function printableBytes(bytes: Uint8Array, charactersMax: number = Number.POSITIVE_INFINITY): string {
  const text = utf8TextOf(bytes);
  const printable =
    text === undefined
      ? Array.from(bytes.subarray(0, Math.min(bytes.length, charactersMax)), (byte) => printableByte(byte)).join("")
      : text.replace(/[\x00-\x1f\x7f-\x9f]/g, (character) => escapeByte(character.charCodeAt(0)));
  return printable.length > charactersMax ? printable.slice(0, Math.max(0, charactersMax - 1)) + "…" : printable;
}

const escapeByte = (byte: number): string => "\\x" + byte.toString(16).padStart(2, "0");
const printableByte = (byte: number): string =>
  byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : escapeByte(byte);
