/** Lists and single objects in the three formats. */
import type { CommandIo } from "../command-io.ts";
import { formatTable } from "./table.ts";
import type { Column } from "./table.ts";
import type { OutputFormat } from "./output-format.ts";

export async function writeList<Row>(
  io: CommandIo,
  format: OutputFormat,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
): Promise<void> {
  if (format === "json") await io.out(JSON.stringify(rows, null, 2) + "\n");
  else if (format === "jsonl") await io.out(rows.map((row) => JSON.stringify(row) + "\n").join(""));
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
