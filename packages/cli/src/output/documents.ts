/** Lists and single objects in the three formats. */
import type { CommandIo } from "../command-io.ts";
import { formatTable } from "./table.ts";
import type { Column } from "./table.ts";
import type { OutputFormat } from "./output-format.ts";

/** `document`: what a row is in JSON, where that is not the row itself. */
export async function writeList<Row>(
  io: CommandIo,
  format: OutputFormat,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  document: (row: Row) => unknown = (row) => row,
): Promise<void> {
  if (format === "json") await io.out(JSON.stringify(rows.map(document), null, 2) + "\n");
  else if (format === "jsonl") await io.out(rows.map((row) => JSON.stringify(document(row)) + "\n").join(""));
  else await io.out(formatTable(columns, rows));
}

export async function writeObject(
  io: Pick<CommandIo, "out">,
  format: OutputFormat,
  content: object,
  table: () => string,
): Promise<void> {
  if (format === "json") await io.out(JSON.stringify(content, null, 2) + "\n");
  else if (format === "jsonl") await io.out(JSON.stringify(content) + "\n");
  else await io.out(table());
}
