export * from "./shared-log.ts";
export { FileSharedLog } from "./file-shared-log.ts";
export type { FileLogStatistics, FileSharedLogDependencies } from "./file-shared-log.ts";
export { defaultLogBytesTarget, defaultSegmentBytes } from "./log-options.ts";
export type { FileSharedLogOptions } from "./log-options.ts";
