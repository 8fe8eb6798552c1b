/**
 * Hashes replicas for `range check`. All replicas of a range are taken at the same applied index: that of an entry without
 * records, which the leader proposes for it. What is hashed is what a reader would find: keys with their newest records,
 * byte for byte. It is read in pages, so that the store's other work goes on between them.
 */
import type { ByteOperations, Environment, Key, StoreId } from "@flotilla/base";
import { newestKey } from "@flotilla/storage";
import type { Engine, EngineIterator } from "@flotilla/storage";
import type { ReplicaHash, ReplicaHashRequest } from "@flotilla/transport";
import type { Cell } from "../replica/memtable.ts";
import type { Replica } from "../replica/replica.ts";
import { isDelete, recordCell } from "../replica/state-machine.ts";

/** How long the leader waits for the other stores to have heard of the request. */
const spreadMs = 200;
/** Replicas of this store that are being hashed, or wait for their moment; more are not begun. */
const hashesMax = 16;
const pageRecords = 1000;
const pageBytes = 256 * 1024;

export interface ReplicaHasherHost {
  readonly environment: Environment;
  readonly engine: Engine;
  replica(rangeId: number): Replica | undefined;
  answer(to: StoreId, hash: ReplicaHash): void;
  fail(error: unknown): void;
}

export class ReplicaHasher {
  readonly #host: ReplicaHasherHost;
  #underWay = 0;

  constructor(host: ReplicaHasherHost) {
    this.#host = host;
  }

  /** Without a replica here, with too much to do, or when its leader changes, there is no answer. */
  onRequest(from: StoreId, { requestId, rangeId }: ReplicaHashRequest): void {
    const replica = this.#host.replica(rangeId);
    if (replica === undefined || replica.loading || this.#underWay >= hashesMax) return;
    replica.atBarrier = () => this.#hash(from, requestId, replica);
    if (!replica.serves) return;
    const { term } = replica.node;
    this.#host.environment.scheduler.after(spreadMs, () => void replica.proposeRecords(term, []));
  }

  /** In the step in which the barrier is applied. */
  #hash(from: StoreId, requestId: number, replica: Replica): void {
    this.#underWay++;
    const { rangeId, replicaId } = replica;
    const index = replica.machine.appliedIndex;
    const walk = new HashWalk(replica, this.#host.engine, this.#host.environment);
    walk.run().then(
      ({ checksum, keys, bytes }) => {
        this.#underWay--;
        this.#host.answer(from, { type: "replica-hash", requestId, rangeId, replicaId, index, checksum, keys, bytes });
      },
      (error: unknown) => this.#host.fail(error),
    );
  }
}

/** One pass over what the replica holds at the moment when this is made. */
class HashWalk {
  checksum = 0;
  keys = 0;
  bytes = 0;
  readonly #operations: ByteOperations;
  readonly #environment: Environment;
  readonly #iterator: EngineIterator;
  readonly #memoryKeys: readonly Key[];
  readonly #memoryCells: readonly Cell[];
  #memoryAt = 0;

  constructor({ machine }: Replica, engine: Engine, environment: Environment) {
    const { start, end } = machine.descriptor;
    this.#environment = environment;
    this.#operations = environment.bytes;
    this.#iterator = engine.iterate({
      start: newestKey(start, environment.bytes),
      end: newestKey(end, environment.bytes),
    });
    const { keys, cells } = machine.memtable.snapshot(start, end);
    this.#memoryKeys = keys;
    this.#memoryCells = cells;
  }

  async run(): Promise<this> {
    try {
      for (;;) {
        const page = await this.#iterator.next(pageRecords, pageBytes);
        for (const { key: engineKey, value } of page) {
          const key = this.#operations.binaryString(engineKey, 1, engineKey.length) as Key;
          await this.#memoryBefore(key);
          if (this.#memoryKeys[this.#memoryAt] === key) continue;
          this.#take(key, recordCell(value));
        }
        if (page.length === 0) break;
      }
      await this.#memoryBefore(undefined);
      return this;
    } finally {
      await this.#iterator.close();
    }
  }

  /** Takes the records in memory up to `key`, and leaves that one to stand for the engine's. */
  async #memoryBefore(key: Key | undefined): Promise<void> {
    for (let i = 1; this.#memoryAt < this.#memoryKeys.length; i++) {
      const next = this.#memoryKeys[this.#memoryAt]!;
      if (key !== undefined && next >= key) return;
      this.#take(next, this.#memoryCells[this.#memoryAt]!);
      this.#memoryAt++;
      if (i % pageRecords === 0) await new Promise<void>((resolve) => this.#environment.scheduler.after(1, resolve));
    }
  }

  #take(key: Key, cell: Cell): void {
    if (isDelete(cell)) return;
    const operations = this.#operations;
    const name = operations.allocate(key.length);
    operations.writeBinaryString(name, key, 0);
    const seed = operations.crc32(name, 0, name.length, this.checksum);
    this.checksum = operations.crc32(cell.bytes, cell.offset, cell.offset + cell.length, seed);
    this.keys++;
    this.bytes += key.length + cell.length;
  }
}
