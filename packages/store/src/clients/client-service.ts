/** The clients' side of a store: their streams, and what each of their messages leads to. */
import { Failure, MalformedError, keyBytesMax } from "@flotilla/base";
import type { ByteOperations, ErrorCode, StoreId } from "@flotilla/base";
import { recordValue, recordVersion } from "@flotilla/storage";
import { commandResultsBytes, readResultsBytes, scanPageBytes } from "@flotilla/transport";
import type {
  Admission,
  ClientMessage,
  CommandBatch,
  Hello,
  ReadBatch,
  ReadResult,
  RouteEntry,
  RouteRequest,
  ScanRequest,
  ServerMessage,
  StoreAddress,
  Stream,
  StreamHandlers,
} from "@flotilla/transport";
import { ClientConnection, scansPerClientMax } from "./client-connection.ts";
import type { ClientConnectionHost, RoutingRefusal } from "./client-connection.ts";
import { sendInPayloads } from "../payloads.ts";
import type { QueuedRead } from "../replica/read-queue.ts";
import type { StoreCounters } from "../replica/replica-host.ts";
import type { Replica } from "../replica/replica.ts";
import { ScanCursor, absent } from "./scan-cursor.ts";
import { isDelete } from "../replica/state-machine.ts";
import type { StoreDependencies } from "../store-api.ts";
import type { StoreSettings } from "../store-settings.ts";

/** Streams of clients; more are refused. */
const clientStreamsMax = 20_000;
/** A scan whose client gave no credit for this long is closed. */
const scanIdleMsMax = 60_000;
const routesMax = 1024;
/** Of a command in memory, beside key and value. */
const commandOverheadBytes = 100;
const keyOverheadBytes = 40;
/** Values in the answer to one batch of reads: it has to fit into one message. One larger value goes alone. */
const readResultsBytesMax = 8 * 1024 * 1024;

export interface ClientServiceHost {
  readonly dependencies: StoreDependencies;
  readonly settings: StoreSettings;
  readonly counters: StoreCounters;
  readonly clusterId: string;
  readonly addresses: () => readonly StoreAddress[];
  replica(rangeId: number): Replica | undefined;
  /** Who has the keys of a range that was merged away here. */
  successorOf(rangeId: number): Replica | undefined;
  leaderOf(rangeId: number): StoreId;
  epochMismatch(replica: Replica): RoutingRefusal;
  routes(request: RouteRequest): Promise<readonly RouteEntry[]>;
  admin(name: string, argument: unknown): Promise<unknown>;
  /** Why no write is taken now, for the whole store; undefined = they are taken. */
  writeRefusal(): { readonly code: ErrorCode; readonly message: string; readonly retryAfterMs: number } | undefined;
  fail(error: unknown): void;
  schedule(): void;
}

export class ClientService {
  readonly #host: ClientServiceHost;
  readonly #connections: Set<ClientConnection> = new Set();
  #withOutgoing: ClientConnection[] = [];
  #draining = false;
  readonly #encode: (messages: readonly ServerMessage[]) => Uint8Array;
  readonly #connectionHost: ClientConnectionHost;

