/** Load whose acknowledgements the test writes down itself, to compare them with what the cluster holds later. */
import { expect } from "vitest";
import type { Client } from "@flotilla/client";

/** Closed loops that go on until they are stopped. Each key is written once, with itself as value. */
export class Writers {
  readonly acknowledged: string[] = [];
  readonly unknown: Set<string> = new Set();
  readonly refused: string[] = [];
  readonly #name: string;
  readonly #stopped = new AbortController();
  readonly #ended: Promise<void>;

  constructor(client: Client, loops: number, name = "") {
    this.#name = name;
    const work = Array.from({ length: loops }, (_, writer) => this.#write(client, writer));
    this.#ended = Promise.all(work).then(() => {});
  }

  async #write(client: Client, writer: number): Promise<void> {
    for (let i = 0; !this.#stopped.signal.aborted; i++) {
      // Keys of all ranges in turn.
      const key = `${String.fromCharCode(0x30 + ((i * 7 + writer) % 78))}-${this.#name}${writer}-${i}`;
      try {
        await client.put(key, key);
        this.acknowledged.push(key);
      } catch (error) {
        if ((error as { outcome?: string }).outcome === "unknown") this.unknown.add(key);
        else this.refused.push(key);
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#ended;
  }
}

export async function contentOf(
  client: Client,
  consistency: "linearizable" | "stale" = "linearizable",
): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for await (const page of client.scan({ consistency }).pages()) {
    for (const { key, value } of page) content.set(Buffer.from(key).toString(), Buffer.from(value).toString());
  }
  return content;
}

/** Every acknowledged write is there, and nothing is that nobody wrote or that was refused. */
export function expectExactly(content: ReadonlyMap<string, string>, ...all: readonly Writers[]): void {
  const lost = all.flatMap(({ acknowledged }) => acknowledged.filter((key) => content.get(key) !== key));
  expect(lost).toEqual([]);
  const known = new Set(all.flatMap(({ acknowledged, unknown }) => [...acknowledged, ...unknown]));
  const invented = [...content.keys()].filter((key) => !known.has(key));
  expect(invented).toEqual([]);
}
