export * from "./configuration.ts";
export * from "./entry.ts";
export * from "./log-reader.ts";
export * from "./message.ts";
export * from "./raw-node-api.ts";
export * from "./ready.ts";