  constructor(host: ClientServiceHost) {
    this.#host = host;
    const { bytes, logger } = host.dependencies.environment;
    this.#connectionHost = {
      backlogBytesMax: host.settings.clientUnconfirmedBytesMax,
      bytesOf: (message) => answerBytes(message, bytes),
      onOutgoing: (connection) => {
        this.#withOutgoing.push(connection);
        host.schedule();
      },
      onOverflow: (connection) => {
        logger.warn(
          { client: connection.stream.remoteAddress },
          "a client does not read its answers; its stream is closed",
        );
        connection.stream.close();
      },
    };
    this.#encode = (messages) => host.dependencies.codec.encodeServer(messages);
  }

  get streams(): number {
    return this.#connections.size;
  }

  admit(hello: Hello, own: Hello): Admission {
    const { clusterId } = this.#host;
    if (hello.clusterId !== "" && hello.clusterId !== clusterId) {
      return {
        ok: false,
        code: "WrongCluster",
        message: `this is cluster ${clusterId}, the client asks for ${hello.clusterId}`,
      };
    }
    if (this.#draining) return { ok: false, code: "Closed", message: "this store is stopping" };
    if (this.#connections.size >= clientStreamsMax) {
      return {
        ok: false,
        code: "Busy",
        message: `${clientStreamsMax} clients are connected, the most that a store takes`,
      };
    }
    return { ok: true, hello: own, accept: (stream) => this.#accept(stream) };
  }

  #accept(stream: Stream): StreamHandlers {
    const connection = new ClientConnection(stream, this.#connectionHost);
    this.#connections.add(connection);
    const read = (batch: ReadBatch): void => this.#reads(connection, batch);
    return {
      onMessage: (payload) => this.#guarded(() => this.#receive(connection, payload)),
      onConfirmed: () => this.#guarded(() => connection.confirmed(read)),
      onClose: () => {
        this.#connections.delete(connection);
        connection.forget();
      },
    };
  }

  /** What a client's message runs into is the store's failure, not the transport's. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#host.fail(error);
    }
  }

  #receive(connection: ClientConnection, payload: Uint8Array): void {
    const { dependencies } = this.#host;
    let messages: ClientMessage[];
    try {
      messages = dependencies.codec.decodeClient(payload);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      dependencies.environment.logger.warn(
        { client: connection.stream.remoteAddress, error: error.message },
        "malformed message from a client; its stream is closed",
      );
      connection.stream.close();
      return;
    }
    for (const message of messages) {
      if (connection.closed) return;
      this.#handle(connection, message);
    }
  }

  #handle(connection: ClientConnection, message: ClientMessage): void {
    switch (message.type) {
      case "commands":
        return this.#commands(connection, message);
      case "reads":
        return this.#reads(connection, message);
      case "scan":
        return this.#scan(connection, message);
      case "scan-credit":
        return connection.scans.get(message.scanId)?.addCredit(message.creditBytes, this.#nowMs());
      case "scan-cancel":
        return connection.scans.get(message.scanId)?.close();
      case "route":
        return this.#route(connection, message);
      case "admin":
        return this.#admin(connection, message.requestId, message.name, message.arguments);
      default:
        return message satisfies never;
    }
  }

  #nowMs(): number {
    return this.#host.dependencies.environment.clock.monotonicMs();
  }

  #absentRange(rangeId: number): RoutingRefusal {
    const successor = this.#host.successorOf(rangeId);
    if (successor !== undefined) return this.#host.epochMismatch(successor);
    return {
      reason: "not-leader",
      code: undefined,
      message: "this store has no replica of the range",
      retryAfterMs: 0,
      ranges: [],
    };
  }

  #commands(connection: ClientConnection, batch: CommandBatch): void {
    const { valueBytesMax } = this.#host.settings;
    let bytes = 0;
    for (const { key, value } of batch.commands) {
      bytes += commandOverheadBytes + key.length + value.length;
      if (value.length > valueBytesMax) {
        const message = `a value of ${value.length} bytes, at most ${valueBytesMax}`;
        return connection.refuse("commands", batch.batchId, "ValueTooLarge", message, 0);
      }
      // The user's key, and the prefix in front of it.
      if (key.length < 2 || key.length > keyBytesMax + 1) {
        const code = key.length < 2 ? "EmptyKey" : "KeyTooLarge";
        return connection.refuse(
          "commands",
          batch.batchId,
          code,
          `a key of ${key.length - 1} bytes, 1 to ${keyBytesMax}`,
          0,
        );
      }
    }
    const replica = this.#host.replica(batch.rangeId);
    if (replica === undefined)
      return connection.refuseRouting("commands", batch.batchId, this.#absentRange(batch.rangeId));
    // Who does not lead says who does, whatever is the matter with it: a client comes back to a store that is busy.
    const refusal = replica.node.role === "leader" ? this.#host.writeRefusal() : undefined;
    if (refusal === undefined) {
      replica.load.noteCommands(batch, bytes);
      return replica.submit({ connection, batch, bytes, next: 0 });
    }
    this.#host.counters.commandsRefused += batch.commands.length;
    connection.refuse("commands", batch.batchId, refusal.code, refusal.message, refusal.retryAfterMs);
  }

  #reads(connection: ClientConnection, batch: ReadBatch): void {
    const replica = this.#host.replica(batch.rangeId);
    if (replica === undefined)
      return connection.refuseRouting("reads", batch.batchId, this.#absentRange(batch.rangeId));
    const read: QueuedRead = { kind: "reads", connection, batch, bytes: readBytes(batch) };
    if (batch.consistency === "stale") this.serve(replica, [read]);
    else replica.read(read);
  }

  #scan(connection: ClientConnection, request: ScanRequest): void {
    const replica = this.#host.replica(request.rangeId);
    if (replica === undefined)
      return connection.refuseRouting("scan", request.scanId, this.#absentRange(request.rangeId));
    const read: QueuedRead = { kind: "scan", connection, request, bytes: request.start.length + request.end.length };
    if (request.consistency === "stale") this.serve(replica, [read]);
    else replica.read(read);
  }

  /** Leadership is confirmed and everything it covers applied: bounds are checked here, where the data is touched. */
  serve(replica: Replica, reads: readonly QueuedRead[]): void {
    for (const read of reads) {
      if (read.connection.closed) continue;
      if (read.kind === "reads") this.#serveReads(replica, read.connection, read.batch);
      else this.#openScan(replica, read.connection, read.request);
    }
  }

  #serveReads(replica: Replica, connection: ClientConnection, batch: ReadBatch): void {
    const { machine } = replica;
    const { descriptor } = machine;
    if (
      replica.loading ||
      batch.bounds !== descriptor.epoch.bounds ||
      !batch.keys.every((key) => key >= descriptor.start && key < descriptor.end)
    ) {
      connection.refuseRouting("reads", batch.batchId, this.#host.epochMismatch(replica));
      return;
    }
    if (connection.congested) {
      // Read again, and confirmed again, when the client has taken what it has got.
      if (!connection.waitWithReads(batch, readBytes(batch))) {
        connection.refuse("reads", batch.batchId, "Busy", "too many answers wait for this client to take them", 100);
      }
      return;
    }
    const results: ReadResult[] = [];
    let bytes = 0;
    for (const key of batch.keys) {
      const cell = machine.newest(key);
      if (cell === undefined || isDelete(cell)) results.push(absent);
      else {
        bytes += cell.length;
        if (bytes > readResultsBytesMax && results.length > 0) {
          const message = `the values of these ${batch.keys.length} keys are more than ${readResultsBytesMax} bytes: ask for fewer at once`;
          connection.refuse("reads", batch.batchId, "BatchTooLarge", message, 0);
          return;
        }
        results.push({
          version: recordVersion(cell.bytes, cell.offset),
          value: recordValue(cell.bytes, cell.offset, cell.length),
        });
      }
    }
    this.#host.counters.readsServed += results.length;
    replica.load.noteReads(batch, bytes);
    connection.push({ type: "read-results", batchId: batch.batchId, seen: machine.lastVersion, results });
  }

  #openScan(replica: Replica, connection: ClientConnection, request: ScanRequest): void {
    const { descriptor } = replica;
    if (
      replica.loading ||
      request.bounds !== descriptor.epoch.bounds ||
      request.start < descriptor.start ||
      request.end > descriptor.end
    ) {
      connection.refuseRouting("scan", request.scanId, this.#host.epochMismatch(replica));
      return;
    }
    if (connection.scans.size >= scansPerClientMax) {
      const message = `${scansPerClientMax} scans are open, the most for one client`;
      connection.refuse("scan", request.scanId, "Busy", message, 100);
      return;
    }
    if (connection.scans.has(request.scanId)) {
      connection.refuse("scan", request.scanId, "InvalidArgument", `scan ${request.scanId} is open already`, 0);
      return;
    }
    const { dependencies, settings, counters } = this.#host;
    counters.readsServed++;
    replica.load.noteScan(request.start);
    const cursor = new ScanCursor(connection, request, replica.machine, {
      engine: dependencies.engine,
      operations: dependencies.environment.bytes,
      pageBytes: settings.scanPageBytes,
      nowMs: this.#nowMs(),
      onPage: (bytes) => replica.load.notePage(bytes),
      onFailure: (error) => this.#host.fail(error),
      onClosed: (closed) => connection.scans.delete(closed.request.scanId),
    });
    connection.scans.set(request.scanId, cursor);
    cursor.run();
  }

  #route(connection: ClientConnection, request: RouteRequest): void {
    const limited = { ...request, limit: Math.min(Math.max(1, request.limit), routesMax) };
    this.#host.routes(limited).then(
      (ranges) => {
        const { requestId } = request;
        connection.push({
          type: "route-response",
          requestId,
          clusterId: this.#host.clusterId,
          ranges,
          stores: this.#host.addresses(),
        });
      },
      (error: unknown) => this.#host.fail(error),
    );
  }

  #admin(connection: ClientConnection, requestId: number, name: string, argument: unknown): void {
    this.#host.admin(name, argument).then(
      (result) => connection.push({ type: "admin-response", requestId, result, error: undefined }),
      (error: unknown) => {
        if (!(error instanceof Failure)) return this.#host.fail(error);
        const { code, message, hint, details } = error;
        connection.push({
          type: "admin-response",
          requestId,
          result: undefined,
          error: { code, message, hint, details },
        });
      },
    );
  }

  /** End of the turn: every client gets its answers as one payload. */
  flush(): void {
    const connections = this.#withOutgoing;
    if (connections.length === 0) return;
    this.#withOutgoing = [];
    for (const connection of connections) {
      const messages = connection.takeOutgoing();
      if (!connection.closed) sendInPayloads(connection.stream, messages, this.#connectionHost.bytesOf, this.#encode);
    }
  }

  /** Closes scans that nobody reads on. */
  tick(): void {
    const now = this.#nowMs();
    for (const connection of this.#connections) {
      for (const scan of connection.scans.values()) {
        if (scan.running) scan.touchedMs = now;
        if (now - scan.touchedMs <= scanIdleMsMax) continue;
        scan.close();
        connection.refuse(
          "scan",
          scan.request.scanId,
          "Timeout",
          `nothing was asked of the scan for ${scanIdleMsMax / 1000} s`,
          0,
        );
      }
    }
  }

  /** The replica is gone: nobody reads on in it (hazard C13). */
  closeScans(rangeId: number, refusal?: RoutingRefusal): void {
    for (const connection of this.#connections) {
      for (const scan of [...connection.scans.values()]) {
        if (scan.request.rangeId !== rangeId) continue;
        scan.close();
        connection.refuseRouting("scan", scan.request.scanId, refusal ?? this.#absentRange(rangeId));
      }
    }
  }

  /** New clients are refused, the present ones are told to go elsewhere. */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#connections) connection.push({ type: "going-away" });
  }

  close(): void {
    for (const connection of this.#connections) connection.stream.close();
  }
}

function readBytes(batch: ReadBatch): number {
  let bytes = 0;
  for (const key of batch.keys) bytes += keyOverheadBytes + key.length;
  return bytes;
}

/** On the wire, roughly. */
function answerBytes(message: ServerMessage, operations: ByteOperations): number {
  switch (message.type) {
    case "command-results":
      return commandResultsBytes(message, operations);
    case "read-results":
      return readResultsBytes(message);
    case "scan-page":
      return scanPageBytes(message);
    case "range-refused":
    case "route-response":
      return 256 * (1 + message.ranges.length);
    case "admin-response":
      // Bounded by the codec's own limit for control messages; alone in its payload.
      return 2 * 1024 * 1024;
    case "going-away":
      return 16;
    default:
      return message satisfies never;
  }
}
