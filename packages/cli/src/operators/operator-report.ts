/** What the placement driver says of its operators and plans. */
import type { ClusterClient } from "../cluster-client.ts";
import { requireList, requireObject } from "../output/answer-shape.ts";
import { isCoded } from "../exit-code.ts";

export interface OperatorStepRow {
  /** In words. */
  readonly action: string;
  /** Where it leads to. */
  readonly storeId: number | null;
  /** `pending`, `running`, `done`, `failed`. */
  readonly state: string;
}

export interface OperatorRow {
  readonly operatorId: number;
  readonly kind: string;
  readonly rangeId: number | null;
  /** `pending`, `running`, `cancelling`; `done`, `failed`, `cancelled`, `timedOut`. */
  readonly state: string;
  readonly reason: string | null;
  readonly steps: readonly OperatorStepRow[];
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  /** How it ended, where it did not end well. */
  readonly error: string | null;
  /** Why its step is not taken now. */
  readonly waitingFor: string | null;
}

export interface PlanStep {
  readonly rangeId: number | null;
  readonly action: string;
  readonly storeId: number | null;
  readonly bytes: number | null;
  readonly text: string;
}

export interface Blocked {
  readonly rangeId: number | null;
  readonly reason: string;
}

/** What an order would do. Nothing has changed by asking. */
export interface Plan {
  readonly steps: readonly PlanStep[];
  readonly bytes: number | null;
  readonly risks: readonly string[];
  readonly blocked: readonly Blocked[];
}

/** What an order began: operators, or at once a change. `changed` false: it is so already, or there is nothing to do. */
export interface OrderAnswer {
  readonly operatorIds: readonly number[];
  readonly changed: boolean;
}

const ends: ReadonlySet<string> = new Set(["done", "failed", "cancelled", "timedOut"]);

export const hasEnded = ({ state }: OperatorRow): boolean => ends.has(state);

const operatorFields = ["operatorId", "kind", "rangeId", "state", "steps"];

/** Those under way; with `all` those that have ended, too, as far as they are kept. */
export async function askOperators(client: ClusterClient, all: boolean): Promise<readonly OperatorRow[]> {
  const answer = await client.admin("operator-list", all ? { all } : {}, { readOnly: true });
  return requireList(answer, "operator-list", operatorFields) as unknown as OperatorRow[];
}

export async function askOperator(client: ClusterClient, operatorId: number): Promise<OperatorRow> {
  const answer = await client.admin("operator-show", { operatorId }, { readOnly: true });
  return requireObject(answer, "operator-show", operatorFields) as unknown as OperatorRow;
}

/** `undefined`: nothing is known of it any more. */
export async function findOperator(client: ClusterClient, operatorId: number): Promise<OperatorRow | undefined> {
  try {
    return await askOperator(client, operatorId);
  } catch (error) {
    if (isCoded(error) && error.code === "NotFound") return undefined;
    throw error;
  }
}

export async function askPlan(client: ClusterClient, request: string, body: object): Promise<Plan> {
  const answer = await client.admin(request, { ...body, plan: true }, { readOnly: true });
  const { plan } = requireObject(answer, request, ["plan"]);
  return requireObject(plan, request, ["steps", "bytes", "risks", "blocked"]) as unknown as Plan;
}

export async function order(client: ClusterClient, request: string, body: object): Promise<OrderAnswer> {
  const answer = requireObject(await client.admin(request, body, { readOnly: false }), request, []);
  const { operatorIds, changed } = answer;
  if (typeof changed === "boolean") return { operatorIds: [], changed };
  const ids = Array.isArray(operatorIds) ? (operatorIds as number[]) : [];
  return { operatorIds: ids, changed: ids.length > 0 };
}
