/** Operators and plans as a person reads them. */
import { formatBytes, formatDuration } from "../output/table.ts";
import type { Column } from "../output/table.ts";
import { hasEnded } from "./operator-report.ts";
import type { Blocked, OperatorRow, Plan } from "./operator-report.ts";

export const operatorColumns: readonly Column<OperatorRow>[] = [
  { title: "OPERATOR", right: true, cell: ({ operatorId }) => operatorId },
  { title: "RANGE", right: true, cell: ({ rangeId }) => rangeId },
  { title: "KIND", cell: ({ kind }) => kind },
  { title: "STATE", cell: ({ state }) => state },
  { title: "STEPS", cell: stepCount },
  { title: "NOW", cell: (operator) => (hasEnded(operator) ? null : currentStep(operator)) },
  { title: "TOOK", right: true, cell: tookText },
  { title: "WHY", cell: ({ reason, error }) => error ?? reason },
];

export const stepsDone = ({ steps }: OperatorRow): number => steps.filter(({ state }) => state === "done").length;

function stepCount(operator: OperatorRow): string {
  return `${stepsDone(operator)}/${operator.steps.length}`;
}

/** What it does now, or waits for. */
export function currentStep({ steps, waitingFor }: OperatorRow): string | null {
  const step = steps.find(({ state }) => state !== "done")?.action ?? null;
  return (waitingFor ?? null) === null ? step : step === null ? waitingFor : `${step}: ${waitingFor}`;
}

function tookText({ startedAt, finishedAt }: OperatorRow): string | null {
  if (startedAt === null || finishedAt === null) return null;
  return formatDuration(Date.parse(finishedAt) - Date.parse(startedAt));
}

/** One state of one operator in a line. */
export function operatorLine(operator: OperatorRow): string {
  const { operatorId, kind, rangeId, state, steps, error } = operator;
  const what = `operator ${operatorId}  ${kind}${rangeId === null ? "" : ` range ${rangeId}`}  ${state}`;
  const now = hasEnded(operator) ? error : currentStep(operator);
  return `${what}  ${stepsDone(operator)} of ${steps.length} steps done${now === null ? "" : `  ${now}`}\n`;
}

/** `7`, `7, 8, 9`, and for many the first ones and how many there are. */
export function idsText(ids: readonly number[]): string {
  const shownMax = 10;
  if (ids.length <= shownMax) return ids.join(", ");
  return `${ids.slice(0, shownMax).join(", ")} … (${ids.length} in all)`;
}

export function planText(title: string, { steps, bytes, risks, blocked }: Plan): string {
  const width = String(steps.length).length;
  const lines = [`plan to ${title}`];
  for (const [index, { text, action, rangeId, bytes: stepBytes }] of steps.entries()) {
    const what = `${rangeId === null ? "" : `range ${rangeId}  `}${text === "" ? action : text}`;
    const size = stepBytes === null || stepBytes === 0 ? "" : `  (${formatBytes(stepBytes)})`;
    lines.push(`  ${String(index + 1).padStart(width)}  ${what}${size}`);
  }
  if (steps.length === 0 && blocked.length === 0) lines.push("  nothing to do");
  lines.push(`bytes to move  ${formatBytes(bytes) ?? "not known"}`);
  for (const risk of risks) lines.push(`risk  ${risk}`);
  if (risks.length === 0) lines.push("risk  none to any quorum");
  return lines.map((line) => line + "\n").join("") + blockedText(blocked);
}

/** A line for each reason, with all ranges that it blocks: one reason may block every range of a store. */
export function blockedText(blocked: readonly Blocked[]): string {
  const idsByReason = new Map<string, number[]>();
  for (const { rangeId, reason } of blocked) {
    const ids = idsByReason.get(reason) ?? [];
    if (rangeId !== null) ids.push(rangeId);
    idsByReason.set(reason, ids);
  }
  return [...idsByReason]
    .map(([reason, ids]) => {
      const which = ids.length === 0 ? "" : `${ids.length === 1 ? "range" : "ranges"} ${ids.join(", ")}: `;
      return `blocked  ${which}${reason}\n`;
    })
    .join("");
}
