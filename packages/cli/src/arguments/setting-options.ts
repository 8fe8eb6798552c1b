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
  settingFromFlag,
} from "@flotilla/server/settings";
import type { NumberSettings, ResolvedSettings, SettingDefinition, SettingName } from "@flotilla/server/settings";
import { textOption } from "./common-options.ts";

export function addSettingOptions(command: Command): Command {
  command.option("--config <file>", "a TOML file with these settings by their names there (env FLOTILLA_CONFIG)");
  for (const definition of settingDefinitions) command.addOption(optionOf(definition));
  const sample = "flushBytes";
  return command.addHelpText(
    "after",
    `\nEvery setting has one name in three spellings: ${sample} in the file, ${flagOf(sample)}, ${environmentVariableOf(sample)}.\n` +
      "A flag goes over the environment, that over the file, that over the default. Durations are written 250ms or 10s, sizes 64KiB or 8MiB.",
  );
}

function optionOf(definition: SettingDefinition): Option {
  const { name, argument, description } = definition;
  const flag = argument === "" ? flagOf(name) : `${flagOf(name)} <${argument}>`;
  const fallback = defaultText(definition);
  return new Option(flag, `${description}${fallback === "" ? "" : ` (default ${fallback})`}`);
}

/** Settings of nodes that `flotilla dev` takes and hands on to all of its nodes. All are numbers. */
const handedOn: readonly SettingName[] = ["splitBytes"];

export function addHandedOnOptions(command: Command): Command {
  for (const definition of settingDefinitions)
    if (handedOn.includes(definition.name)) command.addOption(optionOf(definition));
  return command;
}

/** Those that were given. */
export function handedOnSettings(options: Readonly<Record<string, unknown>>): NumberSettings {
  const given = handedOn.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, settingFromFlag(name, options[name]) as number]));
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
