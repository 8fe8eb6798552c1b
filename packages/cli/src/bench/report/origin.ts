import type { BenchResult } from "../bench-result.ts";
import { commitText, machineText } from "../workload-table.ts";
import { escapeHtml } from "./html.ts";

/** When, at which commit, on what machine, with which command. */
export function originOf(result: BenchResult): string {
  const commit = commitText(result) ?? "no checkout";
  const where = `${machineText(result.machine)}; load average before ${result.loadAverage}`;
  return `<p class="origin">${escapeHtml(result.date)}, commit ${escapeHtml(commit)}, on ${escapeHtml(where)}<br><code>${escapeHtml(result.command)}</code></p>`;
}
