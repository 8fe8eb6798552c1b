/** Columns for a person. What is not known is a dash. */
export interface Column<Row> {
  readonly title: string;
  readonly right?: boolean;
  cell(row: Row): string | number | null;
}

export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((column) => String(column.cell(row) ?? "-")));
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...cells.map((line) => widthOf(line[index]!))),
  );
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) => {
        const padding = " ".repeat(Math.max(0, widths[index]! - widthOf(text)));
        return columns[index]!.right === true ? padding + text : text + padding;
      })
      .join("  ")
      .trimEnd() + "\n";
  return line(columns.map(({ title }) => title)) + cells.map(line).join("");
}

/** Characters, not code units; wide characters count as one, which is wrong by a little. */
const widthOf = (text: string): number => [...text].length;

export function formatFields(fields: readonly (readonly [string, string | number | null])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${value ?? "-"}\n`).join("");
}

export function formatBytes(bytes: number | null): string | null {
  if (bytes === null) return null;
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1024) return `${unit === "B" || value >= 100 ? Math.round(value) : value.toFixed(1)} ${unit}`;
    value /= 1024;
  }
  return `${value.toFixed(1)} TiB`;
}

/** A whole number, with `k` or `M` from a hundred thousand on. */
export function formatCount(value: number | null): string | null {
  if (value === null) return null;
  if (value < 100_000) return String(Math.round(value));
  return value < 10_000_000 ? `${Math.round(value / 1000)} k` : `${(value / 1_000_000).toFixed(1)} M`;
}

export function formatDuration(milliseconds: number | null): string | null {
  if (milliseconds === null) return null;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 60) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} days`;
}
