/**
 * Numbers of the wire protocol. What a message looks like is pinned by `test/wire-format.test.ts`: a change of any
 * layout fails there until `protocolNumber` is raised.
 *
 *     protocol 1    first
 *     protocol 2    members of ranges change: replica-absent, replica-check, replica-verdict, store-directory, step-outcome,
 *                   replica-hash-request, replica-hash, seal-check, seal-state; more in replica-gone, store-heartbeat, store-report, operator-step and snapshot-offer
 *     protocol 3    heartbeats of groups name the term of the entry at their commit index, and say whether the leader rests;
 *                   store-heartbeat says whether the store's log hangs, store-report how much work each range is,
 *                   and whether its size was measured
 *     protocol 4    store-report says what has changed since a report that was acknowledged; report-receipt
 *     protocol 5    store-report says whether the store is being stopped
 */
import { keyBytesMax, messageBytesMax } from "@flotilla/base";

export const protocolNumber = 5;
/** The range a `Hello` of this build offers. A stream speaks the highest number that both sides offer. */
export const protocolMin = 5;
export const protocolMax: number = protocolNumber;

/** First byte of every payload. */
export const payloadFormat = 1;
/** First byte of every Hello; the protocol range behind it keeps its place in every later format. */
export const helloFormat = 1;

/** `typeNumber[type]` stands in front of each message of a payload. Numbers are never reused. */
export const typeNumber = {
  raft: 1,
  "replica-gone": 2,
  "store-heartbeat": 3,
  "store-report": 4,
  "operator-step": 5,
  "snapshot-offer": 6,
  "snapshot-chunk": 7,
  "snapshot-answer": 8,
  "replica-absent": 9,
  "replica-check": 10,
  "replica-verdict": 11,
  "store-directory": 12,
  "step-outcome": 13,
  "replica-hash-request": 14,
  "replica-hash": 15,
  "seal-check": 16,
  "seal-state": 17,
  "report-receipt": 18,
  commands: 32,
  reads: 33,
  scan: 34,
  "scan-credit": 35,
  "scan-cancel": 36,
  route: 37,
  admin: 38,
  "command-results": 64,
  "read-results": 65,
  "scan-page": 66,
  "range-refused": 67,
  "route-response": 68,
  "admin-response": 69,
  "going-away": 70,
} as const;

/** Format number in front of the first message. */
export const payloadHeaderBytes = 1;
/** Type number and length of the body. */
export const messageHeaderBytes = 5;

/** A logical key: the prefix byte and the user's key. */
export const logicalKeyBytesMax: number = keyBytesMax + 1;
/** A bound of an interval may be the first key after the longest key (`keyAfter`). */
export const boundBytesMax: number = logicalKeyBytesMax + 1;
/** UTF-8 bytes of a message, an address, a name. Longer texts are cut off when they are sent. */
export const textBytesMax: number = 16 * 1024;
/** Body of one control message (msgpackr). */
export const controlBytesMax: number = 8 * 1024 * 1024;
/** Values in one control message; each may cost far more memory than its bytes. */
export const controlValuesMax = 1_000_000;
/** Nesting in one control message. */
export const controlDepthMax = 32;
/** Stores of a cluster. */
export const storesMax = 1024;
/** Parts of one split, or keys found for one. */
export const splitPartsMax = 1024;
/** Members in each list of a configuration or descriptor. */
export const membersMax = 1024;
/** A payload; the limit of every party on its own side. */
export const payloadBytesMax: number = messageBytesMax;
