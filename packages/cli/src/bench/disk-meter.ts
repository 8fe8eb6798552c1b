/** Bytes that reached the disks below some directories, by whomever: what /sys/dev/block counts. */
import { readFileSync, statSync } from "node:fs";

const sectorBytes = 512;
/** Of `/sys/dev/block/M:m/stat`: sectors written are the 7th of its fields. */
const sectorsWrittenField = 6;

export class DiskMeter {
  readonly #statPaths: readonly string[] | null;

  /** `null` among them: that one lies on another machine, and no sum is known. */
  constructor(directories: readonly (string | null)[]) {
    const paths = directories.map(statPathOf);
    this.#statPaths = paths.every((path) => path !== null) && paths.length > 0 ? [...new Set(paths)] : null;
  }

  /** `null` where the file system lies on no disk of its own, as in many containers. */
  writtenBytes(): number | null {
    if (this.#statPaths === null) return null;
    let bytes = 0;
    for (const path of this.#statPaths) {
      const sectors = sectorsWritten(path);
      if (sectors === null) return null;
      bytes += sectors * sectorBytes;
    }
    return bytes;
  }
}

function statPathOf(directory: string | null): string | null {
  if (directory === null) return null;
  try {
    const { major, minor } = deviceNumbers(statSync(directory, { bigint: true }).dev);
    const path = `/sys/dev/block/${major}:${minor}/stat`;
    return sectorsWritten(path) === null ? null : path;
  } catch {
    return null;
  }
}

/** As glibc packs them into one number. */
export function deviceNumbers(device: bigint): { readonly major: bigint; readonly minor: bigint } {
  return {
    major: ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n),
    minor: (device & 0xffn) | ((device >> 12n) & 0xffffff00n),
  };
}

function sectorsWritten(path: string): number | null {
  try {
    const value = Number(readFileSync(path, "latin1").trim().split(/\s+/)[sectorsWrittenField]);
    return Number.isSafeInteger(value) ? value : null;
  } catch {
    return null;
  }
}
