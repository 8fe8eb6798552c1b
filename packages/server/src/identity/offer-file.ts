/**
 * `DIR/cluster-offer`: what the store in this directory will be if a cluster that is being made comes about. It stands
 * from the moment a node agrees to an offer (the maker's own: from before it makes the first) until the identity is
 * written or the offer is withdrawn. A directory with an offer and without an identity has promised itself to one
 * cluster, and has no store yet.
 */
import type { Files, StoreId } from "@flotilla/base";
import type { ClusterPlan, PlannedStore } from "@flotilla/placement";
import { wrongPlan } from "./cluster-plan-schema.ts";
import type { Identity } from "./identity-file.ts";
import { anything, fields, wholeNumber } from "./plain-shape.ts";
import { corrupt, readSealed, writeSealed } from "./sealed-file.ts";

export interface ClusterOffer {
  readonly plan: ClusterPlan;
  /** Which of the planned stores this directory is to be. */
  readonly storeId: StoreId;
  /** Whose node makes the cluster: it alone decides whether the plan is carried out. */
  readonly makerId: StoreId;
}

const offerFile = "cluster-offer";
const offerKind = { kind: "cluster-offer", format: 1 };

const offerShape = fields({ plan: anything, storeId: wholeNumber(1), makerId: wholeNumber(1) });

/** Why `value` is no offer; `undefined` when it is one. For what comes from a file and what comes from another node. */
export function wrongOffer(value: unknown): string | undefined {
  const wrong = offerShape(value, "");
  if (wrong !== undefined) return wrong;
  const { plan, storeId, makerId } = value as ClusterOffer;
  const why = wrongPlan(plan);
  if (why !== undefined) return why;
  const { stores } = plan;
  for (const id of [storeId, makerId]) {
    if (!stores.some((store) => store.storeId === id)) return `store ${id} is not in its plan`;
  }
  return undefined;
}

export const plannedStore = ({ plan }: ClusterOffer, id: StoreId): PlannedStore =>
  plan.stores.find(({ storeId }) => storeId === id)!;

export function identityOf(offer: ClusterOffer): Identity {
  const { nodeId, storeId, storeKey } = plannedStore(offer, offer.storeId);
  return { clusterId: offer.plan.clusterId, nodeId, storeId, storeKey, plan: offer.plan };
}

/** Durable when it resolves. */
export async function writeOffer(files: Files, offer: ClusterOffer): Promise<void> {
  await writeSealed(files, offerFile, offerKind, offer);
}

/** `undefined`: there is none. Throws `Corruption` or `FormatTooNew`. */
export async function readOffer(files: Files): Promise<ClusterOffer | undefined> {
  const content = await readSealed(files, offerFile, offerKind);
  if (content === undefined) return undefined;
  const why = wrongOffer(content);
  if (why !== undefined) throw corrupt(offerFile, 0, why);
  return content as ClusterOffer;
}

/** Durable when it resolves; nothing happens when there is none. */
export async function removeOffer(files: Files): Promise<void> {
  if (!(await files.exists(offerFile))) return;
  await files.remove(offerFile);
  await files.syncDirectory(".");
}
