export { acquireDirectoryLock } from "./directory-lock.ts";
export type { DirectoryLock } from "./directory-lock.ts";
export { LevelEngine } from "./level-engine.ts";
export type { LevelEngineOptions } from "./level-engine.ts";
export { LevelReader } from "./level-reader.ts";
