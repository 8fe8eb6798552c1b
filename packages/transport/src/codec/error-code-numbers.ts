/** Error codes on the wire: one byte. Numbers are never reused; a new code raises the protocol number. */
import { MalformedError } from "@flotilla/base";
import type { ErrorCode } from "@flotilla/base";

const numbers: Readonly<Record<ErrorCode, number>> = {
  InvalidArgument: 1,
  EmptyKey: 2,
  KeyTooLarge: 3,
  ValueTooLarge: 4,
  BatchTooLarge: 5,
  ConditionFailed: 6,
  NotFound: 7,
  Busy: 8,
  Timeout: 9,
  Cancelled: 10,
  Closed: 11,
  ConnectFailed: 12,
  NoQuorum: 13,
  OutcomeUnknown: 14,
  DiskFull: 15,
  WrongCluster: 16,
  FormatTooNew: 17,
  ProtocolMismatch: 18,
  InUse: 19,
  Corruption: 20,
  Refused: 21,
  Internal: 22,
};

const codes: (ErrorCode | undefined)[] = [];
for (const [code, number] of Object.entries(numbers)) codes[number] = code as ErrorCode;

export const errorCodeNumber = (code: ErrorCode): number => numbers[code];

export function errorCodeOf(number: number): ErrorCode {
  const code = codes[number];
  if (code === undefined) throw new MalformedError(`unknown error code ${number}`);
  return code;
}
