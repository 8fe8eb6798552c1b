/** The codes that an application, the command line and the wire share; stable. Meanings: docs/errors.md. */
export type ErrorCode =
  | "InvalidArgument"
  | "EmptyKey"
  | "KeyTooLarge"
  | "ValueTooLarge"
  | "BatchTooLarge"
  | "ConditionFailed"
  | "NotFound"
  | "Busy"
  | "Timeout"
  | "Cancelled"
  | "Closed"
  | "ConnectFailed"
  | "NoQuorum"
  | "OutcomeUnknown"
  | "DiskFull"
  | "WrongCluster"
  | "FormatTooNew"
  | "ProtocolMismatch"
  | "InUse"
  | "Corruption"
  | "Refused"
  | "Internal";

/** Of a write: `not-applied` only when every attempt was refused before it was proposed. */
export type Outcome = "applied" | "not-applied" | "unknown";
