/** A cluster in memory, and a process around a verb that remembers what it was told. */
import type { ClusterClient, ClusterEntry, PutRecord } from "../src/cluster-client.ts";
import type { CommandIo } from "../src/command-io.ts";
import { allVerbs } from "../src/all-verbs.ts";
import { runCommandLine } from "../src/run-command-line.ts";

export class FakeError extends Error {
  readonly code: string;
  readonly outcome: string | undefined;
  readonly details: Record<string, unknown>;

  constructor(code: string, message: string, outcome?: string, details: Record<string, unknown> = {}) {
    super(message);
    this.code = code;
    this.outcome = outcome;
    this.details = details;
  }
}

export class FakeCluster implements ClusterClient {
  /** By key as a binary string, so that the order is that of bytes. */
  readonly records = new Map<string, { value: Uint8Array; version: number }>();
  readonly answers = new Map<string, unknown>();
  /** Instead of the next write. */
  failNext: Error | undefined;
  connections = 0;
  closed = 0;
  #version = 1000;

  set(key: string | Uint8Array, value: string | Uint8Array): void {
    this.records.set(Buffer.from(key as string).toString("latin1"), {
      value: Buffer.from(value as string),
      version: ++this.#version,
    });
  }

  text(key: string): string | undefined {
    const record = this.records.get(Buffer.from(key).toString("latin1"));
    return record === undefined ? undefined : Buffer.from(record.value).toString();
  }

  async getEntry(key: Uint8Array): Promise<ClusterEntry<Uint8Array> | undefined> {
    const record = this.records.get(Buffer.from(key).toString("latin1"));
    return record === undefined ? undefined : { key, ...record };
  }

  async put(
    key: Uint8Array,
    value: Uint8Array,
    { ifAbsent, ifVersion }: { ifAbsent?: boolean | undefined; ifVersion?: number | undefined },
  ): Promise<{ version: number }> {
    const failure = this.failNext;
    this.failNext = undefined;
    if (failure !== undefined) throw failure;
    const found = await this.getEntry(key);
    if ((ifAbsent === true && found !== undefined) || (ifVersion !== undefined && found?.version !== ifVersion)) {
      throw new FakeError("ConditionFailed", "the condition does not hold", "not-applied");
    }
    this.set(key, value);
    return { version: this.#version };
  }

  async delete(key: Uint8Array): Promise<{ version: number; deleted: boolean }> {
    return { version: ++this.#version, deleted: this.records.delete(Buffer.from(key).toString("latin1")) };
  }

  async deleteRange({ prefix }: { prefix?: Uint8Array | undefined }): Promise<{ deleted: number }> {
    const found = this.#matching(prefix);
    for (const key of found) this.records.delete(key);
    return { deleted: found.length };
  }

  async count({ prefix }: { prefix?: Uint8Array | undefined }): Promise<number> {
    return this.#matching(prefix).length;
  }

  async *scanPages({
    prefix,
    limit,
    reverse,
    keysOnly,
  }: {
    prefix?: Uint8Array | undefined;
    limit?: number | undefined;
    reverse?: boolean | undefined;
    keysOnly?: boolean | undefined;
  }): AsyncGenerator<ClusterEntry<Uint8Array | undefined>[]> {
    const keys = this.#matching(prefix);
    if (reverse === true) keys.reverse();
    const chosen = keys.slice(0, limit);
    for (let i = 0; i < chosen.length; i += 2) {
      yield chosen.slice(i, i + 2).map((key) => {
        const { value, version } = this.records.get(key)!;
        return { key: Buffer.from(key, "latin1"), value: keysOnly === true ? undefined : value, version };
      });
    }
  }

  async putMany<Put extends PutRecord>(
    records: AsyncIterable<Put>,
    { onFailure, signal }: { signal?: AbortSignal | undefined; onFailure(error: Error, record: Put): void },
  ): Promise<{ records: number; bytes: number }> {
    let count = 0;
    let bytes = 0;
    for await (const record of records) {
      signal?.throwIfAborted();
      try {
        await this.put(record.key, record.value, {});
        count++;
        bytes += record.key.length + record.value.length;
      } catch (error) {
        onFailure(error as Error, record);
      }
    }
    return { records: count, bytes };
  }

  /** What was asked of the cluster, in order. */
  readonly orders: { name: string; body: object }[] = [];
  /** What was asked of which endpoint. */
  readonly asked: { endpoint: string; name: string; body: object }[] = [];

  async adminAt(endpoint: string, name: string, body: object): Promise<unknown> {
    this.asked.push({ endpoint, name, body });
    return this.admin(name, body);
  }

  /** An answer may be a function of the arguments; an error is thrown. */
  async admin(name: string, body: object = {}): Promise<unknown> {
    this.orders.push({ name, body });
    if (!this.answers.has(name)) throw new FakeError("InvalidArgument", `unknown request ${name}`);
    const answer = this.answers.get(name);
    const result: unknown = typeof answer === "function" ? (answer as (body: object) => unknown)(body) : answer;
    if (result instanceof Error) throw result;
    return result;
  }

  get bare(): never {
    throw new Error("the fake has no client behind it");
  }

  async close(): Promise<void> {
    this.closed++;
  }

  #matching(prefix: Uint8Array | undefined): string[] {
    const start = prefix === undefined ? "" : Buffer.from(prefix).toString("latin1");
    return [...this.records.keys()].filter((key) => key.startsWith(start)).sort();
  }
}

export interface Ran {
  readonly exitCode: number;
  readonly out: string;
  readonly bytes: Buffer;
  readonly notes: string;
}

export interface RunOptions {
  readonly cluster?: FakeCluster;
  readonly directory?: string;
  readonly environment?: Record<string, string>;
  readonly input?: string | Uint8Array;
  readonly terminal?: boolean;
  /** What is typed on a terminal when the verb asks; without it there is nobody to ask. */
  readonly answer?: string;
  /** Called at each pause with the milliseconds since the start; aborting the controller is Ctrl-C. */
  readonly onPause?: (elapsedMs: number, interruption: AbortController) => void;
  readonly screen?: FakeScreen;
}

/** A terminal in memory: what was drawn last, and keys as a test presses them. */
export class FakeScreen {
  columns = 80;
  rows = 24;
  lines: readonly string[] = [];
  draws = 0;
  closed = 0;
  #onKey: (name: string) => void = () => {};
  #onResize: () => void = () => {};

