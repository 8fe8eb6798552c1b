import { Failure } from "@flotilla/base";
import { addKeyEncodingOptions, encodingOf } from "../arguments/common-options.ts";
import { withClient } from "../arguments/with-client.ts";
import type { ClusterClient } from "../cluster-client.ts";
import type { Invocation, Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { addChangeOptions, runChange } from "../operators/change.ts";
import { requireObject } from "../output/answer-shape.ts";
import { bytesFromText, bytesOfBinaryString, encodeTogether } from "../output/bytes-text.ts";
import { writeList } from "../output/documents.ts";
import { formatKey } from "../output/range-columns.ts";

const setting = "colocatedPrefixes";

export const verb: Verb = {
  configure(command) {
    command.argument("[prefix]", "keys that begin with it stay in one range; without it: which prefixes do");
    addChangeOptions(addKeyEncodingOptions(command))
      .option("--remove", "let them be divided again")
      .addHelpText(
        "after",
        "\nNo split falls inside the prefix from now on, neither one by hand nor one by size. Ranges that are divided there\n" +
          "already stay as they are.",
      );
  },
  async run(invocation) {
    const text = invocation.arguments[0];
    if (typeof text !== "string") return list(invocation);
    const bytes = bytesFromText("PREFIX", text, encodingOf(invocation));
    if (bytes.length === 0) throw new Failure("EmptyKey", "PREFIX is empty: that would be every key");
    const prefix = Buffer.from(bytes).toString("latin1");
    const before = await withClient(invocation, askPrefixes);
    const others = before.filter((known) => known !== prefix);
    const remove = invocation.options["remove"] === true;
    const shown = formatKey(bytes, encodingOf(invocation));
    return runChange(invocation, {
      request: "setting-set",
      body: { name: setting, value: remove ? others : [...others, prefix].sort() },
      title: remove ? `let keys with prefix ${shown} be divided` : `keep keys with prefix ${shown} in one range`,
    });
  },
};

async function list(invocation: Invocation): Promise<number> {
  const { options, io, format } = invocation;
  for (const name of ["remove", "plan", "wait"])
    if (options[name] === true) throw new Failure("InvalidArgument", `--${name} needs a PREFIX`);
  const encoding = encodingOf(invocation);
  const rows = (await withClient(invocation, askPrefixes)).map(bytesOfBinaryString);
  await writeList(io, format, rows, [{ title: "PREFIX", cell: (prefix) => formatKey(prefix, encoding) }], (prefix) =>
    encodeTogether({ prefix }, encoding),
  );
  return exitDone;
}

/** Binary strings. */
async function askPrefixes(client: ClusterClient): Promise<readonly string[]> {
  const answer = requireObject(
    await client.admin("setting-get", { name: setting }, { readOnly: true }),
    "setting-get",
    ["value"],
  );
  return Array.isArray(answer["value"]) ? (answer["value"] as string[]) : [];
}
