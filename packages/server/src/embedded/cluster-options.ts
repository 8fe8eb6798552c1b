/** What `createCluster` takes. */
import type { Logger } from "@flotilla/base";
import type { StoreSettings } from "@flotilla/store";
import type { LogLevel } from "../settings/log-level.ts";
import type { LogSettings } from "../settings/log-settings.ts";

/** Settings of a store that a test may want to change; names, units and bounds are those of docs/configuration.md. */
export type EmbeddedSettings = Partial<StoreSettings & LogSettings>;

export interface ClusterOptions {
  /** 1 to 20. Default 1, or as many as `dataDir` holds. */
  readonly nodes?: number | undefined;
  /** User ranges of a new cluster, in even steps over printable ASCII; 1 to 4096. Default 4. */
  readonly ranges?: number | undefined;
  /** Replicas of each range of a new cluster. Default 3, and 1 with fewer than three nodes. */
  readonly replicas?: number | undefined;
  /** Kept, and opened again by the next call. Default: a new temporary directory, which `close` removes. */
  readonly dataDir?: string | undefined;
  readonly settings?: EmbeddedSettings | undefined;
  /** Gets what the nodes log. Default: standard error, when a `logLevel` is given. */
  readonly logger?: Logger | undefined;
  /** Default `silent`, and `info` when a `logger` is given. */
  readonly logLevel?: LogLevel | undefined;
  /** How long the start may take. Default 30 000. */
  readonly timeoutMs?: number | undefined;
}
