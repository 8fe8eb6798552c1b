/** What placement thinks of a range, rule by rule. Its reasons are sentences: a terminal gets them folded into its width. */
import { formatTable } from "./table.ts";
import type { Column } from "./table.ts";

export interface ExplainLine {
  readonly rule: string;
  readonly verdict: string;
  readonly text: string;
}

/** A narrower last column would be read worse than a line that the terminal breaks. */
const foldedColumnsMin = 20;
const betweenColumns = 2;

/** `columns`: characters in a line of the terminal; undefined: a row stays one line, for `grep`. */
export function explainTable(lines: readonly ExplainLine[], columns: number | undefined): string {
  const widest = (title: string, cell: (line: ExplainLine) => string): number =>
    Math.max(title.length, ...lines.map((line) => cell(line).length)) + betweenColumns;
  const before = widest("RULE", ({ rule }) => rule) + widest("VERDICT", ({ verdict }) => verdict);
  const room = columns === undefined ? Infinity : Math.max(foldedColumnsMin, columns - before);
  const rows = lines.flatMap(({ rule, verdict, text }) =>
    fold(text, room).map((part, index) =>
      index === 0 ? { rule, verdict, text: part } : { rule: "", verdict: "", text: part },
    ),
  );
  return formatTable(explainColumns, rows);
}

const explainColumns: readonly Column<ExplainLine>[] = [
  { title: "RULE", cell: ({ rule }) => rule },
  { title: "VERDICT", cell: ({ verdict }) => verdict },
  { title: "WHY", cell: ({ text }) => text },
];

/** Between words; a word that is longer than `room` has a line of its own. */
function fold(text: string, room: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1)!;
    if (last === "") lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= room) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
