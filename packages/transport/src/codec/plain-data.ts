/**
 * Looks through one msgpack value before it is decoded. msgpackr believes the lengths it reads (five bytes can make it
 * allocate an array of 2^32 slots) and knows extension types that build errors, sets and records; here every length
 * is held against the bytes that are left, and only plain data passes: nil, booleans, numbers, strings, binary,
 * arrays, and maps with string keys.
 */
import { MalformedError } from "@flotilla/base";
import { controlDepthMax, controlValuesMax } from "../protocol.ts";

/** What the first byte of a value says. `length` is of strings and binary; `elements` of arrays and maps (keys counted). */
class Header {
  kind: "scalar" | "string" | "binary" | "array" | "map" = "scalar";
  headerBytes = 1;
  length = 0;
  elements = 0;
}

/** Throws `MalformedError` unless `[start, end)` is exactly one value of plain data within the limits. */
export function checkPlainData(bytes: Uint8Array, view: DataView, start: number, end: number): void {
  /** Values that are still to come, per level of nesting. */
  const pending: number[] = [1];
  const isMap: boolean[] = [false];
  const header = new Header();
  let at = start;
  let values = 0;
  while (pending.length > 0) {
    const level = pending.length - 1;
    const left = pending[level]!;
    if (left === 0) {
      pending.pop();
      isMap.pop();
      continue;
    }
    pending[level] = left - 1;
    if (++values > controlValuesMax)
      throw new MalformedError(`more than ${controlValuesMax} values in a control message`);
    readHeader(bytes, view, at, end, header);
    if (isMap[level] && left % 2 === 0 && header.kind !== "string")
      throw new MalformedError(`map key at offset ${at} is no string`);
    at += header.headerBytes;
    if (header.length > end - at || header.elements > end - at) {
      throw new MalformedError(`a value before offset ${at} announces more than the ${end - at} bytes that are left`);
    }
    at += header.length;
    if (header.kind === "array" || header.kind === "map") {
      if (pending.length >= controlDepthMax) throw new MalformedError(`values nested deeper than ${controlDepthMax}`);
      pending.push(header.elements);
      isMap.push(header.kind === "map");
    }
  }
  if (at !== end) throw new MalformedError(`${end - at} bytes behind the value of a control message`);
}

function readHeader(bytes: Uint8Array, view: DataView, at: number, end: number, header: Header): void {
  if (at >= end) throw new MalformedError(`control message ends at offset ${at} within a value`);
  const first = bytes[at]!;
  header.kind = "scalar";
  header.headerBytes = 1;
  header.length = 0;
  header.elements = 0;
  if (first < 0x80 || first >= 0xe0) return;
  if (first < 0x90) {
    header.kind = "map";
    header.elements = 2 * (first & 0x0f);
  } else if (first < 0xa0) {
    header.kind = "array";
    header.elements = first & 0x0f;
  } else if (first < 0xc0) {
    header.kind = "string";
    header.length = first & 0x1f;
  } else {
    readLongHeader(first, view, at, end, header);
  }
}

function readLongHeader(first: number, view: DataView, at: number, end: number, header: Header): void {
  switch (first) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      header.kind = "binary";
      header.length = lengthField(view, at, end, 1 << (first - 0xc4), header);
      return;
    case 0xca: // float 32
    case 0xce: // uint 32
    case 0xd2: // int 32
      header.length = 4;
      return;
    case 0xcb: // float 64
    case 0xcf: // uint 64
    case 0xd3: // int 64
      header.length = 8;
      return;
    case 0xcc: // uint 8
    case 0xd0: // int 8
      header.length = 1;
      return;
    case 0xcd: // uint 16
    case 0xd1: // int 16
      header.length = 2;
      return;
    case 0xd9:
    case 0xda:
    case 0xdb:
      header.kind = "string";
      header.length = lengthField(view, at, end, 1 << (first - 0xd9), header);
      return;
    case 0xdc:
    case 0xdd:
      header.kind = "array";
      header.elements = lengthField(view, at, end, 2 << (first - 0xdc), header);
      return;
    case 0xde:
    case 0xdf:
      header.kind = "map";
      header.elements = 2 * lengthField(view, at, end, 2 << (first - 0xde), header);
      return;
    default:
      throw new MalformedError(`value of kind 0x${first.toString(16)} at offset ${at} is no plain data`);
  }
}

function lengthField(view: DataView, at: number, end: number, width: number, header: Header): number {
  if (at + 1 + width > end) throw new MalformedError(`control message ends at offset ${end} within a length`);
  header.headerBytes = 1 + width;
  return width === 1 ? view.getUint8(at + 1) : width === 2 ? view.getUint16(at + 1) : view.getUint32(at + 1);
}
