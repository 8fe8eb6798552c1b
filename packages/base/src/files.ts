/**
 * Files as the shared log and the staging directory use them. The simulator's twin loses on a crash everything
 * that was not synced, and may tear the last write; it has one conformance suite with the real one.
 * Paths use `/` and are relative to the store's directory.
 */
export interface Files {
  /** Names (not paths) in a directory, sorted; empty when it does not exist. */
  list(directory: string): Promise<string[]>;
  makeDirectory(directory: string): Promise<void>;
  /** Makes created, renamed and removed names of the directory durable. */
  syncDirectory(directory: string): Promise<void>;
  /** `create` fails when the file exists; `write` opens an existing one for reading and writing. */
  open(path: string, mode: "read" | "write" | "create"): Promise<OpenFile>;
  exists(path: string): Promise<boolean>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Bytes that an unprivileged user could still write on the disk of the directory. */
  freeBytes(): Promise<number>;
}

/** Errors of the platform keep their `code` (`ENOSPC`, `EIO`, …). A short write is completed or rejected, never ignored. */
export interface OpenFile {
  readonly path: string;
  size(): Promise<number>;
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Blocks the thread; for short reads that are likely in the page cache. Short at the end of the file. */
  readNow(offset: number, length: number): Uint8Array;
  /** All chunks, one behind the other, at the offset. The chunks must not change until the promise settles. */
  write(offset: number, chunks: readonly Uint8Array[]): Promise<void>;
  /** fdatasync: content, and the size where it changed, are durable when it resolves. */
  sync(): Promise<void>;
  close(): Promise<void>;
}
