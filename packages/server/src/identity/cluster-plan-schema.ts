/** Checks a plan that comes from a file, before anything is built on it. */
import { compareKeys, keyMax, systemPrefix } from "@flotilla/base";
import type { ClusterPlan } from "@flotilla/placement";
import { z } from "zod";

const id = z.int().positive();
const hexId = z.string().regex(/^[0-9a-f]{32}$/);
const key = z
  .string()
  .max(4097)
  .regex(/^[\x00-\xff]*$/);

const storeSchema = z.strictObject({ storeId: id, nodeId: id, address: z.string().min(1).max(300), storeKey: hexId });
const replicaSchema = z.strictObject({
  replicaId: id,
  storeId: id,
  role: z.enum(["voter", "learner", "incoming", "outgoing"]),
});
const rangeSchema = z.strictObject({
  rangeId: id,
  start: key,
  end: key,
  epoch: z.strictObject({ bounds: id, members: id }),
  replicas: z.array(replicaSchema).min(1).max(100),
});

const planSchema = z.strictObject({
  clusterId: hexId,
  stores: z.array(storeSchema).min(1).max(10_000),
  ranges: z.array(rangeSchema).min(1).max(100_000),
});

/** Why `value` is no plan; `undefined` when it is one. */
export function wrongPlan(value: unknown): string | undefined {
  const parsed = planSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return `${issue.path.join(".")}: ${issue.message}`;
  }
  const { stores, ranges } = parsed.data;
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
  return end === keyMax ? undefined : "the last range does not end at the end of all keys";
}

export function isPlan(value: unknown): value is ClusterPlan {
  return wrongPlan(value) === undefined;
}
