/** What an engine and a reader of the same LevelDB do alike. */
import type { ClassicLevel } from "classic-level";
import { assert } from "@flotilla/base";
import type { EngineLife } from "../engine-life.ts";
import type { EngineIterator, IterateOptions, ReadView } from "../engine.ts";
import type { JobGate } from "./job-gate.ts";
import { LevelIterator, pageBytes } from "./level-iterator.ts";
import type { NativeIterator } from "./level-iterator.ts";

export type Level = ClassicLevel<Uint8Array, Uint8Array>;

type Snapshot = ReturnType<Level["snapshot"]>;

/** Encodings that the library passes through; fixed objects, so that it does not copy options for each call. */
export const asBytes = { keyEncoding: "view", valueEncoding: "view" } as const;

export class LevelReadView implements ReadView {
  readonly #level: Level;
  readonly #life: EngineLife;
  readonly #failure: (error: unknown) => Error;
  readonly #options: { keyEncoding: "view"; valueEncoding: "view"; snapshot: Snapshot };
  #closed = false;

  constructor(level: Level, life: EngineLife, failure: (error: unknown) => Error) {
    this.#level = level;
    this.#life = life;
    this.#failure = failure;
    this.#options = { ...asBytes, snapshot: level.snapshot() };
  }

  get snapshot(): Snapshot {
    assert(!this.#closed, "the read view is closed");
    return this.#options.snapshot;
  }

  getNow(key: Uint8Array): Uint8Array | undefined {
    this.#life.check();
    assert(!this.#closed, "the read view is closed");
    try {
      return this.#level.getSync(key, this.#options);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#options.snapshot.close();
  }
}

export function snapshotOf(view: ReadView): Snapshot {
  assert(view instanceof LevelReadView, "a read view of another engine");
  return view.snapshot;
}

export function iterateLevel(
  level: Level,
  options: IterateOptions,
  gate: JobGate,
  life: EngineLife,
  failure: (error: unknown) => Error,
): EngineIterator {
  const range = {
    ...asBytes,
    gte: options.start,
    lt: options.end,
    reverse: options.reverse ?? false,
    highWaterMarkBytes: pageBytes,
    ...(options.view === undefined ? {} : { snapshot: snapshotOf(options.view) }),
  };
  const native: NativeIterator = options.keysOnly === true ? level.keys(range) : level.iterator(range);
  return new LevelIterator(native, gate, () => life.check(), failure);
}
