/**
 * The files of a debug bundle while they are gathered: in a directory of their own, bounded in number and size, with a list
 * of what is there and of what could not be had. The archive holds one directory, `flotilla-debug-TIME/`, with
 *
 *     bundle.json                      who made it, when and where; files; failures
 *     cluster/NAME.json                answers of the cluster
 *     http/HOST_PORT/NAME              metrics and health of a node
 *     directories/N/NAME               of a data directory on this machine: settings, list of files, end of the log
 */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isCoded } from "../exit-code.ts";

/** Over all files, before they are packed. */
export const bundleBytesMax: number = 64 * 1024 * 1024;
export const fileBytesMax: number = 8 * 1024 * 1024;

export interface BundleFile {
  readonly name: string;
  readonly sizeBytes: number;
  /** Only the first or, of a log, the last part is there. */
  readonly truncated: boolean;
}

export interface BundleFailure {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

export class BundleContents {
  readonly files: BundleFile[] = [];
  readonly failures: BundleFailure[] = [];
  readonly #directory: string;
  readonly #note: (text: string) => void;
  #bytes = 0;

  /** `note` is told of each file and each failure. */
  constructor(directory: string, note: (text: string) => void) {
    this.#directory = directory;
    this.#note = note;
  }

  /** What `fetch` gives becomes the file `name`; what it throws is listed. Gives what `fetch` gave, for other steps. */
  async gather<Content>(
    name: string,
    fetch: () => Promise<Content>,
    bytesOf: (content: Content) => { readonly bytes: Uint8Array; readonly truncated: boolean },
  ): Promise<Content | undefined> {
    try {
      const content = await fetch();
      const { bytes, truncated } = bytesOf(content);
      await this.#write(name, bytes, truncated);
      return content;
    } catch (error) {
      this.fail(name, error);
      return undefined;
    }
  }

  json<Content>(name: string, fetch: () => Promise<Content>): Promise<Content | undefined> {
    return this.gather(name, fetch, (content) => whole(Buffer.from(JSON.stringify(content, null, 1) + "\n")));
  }

  fail(name: string, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.failures.push({ name, code: isCoded(error) ? error.code : "Internal", message });
    this.#note(`${name}: ${message}\n`);
  }

  async #write(name: string, content: Uint8Array, wasTruncated: boolean): Promise<void> {
    const room = Math.min(fileBytesMax, bundleBytesMax - this.#bytes);
    const bytes = content.subarray(0, room);
    // Taken before the wait: others write at the same time.
    this.#bytes += bytes.length;
    const path = join(this.#directory, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
    const truncated = wasTruncated || bytes.length < content.length;
    this.files.push({ name, sizeBytes: bytes.length, truncated });
    this.#note(`${name}: ${bytes.length} bytes${truncated ? ", truncated" : ""}\n`);
  }
}

export const whole = (bytes: Uint8Array): { readonly bytes: Uint8Array; readonly truncated: boolean } => ({
  bytes,
  truncated: false,
});
