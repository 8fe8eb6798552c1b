export * from "./store-api.ts";
export * from "./store-settings.ts";
export { openStore } from "./store.ts";
export { RangeEncoding } from "./snapshot/range-encoding.ts";
export type { EncodedPart, ReadableEngine, ViewedRange } from "./snapshot/range-encoding.ts";
export { InlineSnapshotJobs } from "./snapshot/snapshot-jobs.ts";
export type { RangeSource, SnapshotJobs } from "./snapshot/snapshot-jobs.ts";
export { verifySnapshot } from "./snapshot/verify-snapshot.ts";
export type { VerifiedSnapshot } from "./snapshot/verify-snapshot.ts";
