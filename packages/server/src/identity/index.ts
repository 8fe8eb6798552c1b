/** `@flotilla/server/identity`: who a store is, and the making of a cluster, without the server behind it. */
export { planCluster } from "@flotilla/placement";
export type { ClusterPlan } from "@flotilla/placement";
export { acquireDirectoryLock } from "@flotilla/storage/leveldb";
export type { DirectoryLock } from "@flotilla/storage/leveldb";
export * from "./identity-file.ts";
export * from "./make-cluster.ts";
export * from "./offer-file.ts";
