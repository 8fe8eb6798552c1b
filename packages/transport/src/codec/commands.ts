/**
 * Bodies of `commands` and `command-results`, big-endian; 53-bit integers take 8 bytes.
 *
 *     commands            batch id 8, range id 8, bounds 8, client id 8, floor 8, seen 8, number of commands 4, then each:
 *         flags           1: bit 0 delete; bits 1-2 condition (0 none, 1 if-absent, 2 if-version); bit 3 `expected` follows
 *         number          8
 *         first sent      8
 *         expected        8, only with its flag (absent = 0)
 *         key length      2
 *         value length    4, 0 for a delete
 *         key, value
 *
 *     command-results     batch id 8, seen 8, number of results 4, then each:
 *         flags           1: bits 0-1 status (0 applied, 1 condition-failed, 2 refused, 3 unknown); bit 2 existed;
 *                            bit 3 a code follows; bit 4 a message follows
 *         number          8
 *         version         8
 *         code            1, only with its flag
 *         message         length 2 and UTF-8, only with its flag
 */
import { InvariantError, MalformedError } from "@flotilla/base";
import type { BinaryReader, BinaryWriter, ByteOperations, ErrorCode, Key, RangeId, Version } from "@flotilla/base";
import type { Command, CommandBatch, CommandResult, CommandResults, CommandStatus } from "../client-messages.ts";
import { errorCodeNumber, errorCodeOf } from "./error-code-numbers.ts";
import {
  boundedText,
  count,
  keyLength,
  positive,
  putInteger,
  putKeyLength,
  putText,
  text,
  textBytes,
} from "./fields.ts";

const batchBytes = 52;
const commandBytes = 23;
const resultsBytes = 20;
const resultBytes = 17;

const deleteFlag = 1;
const expectedFlag = 8;
const existedFlag = 4;
const codeFlag = 8;
const messageFlag = 16;

const conditions: readonly Command["condition"][] = ["none", "if-absent", "if-version"];
const statuses: readonly CommandStatus[] = ["applied", "condition-failed", "refused", "unknown"];
const noValue: Uint8Array = new Uint8Array(0);

/** Bytes of the body. */
export function commandBatchBytes({ commands }: CommandBatch): number {
  let total = batchBytes + commandBytes * commands.length;
  for (let i = 0; i < commands.length; i++) {
    const command = commands[i]!;
    total += command.key.length + command.value.length + (command.expected === 0 ? 0 : 8);
  }
  return total;
}

export function writeCommandBatch(writer: BinaryWriter, batch: CommandBatch): void {
  putInteger(writer, batch.batchId);
  writer.uint53(batch.rangeId);
  putInteger(writer, batch.bounds);
  putInteger(writer, batch.clientId);
  putInteger(writer, batch.floor);
  writer.uint53(batch.seen);
  const { commands } = batch;
  writer.uint32(commands.length);
  for (let i = 0; i < commands.length; i++) writeCommand(writer, commands[i]!);
}

function writeCommand(writer: BinaryWriter, command: Command): void {
  const isDelete = command.kind === "delete";
  if (isDelete && command.value.length > 0) throw new InvariantError(`delete ${command.number} carries a value`);
  const condition = command.condition === "none" ? 0 : command.condition === "if-absent" ? 2 : 4;
  writer.uint8((isDelete ? deleteFlag : 0) | condition | (command.expected === 0 ? 0 : expectedFlag));
  putInteger(writer, command.number);
  writer.uint53(command.firstSent);
  if (command.expected !== 0) writer.uint53(command.expected);
  putKeyLength(writer, command.key);
  writer.uint32(command.value.length);
  writer.binaryString(command.key);
  if (command.value.length > 0) writer.raw(command.value);
}

export function readCommandBatch(reader: BinaryReader, operations: ByteOperations): CommandBatch {
  const batchId = reader.uint53();
  const rangeId = positive(reader, "range id") as RangeId;
  const bounds = reader.uint53();
  const clientId = reader.uint53();
  const floor = reader.uint53();
  const seen = reader.uint53() as Version;
  const length = count(reader, commandBytes, "commands");
  const commands: Command[] = [];
  for (let i = 0; i < length; i++) commands.push(readCommand(reader, operations));
  return { type: "commands", batchId, rangeId, bounds, clientId, floor, seen, commands };
}

function readCommand(reader: BinaryReader, operations: ByteOperations): Command {
  const flags = reader.uint8();
  const condition = conditions[(flags >> 1) & 3];
  if (flags > 15 || condition === undefined) throw new MalformedError(`unknown flags ${flags} of a command`);
  const number = positive(reader, "command number");
  const firstSent = reader.uint53() as Version;
  const expected = ((flags & expectedFlag) === 0 ? 0 : reader.uint53()) as Version;
  const keyBytes = keyLength(reader);
  const valueBytes = reader.uint32();
  const key = reader.binaryString(keyBytes, operations) as Key;
  const isDelete = (flags & deleteFlag) !== 0;
  if (isDelete && valueBytes > 0) throw new MalformedError(`delete ${number} carries a value of ${valueBytes} bytes`);
  const value = valueBytes === 0 ? noValue : reader.subarray(valueBytes);
  return { number, kind: isDelete ? "delete" : "put", condition, expected, firstSent, key, value };
}

/** Bytes of the body. */
export function commandResultsBytes({ results }: CommandResults, operations: ByteOperations): number {
  let total = resultsBytes + resultBytes * results.length;
  for (let i = 0; i < results.length; i++) {
    const result = results[i]!;
    if (result.code !== undefined) total++;
    if (result.message !== "") total += textBytes(boundedText(result.message, operations), operations);
  }
  return total;
}

export function writeCommandResults(writer: BinaryWriter, message: CommandResults, operations: ByteOperations): void {
  putInteger(writer, message.batchId);
  writer.uint53(message.seen);
  const { results } = message;
  writer.uint32(results.length);
  for (let i = 0; i < results.length; i++) {
    const result = results[i]!;
    const { code } = result;
    writer.uint8(
      statuses.indexOf(result.status) |
        (result.existed ? existedFlag : 0) |
        (code === undefined ? 0 : codeFlag) |
        (result.message === "" ? 0 : messageFlag),
    );
    putInteger(writer, result.number);
    writer.uint53(result.version);
    if (code !== undefined) writer.uint8(errorCodeNumber(code));
    if (result.message !== "") putText(writer, boundedText(result.message, operations), operations);
  }
}

export function readCommandResults(reader: BinaryReader, operations: ByteOperations): CommandResults {
  const batchId = reader.uint53();
  const seen = reader.uint53() as Version;
  const length = count(reader, resultBytes, "results");
  const results: CommandResult[] = [];
  for (let i = 0; i < length; i++) {
    const flags = reader.uint8();
    if (flags > 31) throw new MalformedError(`unknown flags ${flags} of a result`);
    const number = positive(reader, "command number");
    const version = reader.uint53() as Version;
    const code: ErrorCode | undefined = (flags & codeFlag) === 0 ? undefined : errorCodeOf(reader.uint8());
    const message = (flags & messageFlag) === 0 ? "" : text(reader, operations);
    results.push({
      number,
      status: statuses[flags & 3]!,
      version,
      existed: (flags & existedFlag) !== 0,
      code,
      message,
    });
  }
  return { type: "command-results", batchId, seen, results };
}
