/**
 * Files and directories of a simulated disk, each in two states: what the running machine sees, and what the platter
 * holds. A write goes to the first and is noted as unsynced; a sync moves it to the second. Created, renamed and
 * removed names are changes of their directory, made durable by a sync of that directory and by nothing else.
 */
import type { SeededRandom } from "../time/seeded-random.ts";
import { PagedContent } from "./paged-content.ts";

/** How much of what was not synced a power loss leaves behind. */
export type Remains =
  /** Nothing. */
  | "none"
  /** The first so many writes; the one behind them is torn at some byte. */
  | "torn"
  /** Any 512-byte sector may be there or not: the page cache writes back in no order. */
  | "sectors";

interface UnsyncedWrite {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

const sectorBytes = 512;

export class FileNode {
  visible: PagedContent = new PagedContent();
  durable: PagedContent = new PagedContent();
  /** In the order of writing. */
  unsynced: UnsyncedWrite[] = [];
  /** Writes that have left `unsynced`. */
  #settled = 0;

  /** Writes since the file was made: what a sync that begins now covers. */
  get writes(): number {
    return this.#settled + this.unsynced.length;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.visible.write(offset, bytes);
    this.unsynced.push({ offset, bytes });
  }

  /** The first so many writes of the file's life are durable now. */
  sync(writes: number): void {
    for (const write of this.#settle(writes)) this.durable.write(write.offset, write.bytes);
  }

  /** What a failed fsync does to the page cache: the pages count as clean and are never written again. */
  forgetUnsynced(writes: number): void {
    this.#settle(writes);
  }

  #settle(writes: number): UnsyncedWrite[] {
    const settled = this.unsynced.splice(0, Math.max(0, writes - this.#settled));
    this.#settled += settled.length;
    return settled;
  }

  losePower(remains: Remains, random: SeededRandom): void {
    const writes = this.#settle(this.writes);
    if (remains === "torn" && writes.length > 0) this.#keepPrefix(writes, random);
    if (remains === "sectors") this.#keepSectors(writes, random);
    this.visible = this.durable.copy();
  }

  #keepPrefix(writes: readonly UnsyncedWrite[], random: SeededRandom): void {
    const whole = random.below(writes.length);
    for (let i = 0; i < whole; i++) this.durable.write(writes[i]!.offset, writes[i]!.bytes);
    const torn = writes[whole]!;
    const length = random.between(0, torn.bytes.length);
    this.durable.write(torn.offset, torn.bytes.subarray(0, length));
  }

  #keepSectors(writes: readonly UnsyncedWrite[], random: SeededRandom): void {
    for (const { offset, bytes } of writes) {
      let at = 0;
      while (at < bytes.length) {
        const length = Math.min(bytes.length - at, sectorBytes - ((offset + at) % sectorBytes));
        if (random.chance(0.5)) this.durable.write(offset + at, bytes.subarray(at, at + length));
        at += length;
      }
      // The new size may have reached the platter without the content: a hole of zeros.
      if (random.chance(0.5)) this.durable.extend(offset + bytes.length);
    }
  }
}

/** Names with what they became; undefined: removed. */
type NameChange = readonly (readonly [name: string, node: DiskNode | undefined])[];

export class DirectoryNode {
  readonly visible: Map<string, DiskNode> = new Map();
  readonly durable: Map<string, DiskNode> = new Map();
  /** Changes since the last sync, in order. */
  #unsynced: NameChange[] = [];
  #settled = 0;

  /** Changes since the directory was made: what a sync that begins now covers. */
  get changes(): number {
    return this.#settled + this.#unsynced.length;
  }

  /** One atomic change of one or two names (a rename inside the directory has two). */
  change(names: NameChange): void {
    for (const [name, node] of names) setName(this.visible, name, node);
    this.#unsynced.push(names);
  }

  /** The first so many changes of the directory's life are durable now. */
  sync(changes: number): void {
    const settled = this.#unsynced.splice(0, Math.max(0, changes - this.#settled));
    this.#settled += settled.length;
    for (const names of settled) {
      for (const [name, node] of names) setName(this.durable, name, node);
    }
  }

  losePower(remains: Remains, random: SeededRandom): void {
    // Journals keep the order of name changes: a prefix of them may have reached the platter.
    if (remains !== "none") this.sync(random.between(this.#settled, this.changes));
    this.#settled = this.changes;
    this.#unsynced = [];
    this.visible.clear();
    for (const [name, node] of this.durable) {
      this.visible.set(name, node);
      node.losePower(remains, random);
    }
  }
}

export type DiskNode = FileNode | DirectoryNode;

function setName(names: Map<string, DiskNode>, name: string, node: DiskNode | undefined): void {
  if (node === undefined) names.delete(name);
  else names.set(name, node);
}
