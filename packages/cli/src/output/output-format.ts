import { Failure } from "@flotilla/base";

export const outputFormats = ["table", "json", "jsonl"] as const;
export type OutputFormat = (typeof outputFormats)[number];

export function parseOutputFormat(text: unknown): OutputFormat {
  const found = outputFormats.find((format) => format === text);
  if (found === undefined)
    throw new Failure("InvalidArgument", `-o must be one of ${outputFormats.join(", ")}, got "${String(text)}"`);
  return found;
}

/** The format asked for, before the arguments are parsed: an error in them is reported in it as well. */
export function guessOutputFormat(argv: readonly string[]): OutputFormat {
  for (const [index, text] of argv.entries()) {
    const match = /^(?:-o|--output)(?:=?(.*))$/.exec(text);
    if (match === null) continue;
    const value = match[1] === "" ? argv[index + 1] : match[1];
    const found = outputFormats.find((format) => format === value);
    if (found !== undefined) return found;
  }
  return "table";
}
