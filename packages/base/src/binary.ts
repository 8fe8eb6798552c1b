/**
 * Reading and writing the fixed binary formats. Integers are big-endian; 53-bit integers take 8 bytes.
 * A reader never reads past its end: it throws `MalformedError`, which the owner of the bytes turns into its
 * own typed error (a refused message, a corrupt file).
 */
import type { ByteOperations } from "./byte-operations.ts";

export class MalformedError extends Error {
  override readonly name = "MalformedError";
}

export class BinaryReader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** offset ≤ end ≤ bytes.length */
  offset: number;
  readonly end: number;

  constructor(bytes: Uint8Array, offset = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.offset = offset;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.offset;
  }

  /** Moves on by `length` bytes and returns where they begin. */
  take(length: number): number {
    const at = this.offset;
    if (length < 0 || length > this.end - at) {
      throw new MalformedError(`needs ${length} bytes at offset ${at}, only ${this.end - at} are left`);
    }
    this.offset = at + length;
    return at;
  }

  uint8(): number {
    return this.view.getUint8(this.take(1));
  }

  uint16(): number {
    return this.view.getUint16(this.take(2));
  }

  uint32(): number {
    return this.view.getUint32(this.take(4));
  }

  /** 8 bytes; values above 2^53 - 1 are malformed. */
  uint53(): number {
    const at = this.take(8);
    const high = this.view.getUint32(at);
    if (high > 0x1fffff) throw new MalformedError(`integer above 2^53-1 at offset ${at}`);
    return high * 4294967296 + this.view.getUint32(at + 4);
  }

  /** A view, not a copy. */
  subarray(length: number): Uint8Array {
    const at = this.take(length);
    return this.bytes.subarray(at, at + length);
  }

  binaryString(length: number, operations: ByteOperations): string {
    const at = this.take(length);
    return operations.binaryString(this.bytes, at, at + length);
  }
}

export function writeUint53(view: DataView, offset: number, value: number): void {
  const high = Math.floor(value / 4294967296);
  view.setUint32(offset, high);
  view.setUint32(offset + 4, value - high * 4294967296);
}

/** Grows as needed; `finish` returns a view of what was written. */
export class BinaryWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;
  readonly #operations: ByteOperations;

  constructor(operations: ByteOperations, capacity = 256) {
    this.#operations = operations;
    this.#bytes = operations.allocate(capacity);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  }

  get length(): number {
    return this.#length;
  }

  /** The memory written so far; invalid after the next write. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  #reserve(length: number): number {
    const at = this.#length;
    const needed = at + length;
    if (needed > this.#bytes.length) {
      const grown = this.#operations.allocate(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer, grown.byteOffset, grown.byteLength);
    }
    this.#length = needed;
    return at;
  }

  /** Leaves room and returns its offset, to be filled by `patchUint32` and the like. */
  skip(length: number): number {
    return this.#reserve(length);
  }

  uint8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  uint16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value);
  }

  uint32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value);
  }

  uint53(value: number): void {
    const at = this.#reserve(8);
    writeUint53(this.#view, at, value);
  }

  patchUint8(offset: number, value: number): void {
    this.#bytes[offset] = value;
  }

  patchUint32(offset: number, value: number): void {
    this.#view.setUint32(offset, value);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  binaryString(text: string): void {
    const at = this.#reserve(text.length);
    this.#operations.writeBinaryString(this.#bytes, text, at);
  }

  /** A view of what was written. The writer must not be used afterwards. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
