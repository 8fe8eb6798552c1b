/** `flotilla/cluster`: a cluster inside the calling process, for tests and for programs that carry their store along. */
export { createCluster } from "@flotilla/server/cluster";
export type {
  Cluster,
  ClusterNode,
  ClusterOptions,
  EmbeddedClientOptions,
  EmbeddedSettings,
  NodeState,
} from "@flotilla/server/cluster";
