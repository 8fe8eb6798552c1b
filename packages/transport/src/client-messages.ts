/** What clients and stores send each other. One payload of a stream is a bundle of these (see `bundle.ts`). */
import type { ErrorCode, Key, RangeDescriptor, RangeId, StoreId, Version } from "@flotilla/base";

/** `expected`: for `if-version` the version the key must have. */
export interface Command {
  /** The client's own count, from 1, never used for another command. */
  readonly number: number;
  readonly kind: "put" | "delete";
  readonly condition: "none" | "if-absent" | "if-version";
  readonly expected: Version;
  /** The version at which the command was first sent, by the client's estimate of the cluster's clock (design §4). */
  readonly firstSent: Version;
  readonly key: Key;
  /** A view of the received payload; empty for delete. */
  readonly value: Uint8Array;
}

/** All commands of a turn for one range. Hot: fixed binary layout. */
export interface CommandBatch {
  readonly type: "commands";
  /** Unique on this stream. Every command gets exactly one result, or the batch is refused as a whole. */
  readonly batchId: number;
  readonly rangeId: RangeId;
  /** `bounds` of the epoch that the client knows. */
  readonly bounds: number;
  /** Random, 53 bits, drawn once a client. */
  readonly clientId: number;
  /** Every command with a number below is settled: nobody waits for it any more. */
  readonly floor: number;
  /** The highest version the client has seen. */
  readonly seen: Version;
  readonly commands: readonly Command[];
}

export type CommandStatus =
  /** The effects are in. */
  | "applied"
  /** It took its place in the log, and its condition did not hold; `version` is the key's, 0 = absent. */
  | "condition-failed"
  /** It was refused before it was proposed; `code` says why. This attempt had no effect. */
  | "refused"
  /** Leadership or the node's life ended while it was under way. Ask again with the same number. */
  | "unknown";

export interface CommandResult {
  readonly number: number;
  readonly status: CommandStatus;
  /** Of the record written; for `condition-failed` of the record found. */
  readonly version: Version;
  /** Delete: whether there was a record. */
  readonly existed: boolean;
  /** For `refused` and `unknown`. */
  readonly code: ErrorCode | undefined;
  readonly message: string;
}

/** Hot: fixed binary layout. Results of several batches of one range may come together, or those of one in parts. */
export interface CommandResults {
  readonly type: "command-results";
  readonly batchId: number;
  /** The range's last applied version. */
  readonly seen: Version;
  readonly results: readonly CommandResult[];
}

export type Consistency = "linearizable" | "stale";

/** Point reads of one range. Hot: fixed binary layout. */
export interface ReadBatch {
  readonly type: "reads";
  readonly batchId: number;
  readonly rangeId: RangeId;
  readonly bounds: number;
  readonly consistency: Consistency;
  readonly keys: readonly Key[];
}

/** `version` 0 = no record. */
export interface ReadResult {
  readonly version: Version;
  readonly value: Uint8Array;
}

/** One result for each key asked, in that order. Hot: fixed binary layout. */
export interface ReadResults {
  readonly type: "read-results";
  readonly batchId: number;
  readonly seen: Version;
  readonly results: readonly ReadResult[];
}

/** A scan inside one range; pages follow while credit lasts. */
export interface ScanRequest {
  readonly type: "scan";
  /** Unique on this stream. */
  readonly scanId: number;
  readonly rangeId: RangeId;
  readonly bounds: number;
  readonly consistency: Consistency;
  readonly start: Key;
  readonly end: Key;
  readonly reverse: boolean;
  /** 0 = no limit. */
  readonly limit: number;
  readonly keysOnly: boolean;
  /** Only `count` of the last page is filled. */
  readonly countOnly: boolean;
  readonly creditBytes: number;
}

export interface ScanCredit {
  readonly type: "scan-credit";
  readonly scanId: number;
  /** Adds to what the server may send. */
  readonly creditBytes: number;
}

export interface ScanCancel {
  readonly type: "scan-cancel";
  readonly scanId: number;
}

export interface ScanRecord {
  readonly key: Key;
  readonly version: Version;
  readonly value: Uint8Array;
}

/** Hot: fixed binary layout. */
export interface ScanPage {
  readonly type: "scan-page";
  readonly scanId: number;
  readonly records: readonly ScanRecord[];
  /** With `countOnly`: records so far. */
  readonly count: number;
  readonly last: boolean;
}

/**
 * A batch or scan was refused as a whole, before anything was proposed or read.
 * `not-leader` and `epoch-mismatch` are for the routing only: ask again where `ranges` and `leader` say.
 */
export interface RangeRefused {
  readonly type: "range-refused";
  readonly kind: "commands" | "reads" | "scan";
  /** batchId or scanId. */
  readonly id: number;
  readonly reason: "not-leader" | "epoch-mismatch" | "error";
  /** For `error`. */
  readonly code: ErrorCode | undefined;
  readonly message: string;
  /** Milliseconds to wait before the next try; 0 = at once. */
  readonly retryAfterMs: number;
  /** Fresher knowledge, if there is any: what covers the refused interval now. */
  readonly ranges: readonly RouteEntry[];
}

/** Where a range is. */
export interface RouteEntry {
  readonly descriptor: RangeDescriptor;
  /** 0 = unknown. */
  readonly leader: StoreId;
}

/** Control: msgpackr. `arguments` is plain data, checked by whoever serves the name (packages/server, admin). */
export interface AdminRequest {
  readonly type: "admin";
  readonly requestId: number;
  readonly name: string;
  readonly arguments: unknown;
}

export interface AdminResponse {
  readonly type: "admin-response";
  readonly requestId: number;
  readonly result: unknown;
  readonly error: WireError | undefined;
}

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Control: msgpackr. Any store answers from what it knows; a store without a meta replica says where one is. */
export interface RouteRequest {
  readonly type: "route";
  readonly requestId: number;
  /** Descriptors that cover [start, end) in order, at most `limit`. */
  readonly start: Key;
  readonly end: Key;
  readonly limit: number;
}

export interface RouteResponse {
  readonly type: "route-response";
  readonly requestId: number;
  readonly clusterId: string;
  readonly ranges: readonly RouteEntry[];
  readonly stores: readonly StoreAddress[];
}

export interface StoreAddress {
  readonly storeId: StoreId;
  readonly address: string;
}

/** The server will close this stream soon (shutdown): move to another store. */
export interface GoingAway {
  readonly type: "going-away";
}

export type ClientMessage =
  | CommandBatch
  | ReadBatch
  | ScanRequest
  | ScanCredit
  | ScanCancel
  | RouteRequest
  | AdminRequest;

export type ServerMessage =
  | CommandResults
  | ReadResults
  | ScanPage
  | RangeRefused
  | RouteResponse
  | AdminResponse
  | GoingAway;
