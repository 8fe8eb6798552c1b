import { Failure } from "@flotilla/base";
import { addClusterOptions, addKeyEncodingOptions, countOption, encodingOf } from "../arguments/common-options.ts";
import { intervalOf } from "../arguments/key-arguments.ts";
import { withClient } from "../arguments/with-client.ts";
import type { ClusterClient, ClusterEntry, ScanOptions } from "../cluster-client.ts";
import type { CommandIo, Invocation, Verb } from "../command-io.ts";
import { exitDone } from "../exit-code.ts";
import { encodeTogether, printableBytes } from "../output/bytes-text.ts";
import type { Encoding } from "../output/bytes-text.ts";
import { writeObject } from "../output/documents.ts";
import type { OutputFormat } from "../output/output-format.ts";

const limitMax = 2 ** 40;
/** On a terminal a value is a hint; `get` shows all of it. */
const shownValueCharacters = 100;
const keyWidthMax = 60;

export const verb: Verb = {
  configure(command) {
    command.argument("[start]", "first key, included").argument("[end]", "where to stop, not included");
    addClusterOptions(addKeyEncodingOptions(command))
      .option("--prefix <p>", "only keys that begin with P")
      .option("--limit <n>", "at most so many")
      .option("--reverse", "from the last key to the first")
      .option("--keys-only", "without values")
      .option("--count", "only how many there are")
      .option("--stale", "ask any replica; it may lag behind");
    command.addHelpText(
      "after",
      "\nIn order of the keys' bytes; linearizable for each range, not one instant over several ranges.",
    );
  },
  async run(invocation) {
    const { options } = invocation;
    const limit = countOption(options, "limit", "--limit", 1, limitMax);
    const scan: ScanOptions = {
      ...intervalOf(invocation, 0),
      limit,
      reverse: options["reverse"] === true,
      keysOnly: options["keysOnly"] === true,
      consistency: options["stale"] === true ? "stale" : undefined,
    };
    if (options["count"] !== true) return withClient(invocation, (client) => list(invocation, client, scan));
    if (limit !== undefined) throw new Failure("InvalidArgument", "--count and --limit exclude each other");
    const { start, end, prefix, consistency } = scan;
    const count = await withClient(invocation, (client) => client.count({ start, end, prefix, consistency }));
    await writeObject(invocation.io, invocation.format, { count }, () => `${count}\n`);
    return exitDone;
  },
};

async function list(invocation: Invocation, client: ClusterClient, scan: ScanOptions): Promise<number> {
  const writer = new EntryWriter(invocation.io, invocation.format, encodingOf(invocation));
  for await (const page of client.scanPages(scan)) await writer.page(page);
  await writer.end();
  return exitDone;
}

/** Writes page by page: a scan may be larger than memory. */
class EntryWriter {
  readonly #io: CommandIo;
  readonly #format: OutputFormat;
  readonly #encoding: Encoding;
  #count = 0;
  #width = 0;

  constructor(io: CommandIo, format: OutputFormat, encoding: Encoding) {
    this.#io = io;
    this.#format = format;
    this.#encoding = encoding;
  }

  async page(entries: readonly ClusterEntry<Uint8Array | undefined>[]): Promise<void> {
    let text = "";
    if (this.#format === "table") text = this.#table(entries);
    else {
      for (const [index, entry] of entries.entries()) {
        const { key, value, encoding } = encodeTogether({ key: entry.key, value: entry.value }, this.#encoding);
        const json = JSON.stringify({ key, value, version: entry.version, encoding });
        if (this.#format === "jsonl") text += json + "\n";
        else text += (this.#count + index === 0 ? "[\n  " : ",\n  ") + json;
      }
    }
    this.#count += entries.length;
    if (text !== "") await this.#io.out(text);
  }

  async end(): Promise<void> {
    if (this.#format === "json") await this.#io.out(this.#count === 0 ? "[]\n" : "\n]\n");
  }

  /** The width follows the first page; later keys that are longer push their values aside. */
  #table(entries: readonly ClusterEntry<Uint8Array | undefined>[]): string {
    const shown = (bytes: Uint8Array, charactersMax?: number): string =>
      this.#encoding === "utf8"
        ? printableBytes(bytes, charactersMax)
        : encodeTogether({ bytes }, this.#encoding).bytes!;
    const keys = entries.map(({ key }) => shown(key));
    if (this.#width === 0) this.#width = Math.min(keyWidthMax, Math.max(1, ...keys.map(({ length }) => length)));
    return entries
      .map(
        ({ value }, index) =>
          (value === undefined
            ? keys[index]!
            : `${keys[index]!.padEnd(this.#width)}  ${shown(value, this.#io.outIsTerminal ? shownValueCharacters : undefined)}`) +
          "\n",
      )
      .join("");
  }
}
