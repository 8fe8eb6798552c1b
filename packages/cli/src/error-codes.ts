/** Every code of an error: what it means, and the exit code that a command ends with. `docs/errors.md` is made from it. */
import type { ErrorCode } from "@flotilla/base";

export interface ErrorCodeInfo {
  /** 1: because of the cluster's state. 2: what the user gave is wrong. 3: the outcome of a write is unknown. */
  readonly exitCode: 1 | 2 | 3;
  /** The same call may succeed later, without any risk of being applied twice. */
  readonly retryable: boolean;
  readonly meaning: string;
}

const row = (exitCode: 1 | 2 | 3, retryable: boolean, meaning: string): ErrorCodeInfo => ({
  exitCode,
  retryable,
  meaning,
});

export const errorCodes: Readonly<Record<ErrorCode, ErrorCodeInfo>> = {
  InvalidArgument: row(
    2,
    false,
    "An argument, option, setting or input file is not what it must be; the message names it.",
  ),
  EmptyKey: row(2, false, "A key must have at least one byte."),
  KeyTooLarge: row(2, false, "A key is longer than the limit; `details` has `sizeBytes` and `limitBytes`."),
  ValueTooLarge: row(2, false, "A value is longer than the limit."),
  BatchTooLarge: row(2, false, "The keys and values of one command are together over the limit."),
  ConditionFailed: row(
    1,
    false,
    "The condition of a write did not hold; `details.version` is what was found, 0 = no record.",
  ),
  NotFound: row(1, false, "There is no such key, range or store."),
  Busy: row(1, true, "A queue is full, or leadership is on the move. Nothing was applied."),
  Timeout: row(
    1,
    true,
    "No answer in time. A write with this code was never proposed; one that may have been is `OutcomeUnknown`.",
  ),
  Cancelled: row(1, false, "The caller cancelled the call, or interrupted the command."),
  Closed: row(1, false, "The client or the store was closed."),
  ConnectFailed: row(1, true, "No endpoint could be reached."),
  NoQuorum: row(1, true, "A majority of a range's replicas is not there, so it has no leader."),
  OutcomeUnknown: row(
    3,
    false,
    "A write was sent and its answer was lost: it may or may not have been applied. Read the key to see.",
  ),
  DiskFull: row(1, true, "The store has too little free space for writes; it serves reads."),
  WrongCluster: row(1, false, "Who was asked belongs to another cluster. Of a data directory: exit code 2."),
  FormatTooNew: row(2, false, "A file was written by a newer version."),
  ProtocolMismatch: row(1, false, "Client and server, or two servers, have no protocol in common."),
  InUse: row(2, false, "A port or a data directory belongs to another process."),
  Corruption: row(2, false, "A file does not hold what was written to it; `details` has `file` and `offset`."),
  Refused: row(
    1,
    false,
    "The cluster will not do this in its present state; the message says why. Of a data directory: exit code 2.",
  ),
  Internal: row(1, false, "Something that nobody foresaw; a defect of Flotilla."),
};
