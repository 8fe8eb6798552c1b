/** The TOML file of a node. */
import { readFile } from "node:fs/promises";
import { Failure } from "@flotilla/base";
import { parse } from "smol-toml";
import type { NodeSettings, SettingName } from "./node-settings.ts";

const fileBytesMax = 1024 * 1024;

/** Throws `InvalidArgument` when the file cannot be read or is not TOML. */
export async function readSettingsFile(path: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new Failure("InvalidArgument", `cannot read the configuration ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (text.length > fileBytesMax)
    throw new Failure("InvalidArgument", `the configuration ${path} is longer than ${fileBytesMax} bytes`);
  try {
    return parse(text);
  } catch (error) {
    throw new Failure("InvalidArgument", `${path} is not valid TOML: ${messageOf(error)}`, { cause: error });
  }
}

/** Settings that are numbers, by name, in the setting's own unit. */
export type NumberSettings = Readonly<Partial<Record<SettingName, number>>>;

/** A file for one node, as `flotilla dev` writes it. */
export function formatSettingsFile(
  settings: Pick<NodeSettings, "dataDir" | "address" | "httpAddress" | "peers">,
  numbers: NumberSettings = {},
): string {
  const { dataDir, address, httpAddress, peers } = settings;
  const lines = [
    "# Written by `flotilla dev` at each of its starts.",
    `dataDir = ${tomlString(dataDir)}`,
    `address = ${tomlString(address)}`,
    `httpAddress = ${tomlString(httpAddress)}`,
    `peers = [${peers.map(tomlString).join(", ")}]`,
    ...Object.entries(numbers).map(([name, value]) => `${name} = ${value}`),
  ];
  return lines.join("\n") + "\n";
}

/** JSON's escapes are a subset of TOML's. */
const tomlString = (text: string): string => JSON.stringify(text).replace(/\x7f/g, "\\u007f");

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
