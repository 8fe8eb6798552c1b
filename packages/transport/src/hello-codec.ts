/**
 * The first message of each side of a stream, big-endian:
 *
 *     format               1 (helloFormat)
 *     protocol min, max    4 each; these two keep their place in every later format
 *     purpose              1: 0 client, 1 heartbeat, 2 append, 3 snapshot
 *     node, store          8 each
 *     incarnation          8
 *     wall clock           8, milliseconds since 1970
 *     lease                4, milliseconds
 *     cluster id           length 2 (0 or 32), lower-case hex digits
 *     store key            length 2, lower-case hex digits
 *     address              length 2, UTF-8
 */
import { BinaryReader, BinaryWriter, InvariantError, MalformedError } from "@flotilla/base";
import type { ByteOperations, Incarnation, NodeId, StoreId } from "@flotilla/base";
import { putInteger, putText, putUint32, text, textBytes } from "./codec/fields.ts";
import type { Hello, Purpose } from "./link.ts";
import { helloFormat } from "./protocol.ts";

const fixedBytes = 46;
const addressBytesMax = 300;
const storeKeyDigitsMax = 128;
export const helloBytesMax = 1024;
const purposes: readonly Purpose[] = ["client", "heartbeat", "append", "snapshot"];

/** Another build speaks a Hello that this one cannot read. */
export class UnknownHelloFormat extends MalformedError {
  readonly format: number;

  constructor(format: number) {
    super(`Hello has format ${format}, this side knows ${helloFormat}`);
    this.format = format;
  }
}

export function encodeHello(hello: Hello, operations: ByteOperations): Uint8Array {
  checkTexts(hello, operations, InvariantError);
  const total =
    fixedBytes +
    textBytes(hello.clusterId, operations) +
    textBytes(hello.storeKey, operations) +
    textBytes(hello.address, operations);
  const writer = new BinaryWriter(operations, total);
  writer.uint8(helloFormat);
  putUint32(writer, hello.protocolMin);
  putUint32(writer, hello.protocolMax);
  writer.uint8(purposes.indexOf(hello.purpose));
  writer.uint53(hello.nodeId);
  writer.uint53(hello.storeId);
  writer.uint53(hello.incarnation);
  putInteger(writer, Math.floor(hello.wallMs));
  putUint32(writer, hello.leaseMs);
  putText(writer, hello.clusterId, operations);
  putText(writer, hello.storeKey, operations);
  putText(writer, hello.address, operations);
  return writer.finish();
}

/** Throws `UnknownHelloFormat` or `MalformedError`. */
export function decodeHello(bytes: Uint8Array, operations: ByteOperations): Hello {
  if (bytes.length > helloBytesMax)
    throw new MalformedError(`Hello of ${bytes.length} bytes, at most ${helloBytesMax} are allowed`);
  const reader = new BinaryReader(bytes);
  const format = reader.uint8();
  if (format !== helloFormat) throw new UnknownHelloFormat(format);
  const protocolMin = reader.uint32();
  const protocolMax = reader.uint32();
  if (protocolMin > protocolMax) throw new MalformedError(`Hello offers protocols ${protocolMin} to ${protocolMax}`);
  const purpose = purposes[reader.uint8()];
  if (purpose === undefined) throw new MalformedError("Hello has an unknown purpose");
  const nodeId = reader.uint53() as NodeId;
  const storeId = reader.uint53() as StoreId;
  const incarnation = reader.uint53() as Incarnation;
  const wallMs = reader.uint53();
  const leaseMs = reader.uint32();
  const clusterId = text(reader, operations);
  const storeKey = text(reader, operations);
  const address = text(reader, operations);
  if (reader.remaining > 0) throw new MalformedError(`${reader.remaining} bytes behind a Hello`);
  const hello: Hello = {
    protocolMin,
    protocolMax,
    clusterId,
    nodeId,
    storeId,
    storeKey,
    incarnation,
    wallMs,
    leaseMs,
    purpose,
    address,
  };
  checkTexts(hello, operations, MalformedError);
  return hello;
}

function checkTexts(hello: Hello, operations: ByteOperations, Wrong: new (message: string) => Error): void {
  if (!/^(?:[0-9a-f]{32})?$/.test(hello.clusterId))
    throw new Wrong("the cluster id of a Hello must be empty or 32 hex digits");
  if (hello.storeKey.length > storeKeyDigitsMax || !/^[0-9a-f]*$/.test(hello.storeKey)) {
    throw new Wrong(`the store key of a Hello must be at most ${storeKeyDigitsMax} hex digits`);
  }
  if (operations.utf8Length(hello.address) > addressBytesMax) {
    throw new Wrong(`the address of a Hello must be at most ${addressBytesMax} bytes`);
  }
}

/** The protocol that both sides will speak; undefined when their ranges do not meet. */
export function commonProtocol(a: Hello, b: Hello): number | undefined {
  const highest = Math.min(a.protocolMax, b.protocolMax);
  return highest >= Math.max(a.protocolMin, b.protocolMin) ? highest : undefined;
}
