/**
 * Which keys may become files below a directory. A key is refused when its path would leave the directory, or would not be
 * the one name of its file: `..`, `.` and empty segments, an absolute path, NUL.
 */
import { compareBytes } from "@flotilla/base";

const slash = 0x2f;
const segmentBytesMax = 255;
const pathBytesMax = 4000;

/** Why not; `undefined` when the path is fine. */
export function unsafePath(path: Uint8Array): string | undefined {
  if (path.length === 0) return "nothing is left of the key behind the prefix";
  if (path.length > pathBytesMax) return `the path has ${path.length} bytes, at most ${pathBytesMax} are possible`;
  if (path.includes(0)) return "the key contains NUL";
  if (path[0] === slash) return "the key is an absolute path";
  for (const segment of segmentsOf(path)) {
    if (segment.length === 0) return "the key has an empty segment";
    if (segment.length > segmentBytesMax)
      return `a segment has ${segment.length} bytes, at most ${segmentBytesMax} are possible`;
    if (segment.every((byte) => byte === 0x2e) && segment.length <= 2)
      return `the key has a segment "${segment.length === 1 ? "." : ".."}"`;
  }
  return undefined;
}

export function segmentsOf(path: Uint8Array): Uint8Array[] {
  const segments: Uint8Array[] = [];
  let start = 0;
  for (let end = path.indexOf(slash); end >= 0; end = path.indexOf(slash, start)) {
    segments.push(path.subarray(start, end));
    start = end + 1;
  }
  segments.push(path.subarray(start));
  return segments;
}

/**
 * Finds `a` before `a/b` while paths come in the order of their bytes: of the files that were written only those stay in
 * memory that the path at hand begins with.
 */
export class ClashDetector {
  #prefixes: Uint8Array[] = [];

  /** The earlier path that the given one needs as a directory; otherwise the path counts as written. */
  add(path: Uint8Array): Uint8Array | undefined {
    this.#prefixes = this.#prefixes.filter(
      (prefix) => path.length > prefix.length && compareBytes(path.subarray(0, prefix.length), prefix) === 0,
    );
    const clash = this.#prefixes.find((prefix) => path[prefix.length] === slash);
    if (clash === undefined) this.#prefixes.push(path);
    return clash;
  }
}
