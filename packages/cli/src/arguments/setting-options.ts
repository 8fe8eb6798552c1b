/** The settings of a node as options of a verb. */
import { Option } from "commander";
import type { Command } from "commander";
import {
  defaultText,
  environmentVariableOf,
  flagOf,
  readSettingsFile,
  resolveSettings,
  settingDefinitions,
} from "@flotilla/server/settings";
import type { ResolvedSettings } from "@flotilla/server/settings";
import { textOption } from "./common-options.ts";

export function addSettingOptions(command: Command): Command {
  command.option("--config <file>", "a TOML file with these settings by their names there (env FLOTILLA_CONFIG)");
  for (const definition of settingDefinitions) {
    const { name, argument, description } = definition;
    const flag = argument === "" ? flagOf(name) : `${flagOf(name)} <${argument}>`;
    const fallback = defaultText(definition);
    command.addOption(new Option(flag, `${description}${fallback === "" ? "" : ` (default ${fallback})`}`));
  }
  const sample = "flushBytes";
  return command.addHelpText(
    "after",
    `\nEvery setting has one name in three spellings: ${sample} in the file, ${flagOf(sample)}, ${environmentVariableOf(sample)}.\n` +
      "A flag goes over the environment, that over the file, that over the default. Durations are written 250ms or 10s, sizes 64KiB or 8MiB.",
  );
}

export async function settingsOf(
  options: Readonly<Record<string, unknown>>,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<ResolvedSettings> {
  const names = new Set<string>(settingDefinitions.map(({ name }) => name));
  const flags = Object.fromEntries(Object.entries(options).filter(([name]) => names.has(name)));
  const path = textOption(options, "config") ?? environment["FLOTILLA_CONFIG"];
  const file = path === undefined || path === "" ? undefined : { path, content: await readSettingsFile(path) };
  return resolveSettings({ flags, environment, file });
}
