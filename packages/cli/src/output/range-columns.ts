/** How ranges look in a table: the interval of keys with an arrow, replicas by their stores, the leader with a star. */
import { printableBytes } from "./bytes-text.ts";
import type { Encoding } from "./bytes-text.ts";
import { boundBytes } from "./cluster-report.ts";
import type { RangeRow } from "./cluster-report.ts";
import { formatBytes, formatCount } from "./table.ts";
import type { Column } from "./table.ts";

const shownKeyCharacters = 32;

export function formatKey(bytes: Uint8Array, encoding: Encoding): string {
  if (encoding === "utf8") return printableBytes(bytes, shownKeyCharacters);
  const text = Buffer.from(bytes).toString(encoding);
  return text.length > shownKeyCharacters ? text.slice(0, shownKeyCharacters - 1) + "…" : text;
}

export function formatInterval(range: Pick<RangeRow, "start" | "end" | "system">, encoding: Encoding): string {
  if (range.system === true) return "(system)";
  const start = range.start === "" ? "-∞" : formatKey(boundBytes(range.start), encoding);
  const end = range.end === "" ? "∞" : formatKey(boundBytes(range.end), encoding);
  return `${start} → ${end}`;
}

/** `1* 2 3(learner, down)`. */
export function formatReplicas({ replicas, leaderStoreId }: RangeRow): string {
  return replicas
    .toSorted((a, b) => a.storeId - b.storeId)
    .map(({ storeId, role, state }) => {
      const odd = [...(role === "voter" ? [] : [role]), ...(state === "down" ? ["down"] : [])];
      return `${storeId}${storeId === leaderStoreId ? "*" : ""}${odd.length === 0 ? "" : `(${odd.join(", ")})`}`;
    })
    .join(" ");
}

export function rangeColumns(encoding: Encoding): readonly Column<RangeRow>[] {
  return [
    { title: "RANGE", right: true, cell: ({ rangeId }) => rangeId },
    { title: "KEYS FROM → TO", cell: (range) => formatInterval(range, encoding) },
    { title: "STORES (* LEADS)", cell: formatReplicas },
    { title: "TERM", right: true, cell: ({ term }) => term },
    { title: "SIZE", right: true, cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
    { title: "RECORDS", right: true, cell: ({ keys }) => formatCount(keys) },
    { title: "WRITES", right: true, cell: ({ writesPerSecond }) => formatRate(writesPerSecond) },
    { title: "READS", right: true, cell: ({ readsPerSecond }) => formatRate(readsPerSecond) },
  ];
}

export function formatByteRate(perSecond: number | null | undefined): string | null {
  const bytes = formatBytes(perSecond ?? null);
  return bytes === null ? null : `${bytes}/s`;
}

export function formatRate(perSecond: number | null): string | null {
  const count = formatCount(perSecond);
  return count === null ? null : `${count}/s`;
}
