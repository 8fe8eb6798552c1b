/** A frame as lines for a terminal of some size. Lines that are too long end with `…`; what does not fit below is left out. */
import type { Encoding } from "../output/bytes-text.ts";
import { formatByteRate, formatInterval, formatRate, formatReplicas } from "../output/range-columns.ts";
import type { RangeRow } from "../output/cluster-report.ts";
import { formatBytes, formatTable } from "../output/table.ts";
import type { Column } from "../output/table.ts";
import type { TopFrame, TopStore } from "./top-frame.ts";
import type { TopOrder } from "./top-sample.ts";

export interface TopView {
  readonly order: TopOrder;
  /** Ranges above the first one that is shown. */
  readonly skipped: number;
  readonly encoding: Encoding;
  /** Why the frame is not of now; undefined when it is. */
  readonly problem?: string | undefined;
  /** The last line: which keys do what. Left out when there are none. */
  readonly keys: boolean;
}

const keysLine = "q ends   ← → another order   ↑ ↓ more ranges";

export function renderTop(
  frame: TopFrame,
  view: TopView,
  size: { readonly columns: number; readonly rows: number },
): string[] {
  const above = [
    headline(frame),
    ...(view.problem === undefined ? frame.reasons.slice(0, 2) : [`no new figures: ${view.problem}`]),
    "",
    ...tableLines(storeColumns, frame.stores),
    "",
    `hottest ranges by ${orderNames[view.order]}`,
  ];
  const below = view.keys ? ["", keysLine] : [];
  const room = Math.max(1, size.rows - above.length - below.length - 1);
  const shown = frame.ranges.slice(view.skipped, view.skipped + room);
  const lines = [...above, ...tableLines(rangeColumns(view.encoding), shown)];
  while (view.keys && lines.length < size.rows - below.length && Number.isFinite(size.rows)) lines.push("");
  return [...lines.slice(0, Math.max(0, size.rows - below.length)), ...below].map((line) => cut(line, size.columns));
}

/** How far down there is something to see. */
export const skippedMax = (frame: TopFrame): number => Math.max(0, frame.ranges.length - 1);

function headline({ health, nodes, rangesTotal, rangesLed, intervalMs }: TopFrame): string {
  const over = intervalMs === null ? "no rates of stores yet" : `rates over ${(intervalMs / 1000).toFixed(1)} s`;
  return `flotilla top   ${health}   ${nodes.live} of ${nodes.total} nodes live   ${rangesLed} of ${rangesTotal} ranges led   ${over}`;
}

const orderNames: Readonly<Record<TopOrder, string>> = {
  operations: "operations a second",
  writes: "writes a second",
  reads: "reads a second",
  bytes: "bytes a second",
  size: "size",
};

const tableLines = <Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] =>
  formatTable(columns, rows).trimEnd().split("\n");

function cut(line: string, columns: number): string {
  const characters = [...line];
  return characters.length <= columns ? line : characters.slice(0, Math.max(0, columns - 1)).join("") + "…";
}

const milliseconds = (value: number | null): string | null => (value === null ? null : `${value.toFixed(1)} ms`);

const storeColumns: readonly Column<TopStore>[] = [
  { title: "STORE", right: true, cell: ({ storeId }) => storeId },
  { title: "STATE", cell: ({ state }) => state },
  { title: "LEADERS", right: true, cell: ({ leaders }) => leaders },
  { title: "REPLICAS", right: true, cell: ({ replicas }) => replicas },
  { title: "WRITES", right: true, cell: ({ writesPerSecond }) => formatRate(writesPerSecond) },
  { title: "READS", right: true, cell: ({ readsPerSecond }) => formatRate(readsPerSecond) },
  { title: "FSYNCS", right: true, cell: ({ fsyncsPerSecond }) => formatRate(fsyncsPerSecond) },
  { title: "LOG WRITE", right: true, cell: ({ logWriteMs }) => milliseconds(logWriteMs) },
  { title: "LOOP LATE", right: true, cell: ({ loopDelayMaxMs }) => milliseconds(loopDelayMaxMs) },
  { title: "MEMORY", right: true, cell: ({ memoryBytes }) => formatBytes(memoryBytes) },
  { title: "SIZE", right: true, cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
  { title: "FREE", right: true, cell: ({ freeBytes }) => formatBytes(freeBytes) },
];

const rangeColumns = (encoding: Encoding): readonly Column<RangeRow>[] => [
  { title: "RANGE", right: true, cell: ({ rangeId }) => rangeId },
  { title: "WRITES", right: true, cell: ({ writesPerSecond }) => formatRate(writesPerSecond) },
  { title: "READS", right: true, cell: ({ readsPerSecond }) => formatRate(readsPerSecond) },
  { title: "BYTES", right: true, cell: ({ bytesPerSecond }) => formatByteRate(bytesPerSecond) },
  { title: "SIZE", right: true, cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
  { title: "STORES (* LEADS)", cell: formatReplicas },
  { title: "KEYS FROM → TO", cell: (range) => formatInterval(range, encoding) },
];
