export * from "./shared-log.ts";
export { FileSharedLog } from "./file-shared-log.ts";
export type { FileLogStatistics, FileSharedLogDependencies, FileSharedLogOptions } from "./file-shared-log.ts";
