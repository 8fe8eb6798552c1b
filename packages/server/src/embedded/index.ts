/** `flotilla/cluster`: a cluster inside the calling process. */
export { createCluster } from "./create-cluster.ts";
export type { ClusterOptions, EmbeddedSettings } from "./cluster-options.ts";
export type { Cluster, ClusterNode, EmbeddedClientOptions, NodeState } from "./cluster.ts";
