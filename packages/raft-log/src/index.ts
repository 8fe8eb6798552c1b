export * from "./shared-log.ts";
