/** For tests, which need the build: the pool's thread runs a file of it. */
export { SnapshotPool } from "./snapshot-pool.ts";
