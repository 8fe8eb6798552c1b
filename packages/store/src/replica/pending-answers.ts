/** What the leader owes its clients: the answers of one entry, given when that entry is applied. */
import type { CommandResult } from "@flotilla/transport";
import type { ClientSession } from "./session-table.ts";
import type { ClientConnection } from "../clients/client-connection.ts";

/** The results of one batch that stand in one entry. */
export interface BatchAnswer {
  readonly connection: ClientConnection;
  readonly batchId: number;
  readonly results: CommandResult[];
  /** Results that are known only at apply: retries, to be looked up in the session table. */
  readonly repeated: { readonly at: number; readonly session: ClientSession }[];
}

export interface PendingEntry {
  readonly index: number;
  readonly term: number;
  readonly answers: BatchAnswer[];
  readonly commands: number;
}