  draw(lines: readonly string[]): void {
    this.draws++;
    this.lines = lines;
  }

  onKey(listener: (name: string) => void): void {
    this.#onKey = listener;
  }

  onResize(listener: () => void): void {
    this.#onResize = listener;
  }

  press(name: string): void {
    this.#onKey(name);
  }

  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
    this.#onResize();
  }

  close(): void {
    this.closed++;
  }
}

export async function run(
  argv: readonly string[],
  {
    cluster = new FakeCluster(),
    directory = "/nowhere",
    environment = {},
    input = "",
    terminal = false,
    answer,
    onPause = () => {},
    screen = new FakeScreen(),
  }: RunOptions = {},
): Promise<Ran> {
  const out: Buffer[] = [];
  let notes = "";
  const interruption = new AbortController();
  let elapsedMs = 0;
  const io: CommandIo = {
    out: async (content) => void out.push(Buffer.from(content as string)),
    note: (text) => void (notes += text),
    outIsTerminal: terminal,
    outColumns: terminal ? 80 : undefined,
    noteIsTerminal: answer !== undefined,
    inputIsTerminal: answer !== undefined,
    nowMs: () => elapsedMs,
    async pause(milliseconds) {
      elapsedMs += milliseconds;
      onPause(elapsedMs, interruption);
    },
    input: (async function* () {
      yield Buffer.from(answer === undefined ? (input as string) : `${answer}\n`);
    })(),
    environment,
    directory,
    async connect() {
      cluster.connections++;
      return cluster;
    },
    openScreen: () => screen,
    outliveReaders: () => {},
    interrupted: () => interruption.signal,
  };
  const exitCode = await runCommandLine(argv, io, allVerbs);
  const bytes = Buffer.concat(out);
  return { exitCode, out: bytes.toString(), bytes, notes };
}
