/**
 * What all verbs have in common that change the cluster: `--plan` shows and changes nothing, dangerous ones ask first,
 * `--wait` follows to the end.
 */
import type { Command } from "commander";
import { Failure } from "@flotilla/base";
import {
  addEndpointsOption,
  addOutputOption,
  connectOptionsOf,
  textOption,
  timeoutDefault,
} from "../arguments/common-options.ts";
import { parseDurationMs } from "../arguments/duration.ts";
import { withClient } from "../arguments/with-client.ts";
import type { ClusterClient } from "../cluster-client.ts";
import type { Invocation } from "../command-io.ts";
import { exitDone, exitNotDone } from "../exit-code.ts";
import { writeObject } from "../output/documents.ts";
import { confirm } from "./confirm.ts";
import { follow } from "./follow.ts";
import type { Ending } from "./follow.ts";
import type { Goal } from "./goal.ts";
import { askPlan, order } from "./operator-report.ts";
import type { Blocked, OperatorRow, OrderAnswer } from "./operator-report.ts";
import { blockedText, idsText, planText } from "./operator-text.ts";

export interface Change {
  /** The request's name, and its arguments. */
  readonly request: string;
  readonly body: object;
  /** In words, as it goes on after "plan to": `move range 3 from store 1 to store 2`. */
  readonly title: string;
  /** Asked about first, unless `--yes`. */
  readonly dangerous?: boolean;
  /** What must be true in the end, where the end of its operators does not say it. */
  readonly goal?: Goal;
}

/** The same fields for every change. */
export interface ChangeDocument {
  /** `started`; `done` of what is over at once; `unchanged`: it was so already; with `--wait` also `failed`, `cancelled`, `timedOut`, `blocked`. */
  readonly outcome: string;
  readonly operatorIds: readonly number[];
  /** As they were when they were last looked at; without `--wait` empty. */
  readonly operators: readonly OperatorRow[];
  readonly blocked: readonly Blocked[];
}

export function addChangeOptions(command: Command, { dangerous = false }: { dangerous?: boolean } = {}): Command {
  addEndpointsOption(addOutputOption(command))
    .option("--plan", "show steps, bytes to move and what quorum is at risk; change nothing")
    .option("--wait", "follow it to its end; the exit code is its outcome")
    .option(
      "--timeout <duration>",
      `how long a request may take (default ${timeoutDefault}); with --wait how long to wait in all (default: to the end)`,
    );
  return dangerous ? command.option("--yes", "do not ask") : command;
}

export async function runChange(invocation: Invocation, change: Change): Promise<number> {
  const { options } = invocation;
  if (options["plan"] === true && options["wait"] === true)
    throw new Failure("InvalidArgument", "--plan and --wait exclude each other");
  const wait = options["wait"] === true;
  const { timeoutMs } = await connectOptionsOf(invocation);
  const requestMs = wait ? Math.min(timeoutMs, parseDurationMs("--timeout", timeoutDefault)) : timeoutMs;
  return withClient(
    invocation,
    async (client) => {
      if (options["plan"] === true) return showPlan(invocation, client, change);
      if (change.dangerous === true && options["yes"] !== true) {
        await confirm(invocation.io, change.title, async () =>
          planText(change.title, await askPlan(client, change.request, change.body)),
        );
      }
      const untilMs = invocation.io.nowMs() + (textOption(options, "timeout") === undefined ? Infinity : timeoutMs);
      const goal = wait ? await change.goal?.(client) : undefined;
      const begun = await order(client, change.request, change.body);
      if (!wait) return begunOnly(invocation, change, begun);
      return finished(invocation, change, await follow(invocation, client, change.title, begun, goal, untilMs));
    },
    { timeoutMs: requestMs },
  );
}

async function showPlan({ io, format }: Invocation, client: ClusterClient, change: Change): Promise<number> {
  const plan = await askPlan(client, change.request, change.body);
  await writeObject(io, format, plan, () => planText(change.title, plan) + "nothing was changed\n");
  return plan.blocked.length === 0 ? exitDone : exitNotDone;
}

async function begunOnly({ io, format }: Invocation, { title, goal }: Change, begun: OrderAnswer): Promise<number> {
  const { operatorIds, changed } = begun;
  // With a goal and no operator yet, the driver begins them in its next rounds.
  const started = operatorIds.length > 0 || (changed && goal !== undefined);
  const outcome = started ? "started" : changed ? "done" : "unchanged";
  const document: ChangeDocument = { outcome, operatorIds, operators: [], blocked: [] };
  await writeObject(io, format, document, () => {
    if (outcome !== "started") return outcome === "done" ? `done: ${title}\n` : `nothing to do: ${title}\n`;
    if (operatorIds.length === 0) return `started: ${title}\nfollow what is done for it  flotilla operator watch\n`;
    const many = operatorIds.length > 1;
    return (
      `${many ? "operators" : "operator"} ${idsText(operatorIds)} started: ${title}\n` +
      `follow ${many ? "them" : "it"}  flotilla operator watch${many ? "" : ` ${operatorIds[0]}`}\n`
    );
  });
  return exitDone;
}

/** The document says how it ended; what did not go well is an error besides. */
async function finished({ io, format }: Invocation, { title }: Change, ending: Ending): Promise<number> {
  const { outcome, operators, blocked, failure } = ending;
  const document: ChangeDocument = {
    outcome,
    operatorIds: operators.map(({ operatorId }) => operatorId),
    operators,
    blocked,
  };
  await writeObject(io, format, document, () => {
    if (outcome === "done") return `done: ${title}\n`;
    if (outcome === "unchanged") return `nothing to do: ${title}\n`;
    return blockedText(blocked);
  });
  if (failure !== undefined) throw failure;
  return exitDone;
}
