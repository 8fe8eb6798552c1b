/**
 * Messages between the members of one group. `from` and `to` are replica ids. Which range they belong to, and
 * between which stores they travel, stands in the envelope around them (packages/transport).
 */
import type { LogIndex, ReplicaId, Term } from "@flotilla/base";
import type { SnapshotLabel } from "./configuration.ts";
import type { Entry } from "./entry.ts";

interface Header {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  /** The sender's term; for pre-votes the term it would campaign in. Never 0. */
  readonly term: Term;
}

export interface Append extends Header {
  readonly type: "append";
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
}

export interface AppendResponse extends Header {
  readonly type: "append-response";
  /** Accepted: the last index now known durable and equal. Rejected: the `prevIndex` that did not match. */
  readonly index: LogIndex;
  readonly reject: boolean;
  /** Rejected only: where the follower's log could match, and the term there, so that whole terms are skipped. */
  readonly hintIndex: LogIndex;
  readonly hintTerm: Term;
}

export interface Heartbeat extends Header {
  readonly type: "heartbeat";
  /** Of the leader, with the term of the entry there: who does not hold that very entry learns nothing from it. */
  readonly commit: LogIndex;
  readonly commitTerm: Term;
  /** Of a ReadIndex round, unique for the leader's term and never reused; 0 = none. */
  readonly context: number;
  /** Lease granted by whoever acknowledges this, in milliseconds; 0 = none (design §5). */
  readonly leaseMs: number;
  /** Nothing follows: everything is committed, all members known to be reachable have it, and the leader ticks no more. */
  readonly rests: boolean;
}

export interface HeartbeatResponse extends Header {
  readonly type: "heartbeat-response";
  readonly context: number;
}

export interface VoteRequest extends Header {
  readonly type: "pre-vote" | "vote";
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** The leader itself ordered this campaign (TimeoutNow): leases do not hold it back. */
  readonly transfer: boolean;
}

export interface VoteResponse extends Header {
  readonly type: "pre-vote-response" | "vote-response";
  readonly reject: boolean;
}

export interface TimeoutNow extends Header {
  readonly type: "timeout-now";
}

/**
 * From `Ready.messages`: the host must send a range snapshot to `to` instead of this message, then step this
 * message, with the label of what was really sent, on the receiver once everything is staged and verified, and
 * report the end to the sender with `reportSnapshot`.
 */
export interface InstallSnapshot extends Header {
  readonly type: "snapshot";
  readonly label: SnapshotLabel;
}

export type Message =
  | Append
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | VoteRequest
  | VoteResponse
  | TimeoutNow
  | InstallSnapshot;

export type MessageType = Message["type"];
