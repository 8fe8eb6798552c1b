/** A client that speaks the wire protocol and nothing more: no retry, no cache. It counts every answer it gets. */
import { incarnation, noStore, nodeId, noVersion, userKey, version } from "@flotilla/base";
import type { Key, RangeId, Version } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec, protocolMax, protocolMin } from "@flotilla/transport";
import type {
  AdminResponse,
  ClientMessage,
  Command,
  CommandBatch,
  CommandResult,
  Dialer,
  Hello,
  RangeRefused,
  ReadBatch,
  ReadResults,
  RouteResponse,
  ScanPage,
  ScanRequest,
  ServerMessage,
  StreamClosed,
} from "@flotilla/transport";
import type { MemoryStream } from "./memory-network.ts";
import type { VirtualWorld } from "./virtual-world.ts";

const codec = createCodec(nodeByteOperations);

/** 2026-01-01 as a version: what the virtual clocks begin with. */
export const testVersion: number = (Date.UTC(2026, 0, 1) - 1_704_067_200_000) * 4096;

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);

export type Answer = CommandResult | RangeRefused;

export class RawConnection {
  readonly received: ServerMessage[] = [];
  closed: StreamClosed | undefined = undefined;
  stream: MemoryStream | undefined = undefined;
  readonly clientId: number;
  readonly #world: VirtualWorld;
  #nextId = 1;

  constructor(world: VirtualWorld, clientId: number) {
    this.#world = world;
    this.clientId = clientId;
  }

  static async open(
    world: VirtualWorld,
    dialer: Dialer,
    address: string,
    clientId: number,
    more: Partial<Hello> = {},
  ): Promise<RawConnection> {
    const connection = new RawConnection(world, clientId);
    const hello: Hello = {
      protocolMin,
      protocolMax,
      clusterId: "",
      nodeId: nodeId(0),
      storeId: noStore,
      storeKey: "",
      incarnation: incarnation(0),
      wallMs: 0,
      leaseMs: 0,
      purpose: "client",
      address: "",
      ...more,
    };
    dialer.dial(address, hello, {
      onOpen: (stream) => {
        connection.stream = stream as MemoryStream;
        return {
          onMessage: (payload) => {
            if (hello.purpose === "client") connection.received.push(...codec.decodeServer(payload));
          },
          onClose: (reason) => {
            connection.closed = reason;
          },
        };
      },
      onFailed: (reason) => {
        connection.closed = reason;
      },
    });
    await world.until(
      `a stream to ${address}`,
      () => connection.stream !== undefined || connection.closed !== undefined,
    );
    return connection;
  }

  id(): number {
    return this.#nextId++;
  }

  send(...messages: ClientMessage[]): void {
    this.stream!.send(codec.encodeClient(messages));
  }

  sendRaw(payload: Uint8Array): void {
    this.stream!.send(payload);
  }

  all<T extends ServerMessage["type"]>(type: T): Extract<ServerMessage, { type: T }>[] {
    return this.received.filter((message): message is Extract<ServerMessage, { type: T }> => message.type === type);
  }

  // ---- writes ----

  batch(range: RangeId, commands: readonly Command[], more: Partial<CommandBatch> = {}): CommandBatch {
    return {
      type: "commands",
      batchId: this.id(),
      rangeId: range,
      bounds: 1,
      clientId: this.clientId,
      floor: 1,
      seen: noVersion,
      commands,
      ...more,
    };
  }

  /** Every answer to the command, in the order of arrival; a refusal of the whole batch counts for each of it. */
  answers(batch: CommandBatch, number: number): Answer[] {
    const found: Answer[] = [];
    for (const message of this.received) {
      if (message.type === "range-refused" && message.kind === "commands" && message.id === batch.batchId)
        found.push(message);
      if (message.type !== "command-results" || message.batchId !== batch.batchId) continue;
      for (const result of message.results) if (result.number === number) found.push(result);
    }
    return found;
  }

  async write(batch: CommandBatch, limitMs = 20_000): Promise<Answer[]> {
    this.send(batch);
    return this.outcome(batch, limitMs);
  }

