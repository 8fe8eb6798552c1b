/**
 * What nodes without an identity say to each other, and `flotilla cluster init` to one of them, as admin requests:
 *
 *     founding-state                      who are you, and what have you promised: `FoundingState`
 *     cluster-init       InitOptions      make the cluster: `InitResult`
 *     identity-offer     ClusterOffer     promise to be this store of this cluster, durably
 *     identity-withdraw  { clusterId }    the maker has given up: forget the promise
 *     identity-confirm   { clusterId }    the maker has its identity: take yours
 *
 * A store that has its identity answers the same names (packages/store, admin-service.ts).
 */
import { Failure, keyBytesMax } from "@flotilla/base";
import { fields, flag, list, nullable, optional, text, wholeNumber } from "../identity/plain-shape.ts";
import type { Shape } from "../identity/plain-shape.ts";

export const rangesPlannedMax = 4096;

export interface InitOptions {
  /** `undefined`: 3, and 1 with fewer than three nodes. */
  readonly replicas: number | undefined;
  readonly ranges: number;
  /** Binary strings; when there are some, `ranges` is ignored. */
  readonly splitAt: readonly string[];
  /** Say what would be made, and make nothing. */
  readonly planOnly: boolean;
}

export interface InitResult {
  /** `null` for a plan that was only asked for. */
  readonly clusterId: string | null;
  readonly nodes: readonly { readonly nodeId: number; readonly storeId: number; readonly address: string }[];
  readonly ranges: number;
  readonly replicas: number;
  /** An act that was interrupted before was finished, with its own plan. */
  readonly continued: boolean;
}

export interface FoundingState {
  /** Random, of this process: by it a node finds itself among the addresses that it was given. `null` from a store. */
  readonly token: string | null;
  readonly kind: "empty" | "offered" | "making" | "member";
  /** Of the cluster that it is promised to or belongs to. */
  readonly clusterId: string | null;
}

const splitKey = text(new RegExp(`^[\\x00-\\xff]{1,${keyBytesMax}}$`));
const initShape = fields({
  replicas: optional(wholeNumber(1, 100)),
  ranges: wholeNumber(1, rangesPlannedMax),
  splitAt: list(splitKey, rangesPlannedMax - 1, 0),
  planOnly: flag,
});

const anyText = text(/^/);
/** Of another version there may be more in it. */
const stateShape = fields(
  { token: nullable(anyText), kind: text(/^(empty|offered|making|member)$/), clusterId: nullable(anyText) },
  { others: true },
);

const clusterShape = fields({ clusterId: text(/^[0-9a-f]{32}$/) });

export function parseInit(argument: unknown): InitOptions {
  const { replicas, ranges, splitAt, planOnly } = checked<InitOptions>(initShape, "cluster-init", argument);
  return { replicas, ranges, splitAt, planOnly };
}

export const parseState = (argument: unknown): FoundingState => checked(stateShape, "founding-state", argument);
export const parseClusterId = (name: string, argument: unknown): string =>
  checked<{ readonly clusterId: string }>(clusterShape, name, argument).clusterId;

function checked<Value>(shape: Shape, name: string, argument: unknown): Value {
  const wrong = shape(argument, "");
  if (wrong === undefined) return argument as Value;
  throw new Failure("InvalidArgument", `${name}: ${wrong}`, { hint: "the other side may be of another version" });
}
