/**
 * Byte work for which the platform has something much faster than a loop in JavaScript (node: `Buffer`,
 * `zlib.crc32`). Handed in through `Environment`, so that the pure packages need no Node types.
 */
export interface ByteOperations {
  /** CRC-32 (IEEE, as in zlib) over `bytes[start, end)`, continuing from `seed` (0 to begin). Unsigned. */
  crc32(bytes: Uint8Array, start: number, end: number, seed: number): number;
  /** The bytes `[start, end)` as a binary string: one UTF-16 code unit, 0 to 255, a byte. See `key.ts`. */
  binaryString(bytes: Uint8Array, start: number, end: number): string;
  /** Writes a binary string at `offset`, returns the number of bytes written (= its length). */
  writeBinaryString(target: Uint8Array, text: string, offset: number): number;
  /** Byte length of the text as UTF-8. */
  utf8Length(text: string): number;
  encodeUtf8(text: string): Uint8Array;
  /** Invalid sequences become U+FFFD. */
  decodeUtf8(bytes: Uint8Array): string;
  /** New memory that is not shared with any pool; its content is undefined. */
  allocate(length: number): Uint8Array;
}

/** Bytewise, shorter first when one is a prefix: the order of keys everywhere. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}
