/** Looks at operators and goals until they have ended, and says what there is to say about the way. */
import { Failure } from "@flotilla/base";
import type { ClusterClient } from "../cluster-client.ts";
import type { CommandIo, Invocation } from "../command-io.ts";
import { ChangeProgress } from "./change-progress.ts";
import type { GoalWatch, Sight } from "./goal.ts";
import { askOperators, findOperator, hasEnded } from "./operator-report.ts";
import type { Blocked, OperatorRow, OrderAnswer } from "./operator-report.ts";
import { idsText } from "./operator-text.ts";
import { patient } from "./patience.ts";

const pollMs = 500;
/** Blocked for so long without an operator at work: the driver has looked at it several times. */
const blockedMsMin = 5000;

export interface Ending {
  readonly outcome: "done" | "unchanged" | "failed" | "cancelled" | "timedOut" | "blocked" | "started";
  readonly operators: readonly OperatorRow[];
  readonly blocked: readonly Blocked[];
  /** What did not go well. */
  readonly failure: Failure | undefined;
}

/** Never later than `untilMs`; then the operators go on by themselves. */
export async function follow(
  { io, format }: Pick<Invocation, "io" | "format">,
  client: ClusterClient,
  title: string,
  { operatorIds, changed }: OrderAnswer,
  goal: GoalWatch | undefined,
  untilMs: number,
): Promise<Ending> {
  const watch = new OperatorWatch(client, operatorIds);
  const progress = await ChangeProgress.open(io, format, title);
  const interrupted = io.interrupted();
  const look = patient(io, async (): Promise<Sight> => ({ operators: await watch.look(), goal: await goal?.look() }));
  let blockedSinceMs: number | undefined;
  let looks = 0;
  let sight: Sight = { operators: [], goal: undefined };
  try {
    for (;;) {
      const seen = await look();
      if (seen !== undefined) {
        sight = seen;
        progress.show(sight);
        const ending = endingOf(title, sight, goal, changed || looks > 0);
        looks++;
        if (ending !== undefined) return ending;
        blockedSinceMs = (sight.goal?.blocked.length ?? 0) === 0 ? undefined : (blockedSinceMs ?? io.nowMs());
        if (blockedSinceMs !== undefined && io.nowMs() - blockedSinceMs >= blockedMsMin) return blocked(title, sight);
      }
      const early = stopped(io, title, operatorIds, sight, interrupted, untilMs);
      if (early !== undefined) return early;
      await io.pause(Math.min(pollMs, Math.max(1, untilMs - io.nowMs())), interrupted);
    }
  } finally {
    progress.close();
  }
}

/** Undefined: it goes on. */
function endingOf(
  title: string,
  { operators, goal }: Sight,
  watch: GoalWatch | undefined,
  changed: boolean,
): Ending | undefined {
  if (goal?.done === true || (goal === undefined && operators.every(({ state }) => state === "done"))) {
    const outcome = changed ? "done" : "unchanged";
    return { outcome, operators, blocked: [], failure: undefined };
  }
  if (watch?.outlivesOperators === true || !operators.every(hasEnded)) return undefined;
  const bad = operators.filter(({ state }) => state !== "done");
  const worst = bad.find(({ state }) => state !== "cancelled") ?? bad[0];
  // All are done, and the goal is not seen yet: reports lag behind by a moment.
  if (worst === undefined) return undefined;
  const { operatorId, state, error } = worst;
  const failure = new Failure(
    state === "cancelled" ? "Cancelled" : state === "timedOut" ? "Timeout" : "Refused",
    `could not ${title}: operator ${operatorId} ${wordOf(state)}${error === null ? "" : `: ${error}`}`,
    { hint: `flotilla operator show ${operatorId}`, details: { operatorId, state } },
  );
  const outcome = state === "cancelled" || state === "timedOut" ? state : "failed";
  return { outcome, operators, blocked: [], failure };
}

function wordOf(state: string): string {
  if (state === "cancelled") return "was cancelled";
  return state === "timedOut" ? "took too long and was given up" : "failed";
}

function blocked(title: string, { operators, goal }: Sight): Ending {
  const { blocked: ranges, left, unit } = goal!;
  const failure = new Failure("Refused", `could not ${title}: it is blocked, ${left} ${unit} are left`, {
    hint: "the reasons stand beside each range; it goes on by itself when they are gone",
    details: { blocked: ranges },
  });
  return { outcome: "blocked", operators, blocked: ranges, failure };
}

function stopped(
  io: CommandIo,
  title: string,
  operatorIds: readonly number[],
  { operators, goal }: Sight,
  interrupted: AbortSignal,
  untilMs: number,
): Ending | undefined {
  const late = io.nowMs() >= untilMs;
  if (!late && !interrupted.aborted) return undefined;
  const hint =
    operatorIds.length === 0 ? "flotilla operator list" : `operator ${idsText(operatorIds)}: flotilla operator watch`;
  const failure = new Failure(
    late ? "Timeout" : "Cancelled",
    `${late ? "the time to wait is over" : "interrupted"}; to ${title} goes on without being watched`,
    { hint, details: { operatorIds } },
  );
  return { outcome: "started", operators, blocked: goal?.blocked ?? [], failure };
}

/** Some operators, each asked for by itself only when it has left the list of those under way. */
export class OperatorWatch {
  readonly #client: ClusterClient;
  readonly #known: Map<number, OperatorRow | undefined>;

  constructor(client: ClusterClient, operatorIds: readonly number[]) {
    this.#client = client;
    this.#known = new Map(operatorIds.map((id) => [id, undefined]));
  }

  async look(): Promise<readonly OperatorRow[]> {
    const open = [...this.#known].filter(([, row]) => row === undefined || !hasEnded(row)).map(([id]) => id);
    if (open.length > 0) {
      const running = new Map((await askOperators(this.#client, false)).map((row) => [row.operatorId, row]));
      for (const id of open) {
        const row = running.get(id) ?? (await findOperator(this.#client, id));
        this.#known.set(id, row ?? forgotten(id, this.#known.get(id)));
      }
    }
    return [...this.#known.values()].filter((row) => row !== undefined);
  }
}

function forgotten(operatorId: number, last: OperatorRow | undefined): OperatorRow {
  return {
    operatorId,
    kind: last?.kind ?? "unknown",
    rangeId: last?.rangeId ?? null,
    state: "failed",
    reason: last?.reason ?? null,
    steps: last?.steps ?? [],
    startedAt: last?.startedAt ?? null,
    finishedAt: null,
    waitingFor: null,
    error: "the cluster does not know it any more, so how it ended is not known",
  };
}
