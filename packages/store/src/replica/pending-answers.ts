/** What the leader owes its clients: the answers of one entry, given when that entry is applied. */
import { InvariantError, noVersion, version } from "@flotilla/base";
import type { RangeId, Term, Version } from "@flotilla/base";
import type { CommandResult } from "@flotilla/transport";
import type { ClientConnection, RoutingRefusal } from "../clients/client-connection.ts";
import { statusApplied, statusConditionFailed } from "./entry-format.ts";
import type { ClientSession } from "./session-table.ts";

/** The results of one batch that stand in one entry. */
export interface BatchAnswer {
  readonly connection: ClientConnection;
  readonly batchId: number;
  readonly results: CommandResult[];
  /** Results that are known only at apply: retries, to be looked up in the session table. */
  readonly repeated: { readonly at: number; readonly session: ClientSession }[];
}

/** What became of an entry: it came into force, it fell where it was applied, or the term ended before anybody knew. */
export type EntryOutcome = "applied" | "fallen" | "lost";

export interface PendingEntry {
  readonly index: number;
  readonly term: number;
  readonly answers: BatchAnswer[];
  readonly commands: number;
  /** Of an entry that the store itself proposed. */
  readonly settle?: (outcome: EntryOutcome) => void;
}

export class PendingAnswers {
  readonly #rangeId: RangeId;
  #pending: PendingEntry[] = [];
  /** Index of the first pending entry that is not answered. */
  #at = 0;

  constructor(range: RangeId) {
    this.#rangeId = range;
  }

  get commands(): number {
    let commands = 0;
    for (let i = this.#at; i < this.#pending.length; i++) commands += this.#pending[i]!.commands;
    return commands;
  }

  get empty(): boolean {
    return this.#at === this.#pending.length;
  }

  /** In rising order of index, all of one term. */
  add(entry: PendingEntry): void {
    this.#pending.push(entry);
  }

  /** What waits for the entry that was just applied; undefined when nothing does. */
  take(index: number, term: Term): PendingEntry | undefined {
    const pending = this.#pending[this.#at];
    if (pending === undefined || pending.index > index) return undefined;
    if (pending.index !== index || pending.term !== term) {
      throw new InvariantError(
        `range ${this.#rangeId}: applied ${index} of term ${term}, waiting for ${pending.index} of ${pending.term}`,
      );
    }
    this.#at++;
    if (this.#at === this.#pending.length) {
      this.#pending = [];
      this.#at = 0;
    } else if (this.#at >= 1024) {
      this.#pending.splice(0, this.#at);
      this.#at = 0;
    }
    return pending;
  }

  /** The term is over: nobody knows what becomes of what was proposed. */
  answerUnknown(seen: Version): void {
    const message = `range ${this.#rangeId} lost its leader while the command was under way`;
    for (let i = this.#at; i < this.#pending.length; i++) {
      for (const { connection, batchId, results } of this.#pending[i]!.answers) {
        const unknown = results.map((result): CommandResult => ({
          number: result.number,
          status: "unknown",
          version: noVersion,
          existed: false,
          code: "OutcomeUnknown",
          message,
        }));
        connection.answerCommands(batchId, seen, unknown);
      }
    }
    const settled = this.#pending.slice(this.#at);
    this.#pending = [];
    this.#at = 0;
    for (const { settle } of settled) settle?.("lost");
  }
}

/** The entry is applied and was accepted: everybody is told what they were promised. */
export function answerApplied(answers: readonly BatchAnswer[], seen: Version): void {
  for (const answer of answers) {
    if (answer.connection.closed) continue;
    for (const { at, session } of answer.repeated) {
      const { number } = answer.results[at]!;
      answer.results[at] = repeatedResult(number, session.numbers.get(number));
    }
    answer.connection.answerCommands(answer.batchId, seen, answer.results);
  }
}

/** The entry is applied and fell (rule: epoch at apply): it had no effect, and its batches may be sent again. */
export function answerFallen(answers: readonly BatchAnswer[], refusal: RoutingRefusal): void {
  for (const { connection, batchId } of answers) {
    if (!connection.closed) connection.refuseRouting("commands", batchId, refusal);
  }
}

/** Raft did not take the entry: nothing of it was proposed. */
export function answerNotTaken(answers: readonly BatchAnswer[], message: string, seen: Version): number {
  let commands = 0;
  for (const { connection, batchId, results } of answers) {
    for (let i = 0; i < results.length; i++) {
      results[i] = {
        number: results[i]!.number,
        status: "refused",
        version: noVersion,
        existed: false,
        code: "Busy",
        message,
      };
    }
    commands += results.length;
    connection.answerCommands(batchId, seen, results);
  }
  return commands;
}

function repeatedResult(
  number: number,
  known: { readonly status: number; readonly version: number; readonly existed: boolean } | undefined,
): CommandResult {
  if (known?.status === statusApplied) {
    return {
      number,
      status: "applied",
      version: version(known.version),
      existed: known.existed,
      code: undefined,
      message: "",
    };
  }
  if (known?.status === statusConditionFailed) {
    return {
      number,
      status: "condition-failed",
      version: version(known.version),
      existed: known.existed,
      code: undefined,
      message: "",
    };
  }
  // Dropped by a floor that came with a later entry: nobody waits for this answer any more.
  return {
    number,
    status: "unknown",
    version: noVersion,
    existed: false,
    code: "OutcomeUnknown",
    message: "the command was settled by its client",
  };
}
