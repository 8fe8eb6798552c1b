/**
 * Clients that put, put on condition, delete and get on a few keys, every value unique, and write down what they saw. Now
 * and then they add to a set or raise a counter (tallies.ts).
 */
import { isFlotillaError } from "@flotilla/client/internal";
import type { Condition, KvOperation } from "../history/kv-model.ts";
import { Lulls } from "./lulls.ts";
import type { LullOptions } from "./lulls.ts";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedClient, SimulatedCluster } from "./simulated-cluster.ts";
import { Tallies, counters } from "./tallies.ts";

export interface WorkloadOptions {
  readonly clients: number;
  /** Operations under way at once, of each client. */
  readonly sessions: number;
  readonly keys: number;
  /** Longest pause of a session between two operations. */
  readonly thinkMsMax: number;
  readonly timeoutMs: number;
  /** Of 1: an operation goes to the first key, on which conditions meet writes that are under way. */
  readonly hotKeyChance: number;
  readonly lulls: LullOptions;
}

export const keyName = (number: number): string => `key-${String(number).padStart(2, "0")}`;

export class Workload {
  readonly history: KvOperation[] = [];
  readonly clients: SimulatedClient[] = [];
  readonly tallies: Tallies = new Tallies(
    () => this.nowMicros(),
    (error) => this.unexpected(error),
  );
  readonly #cluster: SimulatedCluster;
  readonly #options: WorkloadOptions;
  readonly #random: SeededRandom;
  readonly #lulls: Lulls;
  readonly #stops: (() => void)[] = [];
  /** Of the sessions themselves. */
  #calls = 0;
  #values = 0;
  #unexpected: Error | undefined;
  #stopped = false;
  #watcher: Watcher | undefined;
  readonly #watches: Promise<void>[] = [];

  constructor(options: WorkloadOptions, cluster: SimulatedCluster) {
    this.#options = options;
    this.#cluster = cluster;
    this.#random = cluster.random.fork("workload");
    this.#lulls = new Lulls(options.lulls, options.keys, cluster.random.fork("lulls"));
  }

  /** Of all kinds, begun. */
  get calls(): number {
    return this.#calls + this.tallies.operations;
  }

  noteCall(): void {
    this.#calls++;
  }

  get operations(): number {
    return this.history.length + this.tallies.operations;
  }

