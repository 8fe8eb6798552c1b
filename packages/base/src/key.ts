/**
 * Logical keys: `00…` system, `01 + key` user. Range bounds are logical keys.
 *
 * In memory a key is a *binary string*: one UTF-16 code unit, 0 to 255, for each byte. V8 stores such strings
 * with one byte a character; they are cheap Map keys, and `<` on them is the order of their bytes. A key that
 * came from text must be encoded as UTF-8 first: JavaScript's own string order is not the order of bytes.
 */
import { InvariantError } from "./assert.ts";

/** A logical key as a binary string. */
export type Key = string & { readonly " brand": "Key" };

/** Marks a binary string (every code unit ≤ 255) as a key; the caller guarantees it. */
export const key = (binary: string): Key => binary as Key;

export const systemPrefix: Key = "\x00" as Key;
export const userPrefix: Key = "\x01" as Key;
/** End of the user keys, exclusive: the end of the last range. */
export const keyMax: Key = "\x02" as Key;

/** The logical key of a user's key, given as a binary string. */
export const userKey = (binary: string): Key => ("\x01" + binary) as Key;

/** The user's key, as a binary string, of a logical key `01…`. */
export function userKeyOf(logical: Key): string {
  if (logical.charCodeAt(0) !== 1) throw new InvariantError(`not a user key: ${printableKey(logical)}`);
  return logical.slice(1);
}

/** The first key after all keys that begin with `prefix`; undefined when there is none (all bytes 0xFF). */
export function prefixEnd(prefix: string): Key | undefined {
  let last = prefix.length - 1;
  while (last >= 0 && prefix.charCodeAt(last) === 255) last--;
  if (last < 0) return undefined;
  return (prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1)) as Key;
}

/** The first key after `key` in the order of keys. */
export const keyAfter = (logical: Key): Key => (logical + "\x00") as Key;

export function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** For logs and messages: printable ASCII as it is, every other byte as `\xNN`. */
export function printableKey(binary: string): string {
  return binary.replace(/[^\x21-\x5b\x5d-\x7e]/g, (c) => "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0"));
}
