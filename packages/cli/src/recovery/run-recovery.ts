/**
 * Carries a recovery out: the meta range first, for the placement driver gives the new ids; then, in rounds that look anew
 * each time, one range after the other. Every order names what it rests on and is refused when that has changed, so ending
 * at any moment and beginning again does no harm.
 */
import { Failure, metaRangeId } from "@flotilla/base";
import { planRecovery } from "@flotilla/client/internal";
import type { RecoveryAction, RecoveryPlan } from "@flotilla/client/internal";
import type { ClusterClient } from "../cluster-client.ts";
import type { CommandIo } from "../command-io.ts";
import { patient } from "../operators/patience.ts";
import { requireObject } from "../output/answer-shape.ts";
import { actionRow, rowsOf } from "./recovery-report.ts";
import type { RecoveryRow } from "./recovery-report.ts";
import { surveyCluster } from "./survey.ts";
import type { Survey } from "./survey.ts";

const pollMs = 300;
/** Ids that the driver gives for one round. */
const idsMax = 1000;
/** A store elects itself at once; longer, and something is wrong. */
const leadMsMax = 60_000;

export interface RecoveryHost {
  readonly io: Pick<CommandIo, "nowMs" | "pause" | "interrupted" | "note">;
  readonly client: ClusterClient;
  readonly lost: ReadonlySet<number>;
  /** After each step: the report is brought up to what is done. */
  onProgress(rows: readonly RecoveryRow[]): Promise<void>;
}

export async function lookAndPlan(
  client: ClusterClient,
  lost: ReadonlySet<number>,
): Promise<{ readonly survey: Survey; readonly plan: RecoveryPlan }> {
  const survey = await surveyCluster(client, lost);
  return { survey, plan: planRecovery(survey, lost) };
}

/** Resolves with a row for every range that had lost its majority, by range id. */
export async function recover(host: RecoveryHost): Promise<RecoveryRow[]> {
  const rows = new Map<number, RecoveryRow>();
  const interrupted = host.io.interrupted();
  for (;;) {
    const { survey, plan } = await lookAndPlan(host.client, host.lost);
    for (const row of rowsOf(plan)) if (rows.get(row.rangeId)?.outcome !== "recovered") rows.set(row.rangeId, row);
    await host.onProgress(sorted(rows));
    const open = plan.actions.filter(({ rangeId }) => rows.get(rangeId)?.outcome === "planned");
    if (open.length === 0 || interrupted.aborted) break;
    const recovered = await oneRound(host, survey, open, rows, interrupted);
    if (recovered === 0) break;
  }
  await allLed(host, rows, interrupted);
  return sorted(rows);
}

/** Returns how many ranges go on that did not before. */
async function oneRound(
  host: RecoveryHost,
  survey: Survey,
  open: readonly RecoveryAction[],
  rows: Map<number, RecoveryRow>,
  interrupted: AbortSignal,
): Promise<number> {
  const meta = open.find(({ rangeId }) => rangeId === metaRangeId);
  // Without the meta range nobody gives ids: it comes alone.
  const actions = meta === undefined ? open.slice(0, idsMax) : [meta];
  const ids = meta === undefined ? await begin(host, actions.length) : [0];
  let recovered = 0;
  for (const [i, action] of actions.entries()) {
    if (interrupted.aborted) break;
    const row = await force(host, survey.addresses.get(action.storeId)!, action, ids[i]!);
    rows.set(action.rangeId, row);
    if (row.outcome === "recovered") recovered++;
    await host.onProgress(sorted(rows));
  }
  return recovered;
}

/** The lost stores are out for good from here on. Asked until the driver is there: it may have just been elected. */
async function begin({ io, client, lost }: RecoveryHost, replicaIds: number): Promise<number[]> {
  const name = "unsafe-recovery-begin";
  const ask = patient(io, () => client.admin(name, { lostStores: [...lost], replicaIds }, { readOnly: false }));
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) {
      const ids: unknown = requireObject(answer, name, ["replicaIds"])["replicaIds"];
      if (Array.isArray(ids) && ids.length === replicaIds) return ids as number[];
      throw new Failure("ProtocolMismatch", `the cluster's answer to ${name} has not the ids that were asked for`);
    }
    await io.pause(pollMs, io.interrupted());
    if (io.interrupted().aborted) throw new Failure("Cancelled", "interrupted while waiting for the placement driver");
  }
}

async function force(
  { client, lost }: RecoveryHost,
  address: string,
  action: RecoveryAction,
  newReplicaId: number,
): Promise<RecoveryRow> {
  const { rangeId, replicaId, lastTerm, lastIndex, floor, provenBounds, goneReplicas } = action;
  const body = {
    rangeId,
    replicaId,
    newReplicaId,
    lastTerm,
    lastIndex,
    boundsFloor: floor.bounds,
    membersFloor: floor.members,
    provenBounds,
    lostStores: [...lost],
    ...(goneReplicas.length > 0 ? { goneReplicas } : {}),
  };
  try {
    const name = "unsafe-recovery-force";
    const answer = requireObject(await client.adminAt(address, name, body), name, ["replicaId"]);
    return actionRow(action, "recovered", answer["replicaId"] as number, "");
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return actionRow(action, "failed", newReplicaId === 0 ? null : newReplicaId, error.message);
  }
}

/** Each of them has a leader again. */
async function allLed(
  { io, client, lost }: RecoveryHost,
  rows: ReadonlyMap<number, RecoveryRow>,
  interrupted: AbortSignal,
): Promise<void> {
  const recovered = [...rows.values()].filter(({ outcome }) => outcome === "recovered").map(({ rangeId }) => rangeId);
  const untilMs = io.nowMs() + leadMsMax;
  while (recovered.length > 0 && !interrupted.aborted) {
    const { replicas } = await surveyCluster(client, lost);
    const led = new Set(replicas.filter(({ serves }) => serves).map(({ rangeId }) => rangeId));
    const open = recovered.filter((rangeId) => !led.has(rangeId));
    if (open.length === 0) return;
    if (io.nowMs() >= untilMs)
      throw new Failure("NoQuorum", `recovered, and without a leader: range ${open.join(", ")}`, {
        hint: "look at the log of the store that has it",
      });
    await io.pause(pollMs, interrupted);
  }
}

const sorted = (rows: ReadonlyMap<number, RecoveryRow>): RecoveryRow[] =>
  [...rows.values()].sort((a, b) => a.rangeId - b.rangeId);
