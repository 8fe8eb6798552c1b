/** The door for the workspace's own benchmarks: another system is loaded and measured by the same code as ours. */
export { BenchRandom } from "./bench/bench-random.ts";
export type { LoadResult } from "./bench/bench-result.ts";
export { createKeyDistribution } from "./bench/key-distribution.ts";
export { LoadLoop, LoadSlot } from "./bench/load-loop.ts";
export type { LoadDriver } from "./bench/load-loop.ts";
export { loadResultOf } from "./bench/load-result.ts";
export { NodeMeters } from "./bench/node-meters.ts";
export type { MeasuredServers } from "./bench/node-meters.ts";
