/**
 * The leader's side of a write: conditions decided, versions given, effects computed, one entry built (design: rules
 * "one synchronous step", "every answer has its place in the log", "apply once"). Nothing here waits.
 */
import { noVersion, userPrefix, version } from "@flotilla/base";
import type { ByteOperations, ErrorCode, Key, Version } from "@flotilla/base";
import { recordBytes, recordVersion, writeRecord } from "@flotilla/storage";
import type { Command, CommandBatch, CommandResult } from "@flotilla/transport";
import type { ClientConnection } from "../clients/client-connection.ts";
import { EntryWriter, commandBytesMax, statusApplied, statusConditionFailed, statusRepeated } from "./entry-format.ts";
import type { BatchAnswer } from "./pending-answers.ts";
import type { ClientSession } from "./session-table.ts";
import { isDelete } from "./state-machine.ts";
import type { StateMachine } from "./state-machine.ts";

export interface QueuedBatch {
  readonly connection: ClientConnection;
  readonly batch: CommandBatch;
  /** Keys and values, roughly. */
  readonly bytes: number;
  /** Commands before this one are in earlier entries or refused. */
  next: number;
}

/** An entry ready to be proposed, and how to take it back when Raft does not take it. */
export interface Evaluated {
  readonly data: Uint8Array;
  readonly lastVersion: Version;
  readonly answers: BatchAnswer[];
  readonly commands: number;
}

const emptyValue = new Uint8Array(0);

export class Evaluator {
  readonly #machine: StateMachine;
  readonly #operations: ByteOperations;
  /** Undo list of the entry being built: the numbers that were noted, with their sessions. */
  readonly #notedSessions: ClientSession[] = [];
  readonly #notedNumbers: number[] = [];

  constructor(machine: StateMachine, operations: ByteOperations) {
    this.#machine = machine;
    this.#operations = operations;
  }

