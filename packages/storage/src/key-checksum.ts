/**
 * CRC-32 (IEEE, as in zlib) of a binary string. Keys live in memory as strings; for the lengths that keys have, a table
 * walk is cheaper than writing the string into memory and calling the platform's CRC, and it needs no scratch space.
 */
const table: Uint32Array = buildTable();

/** Continues from `seed` (0 to begin), so that `ByteOperations.crc32` can go on from the result. Unsigned. */
export function crc32OfBinaryString(text: string, seed: number): number {
  let crc = ~seed;
  for (let i = 0; i < text.length; i++) {
    crc = table[(crc ^ text.charCodeAt(i)) & 0xff]! ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

function buildTable(): Uint32Array {
  const built = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
    built[byte] = crc;
  }
  return built;
}
