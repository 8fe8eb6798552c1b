/** What ranges cost while nothing happens, over their number: a row and a point for each result. */
import type { IdleResult, IdleState } from "../idle/idle-result.ts";
import { htmlTable } from "./html.ts";
import type { Cell } from "./html.ts";
import { originOf } from "./origin.ts";
import type { Plot } from "./plot.ts";
import type { Section } from "./section.ts";

/** Of the node with most. */
function most(values: readonly (number | null)[] | undefined): number | null {
  const known = (values ?? []).filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}

const seconds = (ms: number | null | undefined): number | null =>
  ms === null || ms === undefined ? null : Math.round(ms / 100) / 10;

const kibibytes = (bytes: number | null): number | null => (bytes === null ? null : Math.round(bytes / 102.4) / 10);

export function idleSection(results: readonly IdleResult[]): Section {
  const titles = [
    ...["ranges", "% of a core, busiest node", "with a node dead", "messages/s", "with the small cluster"],
    ...["KiB a replica", "led after the start, s", "after a kill, s", "after a start of all, s"],
    ...["of one, s", "longest without a leader meanwhile, s"],
  ];
  const rows = results.map((result): Cell[] => [
    String(result.ranges),
    most(result.idle.cpuPercent),
    most(result.dead?.cpuPercent),
    result.idle.peerMessagesPerSecond,
    result.base.peerMessagesPerSecond,
    kibibytes(result.rssBytesPerReplica),
    seconds(result.start.ledMs),
    seconds(result.kill?.ledMs),
    seconds(result.coldStart.ledMs),
    seconds(result.restart.ledMs),
    seconds(result.restart.withoutLeaderMs),
  ]);
  const states = statesByRanges(results);
  const x = results.map(({ ranges }) => ranges);
  const over = (title: string, yLabel: string, at: readonly number[], series: Plot["series"]): Plot => ({
    ...{ title, kind: "lines", xLabel: "ranges", yLabel, yLogarithmic: false, ticks: undefined },
    x: at,
    series,
  });
  return {
    heading: "Idle ranges",
    body: htmlTable(titles, rows) + results.map(originOf).join(""),
    plots: [
      over(
        "Processor time of the busiest node",
        "% of a core",
        [...states.keys()],
        [
          { label: "idle", values: [...states.values()].map(({ idle }) => most(idle.cpuPercent)) },
          { label: "with a node dead", values: [...states.values()].map(({ dead }) => most(dead?.cpuPercent)) },
        ],
      ),
      over(
        "Messages between stores",
        "messages/s",
        [...states.keys()],
        [{ label: "idle", values: [...states.values()].map(({ idle }) => idle.peerMessagesPerSecond) }],
      ),
      over("Memory of a replica", "KiB", x, [
        { label: "resident", values: results.map(({ rssBytesPerReplica }) => kibibytes(rssBytesPerReplica)) },
        { label: "heap", values: results.map(({ heapBytesPerReplica }) => kibibytes(heapBytesPerReplica)) },
      ]),
      over("Until every range is led", "s", x, [
        { label: "start", values: results.map(({ start }) => seconds(start.ledMs)) },
        { label: "kill", values: results.map(({ kill }) => seconds(kill?.ledMs)) },
        { label: "start of all", values: results.map(({ coldStart }) => seconds(coldStart.ledMs)) },
        { label: "start of one", values: results.map(({ restart }) => seconds(restart.ledMs)) },
      ]),
    ],
  };
}

/** By rising number of ranges; the small clusters are points, too. */
function statesByRanges(
  results: readonly IdleResult[],
): ReadonlyMap<number, { readonly idle: IdleState; readonly dead: IdleState | null }> {
  const states = new Map<number, { readonly idle: IdleState; readonly dead: IdleState | null }>();
  for (const { base } of results) states.set(base.ranges, { idle: base, dead: null });
  for (const { idle, dead } of results) states.set(idle.ranges, { idle, dead });
  return new Map([...states].sort(([a], [b]) => a - b));
}
