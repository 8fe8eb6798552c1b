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
import { z } from "zod";

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

const initSchema = z.strictObject({
  replicas: z.int().min(1).max(100).optional(),
  ranges: z.int().min(1).max(rangesPlannedMax),
  splitAt: z
    .array(
      z
        .string()
        .min(1)
        .max(keyBytesMax)
        .regex(/^[\x00-\xff]*$/),
    )
    .max(rangesPlannedMax - 1),
  planOnly: z.boolean(),
});

const stateSchema = z.object({
  token: z.string().nullable(),
  kind: z.enum(["empty", "offered", "making", "member"]),
  clusterId: z.string().nullable(),
});

const clusterSchema = z.strictObject({ clusterId: z.string().regex(/^[0-9a-f]{32}$/) });

export function parseInit(argument: unknown): InitOptions {
  const { replicas, ...rest } = parse(initSchema, "cluster-init", argument);
  return { replicas, ...rest };
}

export const parseState = (argument: unknown): FoundingState => parse(stateSchema, "founding-state", argument);
export const parseClusterId = (name: string, argument: unknown): string =>
  parse(clusterSchema, name, argument).clusterId;

function parse<Value>(schema: z.ZodType<Value>, name: string, argument: unknown): Value {
  const parsed = schema.safeParse(argument);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new Failure("InvalidArgument", `${name}: ${path.join(".")}: ${message}`, {
    hint: "the other side may be of another version",
  });
}
