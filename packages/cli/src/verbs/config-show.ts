import { formatQuantity } from "@flotilla/server/settings";
import type { ResolvedSetting } from "@flotilla/server/settings";
import { addOutputOption } from "../arguments/common-options.ts";
import { addSettingOptions, settingsOf } from "../arguments/setting-options.ts";
import type { Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { writeList } from "../output/documents.ts";

export const verb: Verb = {
  configure(command) {
    addOutputOption(command);
    addSettingOptions(command);
  },
  async run({ io, options, format }) {
    // Shown even when no directory is given: then the one setting without a default is empty.
    const given =
      options["dataDir"] === undefined &&
      io.environment["FLOTILLA_DATA_DIR"] === undefined &&
      options["config"] === undefined;
    const { table } = await settingsOf(given ? { ...options, dataDir: "." } : options, io.environment);
    const rows = table.map((row) => ({
      name: row.definition.name,
      value: given && row.definition.name === "dataDir" ? null : row.value,
      source: given && row.definition.name === "dataDir" ? "default" : row.source,
      description: row.definition.description,
    }));
    const text = new Map(table.map((row) => [row.definition.name, valueText(row)]));
    await writeList(io, format, rows, [
      { title: "SETTING", cell: ({ name }) => name },
      { title: "VALUE", cell: ({ name, value }) => (value === null ? null : text.get(name)!) },
      { title: "FROM", cell: ({ source }) => source },
      { title: "WHAT IT IS", cell: ({ description }) => description },
    ]);
    return exitDone;
  },
};

function valueText({ definition, value }: ResolvedSetting): string {
  if (typeof value === "number") return formatQuantity(value, definition.unit ?? "count");
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.join(",");
  if (typeof value === "object" && value !== null) {
    const pairs = Object.entries(value).map(([name, label]) => `${name}=${String(label)}`);
    return pairs.length === 0 ? "-" : pairs.join(",");
  }
  return value === "" ? "-" : String(value);
}
