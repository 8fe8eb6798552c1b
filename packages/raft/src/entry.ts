import type { LogIndex, Term } from "@flotilla/base";

/** `configuration` entries carry an encoded membership change, which Raft itself reads; the rest is opaque to it. */
export type EntryKind = "normal" | "configuration";

export interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: EntryKind;
  /** Empty for the entry that a new leader appends in its own term (thesis §3.6.2). */
  readonly data: Uint8Array;
}

/** What must be durable before a vote or an append is acknowledged. `vote` is 0 when none was given in this term. */
export interface HardState {
  readonly term: Term;
  readonly vote: import("@flotilla/base").ReplicaId;
  /** Known committed; may lag behind. Owes no fsync of its own (design §7). */
  readonly commit: LogIndex;
}
