/** What the placement driver answers to `store-join`, and the identity that comes of it. */
import type { RangeDescriptor } from "@flotilla/base";
import { nodeId, storeId } from "@flotilla/base";
import type { ClusterPlan } from "@flotilla/placement";
import { wrongPlan } from "../identity/cluster-plan-schema.ts";
import type { Identity } from "../identity/identity-file.ts";
import { anything, fields, list, text, wholeNumber } from "../identity/plain-shape.ts";

const id = wholeNumber(1);
const bounded = text(/^.{1,300}$/s);

const answerShape = fields({
  clusterId: text(/^[0-9a-f]{32}$/),
  nodeId: id,
  storeId: id,
  stores: list(anything, 10_000),
  metaRange: anything,
});
const storeShape = fields({
  storeId: id,
  nodeId: id,
  address: bounded,
  httpAddress: anything,
  storeKey: text(/^[0-9a-f]{32}$/),
  state: anything,
  labels: anything,
});

/** The identity of the store that asked with `storeKey`; a text says what is wrong with the answer. */
export function joinedIdentity(answer: unknown, storeKey: string): Identity | string {
  const wrong = answerShape(answer, "");
  if (wrong !== undefined) return wrong;
  const given = answer as {
    readonly clusterId: string;
    readonly nodeId: number;
    readonly storeId: number;
    readonly stores: readonly unknown[];
    readonly metaRange: RangeDescriptor;
  };
  const stores: ClusterPlan["stores"][number][] = [];
  for (const store of given.stores) {
    const wrongStore = storeShape(store, "stores");
    if (wrongStore !== undefined) return wrongStore;
    const { storeId: other, nodeId: node, address, storeKey: key } = store as ClusterPlan["stores"][number];
    stores.push({ storeId: storeId(other), nodeId: nodeId(node), address, storeKey: key });
  }
  const plan: ClusterPlan = { clusterId: given.clusterId, stores, ranges: [given.metaRange] };
  const wrongAnswer = wrongPlan(plan);
  if (wrongAnswer !== undefined) return wrongAnswer;
  const own = stores.find((store) => store.storeId === given.storeId);
  if (own?.storeKey !== storeKey || own.nodeId !== given.nodeId)
    return `store ${given.storeId} is not among the stores`;
  return { clusterId: given.clusterId, nodeId: own.nodeId, storeId: own.storeId, storeKey, plan };
}
