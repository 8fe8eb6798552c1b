/** The table of defects in docs/testing.md, made from the patches. */
import type { Defect } from "./defect.ts";

export const testingPage = "docs/testing.md";

const begin = "| defect | scenario | seeds needed |\n|---|---|---|\n";

export function tableOf(defects: readonly Defect[]): string {
  const rows = defects.map(({ title, scenario, seed }) => `| ${title} | ${scenario} | ${seed} |\n`);
  return begin + rows.join("");
}

/** The page with the table brought up to date. */
export function withTable(page: string, defects: readonly Defect[]): string {
  const at = page.indexOf(begin);
  if (at < 0) throw new Error(`${testingPage} has no table of defects`);
  const rows = /^(?:\|.*\|\n)*/.exec(page.slice(at))![0];
  return page.slice(0, at) + tableOf(defects) + page.slice(at + rows.length);
}
