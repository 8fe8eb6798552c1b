/** Arguments of requests, as they come from the wire: plain data that nobody has checked. Nonsense is InvalidArgument. */
import { Failure } from "@flotilla/base";

export class AdminArguments {
  readonly #name: string;
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(name: string, value: unknown) {
    this.#name = name;
    if (value !== undefined && value !== null && (typeof value !== "object" || Array.isArray(value)))
      throw this.#wrong("takes named arguments");
    this.#values = (value ?? {}) as Readonly<Record<string, unknown>>;
  }

  #wrong(what: string): Failure {
    return new Failure("InvalidArgument", `${this.#name} ${what}`);
  }

  has(field: string): boolean {
    return this.#values[field] !== undefined && this.#values[field] !== null;
  }

  raw(field: string): unknown {
    return this.#values[field];
  }

  /** A positive integer. */
  id(field: string): number {
    const value = this.#values[field];
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1)
      throw this.#wrong(`needs ${field}, a positive integer`);
    return value;
  }

  /** 0, also when it is left out, or a positive integer. */
  count(field: string): number {
    return this.has(field) && this.#values[field] !== 0 ? this.id(field) : 0;
  }

  /** Positive integers, none of them twice. */
  ids(field: string, countMax: number): number[] {
    const value = this.#values[field];
    const whole = Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item > 0);
    if (!whole || value.length < 1 || value.length > countMax || new Set(value).size < value.length)
      throw this.#wrong(`needs ${field}, 1 to ${countMax} different positive integers`);
    return value as number[];
  }

  flag(field: string): boolean {
    const value = this.#values[field] ?? false;
    if (typeof value !== "boolean") throw this.#wrong(`takes ${field}, true or false`);
    return value;
  }

  text(field: string, lengthMax: number): string {
    const value = this.#values[field];
    if (typeof value !== "string" || value.length > lengthMax)
      throw this.#wrong(`needs ${field}, a text of at most ${lengthMax} characters`);
    return value;
  }

  /** Binary strings: one character, 0 to 255, a byte; none of them empty. */
  keys(field: string, countMax: number, lengthMax: number): string[] {
    const value = this.#values[field];
    if (!Array.isArray(value) || value.length > countMax)
      throw this.#wrong(`needs ${field}, a list of at most ${countMax} keys`);
    return value.map((item) => {
      if (!isBinary(item)) throw this.#wrong(`${field}: a key is a binary string`);
      if (item === "") throw new Failure("EmptyKey", `${this.#name} ${field}: a key is empty`);
      if (item.length > lengthMax)
        throw new Failure(
          "KeyTooLarge",
          `${this.#name} ${field}: a key has ${item.length} bytes, at most ${lengthMax}`,
          {
            details: { sizeBytes: item.length, limitBytes: lengthMax },
          },
        );
      return item;
    });
  }

  binary(field: string, lengthMax: number): string {
    const value = this.#values[field];
    if (!isBinary(value) || value.length > lengthMax)
      throw this.#wrong(`needs ${field}, a binary string of at most ${lengthMax} bytes`);
    return value;
  }

  labels(field: string): Record<string, string> {
    const value = this.#values[field] ?? {};
    if (typeof value !== "object" || Array.isArray(value)) throw this.#wrong(`takes ${field}, a table of labels`);
    const entries = Object.entries(value as object);
    const word = /^[A-Za-z0-9._/-]{1,63}$/;
    const labels = entries.filter(
      (entry): entry is [string, string] => word.test(entry[0]) && typeof entry[1] === "string" && word.test(entry[1]),
    );
    if (labels.length < entries.length || entries.length > 100)
      throw this.#wrong(`takes ${field}: at most 100 names and values of 1 to 63 letters, digits and ._/-`);
    return Object.fromEntries(labels);
  }
}

function isBinary(value: unknown): value is string {
  if (typeof value !== "string") return false;
  for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) > 255) return false;
  return true;
}
