/**
 * The fields of a control message, one behind the other, each checked as it is taken: what comes from the wire is
 * `unknown` until one of these methods has seen it. Also the counterparts that make such fields.
 */
import { InvariantError, MalformedError, integerMax } from "@flotilla/base";
import type { ByteOperations, Key } from "@flotilla/base";
import { boundBytesMax, textBytesMax } from "../protocol.ts";

export class FieldReader {
  readonly #values: readonly unknown[];
  readonly #what: string;
  readonly #operations: ByteOperations;
  #next = 0;

  /** `length`: how many fields there must be. */
  constructor(value: unknown, length: number, what: string, operations: ByteOperations) {
    if (!Array.isArray(value)) throw new MalformedError(`${what} is no list of fields`);
    if (value.length !== length) throw new MalformedError(`${what} has ${value.length} fields, must have ${length}`);
    this.#values = value;
    this.#what = what;
    this.#operations = operations;
  }

  #take(): unknown {
    return this.#values[this.#next++];
  }

  #malformed(must: string): MalformedError {
    return new MalformedError(`field ${this.#next - 1} of ${this.#what} must be ${must}`);
  }

  integer(max: number = integerMax): number {
    const value = this.#take();
    if (!Number.isSafeInteger(value) || (value as number) < 0 || (value as number) > max) {
      throw this.#malformed(`an integer from 0 to ${max}`);
    }
    return value as number;
  }

  positive(): number {
    const value = this.integer();
    if (value === 0) throw this.#malformed("above 0");
    return value;
  }

  /** A finite number that is not negative: a rate, a time. */
  quantity(): number {
    const value = this.#take();
    if (typeof value !== "number" || !(value >= 0) || value === Infinity) throw this.#malformed("a number from 0");
    return value;
  }

  boolean(): boolean {
    const value = this.#take();
    if (typeof value !== "boolean") throw this.#malformed("true or false");
    return value;
  }

  text(bytesMax: number = textBytesMax): string {
    const value = this.#take();
    if (typeof value !== "string" || value.length > bytesMax)
      throw this.#malformed(`a text of at most ${bytesMax} bytes`);
    return value;
  }

  /** A key or a bound of an interval. */
  key(): Key {
    const value = this.#take();
    if (!(value instanceof Uint8Array) || value.length > boundBytesMax) {
      throw this.#malformed(`a key of at most ${boundBytesMax} bytes`);
    }
    return this.#operations.binaryString(value, 0, value.length) as Key;
  }

  oneOf<Name extends string>(names: readonly Name[]): Name {
    const name = names[this.integer(names.length - 1)];
    if (name === undefined) throw this.#malformed("a known name");
    return name;
  }

  isNull(): boolean {
    if (this.#values[this.#next] !== null) return false;
    this.#next++;
    return true;
  }

  fields(length: number, what: string): FieldReader {
    return new FieldReader(this.#take(), length, what, this.#operations);
  }

  list<T>(max: number, length: number, what: string, read: (fields: FieldReader) => T): T[] {
    const value = this.#take();
    if (!Array.isArray(value) || value.length > max) throw this.#malformed(`a list of at most ${max}`);
    return value.map((element) => read(new FieldReader(element, length, what, this.#operations)));
  }

  /** Plain data of any shape (`checkPlainData` has bounded it). */
  data(): unknown {
    return this.#take();
  }

  record(): Record<string, unknown> {
    const value = this.#take();
    if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array) {
      throw this.#malformed("a record");
    }
    return value as Record<string, unknown>;
  }
}

/** The counterpart of `oneOf`. */
export function nameNumber<Name extends string>(names: readonly Name[], name: Name): number {
  const number = names.indexOf(name);
  if (number < 0) throw new InvariantError(`${name} has no number on the wire`);
  return number;
}

/** The counterpart of `key`. */
export function keyField(key: Key, operations: ByteOperations): Uint8Array {
  if (key.length > boundBytesMax) {
    throw new InvariantError(`key of ${key.length} bytes must not be sent, at most ${boundBytesMax} are allowed`);
  }
  const bytes = operations.allocate(key.length);
  operations.writeBinaryString(bytes, key, 0);
  return bytes;
}
