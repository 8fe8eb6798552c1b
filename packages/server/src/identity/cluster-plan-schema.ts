/** Checks a plan that comes from a file, before anything is built on it. */
import { compareKeys, keyMax, systemPrefix, userPrefix } from "@flotilla/base";
import type { ClusterPlan } from "@flotilla/placement";
import { fields, list, text, wholeNumber } from "./plain-shape.ts";

const id = wholeNumber(1);
const hexId = text(/^[0-9a-f]{32}$/);
const key = text(/^[\x00-\xff]{0,4097}$/);
const bounded = text(/^.{1,300}$/s);

const store = fields({ storeId: id, nodeId: id, address: bounded, storeKey: hexId });
const replica = fields({ replicaId: id, storeId: id, role: text(/^(voter|learner|incoming|outgoing)$/) });
const range = fields({
  rangeId: id,
  start: key,
  end: key,
  epoch: fields({ bounds: id, members: id }),
  replicas: list(replica, 100),
});
const plan = fields({ clusterId: hexId, stores: list(store, 10_000), ranges: list(range, 100_000) });

/** Why `value` is no plan; `undefined` when it is one. */
export function wrongPlan(value: unknown): string | undefined {
  const wrong = plan(value, "");
  if (wrong !== undefined) return wrong;
  const { stores, ranges } = value as ClusterPlan;
  const storeIds = new Set<number>(stores.map(({ storeId }) => storeId));
  if (storeIds.size !== stores.length) return "two stores have the same id";
  const replicaIds = new Set<number>();
  let end: string = systemPrefix;
  for (const range of ranges) {
    if (range.start !== end || compareKeys(range.start, range.end) >= 0)
      return `range ${range.rangeId} does not begin where the one before it ends`;
    end = range.end;
    for (const { replicaId, storeId } of range.replicas) {
      if (!storeIds.has(storeId)) return `range ${range.rangeId} has a replica on unknown store ${storeId}`;
      if (replicaIds.has(replicaId)) return `replica id ${replicaId} is used twice`;
      replicaIds.add(replicaId);
    }
  }
  // A store that joined knows of the meta range only; all others it hears of.
  if (ranges.length === 1 && end === userPrefix) return undefined;
  return end === keyMax ? undefined : "the last range does not end at the end of all keys";
}

export function isPlan(value: unknown): value is ClusterPlan {
  return wrongPlan(value) === undefined;
}
