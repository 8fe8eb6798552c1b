export * from "./node-byte-operations.ts";
export * from "./node-environment.ts";
export * from "./node-files.ts";
