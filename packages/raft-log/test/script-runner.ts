/**
 * Runs a script: commands, a line "----", and what they print, up to an empty line; then the next commands. `#` begins a
 * comment. The whole text comes back with the output of this run in it, to be compared with the file.
 */
import { CorruptionError } from "@flotilla/base";
import type { FileSharedLog, FileSharedLogOptions } from "@flotilla/raft-log";
import { CrashingFiles } from "./crashing-files.ts";
import { flipBit, segmentsOf } from "./damage.ts";
import { entries, hardState, index, openLog, range, replica, settle, term } from "./harness.ts";

type Arguments = Record<string, number>;

const lossOfAll = { uint32: () => 0xffffffff, bytes: () => new Uint8Array(0) };

export async function runScript(text: string): Promise<string> {
  const session = new ScriptSession();
  const result: string[] = [];
  for (const block of text.trimEnd().split(/\n\n+/)) {
    const commands = block.split("\n----")[0]!.split("\n");
    const output: string[] = [];
    for (const line of commands) if (line !== "" && !line.startsWith("#")) output.push(...(await session.run(line)));
    const runs = commands.some((line) => !line.startsWith("#"));
    result.push([...commands, ...(runs ? ["----", ...(output.length > 0 ? output : ["ok"])] : [])].join("\n"));
  }
  return `${result.join("\n\n")}\n`;
}

class ScriptSession {
  readonly #disk = new CrashingFiles();
  #log: FileSharedLog | undefined;
  #opened = 0;

  async run(line: string): Promise<string[]> {
    const [command, ...words] = line.split(/\s+/);
    const given: Arguments = {};
    for (const word of words) {
      const [name, value] = word.split("=");
      given[name!] = value === undefined ? 1 : Number(value);
    }
    try {
      const output = (await this.#onDisk(command!, given)) ?? (await this.#onLog(command!, given));
      await settle();
      return output;
    } catch (error) {
      return [error instanceof CorruptionError ? `corruption: ${error.message}` : `error: ${(error as Error).message}`];
    }
  }

  async #onDisk(command: string, given: Arguments): Promise<string[] | undefined> {
    switch (command) {
      case "open":
        this.#log = await openLog(this.#disk, { ...defaults, ...given } as FileSharedLogOptions, ++this.#opened);
        return [];
      case "kill":
        this.#disk.kill();
        return [];
      case "power-loss":
        this.#disk.crash(lossOfAll);
        return [];
      case "no-sync":
        this.#disk.fault = (name, path) => {
          if (name === "sync" && path.includes("segment")) throw new Error("the sync did not come back");
        };
        return [];
      case "flip":
        flipBit(this.#disk, `log/segment-${String(given["segment"]).padStart(12, "0")}`, given["byte"]!, 0);
        return [];
      case "files":
        return this.#disk.names().map((path) => `${path} ${this.#disk.content(path).length}`);
      case "segments":
        return this.#segments();
      default:
        return undefined;
    }
  }

  #segments(): string[] {
    return segmentsOf(this.#disk).flatMap(({ path, header, frames, dataStart }) => [
      `${path.slice(4)} previous=${header.previousNumber} ends=${header.previousEnd} first=${header.firstSequence} durable=${header.durableSequence} data=${dataStart}`,
      ...header.table.map(
        (g) =>
          `  table range=${g.rangeId} replica=${g.replicaId} term=${g.term} vote=${g.vote} commit=${g.commit} truncated=${g.truncatedIndex}/${g.truncatedTerm} last=${g.lastIndex} tombstone=${g.tombstone}`,
      ),
      ...frames.flatMap((frame) => [
        `  ${frame.offset}: ${frame.header.closing ? "closing" : "frame"} sequence=${frame.header.sequence} durable=${frame.header.durableSequence} bytes=${frame.header.length}`,
        ...frame.records.map((record) => `    ${record}`),
      ]),
    ]);
  }

  async #onLog(command: string, given: Arguments): Promise<string[]> {
    const log = this.#log!;
    const r = range(given["range"] ?? 1);
    const id = replica(given["replica"] ?? given["range"] ?? 1);
    const at = index(given["index"] ?? 0);
    switch (command) {
      case "create":
        log.createGroup(r, id, at, term(given["term"] ?? 0));
        return [];
      case "append":
        log.append(
          r,
          id,
          entries(given["from"]!, given["to"] ?? given["from"]!, given["term"] ?? 1, given["bytes"] ?? 10),
        );
        return [];
      case "hard-state":
        log.setHardState(r, id, hardState(given["term"] ?? 0, given["vote"] ?? 0, given["commit"] ?? 0));
        return [];
      case "install":
        log.install(r, id, at, term(given["term"] ?? 0));
        return [];
      case "tombstone":
        log.tombstone(r, replica(given["lowest"]!));
        return [];
      case "checkpoint":
        log.checkpoint(r, at);
        return [];
      case "flush":
        await log.flush();
        return [];
      case "idle":
        log.noteIdle();
        return [];
      case "reclaim":
        return [`moved: ${(await log.reclaim(given["force"] === 1)).join(" ") || "none"}`];
      case "held-back":
        return [
          log
            .heldBackBy()
            .map(({ rangeId, index: to }) => `range ${rangeId} until ${to}`)
            .join(", ") || "nothing",
        ];
      case "close":
        await log.close();
        return [];
      case "groups":
        return log.groups().map((g) => {
          const { term: t, vote, commit } = g.hardState;
          return `range=${g.rangeId} replica=${g.replicaId} term=${t} vote=${vote} commit=${commit} truncated=${g.truncatedIndex}/${g.truncatedTerm} last=${g.lastIndex} tombstone=${g.tombstone}`;
        });
      case "entries": {
        const reader = log.reader(r);
        const all = reader.entries(reader.firstIndex(), index(reader.lastIndex() + 1), 1e9);
        return [all.map((e) => `${e.index}/${e.term}`).join(" ") || "none"];
      }
      case "staged":
        return [log.hasStaged() ? "yes" : "no"];
      default:
        throw new Error(`unknown command ${command}`);
    }
  }
}

const defaults: FileSharedLogOptions = {
  segmentBytes: 4096,
  shortSegmentBytes: 4096,
  logBytesTarget: 8192,
  logBytesMax: 12288,
  preparedSegments: 0,
  cacheBytes: 0,
};
