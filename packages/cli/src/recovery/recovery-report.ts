/** What a recovery gives up, range by range, for the file that stays and for the terminal. */
import { userPrefix } from "@flotilla/base";
import type { HopelessRange, RecoveryAction, RecoveryPlan } from "@flotilla/client/internal";
import { bytesOfBinaryString, encodeTogether } from "../output/bytes-text.ts";
import { formatInterval } from "../output/range-columns.ts";
import { formatTable } from "../output/table.ts";
import type { Column } from "../output/table.ts";

export type RecoveryOutcome = "planned" | "recovered" | "failed" | "blocked" | "nothingLeft";

export interface RecoveryRow {
  readonly rangeId: number;
  readonly start: string;
  readonly end: string;
  readonly outcome: RecoveryOutcome;
  readonly lostStores: readonly number[];
  readonly action: RecoveryAction | undefined;
  readonly newReplicaId: number | null;
  readonly reason: string;
}

export function rowsOf({ actions, blocked, nothingLeft }: RecoveryPlan): RecoveryRow[] {
  const without =
    (outcome: RecoveryOutcome) =>
    (range: HopelessRange): RecoveryRow => ({
      ...range,
      outcome,
      action: undefined,
      newReplicaId: null,
    });
  return [
    ...actions.map((action) => actionRow(action, "planned", null, "")),
    ...blocked.map(without("blocked")),
    ...nothingLeft.map(without("nothingLeft")),
  ];
}

export function actionRow(
  action: RecoveryAction,
  outcome: RecoveryOutcome,
  newReplicaId: number | null,
  reason: string,
): RecoveryRow {
  const { rangeId, start, end, lostStores } = action;
  return { rangeId, start, end, lostStores, outcome, action, newReplicaId, reason };
}

/** In words, what may be missing. */
export function missingText({ action, outcome }: RecoveryRow): string {
  if (outcome === "nothingLeft") return "all of it: no store that is left has a replica";
  if (action === undefined) return "unknown: the range stays unavailable";
  const { lastIndex, commitIndex, lastTerm, absorbed } = action;
  const parts = [
    `whatever was acknowledged behind entry ${lastIndex} of term ${lastTerm} by lost stores alone, and in ranges that were ` +
      "divided off this one there; how much, nobody left knows",
  ];
  if (lastIndex > commitIndex)
    parts.push(
      `nothing of entries ${commitIndex + 1} to ${lastIndex}, which count now and may never have been acknowledged`,
    );
  if (absorbed.length > 0)
    parts.push(`what was written to range ${absorbed.join(", ")} since it was divided off this one`);
  return parts.join("; ");
}

export function reportDocument(
  lostStores: readonly number[],
  state: string,
  rows: readonly RecoveryRow[],
  at: string,
): object {
  return {
    lostStores,
    state,
    writtenAt: at,
    ranges: rows.map((row) => {
      const { action, rangeId, outcome, newReplicaId, reason } = row;
      return {
        rangeId,
        ...encodeTogether({ start: boundBytes(row.start), end: boundBytes(row.end) }, "utf8"),
        system: row.start < userPrefix,
        outcome,
        storeId: action?.storeId ?? null,
        replicaId: action?.replicaId ?? null,
        newReplicaId,
        lastTerm: action?.lastTerm ?? null,
        lastIndex: action?.lastIndex ?? null,
        commitIndex: action?.commitIndex ?? null,
        lostStores: row.lostStores,
        otherStores: action?.otherStores ?? [],
        absorbedRanges: action?.absorbed ?? [],
        missing: missingText(row),
        reason: reason === "" ? null : reason,
      };
    }),
  };
}

/** Logical; the ends of the key space and of the system's keys are no user's keys. */
function visible(bound: string): string {
  return bound.startsWith(userPrefix) ? bound.slice(userPrefix.length) : "";
}

const boundBytes = (bound: string): Uint8Array => bytesOfBinaryString(visible(bound));

const columns: readonly Column<RecoveryRow>[] = [
  { title: "RANGE", right: true, cell: ({ rangeId }) => rangeId },
  {
    title: "KEYS FROM → TO",
    cell: ({ start, end }) =>
      formatInterval({ start: visible(start), end: visible(end), system: start < userPrefix }, "utf8"),
  },
  { title: "LOST STORES", cell: ({ lostStores }) => lostStores.join(" ") },
  { title: "GOES ON AT STORE", right: true, cell: ({ action }) => action?.storeId ?? null },
  { title: "LAST ENTRY", right: true, cell: ({ action }) => action?.lastIndex ?? null },
  { title: "CONFIRMED", right: true, cell: ({ action }) => action?.commitIndex ?? null },
  { title: "OUTCOME", cell: ({ outcome }) => words[outcome] },
  { title: "WHY NOT", cell: ({ reason }) => (reason === "" ? null : reason) },
];

const words: Readonly<Record<RecoveryOutcome, string>> = {
  planned: "planned",
  recovered: "recovered",
  failed: "failed",
  blocked: "blocked",
  nothingLeft: "nothing left",
};

export const recoveryTable = (rows: readonly RecoveryRow[]): string => formatTable(columns, rows);
