/** What the main thread and a store's thread say to each other. All of it is plain data. */
import type { ErrorCode } from "@flotilla/base";
import type { LogStatistics } from "@flotilla/raft-log";
import type { StoreSettings, StoreStatistics } from "@flotilla/store";
import type { LogLevel } from "../settings/log-level.ts";
import type { LogSettings } from "../settings/log-settings.ts";

/** Given to the thread at its start. */
export interface StoreThreadData {
  readonly dataDir: string;
  readonly address: string;
  /** Empty or absent: what follows from `address`. */
  readonly advertiseAddress?: string;
  readonly httpAddress: string;
  readonly peers: readonly string[];
  /** Nodes of the cluster that an empty directory asks to become a new store of. */
  readonly join: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly logLevel: LogLevel;
  readonly serverVersion: string;
  readonly settings: StoreSettings;
  readonly log: LogSettings;
}

export type ToStoreThread =
  | { readonly type: "statistics"; readonly requestId: number }
  | { readonly type: "stop"; readonly transferMs: number }
  /** For measurements, in a Node that was started with `--expose-gc`. */
  | { readonly type: "collect-garbage" }
  /** The thread ends at once: nothing more is sent, handed over or flushed. */
  | { readonly type: "end" };

export type FromStoreThread =
  /** It has no identity, and listens for one. */
  | { readonly type: "waiting"; readonly address: string; readonly reason: string }
  | { readonly type: "listening"; readonly node: StoreThreadIdentity }
  /** Every range of the store has a leader, for the first time. */
  | { readonly type: "ready" }
  | { readonly type: "statistics"; readonly requestId: number; readonly statistics: StoreThreadStatistics }
  | {
      readonly type: "log";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly fields: object;
      readonly message: string;
    }
  /** Nothing is acknowledged or sent any more; the thread has to go. `phase` says whether it ever took part. */
  | { readonly type: "halted"; readonly phase: "start" | "running" | "stop"; readonly error: PlainError }
  | { readonly type: "stopped" };

export interface StoreThreadIdentity {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly storeId: number;
  readonly incarnation: number;
  /** The address really bound. */
  readonly address: string;
  /** Ranges of the cluster when it was made, the meta range included. */
  readonly plannedRanges: number;
  readonly plannedStores: number;
}

export interface StoreThreadStatistics {
  readonly store: StoreStatistics;
  readonly log: LogStatistics;
  readonly levelZeroFiles: number;
  readonly ready: boolean;
  readonly loop: LoopStatistics;
}

/** Of the thread that answers, since its last answer where not said otherwise. */
export interface LoopStatistics {
  /** Seconds the event loop was late. */
  readonly delayMeanSeconds: number;
  readonly delayP99Seconds: number;
  readonly delayMaxSeconds: number;
  /** 0 to 1. */
  readonly utilization: number;
  /** Since the start of the thread. */
  readonly garbageCollections: number;
  readonly garbageCollectionSeconds: number;
  readonly heapUsedBytes: number;
}

/** An error that crosses the boundary between threads; `code` is undefined for what is not a `Failure`. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly code: ErrorCode | undefined;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly stack: string;
}
