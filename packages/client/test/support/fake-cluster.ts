/**
 * Stores that speak the client's protocol over one shared truth, so that a test can move, split, stop and confuse them.
 * They keep the table of applied commands as the contract has it, and check on every message what a client owes them.
 */
import {
  incarnation,
  key as asKey,
  keyMax,
  metaRangeId,
  nodeId,
  rangeId,
  replicaId,
  storeId,
  systemPrefix,
  userPrefix,
  version,
} from "@flotilla/base";
import type { ErrorCode, Key, RangeDescriptor, StoreId } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec, protocolMax, protocolMin } from "@flotilla/transport";
import type {
  Command,
  CommandBatch,
  CommandResult,
  Hello,
  RangeRefused,
  RouteEntry,
  ScanRequest,
  ServerMessage,
  Stream,
  StreamHandlers,
  ClientMessage,
} from "@flotilla/transport";
import { expect } from "vitest";
import type { ManualWorld } from "./manual-world.ts";
import { MemoryNetwork } from "./memory-network.ts";

export interface FakeRange {
  descriptor: RangeDescriptor;
  leader: StoreId;
}

interface ClientRow {
  floor: number;
  results: Map<number, CommandResult>;
  /** What each number stands for: it never changes. */
  meaning: Map<number, string>;
}

interface Cursor {
  readonly stream: Stream;
  readonly store: FakeStore;
  readonly request: ScanRequest;
  readonly records: { key: Key; version: number; value: Uint8Array }[];
  credit: number;
  at: number;
}

export class FakeStore {
  readonly id: StoreId;
  address: string;
  /** It takes what is sent and says nothing. */
  silent = false;
  /** What it answers every route question with, instead of the truth. */
  map: readonly RouteEntry[] | undefined;
  /** How long each batch of commands takes, one after the other. */
  batchMs = 0;
  freeAtMs = 0;
  clusterId: string;

  constructor(id: StoreId, address: string, clusterId: string) {
    this.id = id;
    this.address = address;
    this.clusterId = clusterId;
  }
}

export const codec: ReturnType<typeof createCodec> = createCodec(nodeByteOperations);
export const clusterId = "c".repeat(32);

export class FakeCluster {
  readonly world: ManualWorld;
  readonly network: MemoryNetwork;
  readonly stores: Map<StoreId, FakeStore> = new Map();
  ranges: FakeRange[] = [];
  readonly records: Map<Key, { version: number; value: Uint8Array }> = new Map();
  readonly clients: Map<number, ClientRow> = new Map();
  /** Every command that took effect, in order. */
  readonly applied: { number: number; key: Key; kind: string }[] = [];
  readonly cursors: Set<Cursor> = new Set();
  /** Payloads received, by store. */
  readonly payloads: Map<StoreId, ClientMessage[][]> = new Map();
  /** What route questions are answered with; undefined = the truth. */
  frozenRoutes: RouteEntry[] | undefined;
  /** Nobody says any more where ranges are: the placement driver stands still, and stores know only what they lead. */
  silentRoutes = false;
  /** Decides about each answer: true = it is lost. */
  dropAnswer: (store: FakeStore, message: ServerMessage) => boolean = () => false;
  /** Answers a command without applying it. */
  interceptCommand: (store: FakeStore, command: Command, batch: CommandBatch) => Partial<CommandResult> | undefined =
    () => undefined;
  /** What the client is told of a command that has been decided. */
  disguise: (result: CommandResult) => CommandResult = (result) => result;
  /** Answers a batch or scan as a whole. */
  interceptRange: (store: FakeStore, message: ClientMessage) => Partial<RangeRefused> | undefined = () => undefined;
  pageRecords = 3;
  readonly streams: Map<StoreId, Stream> = new Map();
  admin: (store: FakeStore, name: string, body: unknown) => unknown = () => null;
  #version: number;
  #nextRange = 100;

  constructor(world: ManualWorld, storeCount = 3) {
    this.world = world;
    this.network = new MemoryNetwork(world);
    this.#version = (world.wallOffsetMs - 1_704_067_200_000) * 4096;
    for (let i = 1; i <= storeCount; i++) this.addStore(i);
    this.ranges = [{ descriptor: this.descriptor(userPrefix, keyMax, 1), leader: storeId(1) }];
  }