  /**
   * Evaluates from the front of `queue` until the entry is full, and moves the batches' `next` on. `index` is where the
   * entry will stand, `firstVersion` what its first command gets. Undefined when every command was refused.
   */
  evaluate(
    queue: readonly QueuedBatch[],
    bytesTarget: number,
    index: number,
    firstVersion: Version,
  ): Evaluated | undefined {
    this.#machine.memtable.pending.begin(index);
    this.#notedSessions.length = 0;
    this.#notedNumbers.length = 0;
    const writer = new EntryWriter(
      measure(queue, bytesTarget),
      this.#machine.descriptor.epoch.bounds,
      this.#operations,
    );
    const answers: BatchAnswer[] = [];
    for (const queued of queue) {
      const { batch } = queued;
      if (queued.next === batch.commands.length) continue;
      const session = this.#machine.sessions.admit(batch.clientId);
      if (session === undefined) {
        refuseAll(queued, this.#machine.lastVersion);
        continue;
      }
      const answer: BatchAnswer = { connection: queued.connection, batchId: batch.batchId, results: [], repeated: [] };
      const refused: CommandResult[] = [];
      let full = false;
      while (queued.next < batch.commands.length) {
        const command = batch.commands[queued.next]!;
        const room = commandBytesMax(command.key.length, recordBytes(command.value.length));
        if (writer.length + room > writer.bytes.length) {
          full = true;
          break;
        }
        queued.next++;
        const refusal = this.#one(command, batch, session, writer, answer, firstVersion + writer.commands);
        if (refusal !== undefined) refused.push(refusal);
      }
      if (refused.length > 0) queued.connection.answerCommands(batch.batchId, this.#machine.lastVersion, refused);
      if (answer.results.length > 0) answers.push(answer);
      if (full) break;
    }
    if (writer.commands === 0) return undefined;
    const data = writer.finish(firstVersion);
    return { data, lastVersion: version(firstVersion + writer.commands - 1), answers, commands: writer.commands };
  }

  /** Raft did not take the entry: as if it had never been evaluated. */
  undo(): void {
    this.#machine.memtable.pending.takeBack();
    for (let i = this.#notedNumbers.length - 1; i >= 0; i--)
      this.#notedSessions[i]!.numbers.delete(this.#notedNumbers[i]!);
  }

  #one(
    command: Command,
    batch: CommandBatch,
    session: ClientSession,
    writer: EntryWriter,
    answer: BatchAnswer,
    commandVersion: number,
  ): CommandResult | undefined {
    const machine = this.#machine;
    const { key } = command;
    const verdict = machine.sessions.judge(session, command.number, command.firstSent, machine.lastVersion);
    if (verdict === "applied" || verdict === "pending") {
      writer.beginGroup(batch.clientId, batch.floor);
      writer.command(command.number, command.firstSent, statusRepeated, false, noVersion);
      answer.repeated.push({ at: answer.results.length, session });
      answer.results.push(result(command.number, "unknown", noVersion, false));
      return undefined;
    }
    if (verdict !== "new") return refusedBySession(command, verdict, session.floor);
    if (key < machine.descriptor.start || key >= machine.descriptor.end || key < userPrefix) {
      return refused(command.number, "Internal", "the key is outside the range it was sent to");
    }
    writer.beginGroup(batch.clientId, batch.floor);
    machine.sessions.notePending(session, command.number, command.firstSent);
    this.#notedSessions.push(session);
    this.#notedNumbers.push(command.number);
    const blind = command.kind === "put" && command.condition === "none";
    const found = blind ? noVersion : this.#foundVersion(key);
    const holds =
      command.condition === "none" || (command.condition === "if-absent" ? found === 0 : found === command.expected);
    if (!holds) {
      writer.command(command.number, command.firstSent, statusConditionFailed, found !== 0, found);
      answer.results.push(result(command.number, "condition-failed", version(found), found !== 0));
      return undefined;
    }
    writer.command(command.number, command.firstSent, statusApplied, found !== 0, noVersion);
    const isPut = command.kind === "put";
    if (isPut || found !== 0) {
      const value = isPut ? command.value : emptyValue;
      const kind = isPut ? "value" : "delete";
      const recordAt = writer.effect(key, recordBytes(value.length));
      const keyAt = recordAt - key.length;
      writeRecord(writer.bytes, recordAt, keyAt, key.length, kind, version(commandVersion), value, this.#operations);
      machine.memtable.pending.add(key, isPut ? commandVersion : 0);
    }
    answer.results.push(result(command.number, "applied", version(commandVersion), found !== 0));
    return undefined;
  }

  /** The version that a condition meets: pending before committed before the engine; 0 = no record. */
  #foundVersion(key: Key): number {
    const pending = this.#machine.memtable.pending.find(key);
    if (pending !== undefined) return pending;
    const committed = this.#machine.newest(key);
    if (committed === undefined || isDelete(committed)) return 0;
    return recordVersion(committed.bytes, committed.offset);
  }
}

/** Bytes to allocate: what the queue needs, up to the target; one larger command alone goes over it. */
function measure(queue: readonly QueuedBatch[], bytesTarget: number): number {
  let bytes = 0;
  for (const { batch, next } of queue) {
    for (let i = next; i < batch.commands.length; i++) {
      const command = batch.commands[i]!;
      const more = commandBytesMax(command.key.length, recordBytes(command.value.length));
      if (bytes > 0 && bytes + more > bytesTarget) return bytes;
      bytes += more;
    }
  }
  return bytes;
}

function refuseAll(queued: QueuedBatch, seen: Version): void {
  const { connection, batch, next } = queued;
  const refusals = batch.commands
    .slice(next)
    .map(({ number }) => refused(number, "Busy", "too many clients write to this range"));
  queued.next = batch.commands.length;
  connection.answerCommands(batch.batchId, seen, refusals);
}

function result(
  number: number,
  status: CommandResult["status"],
  resultVersion: Version,
  existed: boolean,
): CommandResult {
  return { number, status, version: resultVersion, existed, code: undefined, message: "" };
}

export function refused(number: number, code: ErrorCode, message: string): CommandResult {
  return { number, status: "refused", version: noVersion, existed: false, code, message };
}

function refusedBySession(
  command: Command,
  verdict: "below-floor" | "too-old" | "too-many",
  floor: number,
): CommandResult {
  switch (verdict) {
    case "below-floor":
      return refused(command.number, "Refused", `command ${command.number} was settled by its client (floor ${floor})`);
    case "too-old":
      return refused(
        command.number,
        "Refused",
        "the command was first sent more than 10 minutes before the range's last write",
      );
    case "too-many":
      return refused(command.number, "Busy", "the client has too many unsettled commands on this range");
    default:
      return verdict satisfies never;
  }
}
