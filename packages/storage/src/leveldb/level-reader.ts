import { ClassicLevel } from "classic-level";
import { EngineLife } from "../engine-life.ts";
import type { EngineIterator, IterateOptions, ReadView } from "../engine.ts";
import { JobGate } from "./job-gate.ts";
import { levelFailure } from "./level-failure.ts";
import { LevelReadView, asBytes, iterateLevel } from "./level-reads.ts";
import type { Level } from "./level-reads.ts";

/**
 * Reads, on another thread, what a `LevelEngine` of this process has open: LevelDB gives both the same database. Whoever
 * opens it sees to it that the engine is open for longer than this: alone, it would open the directory by LevelDB's rules.
 */
export class LevelReader {
  readonly #level: Level;
  readonly #life = new EngineLife();
  /** One of libuv's threads at a time; the engine's own gate leaves room for it. */
  readonly #reads = new JobGate(0, 1);
  readonly #failure: (error: unknown) => Error;

  private constructor(directory: string, level: Level) {
    this.#level = level;
    this.#failure = (error) => levelFailure("read", directory, error);
  }

  /** `directory` as the engine spells it. */
  static async open(directory: string): Promise<LevelReader> {
    const level: Level = new ClassicLevel<Uint8Array, Uint8Array>(directory, {
      ...asBytes,
      createIfMissing: false,
      multithreading: true,
      // Of no use: the first opener's cache is the one that counts.
      cacheSize: 1024,
    });
    try {
      await level.open();
    } catch (error) {
      throw levelFailure("read", directory, error);
    }
    return new LevelReader(directory, level);
  }

  readView(): ReadView {
    this.#life.check();
    return new LevelReadView(this.#level, this.#life, this.#failure);
  }

  iterate(options: IterateOptions): EngineIterator {
    this.#life.check();
    return iterateLevel(this.#level, options, this.#reads, this.#life, this.#failure);
  }

  /** Views and iterators are closed before. */
  async close(): Promise<void> {
    this.#life.close();
    await this.#level.close();
  }
}
