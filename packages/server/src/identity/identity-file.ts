/**
 * `DIR/identity`: who the store in this directory is. Written by exactly one act, the making of the cluster, and never
 * again (rule: identity). `DIR/incarnation`: how often it has been started; written before the identity, so that a
 * directory with an identity and without it is damaged. Its format number is that of the whole directory: it is written
 * anew at each start, so a build that changes any format on disk raises it, and an older one refuses the directory before
 * it touches anything (docs/compatibility.md).
 */
import { incarnation } from "@flotilla/base";
import type { Files, Incarnation, NodeId, StoreId } from "@flotilla/base";
import type { ClusterPlan } from "@flotilla/placement";
import { wrongPlan } from "./cluster-plan-schema.ts";
import { anything, fields, text, wholeNumber } from "./plain-shape.ts";
import { corrupt, readSealed, writeSealed } from "./sealed-file.ts";

export interface Identity {
  /** 32 hex digits. */
  readonly clusterId: string;
  readonly nodeId: NodeId;
  readonly storeId: StoreId;
  /** 32 hex digits; peers refuse another key under the same store id. */
  readonly storeKey: string;
  /** What the cluster's first stores agreed on. */
  readonly plan: ClusterPlan;
}

const identityKind = { kind: "identity", format: 1 };
const incarnationKind = { kind: "incarnation", format: 1 };

const anyText = text(/^/);
const identityShape = fields({
  clusterId: anyText,
  nodeId: wholeNumber(1),
  storeId: wholeNumber(1),
  storeKey: anyText,
  plan: anything,
});
const incarnationShape = fields({ incarnation: wholeNumber(0) });

const pathIn = (directory: string, name: string): string =>
  directory === "" || directory === "." ? name : `${directory}/${name}`;

/** The last step of making a store; durable when it resolves. Incarnation 0 comes before it. */
export async function writeIdentity(files: Files, directory: string, identity: Identity): Promise<void> {
  await writeSealed(files, pathIn(directory, "incarnation"), incarnationKind, { incarnation: 0 });
  await writeSealed(files, pathIn(directory, "identity"), identityKind, identity);
}

/** `undefined`: there is none. Throws `Corruption` or `FormatTooNew`. */
export async function readIdentity(files: Files, directory: string): Promise<Identity | undefined> {
  const path = pathIn(directory, "identity");
  const content = await readSealed(files, path, identityKind);
  if (content === undefined) return undefined;
  const wrong = identityShape(content, "");
  if (wrong !== undefined) throw corrupt(path, 0, `no identity: ${wrong}`);
  const identity = content as Identity;
  const why = wrongPlan(identity.plan);
  if (why !== undefined) throw corrupt(path, 0, `its plan is wrong: ${why}`);
  const planned = identity.plan.stores.find(({ storeId }) => storeId === identity.storeId);
  if (
    identity.clusterId !== identity.plan.clusterId ||
    planned?.nodeId !== identity.nodeId ||
    planned.storeKey !== identity.storeKey
  ) {
    throw corrupt(path, 0, `store ${identity.storeId} is not the one its own plan describes`);
  }
  return identity;
}

/** One more than ever before in this directory, durable when it resolves; before that nothing may be sent. */
export async function raiseIncarnation(files: Files, directory: string): Promise<Incarnation> {
  const path = pathIn(directory, "incarnation");
  const content = await readSealed(files, path, incarnationKind);
  if (content === undefined) throw corrupt(path, 0, "it is missing, although the directory has an identity");
  const wrong = incarnationShape(content, "");
  if (wrong !== undefined) throw corrupt(path, 0, `no incarnation: ${wrong}`);
  const next = incarnation((content as { incarnation: number }).incarnation + 1);
  await writeSealed(files, path, incarnationKind, { incarnation: next });
  return next;
}
