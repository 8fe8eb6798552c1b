import { Failure, keyBytesMax } from "@flotilla/base";
import { addKeyEncodingOptions, countOption, encodingOf } from "../arguments/common-options.ts";
import { requiredId } from "../arguments/id-arguments.ts";
import type { Invocation, Verb } from "../command-io.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";
import { bytesFromText } from "../output/bytes-text.ts";

/** Of one order; the cluster checks it, too. */
const partsMax = 256;

export const verb: Verb = {
  configure(command) {
    command.argument("<range>", "the range's id");
    addChangeOptions(addKeyEncodingOptions(command))
      .option("--at <key...>", "where the new ranges begin")
      .option("--parts <n>", "into so many parts of about the same size, at keys that the range's leader finds")
      .addHelpText("after", "\nThe left part keeps the range's id. No call of a client fails because of it.");
  },
  async run(invocation) {
    const rangeId = requiredId(invocation, 0, "RANGE");
    const at = splitKeysOf(invocation);
    const parts = countOption(invocation.options, "parts", "--parts", 2, partsMax);
    if (at.length === 0 && parts === undefined)
      throw new Failure("InvalidArgument", "one of --at and --parts is needed", {
        hint: "--at KEY names where the right part begins, --parts 2 lets the range's leader find such a key",
      });
    if (at.length > 0 && parts !== undefined)
      throw new Failure("InvalidArgument", "--at and --parts exclude each other");
    return runChange(invocation, {
      request: "range-split",
      body: parts === undefined ? { rangeId, at } : { rangeId, parts },
      title: parts === undefined ? `split range ${rangeId}` : `split range ${rangeId} into ${parts} parts`,
    });
  },
};

/** As binary strings, in order. */
function splitKeysOf(invocation: Invocation): string[] {
  const given = invocation.options["at"] as string[] | undefined;
  const keys = (given ?? []).map((text) =>
    Buffer.from(bytesFromText("--at", text, encodingOf(invocation))).toString("latin1"),
  );
  if (keys.length >= partsMax)
    throw new Failure("InvalidArgument", `--at names ${keys.length} keys, at most ${partsMax - 1} are possible`);
  for (const key of keys) {
    if (key === "") throw new Failure("EmptyKey", "--at: a key is empty, a key must have at least one byte");
    if (key.length > keyBytesMax) {
      const details = { sizeBytes: key.length, limitBytes: keyBytesMax };
      const what = `--at: a key has ${key.length} bytes, at most ${keyBytesMax} are possible`;
      throw new Failure("KeyTooLarge", what, { details });
    }
  }
  if (new Set(keys).size < keys.length) throw new Failure("InvalidArgument", "--at names a key twice");
  return keys.sort();
}
