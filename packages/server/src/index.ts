/** A node, put together: configuration, identity, the store's thread, HTTP, start and stop. */
export { createNodeLogger } from "./log/node-logger.ts";
export { startNode } from "./node/start-node.ts";
export type { RunningNode } from "./node/start-node.ts";
export { serverVersion } from "./server-version.ts";