  addStore(number: number): FakeStore {
    const store = new FakeStore(storeId(number), `s${number}:7400`, clusterId);
    this.stores.set(store.id, store);
    this.network.listeners.set(store.address, {
      admit: (hello: Hello) => {
        if (hello.clusterId !== "" && hello.clusterId !== store.clusterId) {
          return { ok: false, code: "WrongCluster", message: `this is cluster ${store.clusterId}` };
        }
        return { ok: true, hello: this.#hello(store), accept: (stream) => this.#accept(store, stream) };
      },
    });
    return store;
  }

  get endpoints(): string[] {
    return [...this.stores.values()].map((store) => store.address);
  }

  descriptor(start: Key, end: Key, bounds: number, members = 1, id = this.#nextRange++): RangeDescriptor {
    const replicas = [...this.stores.keys()]
      .slice(0, 3)
      .map((store, i) => ({ replicaId: replicaId(id * 10 + i), storeId: store, role: "voter" as const }));
    return { rangeId: rangeId(id), start, end, epoch: { bounds, members }, replicas };
  }

  rangeOf(key: Key): FakeRange {
    return this.ranges.find((range) => range.descriptor.start <= key && key < range.descriptor.end)!;
  }

  /** Splits at user keys; all halves get a higher `bounds`. */
  split(...userKeys: string[]): void {
    for (const text of userKeys) {
      const at = asKey("\x01" + text);
      const old = this.rangeOf(at);
      if (old.descriptor.start === at) continue;
      const { start, end, epoch, rangeId: id } = old.descriptor;
      const left = { ...this.descriptor(start, at, epoch.bounds + 1, epoch.members, id) };
      const right = this.descriptor(at, end, epoch.bounds + 1);
      const index = this.ranges.indexOf(old);
      this.ranges.splice(index, 1, { descriptor: left, leader: old.leader }, { descriptor: right, leader: old.leader });
      this.#endCursors(id);
    }
  }

  /** Merges the range of a user key with the one behind it. */
  merge(text: string): void {
    const left = this.rangeOf(asKey("\x01" + text));
    const index = this.ranges.indexOf(left);
    const right = this.ranges[index + 1];
    if (right === undefined) return;
    const bounds = Math.max(left.descriptor.epoch.bounds, right.descriptor.epoch.bounds) + 1;
    const merged = this.descriptor(left.descriptor.start, right.descriptor.end, bounds, 1, left.descriptor.rangeId);
    this.ranges.splice(index, 2, { descriptor: merged, leader: left.leader });
    this.#endCursors(left.descriptor.rangeId);
    this.#endCursors(right.descriptor.rangeId);
  }

  moveLeader(to: number, text = "m"): void {
    this.rangeOf(asKey("\x01" + text)).leader = storeId(to);
  }

  entries(): RouteEntry[] {
    return this.ranges.map(({ descriptor, leader }) => ({ descriptor, leader }));
  }

  #endCursors(id: number): void {
    for (const cursor of this.cursors) {
      if (cursor.request.rangeId !== id) continue;
      this.cursors.delete(cursor);
      this.#refuse(cursor.store, cursor.stream, "scan", cursor.request.scanId, {
        reason: "epoch-mismatch",
        ranges: this.entries(),
      });
    }
  }

  #hello(store: FakeStore): Hello {
    return {
      protocolMin,
      protocolMax,
      clusterId: store.clusterId,
      nodeId: nodeId(store.id),
      storeId: store.id,
      storeKey: "ab",
      incarnation: incarnation(1),
      wallMs: Math.floor(this.world.environment.clock.wallMs()),
      leaseMs: 0,
      purpose: "client",
      address: store.address,
    };
  }

  #accept(store: FakeStore, stream: Stream): StreamHandlers {
    this.streams.set(store.id, stream);
    return {
      onMessage: (payload) => {
        const messages = codec.decodeClient(payload);
        const seen = this.payloads.get(store.id) ?? [];
        this.payloads.set(store.id, seen);
        seen.push(messages);
        if (store.silent) return;
        for (const message of messages) {
          if (message.type !== "commands" || store.batchMs === 0) this.#handle(store, stream, message);
          else {
            store.freeAtMs = Math.max(this.world.nowMs, store.freeAtMs) + store.batchMs;
            this.world.after(store.freeAtMs - this.world.nowMs, () => this.#handle(store, stream, message));
          }
        }
      },
      onClose: () => {
        for (const cursor of this.cursors) if (cursor.stream === stream) this.cursors.delete(cursor);
      },
    };
  }

  send(store: FakeStore, stream: Stream, message: ServerMessage): void {
    if (store.silent || this.dropAnswer(store, message)) return;
    stream.send(codec.encodeServer([message]));
  }

  #refuse(store: FakeStore, stream: Stream, kind: RangeRefused["kind"], id: number, why: Partial<RangeRefused>): void {
    this.send(store, stream, {
      type: "range-refused",
      kind,
      id,
      reason: "error",
      code: undefined,
      message: "",
      retryAfterMs: 0,
      ranges: [],
      ...why,
    });
  }

  #handle(store: FakeStore, stream: Stream, message: ClientMessage): void {
    switch (message.type) {
      case "commands":
      case "reads":
      case "scan": {
        const id = message.type === "scan" ? message.scanId : message.batchId;
        const refusal = this.interceptRange(store, message) ?? this.#misrouted(store, message);
        if (refusal !== undefined) this.#refuse(store, stream, message.type, id, refusal);
        else if (message.type === "commands") this.#commands(store, stream, message);
        else if (message.type === "scan") this.#scan(store, stream, message);
        else {
          const results = message.keys.map((key) => {
            const record = this.records.get(key);
            return { version: version(record?.version ?? 0), value: record?.value ?? new Uint8Array(0) };
          });
          this.send(store, stream, { type: "read-results", batchId: id, seen: version(this.#version), results });
        }
        break;
      }
      case "scan-credit":
        for (const cursor of this.cursors) {
          if (cursor.stream !== stream || cursor.request.scanId !== message.scanId) continue;
          cursor.credit += message.creditBytes;
          this.#pages(cursor);
        }
        break;
      case "scan-cancel":
        for (const cursor of this.cursors)
          if (cursor.stream === stream && cursor.request.scanId === message.scanId) this.cursors.delete(cursor);
        break;
      case "route": {
        if (this.silentRoutes) break;
        const meta = { descriptor: this.descriptor(systemPrefix, userPrefix, 1, 1, metaRangeId), leader: storeId(1) };
        const known = [meta, ...(this.frozenRoutes ?? this.entries())];
        const asked = known.filter(
          ({ descriptor }) => descriptor.end > message.start && descriptor.start < message.end,
        );
        const ranges = store.map ?? asked.slice(0, message.limit);
        const stores = [...this.stores.values()].map(({ id, address }) => ({ storeId: id, address }));
        this.send(store, stream, {
          type: "route-response",
          requestId: message.requestId,
          clusterId: store.clusterId,
          ranges,
          stores,
        });
        break;
      }
      case "admin": {
        const result = this.admin(store, message.name, message.arguments);
        const failed = result instanceof Error;
        const cause = failed ? ((result.cause ?? { a: 1 }) as { readonly code?: ErrorCode }) : {};
        const { code = "Refused", ...details } = cause;
        const error = failed ? { code, message: result.message, hint: "do not", details } : undefined;
        this.send(store, stream, {
          type: "admin-response",
          requestId: message.requestId,
          result: failed ? null : result,
          error,
        });
        break;
      }
      default:
        message satisfies never;
    }
  }

  #misrouted(
    store: FakeStore,
    message: CommandBatch | ScanRequest | Extract<ClientMessage, { type: "reads" }>,
  ): Partial<RangeRefused> | undefined {
    const range = this.ranges.find(({ descriptor }) => descriptor.rangeId === message.rangeId);
    if (range === undefined || range.descriptor.epoch.bounds !== message.bounds)
      return { reason: "epoch-mismatch", ranges: this.entries() };
    if (message.type !== "commands" && message.consistency === "stale") return undefined;
    if (range.leader === store.id) return undefined;
    return { reason: "not-leader", ranges: [{ descriptor: range.descriptor, leader: range.leader }] };
  }

  #commands(store: FakeStore, stream: Stream, batch: CommandBatch): void {
    const row = this.clients.get(batch.clientId) ?? { floor: 0, results: new Map(), meaning: new Map() };
    this.clients.set(batch.clientId, row);
    const results = batch.commands.map((command): CommandResult => {
      expect(command.number, "a command below its own floor").toBeGreaterThanOrEqual(batch.floor);
      const meaning = `${command.kind} ${command.key} ${nodeByteOperations.binaryString(command.value, 0, command.value.length)}`;
      expect(row.meaning.get(command.number) ?? meaning, "a number stands for one command").toBe(meaning);
      row.meaning.set(command.number, meaning);
      const none: CommandResult = {
        number: command.number,
        status: "applied",
        version: version(0),
        existed: false,
        code: undefined,
        message: "",
      };
      const intercepted = this.interceptCommand(store, command, batch);
      if (intercepted !== undefined) return { ...none, ...intercepted };
      const known = row.results.get(command.number);
      if (known !== undefined) return this.disguise(known);
      if (command.number < row.floor)
        return { ...none, status: "refused", code: "Refused", message: "below the floor" };
      const result = { ...none, ...this.apply(command) };
      row.results.set(command.number, result);
      return this.disguise(result);
    });
    if (batch.floor > row.floor) {
      row.floor = batch.floor;
      for (const number of row.results.keys()) if (number < row.floor) row.results.delete(number);
    }
    this.send(store, stream, {
      type: "command-results",
      batchId: batch.batchId,
      seen: version(this.#version),
      results,
    });
  }

  apply(command: Command): Partial<CommandResult> {
    const { key } = command;
    const found = this.records.get(key);
    const holds =
      command.condition === "none" ||
      (command.condition === "if-absent" && found === undefined) ||
      (command.condition === "if-version" && found?.version === command.expected);
    if (!holds) return { status: "condition-failed", version: version(found?.version ?? 0) };
    const next = ++this.#version;
    this.applied.push({ number: command.number, key, kind: command.kind });
    if (command.kind === "put") this.records.set(key, { version: next, value: command.value.slice() });
    else this.records.delete(key);
    return { version: version(next), existed: found !== undefined };
  }

  #scan(store: FakeStore, stream: Stream, request: ScanRequest): void {
    const { descriptor } = this.ranges.find((range) => range.descriptor.rangeId === request.rangeId)!;
    expect(request.start >= descriptor.start && request.end <= descriptor.end, "a scan outside its range").toBe(true);
    const keys = [...this.records.keys()]
      .filter((key) => key >= request.start && key < request.end)
      .sort((a, b) => (a < b ? -1 : 1));
    if (request.reverse) keys.reverse();
    const records = keys.slice(0, request.limit === 0 ? undefined : request.limit).map((key) => {
      const record = this.records.get(key)!;
      return { key, version: record.version, value: request.keysOnly ? new Uint8Array(0) : record.value };
    });
    if (request.countOnly) {
      this.send(store, stream, {
        type: "scan-page",
        scanId: request.scanId,
        records: [],
        count: records.length,
        last: true,
      });
      return;
    }
    const cursor: Cursor = { stream, store, request, records, credit: request.creditBytes, at: 0 };
    this.cursors.add(cursor);
    this.#pages(cursor);
  }

  #pages(cursor: Cursor): void {
    while (cursor.credit > 0 && this.cursors.has(cursor)) {
      const page = cursor.records.slice(cursor.at, cursor.at + this.pageRecords);
      cursor.at += page.length;
      for (const { key, value } of page) cursor.credit -= key.length + value.length + 32;
      const last = cursor.at >= cursor.records.length;
      if (last) this.cursors.delete(cursor);
      const records = page.map(({ key, version: v, value }) => ({ key, version: version(v), value }));
      this.send(cursor.store, cursor.stream, {
        type: "scan-page",
        scanId: cursor.request.scanId,
        records,
        count: cursor.at,
        last,
      });
    }
  }
}
