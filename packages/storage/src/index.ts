export * from "./engine-keys.ts";
export * from "./engine.ts";
export * from "./memory-engine-disk.ts";
export type { MemoryEngine } from "./memory-engine.ts";
export * from "./range-records.ts";
export * from "./record.ts";
export * from "./sealed-value.ts";
export * from "./session-record.ts";
export * from "./store-records.ts";