  /** Resolves when every session has ended: some time after `stop`. */
  async run(): Promise<void> {
    const sessions: Promise<void>[] = [];
    for (let c = 0; c < this.#options.clients; c++) {
      // One that gives an attempt up early repeats more, and finds a new leader while the old one may still answer.
      const attemptMs = this.#random.pick([150, 500, 2000]);
      const { client, time } = this.#cluster.client({ timeoutMs: this.#options.timeoutMs, attemptMs });
      this.clients.push(client);
      const state = { stopped: false };
      this.#stops.push(() => {
        state.stopped = true;
      });
      const pause = (ms: number): Promise<void> => new Promise((resolve) => time.scheduler.after(ms, resolve));
      const random = this.#random.fork(`client ${c}`);
      const known = new Map<string, number>();
      for (let s = 0; s < this.#options.sessions; s++) {
        const session = new Session(`${c + 1}.${s + 1}`, client, random, known, this);
        sessions.push(
          (async () => {
            while (!state.stopped) {
              await pause(random.below(this.#options.thinkMsMax + 1));
              await this.#step(session, random);
            }
          })(),
        );
      }
    }
    await Promise.all(sessions);
    await Promise.all(this.#watches);
    if (this.#unexpected !== undefined) throw this.#unexpected;
  }

  async #step(session: Session, random: SeededRandom): Promise<void> {
    const { keys, hotKeyChance } = this.#options;
    const now = this.nowMicros();
    if (this.#lulls.isSilent(now)) return;
    const key = random.chance(hotKeyChance) ? 0 : random.below(keys);
    if (this.#lulls.leavesAlone(key, now)) return;
    await session.step(key, keys, this.#lulls.isQuiet(now));
  }

  /**
   * Reads for so long, again and again, as a client that writes nothing: nobody tells it that a range has changed, as long as
   * who led the range before goes on answering. Returns its host.
   */
  watch(ms: number): string {
    this.#watcher ??= this.#newWatcher();
    const { session, pause, host } = this.#watcher;
    const untilMicros = this.nowMicros() + ms * 1000;
    for (let reader = 0; reader < watchReaders; reader++) {
      this.#watches.push(
        (async () => {
          while (!this.#stopped && this.nowMicros() < untilMicros) {
            await session.read(this.#options.keys);
            await pause(watchPauseMs);
          }
        })(),
      );
    }
    return host;
  }

  #newWatcher(): Watcher {
    const { client, time } = this.#cluster.client({ timeoutMs: this.#options.timeoutMs, attemptMs: 2000 });
    this.clients.push(client);
    return {
      host: this.#cluster.clientHosts.at(-1)!,
      session: new Session("watcher", client, this.#random.fork("watcher"), new Map(), this),
      pause: (ms) => new Promise((resolve) => time.scheduler.after(ms, resolve)),
    };
  }

  stop(): void {
    this.#stopped = true;
    for (const stop of this.#stops) stop();
  }

  nowMicros(): number {
    return this.#cluster.time.nowMicros;
  }

  nextValue(session: string): string {
    return `${session}-${++this.#values}`;
  }

  nextLine(): number {
    return this.history.length + 1;
  }

  record(operation: KvOperation): void {
    this.history.push(operation);
    this.#cluster.time.trace.fold(operation.invoke);
    this.#cluster.time.trace.foldText(operation.result);
  }

  /** An error that the client must never give. */
  unexpected(error: unknown): void {
    this.#unexpected ??= error instanceof Error ? error : new Error(String(error));
  }
}

/** A scan counts as a read of every key. */
const scanChance = 0.02;
const tallyChance = 0.1;
/** Of a watch: reads under way at once, and the pause of each between two. */
const watchReaders = 3;
const watchPauseMs = 10;

interface Watcher {
  readonly host: string;
  readonly session: Session;
  readonly pause: (ms: number) => Promise<void>;
}
type Call = Pick<KvOperation, "client" | "key" | "invoke">;

class Session {
  readonly #name: string;
  readonly #client: SimulatedClient;
  readonly #random: SeededRandom;
  /** Versions that the client has seen, by key. */
  readonly #known: Map<string, number>;
  readonly #workload: Workload;

  constructor(
    name: string,
    client: SimulatedClient,
    random: SeededRandom,
    known: Map<string, number>,
    workload: Workload,
  ) {
    this.#name = name;
    this.#client = client;
    this.#random = random;
    this.#known = known;
    this.#workload = workload;
  }

  /** `keys`: of a scan. `narrow`: nothing is asked of others than `at`. */
  async step(at: number, keys: number, narrow: boolean): Promise<void> {
    const scans = !narrow && this.#random.chance(scanChance);
    if (!narrow && !scans && this.#random.chance(tallyChance)) return this.#tally();
    this.#workload.noteCall();
    if (scans) return this.#scan(keys);
    const call: Call = { client: this.#name, key: keyName(at), invoke: this.#workload.nowMicros() };
    const kind = this.#random.below(10);
    if (kind < 4) await this.#get(call);
    else if (kind < 9) await this.#put(call);
    else await this.#delete(call);
  }

  read(keys: number): Promise<void> {
    this.#workload.noteCall();
    return this.#get({
      client: this.#name,
      key: keyName(this.#random.below(keys)),
      invoke: this.#workload.nowMicros(),
    });
  }

  #tally(): Promise<void> {
    const { tallies } = this.#workload;
    const kind = this.#random.below(20);
    if (kind === 0) return tallies.scan(this.#client);
    if (kind < 10) return tallies.add(this.#client);
    return tallies.raise(this.#client, this.#random.below(counters));
  }

  #answered(call: Call): Pick<KvOperation, "line" | "client" | "key" | "invoke" | "return"> {
    return { line: this.#workload.nextLine(), ...call, return: this.#workload.nowMicros() };
  }

  async #get(call: Call): Promise<void> {
    try {
      const entry = await this.#client.getEntry(call.key);
      const version = entry?.version ?? 0;
      this.#known.set(call.key, version);
      this.#workload.record({ ...this.#answered(call), result: "ok", op: "get", value: entry?.value ?? null, version });
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Of all keys: what is not in it was absent. Each key has its own instant between the scan's begin and end. */
  async #scan(keys: number): Promise<void> {
    const invoke = this.#workload.nowMicros();
    const found = new Map<string, { readonly value: string; readonly version: number }>();
    try {
      for await (const { key, value, version } of this.#client.scan({ start: keyName(0), end: keyName(keys) })) {
        if (found.has(key)) this.#workload.unexpected(new Error(`a scan gave ${key} twice`));
        found.set(key, { value, version });
      }
    } catch (error) {
      this.#failed(error);
      return;
    }
    for (let i = 0; i < keys; i++) {
      const key = keyName(i);
      const record = found.get(key);
      const answered = this.#answered({ client: this.#name, key, invoke });
      this.#workload.record({
        ...answered,
        result: "ok",
        op: "get",
        value: record?.value ?? null,
        version: record?.version ?? 0,
      });
    }
  }

  async #put(call: Call): Promise<void> {
    const value = this.#workload.nextValue(this.#name);
    const condition = this.#condition(call.key);
    const options =
      condition.kind === "if-absent"
        ? { ifAbsent: true }
        : condition.kind === "if-version"
          ? { ifVersion: condition.expected }
          : {};
    try {
      const { version } = await this.#client.put(call.key, value, options);
      this.#known.set(call.key, version);
      this.#workload.record({ ...this.#answered(call), result: "ok", op: "put", value, condition, version });
    } catch (error) {
      const { result, version, ended } = this.#writeFailed(error);
      this.#workload.record({ ...this.#answered(call), ...ended, result, op: "put", value, condition, version });
    }
  }

  async #delete(call: Call): Promise<void> {
    const condition = this.#condition(call.key);
    const on: Condition = condition.kind === "if-version" ? condition : { kind: "none" };
    try {
      const options = on.kind === "if-version" ? { ifVersion: on.expected } : {};
      const { deleted } = await this.#client.delete(call.key, options);
      this.#known.set(call.key, 0);
      this.#workload.record({
        ...this.#answered(call),
        result: "ok",
        op: "delete",
        condition: on,
        version: undefined,
        existed: deleted,
      });
    } catch (error) {
      const { result, version, ended } = this.#writeFailed(error);
      this.#workload.record({
        ...this.#answered(call),
        ...ended,
        result,
        op: "delete",
        condition: on,
        version,
        existed: undefined,
      });
    }
  }

  #condition(key: string): Condition {
    const known = this.#known.get(key);
    if (known === undefined || this.#random.chance(0.4)) return { kind: "none" };
    return known === 0 ? { kind: "if-absent" } : { kind: "if-version", expected: known };
  }

  #failed(error: unknown): void {
    if (!isFlotillaError(error) || error.code === "Internal") this.#workload.unexpected(error);
  }

  #writeFailed(error: unknown): {
    readonly result: "mismatch" | "fail" | "unknown";
    readonly version: number | undefined;
    readonly ended: { readonly return?: number };
  } {
    this.#failed(error);
    if (!isFlotillaError(error)) return { result: "unknown", version: undefined, ended: { return: Infinity } };
    if (error.code === "ConditionFailed") {
      const version = error.details["version"];
      return { result: "mismatch", version: typeof version === "number" ? version : undefined, ended: {} };
    }
    if (error.outcome === "not-applied") return { result: "fail", version: undefined, ended: {} };
    return { result: "unknown", version: undefined, ended: { return: Infinity } };
  }
}
