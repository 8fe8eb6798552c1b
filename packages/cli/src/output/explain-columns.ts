/** What placement thinks of a range, rule by rule. */
import type { Column } from "./table.ts";

export interface ExplainLine {
  readonly rule: string;
  readonly verdict: string;
  readonly text: string;
}

export const explainColumns: readonly Column<ExplainLine>[] = [
  { title: "RULE", cell: ({ rule }) => rule },
  { title: "VERDICT", cell: ({ verdict }) => verdict },
  { title: "WHY", cell: ({ text }) => text },
];
