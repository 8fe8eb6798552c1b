import type { LogIndex, ReplicaId, Term } from "@flotilla/base";
import type { SnapshotLabel } from "./configuration.ts";
import type { Entry, HardState } from "./entry.ts";
import type { Message } from "./message.ts";

export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/**
 * What the host has to do, in one piece. The order that is safe:
 *  1. hand `snapshot`, then `entries`, then `hardState` to the log, in this call, before any other call of the node;
 *  2. send `messages` at once (appends leave while the own write is in flight);
 *  3. when the log says that these are durable, send `messagesAfterPersisted` and call `persisted(ready.persistence)`;
 *  4. apply `committedEntries` in order, then call `applied(index)`; after a snapshot was loaded, call `applied(snapshot.index)`:
 *     nothing behind it is handed out before.
 * Several Readys may be waiting for durability; they are acknowledged in order.
 */
export interface Ready {
  /** Present when term, vote or commit changed since the last one. */
  readonly hardState: HardState | undefined;
  /** An fsync is owed: entries, term, vote or a snapshot. False when only the commit index moved. */
  readonly mustSync: boolean;
  /** To append; the first may overwrite a conflicting tail (then everything from its index on is void). */
  readonly entries: readonly Entry[];
  /** A snapshot that was accepted: the log is void up to its index, and behind it unless it holds that very entry. */
  readonly snapshot: SnapshotLabel | undefined;
  readonly messages: readonly Message[];
  readonly messagesAfterPersisted: readonly Message[];
  /** Committed *and* durable here. Bounded by `committedBytesMax`; the rest comes with the next Ready. */
  readonly committedEntries: readonly Entry[];
  readonly readStates: readonly ReadState[];
  /** Present when the role or the known leader changed. */
  readonly softState: SoftState | undefined;
  /**
   * To be given back to `persisted` when this Ready's write, and all before it, are durable. Undefined when nothing waits for
   * that; always present with `messagesAfterPersisted`, even if this Ready itself has nothing to write.
   */
  readonly persistence: Persistence | undefined;
}

/**
 * Says what a finished log write covered, and the term it belongs to, so that a late one cannot be misread (hazard A5).
 * Writes become durable in order, so it speaks for everything handed over before it, too.
 */
export interface Persistence {
  readonly term: Term;
  /** Last entry handed over so far, with its term; 0 when all of them are known durable. */
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly snapshotIndex: LogIndex;
}

/** The read that asked with `context` may be served once everything up to `index` is applied. */
export interface ReadState {
  readonly context: number;
  readonly index: LogIndex;
}

export interface SoftState {
  readonly role: Role;
  /** 0 = unknown. */
  readonly leader: ReplicaId;
}
