/** Ends that are told by the state of the cluster, and not by one operator: a node without leaders, a store without replicas. */
import { Failure } from "@flotilla/base";
import type { ClusterClient } from "../cluster-client.ts";
import { askNodes, askRanges, askStores } from "../output/cluster-report.ts";
import { askOperator, askOperators, askPlan, hasEnded } from "./operator-report.ts";
import type { Blocked, OperatorRow } from "./operator-report.ts";

export interface GoalState {
  readonly done: boolean;
  /** What is still to go, in `unit`s, and in bytes where bytes have to move. */
  readonly left: number;
  readonly unit: string;
  readonly leftBytes: number | null;
  /** Ranges that cannot go on, while no operator works on it. */
  readonly blocked: readonly Blocked[];
}

/** What was seen at one look. */
export interface Sight {
  readonly operators: readonly OperatorRow[];
  readonly goal: GoalState | undefined;
}

/** Asked once, before the order; what it resolves with is asked again and again. */
export type Goal = (client: ClusterClient) => Promise<GoalWatch>;

export interface GoalWatch {
  /** The driver tries again when an operator fails: only the goal, or being blocked, is an end. */
  readonly outlivesOperators: boolean;
  look(): Promise<GoalState>;
}

/** A cancelled operator may still have to take back what it began; it may also have been done just before. */
export function operatorCancelled(operatorId: number): Goal {
  return async (client) => ({
    outlivesOperators: true,
    async look() {
      const operator = await askOperator(client, operatorId);
      const done = hasEnded(operator);
      if (done && operator.state !== "cancelled")
        throw new Failure("Refused", `operator ${operatorId} was not cancelled, it has ended: ${operator.state}`);
      return { done, left: done ? 0 : 1, unit: "operator", leftBytes: null, blocked: [] };
    },
  });
}

export function ledBy(rangeId: number, storeId: number): Goal {
  return async (client) => ({
    outlivesOperators: false,
    async look() {
      const done = (await askRanges(client)).find((range) => range.rangeId === rangeId)?.leaderStoreId === storeId;
      return { done, left: done ? 0 : 1, unit: "leader", leftBytes: null, blocked: [] };
    },
  });
}

/** The node leads nothing any more. */
export function nodeDrained(nodeId: number): Goal {
  return async (client) => {
    const stores = await storesOfNode(client, nodeId);
    return {
      outlivesOperators: true,
      async look() {
        const led = (await askRanges(client)).filter(({ leaderStoreId }) => stores.has(leaderStoreId ?? 0)).length;
        const blocked = led === 0 ? [] : await blockedOf(client, "node-drain", { nodeId }, stores);
        return { done: led === 0, left: led, unit: "leaders", leftBytes: null, blocked };
      },
    };
  };
}

/** The node has no replicas any more, and the driver has said that it is out. */
export function nodeEmpty(nodeId: number): Goal {
  return async (client) => {
    const stores = await storesOfNode(client, nodeId);
    return {
      outlivesOperators: true,
      async look() {
        const left = await replicasOn(client, stores);
        const state = (await askNodes(client)).find((node) => node.nodeId === nodeId)?.state;
        const blocked = left.left === 0 ? [] : await blockedOf(client, "node-decommission", { nodeId }, stores);
        return { done: left.left === 0 && state === "decommissioned", ...left, blocked };
      },
    };
  };
}

/** No range counts on the store any more. */
export function storeEmpty(storeId: number): Goal {
  return async (client) => {
    const stores = new Set([storeId]);
    return {
      outlivesOperators: true,
      async look() {
        const left = await replicasOn(client, stores);
        const state = (await askStores(client)).find((store) => store.storeId === storeId)?.state;
        const blocked = left.left === 0 ? [] : await blockedOf(client, "store-replace", { storeId }, stores);
        return { done: left.left === 0 && (state === undefined || state === "decommissioned"), ...left, blocked };
      },
    };
  };
}

async function storesOfNode(client: ClusterClient, nodeId: number): Promise<Set<number>> {
  const node = (await askNodes(client)).find((row) => row.nodeId === nodeId);
  if (node === undefined) throw new Failure("NotFound", `there is no node ${nodeId}`, { hint: "flotilla node list" });
  return new Set(node.stores);
}

/** From the descriptors: a store that is gone reports nothing itself. */
async function replicasOn(
  client: ClusterClient,
  stores: ReadonlySet<number>,
): Promise<Pick<GoalState, "left" | "unit" | "leftBytes">> {
  let left = 0;
  let leftBytes: number | null = 0;
  for (const { replicas, sizeBytes } of await askRanges(client)) {
    const here = replicas.filter(({ storeId }) => stores.has(storeId)).length;
    left += here;
    if (here > 0) leftBytes = leftBytes === null || sizeBytes === null ? null : leftBytes + here * sizeBytes;
  }
  return { left, unit: "replicas", leftBytes };
}

async function blockedOf(
  client: ClusterClient,
  request: string,
  body: object,
  stores: ReadonlySet<number>,
): Promise<readonly Blocked[]> {
  const { blocked } = await askPlan(client, request, body);
  if (blocked.length === 0) return [];
  const concerned = new Set(
    (await askRanges(client))
      .filter(({ replicas }) => replicas.some(({ storeId }) => stores.has(storeId)))
      .map(({ rangeId }) => rangeId),
  );
  const works = (await askOperators(client, false)).some(({ rangeId }) => rangeId !== null && concerned.has(rangeId));
  return works ? [] : blocked;
}
