/** Keys and bounds as the user types them. */
import { Failure } from "@flotilla/base";
import type { IntervalOptions } from "../cluster-client.ts";
import type { Invocation } from "../command-io.ts";
import { bytesFromText } from "../output/bytes-text.ts";
import { encodingOf, textOption } from "./common-options.ts";

/** The positional argument at `index`, which the parser has required. */
export function keyArgument(invocation: Invocation, index: number): Uint8Array {
  const key = bytesFromText("KEY", String(invocation.arguments[index]), encodingOf(invocation));
  if (key.length === 0) throw new Failure("EmptyKey", "KEY is empty, a key must have at least one byte");
  return key;
}

/** `[START [END]]` and `--prefix`. An empty START is the first key, an empty END the end. */
export function intervalOf(invocation: Invocation, startIndex: number): IntervalOptions {
  const encoding = encodingOf(invocation);
  const bound = (name: string, index: number): Uint8Array | undefined => {
    const text = invocation.arguments[index];
    return typeof text === "string" && text !== "" ? bytesFromText(name, text, encoding) : undefined;
  };
  const start = bound("START", startIndex);
  const end = bound("END", startIndex + 1);
  if (start !== undefined && end !== undefined && Buffer.compare(start, end) >= 0) {
    throw new Failure("InvalidArgument", "START must come before END", {
      hint: "START is included, END is not; keys are compared as bytes",
    });
  }
  return { start, end, prefix: prefixOf(invocation) };
}

export function prefixOf(invocation: Invocation): Uint8Array | undefined {
  const text = textOption(invocation.options, "prefix");
  return text === undefined || text === "" ? undefined : bytesFromText("--prefix", text, encodingOf(invocation));
}

export function versionOption(invocation: Invocation): number | undefined {
  const text = textOption(invocation.options, "ifVersion");
  if (text === undefined) return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new Failure("InvalidArgument", `--if-version must be a version, got "${text}"`, {
      hint: "`flotilla get KEY -o json` shows a key's version",
    });
  }
  return value;
}
