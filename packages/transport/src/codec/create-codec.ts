/**
 * Puts the layouts together into `Codec` (see `bundle.ts` for the payload around the bodies). Encoding goes over the
 * messages twice: once to know the size, once to write into memory that is allocated for exactly that.
 */
import { BinaryReader, BinaryWriter, InvariantError, MalformedError } from "@flotilla/base";
import type { ByteOperations } from "@flotilla/base";
import { Packr, Unpackr } from "msgpackr";
import type { Codec, CodecFactory } from "../bundle.ts";
import type { ClientMessage, ServerMessage } from "../client-messages.ts";
import type { PeerMessage } from "../peer-messages.ts";
import {
  controlBytesMax,
  messageHeaderBytes,
  payloadBytesMax,
  payloadFormat,
  payloadHeaderBytes,
  typeNumber,
} from "../protocol.ts";
import { clientControlFields, readClientControl, readServerControl, serverControlFields } from "./client-control.ts";
import {
  commandBatchBytes,
  commandResultsBytes,
  readCommandBatch,
  readCommandResults,
  writeCommandBatch,
  writeCommandResults,
} from "./commands.ts";
import { peerControlFields, peerControlType, readPeerControl } from "./peer-control.ts";
import { checkPlainData } from "./plain-data.ts";
import { raftBodyBytes, readRaft, writeRaft } from "./raft-envelope.ts";
import {
  readBatchBytes,
  readReadBatch,
  readReadResults,
  readResultsBytes,
  readScanPage,
  scanPageBytes,
  writeReadBatch,
  writeReadResults,
  writeScanPage,
} from "./reads.ts";
import { readSnapshotChunk, snapshotChunkBytes, writeSnapshotChunk } from "./snapshot-chunk.ts";

export const createCodec: CodecFactory = (operations) => new BundleCodec(operations);

class BundleCodec implements Codec {
  readonly #operations: ByteOperations;
  readonly #packr: Packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
  readonly #unpackr: Unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "number" });
  /** Bodies of the control messages of the bundle being encoded; leftovers of a failed one are dropped by the next. */
  readonly #packed: Uint8Array[] = [];

  constructor(operations: ByteOperations) {
    this.#operations = operations;
  }

  encodePeer(messages: readonly PeerMessage[]): Uint8Array {
    this.#packed.length = 0;
    const sizes: number[] = [];
    for (let i = 0; i < messages.length; i++) sizes.push(this.#peerBytes(messages[i]!));
    const writer = this.#begin(sizes);
    for (let i = 0; i < messages.length; i++) this.#writePeer(writer, messages[i]!, sizes[i]!);
    return this.#finish(writer);
  }

  encodeClient(messages: readonly ClientMessage[]): Uint8Array {
    this.#packed.length = 0;
    const sizes: number[] = [];
    for (let i = 0; i < messages.length; i++) sizes.push(this.#clientBytes(messages[i]!));
    const writer = this.#begin(sizes);
    for (let i = 0; i < messages.length; i++) this.#writeClient(writer, messages[i]!, sizes[i]!);
    return this.#finish(writer);
  }

  encodeServer(messages: readonly ServerMessage[]): Uint8Array {
    this.#packed.length = 0;
    const sizes: number[] = [];
    for (let i = 0; i < messages.length; i++) sizes.push(this.#serverBytes(messages[i]!));
    const writer = this.#begin(sizes);
    for (let i = 0; i < messages.length; i++) this.#writeServer(writer, messages[i]!, sizes[i]!);
    return this.#finish(writer);
  }

  #peerBytes(message: PeerMessage): number {
    if (message.type === "raft") return raftBodyBytes(message);
    if (message.type === "snapshot-chunk") return snapshotChunkBytes(message);
    return this.#pack(peerControlFields(message, this.#operations));
  }

  #clientBytes(message: ClientMessage): number {
    if (message.type === "commands") return commandBatchBytes(message);
    if (message.type === "reads") return readBatchBytes(message);
    return this.#pack(clientControlFields(message, this.#operations));
  }

  #serverBytes(message: ServerMessage): number {
    if (message.type === "command-results") return commandResultsBytes(message, this.#operations);
    if (message.type === "read-results") return readResultsBytes(message);
    if (message.type === "scan-page") return scanPageBytes(message);
    return this.#pack(serverControlFields(message, this.#operations));
  }

  #pack(fields: unknown[]): number {
    const body = this.#packr.pack(fields);
    if (body.length > controlBytesMax) {
      throw new InvariantError(
        `control message of ${body.length} bytes must not be sent, at most ${controlBytesMax} are allowed`,
      );
    }
    this.#packed.push(body);
    return body.length;
  }

