/** The result for a person. */
import { formatBytes, formatDuration, formatFields, formatTable } from "../../output/table.ts";
import { provenanceFields } from "../workload-table.ts";
import type { IdleResult, IdleState } from "./idle-result.ts";

const each = (values: readonly (number | string | null)[]): string => values.map((value) => value ?? "-").join(", ");

export function idleTable(result: IdleResult): string {
  const { base, idle, dead, start, coldStart, kill, restart, nodes, ranges, sleepTicks, deadForMs } = result;
  const states: { readonly name: string; readonly state: IdleState }[] = [
    { name: `${base.ranges} ranges`, state: base },
    { name: `${idle.ranges} ranges`, state: idle },
    ...(dead === null ? [] : [{ name: `the same, a node dead for ${formatDuration(deadForMs)}`, state: dead }]),
  ];
  const table = formatTable(
    [
      { title: "idle", cell: ({ name }) => name },
      { title: "% of a core, each node", cell: ({ state }) => each(state.cpuPercent) },
      { title: "messages/s", right: true, cell: ({ state }) => state.peerMessagesPerSecond },
      { title: "payloads/s", right: true, cell: ({ state }) => state.peerPayloadsPerSecond },
      { title: "memory", cell: ({ state }) => each(state.rssBytes.map(formatBytes)) },
      { title: "asleep", cell: ({ state }) => each(state.replicasAsleep) },
    ],
    states,
  );
  const led = (ledMs: number | null): string => formatDuration(ledMs) ?? "not within the time";
  const { electionsElsewhere, electionsOwn, ledBefore, withoutLeaderMs, stopMs } = restart;
  return `${table}\n${formatFields([
    ["cluster", `${nodes} nodes, ${ranges} ranges, asleep after ${sleepTicks} quiet ticks`],
    ["memory of a replica", formatBytes(result.rssBytesPerReplica)],
    ["of it in the store's heap", formatBytes(result.heapBytesPerReplica)],
    ["asleep after the start", formatDuration(result.asleepMs)],
    ["every range led after the start", led(start.ledMs)],
    ...(kill === null
      ? []
      : ([[`led again after a kill (${kill.ledBefore} led there)`, led(kill.ledMs)]] as [string, string][])),
    ["led after all nodes were started again", led(coldStart.ledMs)],
    ["led after one was", `${led(restart.ledMs)}; its stop took ${formatDuration(stopMs)}`],
    ["longest without a leader meanwhile", `${withoutLeaderMs} ms`],
    [
      "elections meanwhile",
      `${electionsElsewhere ?? "-"} elsewhere (it led ${ledBefore}), ${electionsOwn ?? "-"} there`,
    ],
    [
      "loop blocked at most",
      `${start.loopDelayMaxMs} ms at the start, ${coldStart.loopDelayMaxMs} when all, ${restart.loopDelayMaxMs} when one was started again`,
    ],
    ...provenanceFields(result),
  ])}`;
}
