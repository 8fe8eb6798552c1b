/** Options that many verbs share, and how their values are read. */
import { Option } from "commander";
import type { Command } from "commander";
import { Failure } from "@flotilla/base";
import type { ConnectOptions } from "../cluster-client.ts";
import { outputFormats } from "../output/output-format.ts";
import type { Encoding } from "../output/bytes-text.ts";
import { parseDurationMs } from "./duration.ts";
import { findEndpoints } from "./endpoints.ts";
import type { Invocation } from "../command-io.ts";

export const timeoutDefault = "10s";

export function addOutputOption(command: Command): Command {
  return command.addOption(new Option("-o, --output <format>", `${outputFormats.join(", ")}`).default("table"));
}

/** For every verb that talks to a cluster. */
export function addClusterOptions(command: Command, timeout: string = timeoutDefault): Command {
  return addEndpointsOption(addOutputOption(command)).option(
    "--timeout <duration>",
    "how long an operation may take",
    timeout,
  );
}

export function addEndpointsOption(command: Command): Command {
  return command.option(
    "--endpoints <host:port,...>",
    "nodes to ask, one live one is enough (else FLOTILLA_ENDPOINTS, ./.flotilla/cluster.json, 127.0.0.1:7400-7402)",
  );
}

export function addKeyEncodingOptions(command: Command): Command {
  return command
    .addOption(new Option("--hex", "keys are given, and keys and values shown, in hex").conflicts("base64"))
    .addOption(new Option("--base64", "keys are given, and keys and values shown, in base64").conflicts("hex"));
}

export function encodingOf({ options }: Invocation): Encoding {
  if (options["hex"] === true) return "hex";
  return options["base64"] === true ? "base64" : "utf8";
}

export async function connectOptionsOf({ options, io }: Invocation): Promise<ConnectOptions> {
  const endpoints = await findEndpoints(textOption(options, "endpoints"), io.environment, io.directory);
  return { endpoints, timeoutMs: parseDurationMs("--timeout", textOption(options, "timeout") ?? timeoutDefault) };
}

export function textOption(options: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

/** A whole number in [min, max]; `undefined` when the option was not given. */
export function countOption(
  options: Readonly<Record<string, unknown>>,
  name: string,
  flag: string,
  min: number,
  max: number,
): number | undefined {
  const text = textOption(options, name);
  if (text === undefined) return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new Failure("InvalidArgument", `${flag} must be a whole number from ${min} to ${max}, got "${text}"`);
  }
  return value;
}
