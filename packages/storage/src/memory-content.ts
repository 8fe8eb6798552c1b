/**
 * The content of a `MemoryEngine`: an ordered map that keeps, like LevelDB, every version of a key that an open view can
 * still see. A view is a sequence number; each batch takes the next one.
 */
import { assert } from "@flotilla/base";
import type { ByteOperations } from "@flotilla/base";

/** One put or delete of a batch; the bytes are the engine's own copies. */
export interface MemoryOperation {
  /** The key as a binary string. */
  readonly name: string;
  readonly key: Uint8Array;
  /** Undefined deletes. */
  readonly value: Uint8Array | undefined;
}

interface KeyVersion {
  readonly sequence: number;
  readonly operation: MemoryOperation;
  /** Older, with a lower sequence; kept only while a view needs it. */
  readonly older: KeyVersion | undefined;
}

export interface MemoryView {
  readonly sequence: number;
}

export class MemoryContent {
  #sequence = 0;
  readonly #newest = new Map<string, KeyVersion>();
  /** Every key of `#newest` is in exactly one of these two; `#sorted` is in order. */
  #sorted: string[] = [];
  #unsorted: string[] = [];
  /** In the order of opening, so that the first one is the oldest. */
  readonly #views = new Set<MemoryView>();

  apply(operations: readonly MemoryOperation[]): void {
    this.#sequence++;
    const oldest = this.#oldestView();
    for (const operation of operations) {
      const newest = this.#newest.get(operation.name);
      if (newest === undefined) this.#unsorted.push(operation.name);
      this.#newest.set(operation.name, {
        sequence: this.#sequence,
        operation,
        older: newest === undefined || newest.sequence === this.#sequence ? newest?.older : keptFor(newest, oldest),
      });
    }
  }

  /** What is written now. Must be closed. */
  openView(): MemoryView {
    const view = { sequence: this.#sequence };
    this.#views.add(view);
    return view;
  }

  closeView(view: MemoryView): void {
    this.#views.delete(view);
  }

  get(name: string, view: MemoryView | undefined): Uint8Array | undefined {
    return this.#visible(name, view)?.value;
  }

  /** The records in [start, end) that the view sees, in the direction asked, until `visit` returns false. */
  scan(
    start: string,
    end: string,
    reverse: boolean,
    view: MemoryView | undefined,
    visit: (operation: MemoryOperation) => boolean,
  ): void {
    this.#sort();
    const from = lowerBound(this.#sorted, start);
    const to = lowerBound(this.#sorted, end);
    const step = reverse ? -1 : 1;
    for (let i = reverse ? to - 1 : from; i >= from && i < to; i += step) {
      const operation = this.#visible(this.#sorted[i]!, view);
      if (operation?.value !== undefined && !visit(operation)) return;
    }
  }

  #visible(name: string, view: MemoryView | undefined): MemoryOperation | undefined {
    let found = this.#newest.get(name);
    if (view !== undefined) while (found !== undefined && found.sequence > view.sequence) found = found.older;
    return found?.operation;
  }

  #oldestView(): number | undefined {
    for (const view of this.#views) return view.sequence;
    return undefined;
  }

  /** Merges new keys in; without views, keys whose newest version is a delete go for good. */
  #sort(): void {
    if (this.#unsorted.length === 0) return;
    const forget = this.#views.size === 0;
    const fresh = this.#unsorted.sort();
    const merged: string[] = [];
    let i = 0;
    let j = 0;
    while (i < this.#sorted.length || j < fresh.length) {
      const takeOld = j === fresh.length || (i < this.#sorted.length && this.#sorted[i]! < fresh[j]!);
      const name = takeOld ? this.#sorted[i++]! : fresh[j++]!;
      if (forget && this.#newest.get(name)?.operation.value === undefined) this.#newest.delete(name);
      else merged.push(name);
    }
    this.#sorted = merged;
    this.#unsorted = [];
    assert(merged.length === this.#newest.size, () => `${merged.length} sorted keys, ${this.#newest.size} in the map`);
  }
}

/** The chain that views from `oldest` on may still read. */
function keptFor(version: KeyVersion, oldest: number | undefined): KeyVersion | undefined {
  if (oldest === undefined) return undefined;
  if (version.sequence <= oldest) return version.older === undefined ? version : { ...version, older: undefined };
  return version;
}

function lowerBound(sorted: readonly string[], name: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function memoryOperation(
  key: Uint8Array,
  value: Uint8Array | undefined,
  operations: ByteOperations,
): MemoryOperation {
  return {
    name: operations.binaryString(key, 0, key.length),
    key: copy(key, operations),
    value: value === undefined ? undefined : copy(value, operations),
  };
}

function copy(bytes: Uint8Array, operations: ByteOperations): Uint8Array {
  const copied = operations.allocate(bytes.length);
  copied.set(bytes);
  return copied;
}