  #begin(sizes: readonly number[]): BinaryWriter {
    let total = payloadHeaderBytes + messageHeaderBytes * sizes.length;
    for (let i = 0; i < sizes.length; i++) total += sizes[i]!;
    if (total > payloadBytesMax) {
      throw new InvariantError(`payload of ${total} bytes must not be sent, at most ${payloadBytesMax} are allowed`);
    }
    const writer = new BinaryWriter(this.#operations, total);
    writer.uint8(payloadFormat);
    // The bodies are taken from the end.
    this.#packed.reverse();
    return writer;
  }

  #finish(writer: BinaryWriter): Uint8Array {
    if (writer.length !== writer.bytes.length) {
      throw new InvariantError(`payload was counted as ${writer.bytes.length} bytes and took ${writer.length}`);
    }
    return writer.bytes;
  }

  #writePeer(writer: BinaryWriter, message: PeerMessage, size: number): void {
    writer.uint8(typeNumber[message.type]);
    writer.uint32(size);
    if (message.type === "raft") writeRaft(writer, message);
    else if (message.type === "snapshot-chunk") writeSnapshotChunk(writer, message);
    else this.#writePacked(writer);
  }

  #writeClient(writer: BinaryWriter, message: ClientMessage, size: number): void {
    writer.uint8(typeNumber[message.type]);
    writer.uint32(size);
    if (message.type === "commands") writeCommandBatch(writer, message);
    else if (message.type === "reads") writeReadBatch(writer, message);
    else this.#writePacked(writer);
  }

  #writeServer(writer: BinaryWriter, message: ServerMessage, size: number): void {
    writer.uint8(typeNumber[message.type]);
    writer.uint32(size);
    if (message.type === "command-results") writeCommandResults(writer, message, this.#operations);
    else if (message.type === "read-results") writeReadResults(writer, message);
    else if (message.type === "scan-page") writeScanPage(writer, message);
    else this.#writePacked(writer);
  }

  #writePacked(writer: BinaryWriter): void {
    const body = this.#packed.pop();
    if (body === undefined) throw new InvariantError("a control message was not packed before it was written");
    writer.raw(body);
  }

  decodePeer(payload: Uint8Array): PeerMessage[] {
    const reader = openPayload(payload);
    const messages: PeerMessage[] = [];
    while (reader.remaining > 0) {
      const number = reader.uint8();
      const end = bodyEnd(reader);
      messages.push(this.#readPeer(reader, number, end));
      checkEnd(reader, number, end);
    }
    return messages;
  }

  decodeClient(payload: Uint8Array): ClientMessage[] {
    const reader = openPayload(payload);
    const messages: ClientMessage[] = [];
    while (reader.remaining > 0) {
      const number = reader.uint8();
      const end = bodyEnd(reader);
      messages.push(this.#readClient(reader, number, end));
      checkEnd(reader, number, end);
    }
    return messages;
  }

  decodeServer(payload: Uint8Array): ServerMessage[] {
    const reader = openPayload(payload);
    const messages: ServerMessage[] = [];
    while (reader.remaining > 0) {
      const number = reader.uint8();
      const end = bodyEnd(reader);
      messages.push(this.#readServer(reader, number, end));
      checkEnd(reader, number, end);
    }
    return messages;
  }

  #readPeer(reader: BinaryReader, number: number, end: number): PeerMessage {
    switch (number) {
      case typeNumber.raft:
        return readRaft(reader);
      case typeNumber["snapshot-chunk"]:
        return readSnapshotChunk(reader, end);
      default: {
        const type = peerControlType(number);
        if (type === undefined) throw new MalformedError(`unknown message type ${number} between stores`);
        return readPeerControl(type, this.#unpack(reader, end), this.#operations);
      }
    }
  }

  #readClient(reader: BinaryReader, number: number, end: number): ClientMessage {
    switch (number) {
      case typeNumber.commands:
        return readCommandBatch(reader, this.#operations);
      case typeNumber.reads:
        return readReadBatch(reader, this.#operations);
      case typeNumber.scan:
        return readClientControl("scan", this.#unpack(reader, end), this.#operations);
      case typeNumber["scan-credit"]:
        return readClientControl("scan-credit", this.#unpack(reader, end), this.#operations);
      case typeNumber["scan-cancel"]:
        return readClientControl("scan-cancel", this.#unpack(reader, end), this.#operations);
      case typeNumber.route:
        return readClientControl("route", this.#unpack(reader, end), this.#operations);
      case typeNumber.admin:
        return readClientControl("admin", this.#unpack(reader, end), this.#operations);
      default:
        throw new MalformedError(`unknown message type ${number} from a client`);
    }
  }

  #readServer(reader: BinaryReader, number: number, end: number): ServerMessage {
    switch (number) {
      case typeNumber["command-results"]:
        return readCommandResults(reader, this.#operations);
      case typeNumber["read-results"]:
        return readReadResults(reader);
      case typeNumber["scan-page"]:
        return readScanPage(reader, this.#operations);
      case typeNumber["range-refused"]:
        return readServerControl("range-refused", this.#unpack(reader, end), this.#operations);
      case typeNumber["route-response"]:
        return readServerControl("route-response", this.#unpack(reader, end), this.#operations);
      case typeNumber["admin-response"]:
        return readServerControl("admin-response", this.#unpack(reader, end), this.#operations);
      case typeNumber["going-away"]:
        return readServerControl("going-away", this.#unpack(reader, end), this.#operations);
      default:
        throw new MalformedError(`unknown message type ${number} from a store`);
    }
  }

  #unpack(reader: BinaryReader, end: number): unknown {
    const start = reader.offset;
    if (end - start > controlBytesMax) {
      throw new MalformedError(`control message of ${end - start} bytes, at most ${controlBytesMax} are allowed`);
    }
    checkPlainData(reader.bytes, reader.view, start, end);
    reader.take(end - start);
    try {
      return this.#unpackr.unpack(reader.bytes.subarray(start, end));
    } catch (error) {
      throw new MalformedError(
        `control message cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}

function openPayload(payload: Uint8Array): BinaryReader {
  if (payload.length > payloadBytesMax) {
    throw new MalformedError(`payload of ${payload.length} bytes, at most ${payloadBytesMax} are allowed`);
  }
  const reader = new BinaryReader(payload);
  const format = reader.uint8();
  if (format !== payloadFormat)
    throw new MalformedError(`payload has format ${format}, this side knows ${payloadFormat}`);
  return reader;
}

/** Where the body ends whose length comes next. */
function bodyEnd(reader: BinaryReader): number {
  const length = reader.uint32();
  if (length > reader.remaining) {
    throw new MalformedError(`message of ${length} bytes announced, only ${reader.remaining} are left`);
  }
  return reader.offset + length;
}

/** A body that read on into the next message, or not to its own end, is malformed as well. */
function checkEnd(reader: BinaryReader, number: number, end: number): void {
  if (reader.offset !== end) {
    throw new MalformedError(`message of type ${number} ends at offset ${reader.offset}, must end at ${end}`);
  }
}
