/**
 * Bodies of `reads`, `read-results` and `scan-page`, big-endian; 53-bit integers take 8 bytes.
 *
 *     reads           batch id 8, range id 8, bounds 8, consistency 1 (0 linearizable, 1 stale), number of keys 4,
 *                     then each: key length 2, key
 *     read-results    batch id 8, seen 8, number of results 4, then each: version 8, value length 4, value
 *     scan-page       scan id 8, count 8, last 1 (0 or 1), number of records 4,
 *                     then each: key length 2, version 8, value length 4, key, value
 */
import { MalformedError } from "@flotilla/base";
import type { BinaryReader, BinaryWriter, ByteOperations, Key, RangeId, Version } from "@flotilla/base";
import type { ReadBatch, ReadResult, ReadResults, ScanPage, ScanRecord } from "../client-messages.ts";
import { count, keyLength, positive, putInteger, putKeyLength } from "./fields.ts";

const batchBytes = 29;
const resultsBytes = 20;
const resultBytes = 12;
const pageBytes = 21;
const recordBytes = 14;
const noValue: Uint8Array = new Uint8Array(0);

/** Bytes of the body. */
export function readBatchBytes({ keys }: ReadBatch): number {
  let total = batchBytes + 2 * keys.length;
  for (let i = 0; i < keys.length; i++) total += keys[i]!.length;
  return total;
}

export function writeReadBatch(writer: BinaryWriter, batch: ReadBatch): void {
  putInteger(writer, batch.batchId);
  writer.uint53(batch.rangeId);
  putInteger(writer, batch.bounds);
  writer.uint8(batch.consistency === "linearizable" ? 0 : 1);
  const { keys } = batch;
  writer.uint32(keys.length);
  for (let i = 0; i < keys.length; i++) {
    putKeyLength(writer, keys[i]!);
    writer.binaryString(keys[i]!);
  }
}

export function readReadBatch(reader: BinaryReader, operations: ByteOperations): ReadBatch {
  const batchId = reader.uint53();
  const rangeId = positive(reader, "range id") as RangeId;
  const bounds = reader.uint53();
  const consistency = reader.uint8();
  if (consistency > 1) throw new MalformedError(`unknown consistency ${consistency}`);
  const length = count(reader, 2, "keys");
  const keys: Key[] = [];
  for (let i = 0; i < length; i++) keys.push(reader.binaryString(keyLength(reader), operations) as Key);
  return { type: "reads", batchId, rangeId, bounds, consistency: consistency === 0 ? "linearizable" : "stale", keys };
}

/** Bytes of the body. */
export function readResultsBytes({ results }: ReadResults): number {
  let total = resultsBytes + resultBytes * results.length;
  for (let i = 0; i < results.length; i++) total += results[i]!.value.length;
  return total;
}

export function writeReadResults(writer: BinaryWriter, message: ReadResults): void {
  putInteger(writer, message.batchId);
  writer.uint53(message.seen);
  const { results } = message;
  writer.uint32(results.length);
  for (let i = 0; i < results.length; i++) {
    const { version, value } = results[i]!;
    writer.uint53(version);
    writer.uint32(value.length);
    if (value.length > 0) writer.raw(value);
  }
}

export function readReadResults(reader: BinaryReader): ReadResults {
  const batchId = reader.uint53();
  const seen = reader.uint53() as Version;
  const length = count(reader, resultBytes, "results");
  const results: ReadResult[] = [];
  for (let i = 0; i < length; i++) {
    const version = reader.uint53() as Version;
    const valueBytes = reader.uint32();
    results.push({ version, value: valueBytes === 0 ? noValue : reader.subarray(valueBytes) });
  }
  return { type: "read-results", batchId, seen, results };
}

/** Bytes of the body. */
export function scanPageBytes({ records }: ScanPage): number {
  let total = pageBytes + recordBytes * records.length;
  for (let i = 0; i < records.length; i++) total += records[i]!.key.length + records[i]!.value.length;
  return total;
}

export function writeScanPage(writer: BinaryWriter, page: ScanPage): void {
  putInteger(writer, page.scanId);
  putInteger(writer, page.count);
  writer.uint8(page.last ? 1 : 0);
  const { records } = page;
  writer.uint32(records.length);
  for (let i = 0; i < records.length; i++) {
    const { key, version, value } = records[i]!;
    putKeyLength(writer, key);
    writer.uint53(version);
    writer.uint32(value.length);
    writer.binaryString(key);
    if (value.length > 0) writer.raw(value);
  }
}

export function readScanPage(reader: BinaryReader, operations: ByteOperations): ScanPage {
  const scanId = reader.uint53();
  const records: ScanRecord[] = [];
  const counted = reader.uint53();
  const last = reader.uint8();
  if (last > 1) throw new MalformedError(`a flag is ${last}, must be 0 or 1`);
  const length = count(reader, recordBytes, "records");
  for (let i = 0; i < length; i++) {
    const keyBytes = keyLength(reader);
    const version = reader.uint53() as Version;
    const valueBytes = reader.uint32();
    const key = reader.binaryString(keyBytes, operations) as Key;
    records.push({ key, version, value: valueBytes === 0 ? noValue : reader.subarray(valueBytes) });
  }
  return { type: "scan-page", scanId, records, count: counted, last: last === 1 };
}