  /** Waits until every command of the batch has an answer. */
  async outcome(batch: CommandBatch, limitMs = 20_000): Promise<Answer[]> {
    const complete = (): boolean => batch.commands.every(({ number }) => this.answers(batch, number).length > 0);
    await this.#world.until(
      `answers to batch ${batch.batchId}`,
      () => complete() || this.closed !== undefined,
      limitMs,
    );
    return batch.commands.map(({ number }) => this.answers(batch, number)[0]!);
  }

  // ---- reads ----

  reads(range: RangeId, keys: readonly string[], more: Partial<ReadBatch> = {}): ReadBatch {
    return {
      type: "reads",
      batchId: this.id(),
      rangeId: range,
      bounds: 1,
      consistency: "linearizable",
      keys: keys.map((key) => userKey(key)),
      ...more,
    };
  }

  readAnswer(batch: ReadBatch): ReadResults | RangeRefused | undefined {
    return this.received.find(
      (message): message is ReadResults | RangeRefused =>
        (message.type === "read-results" && message.batchId === batch.batchId) ||
        (message.type === "range-refused" && message.kind === "reads" && message.id === batch.batchId),
    );
  }

  async read(batch: ReadBatch, limitMs = 20_000): Promise<ReadResults | RangeRefused> {
    this.send(batch);
    await this.#world.until(`an answer to reads ${batch.batchId}`, () => this.readAnswer(batch) !== undefined, limitMs);
    return this.readAnswer(batch)!;
  }

  scan(range: RangeId, more: Partial<ScanRequest> = {}): ScanRequest {
    return {
      type: "scan",
      scanId: this.id(),
      rangeId: range,
      bounds: 1,
      consistency: "linearizable",
      start: "\x01" as Key,
      end: "\x02" as Key,
      reverse: false,
      limit: 0,
      keysOnly: false,
      countOnly: false,
      creditBytes: 1_000_000,
      ...more,
    };
  }

  pages(scan: ScanRequest): ScanPage[] {
    return this.all("scan-page").filter((page) => page.scanId === scan.scanId);
  }

  refusal(kind: RangeRefused["kind"], id: number): RangeRefused | undefined {
    return this.all("range-refused").find((message) => message.kind === kind && message.id === id);
  }

  /** Waits for the last page; gives all keys without their prefix. */
  async scanned(scan: ScanRequest, limitMs = 20_000): Promise<string[]> {
    await this.#world.until(`the end of scan ${scan.scanId}`, () => this.pages(scan).at(-1)?.last === true, limitMs);
    return this.pages(scan).flatMap(({ records }) => records.map(({ key }) => key.slice(1)));
  }

  async route(start: Key, end: Key, limit: number): Promise<RouteResponse> {
    const requestId = this.id();
    this.send({ type: "route", requestId, start, end, limit });
    const find = (): RouteResponse | undefined =>
      this.all("route-response").find((message) => message.requestId === requestId);
    await this.#world.until("a route", () => find() !== undefined);
    return find()!;
  }

  async admin(name: string, argument: unknown): Promise<AdminResponse> {
    const requestId = this.id();
    this.send({ type: "admin", requestId, name, arguments: argument });
    const find = (): AdminResponse | undefined =>
      this.all("admin-response").find((message) => message.requestId === requestId);
    await this.#world.until(`an answer to ${name}`, () => find() !== undefined);
    return find()!;
  }
}

export function put(number: number, key: string, value: string | Uint8Array, more: Partial<Command> = {}): Command {
  return {
    number,
    kind: "put",
    condition: "none",
    expected: noVersion,
    firstSent: testVersion as Version,
    key: userKey(key),
    value: typeof value === "string" ? text(value) : value,
    ...more,
  };
}

export const remove = (number: number, key: string, more: Partial<Command> = {}): Command =>
  put(number, key, "", { kind: "delete", ...more });

export const ifVersion = (expected: number): Partial<Command> => ({
  condition: "if-version",
  expected: version(expected),
});

export const isRefusal = (answer: Answer | ReadResults | undefined): answer is RangeRefused =>
  answer !== undefined && "type" in answer && answer.type === "range-refused";
