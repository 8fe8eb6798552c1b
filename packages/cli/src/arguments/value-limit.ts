/** The largest value that is sent. The cluster has the last word, but a file of a gigabyte is better not read at all. */
import type { Command } from "commander";
import { Failure, valueBytesMaxDefault, valueBytesMaxHighest } from "@flotilla/base";
import type { Invocation } from "../command-io.ts";
import { textOption } from "./common-options.ts";

const mebibyte = 1024 * 1024;

export function addValueLimitOption(command: Command): Command {
  return command.option(
    "--value-limit <bytes>",
    `largest value to send; more than ${valueBytesMaxDefault / mebibyte} MiB only where the nodes' valueBytesMax allows it, at most ${valueBytesMaxHighest / mebibyte} MiB`,
  );
}

export function valueLimitOf({ options }: Invocation): { readonly valueBytesMax: number } {
  const text = textOption(options, "valueLimit");
  if (text === undefined) return { valueBytesMax: valueBytesMaxDefault };
  const match = /^(\d{1,9})(|KiB|MiB)$/.exec(text);
  const bytes =
    match === null ? Number.NaN : Number(match[1]) * (match[2] === "" ? 1 : match[2] === "KiB" ? 1024 : mebibyte);
  if (!(bytes >= 1 && bytes <= valueBytesMaxHighest)) {
    throw new Failure(
      "InvalidArgument",
      `--value-limit must be from 1 to ${valueBytesMaxHighest} bytes, got "${text}"`,
      { hint: "write it like 1048576, 512KiB or 8MiB" },
    );
  }
  return { valueBytesMax: bytes };
}
