/** The placement driver's side of `range check`: asks all members for their hashes, and compares those of one index. */
import { Failure, sameEpoch } from "@flotilla/base";
import type { Environment, RangeDescriptor, RangeId, StoreId } from "@flotilla/base";
import type { ReplicaHash, ReplicaHashRequest } from "@flotilla/transport";

/** With the same members, and with others each time. */
const triesMax = 3;
const changesMax = 10;
const answerMsMax = 15_000;
/** How often it is looked whether the members that were asked are the members still. */
const lookMs = 500;
/** Ranges that are checked at once. */
const rangesAtOnce = 8;
const requestsMax = 64;

export interface CheckedRange {
  readonly rangeId: number;
  readonly appliedIndex: number | null;
  readonly replicas: readonly {
    readonly storeId: number;
    /** Null: it gave no hash of that index. */
    readonly checksum: string | null;
    readonly keys: number | null;
    readonly bytes: number | null;
  }[];
  /** Null: not all could be compared. */
  readonly equal: boolean | null;
}

interface Asked {
  readonly rangeId: number;
  expected: number;
  readonly hashes: Map<number, ReplicaHash>;
  readonly done: () => void;
}

export interface RangeChecksHost {
  readonly environment: Environment;
  /** False: the store cannot be reached, there will be no answer. */
  send(to: StoreId, request: ReplicaHashRequest): boolean;
}

export class RangeChecks {
  readonly #host: RangeChecksHost;
  readonly #asked: Map<number, Asked> = new Map();
  #requestId = 0;

  constructor(host: RangeChecksHost) {
    this.#host = host;
  }

  onHash(hash: ReplicaHash): void {
    const asked = this.#asked.get(hash.requestId);
    if (asked?.rangeId !== hash.rangeId) return;
    asked.hashes.set(hash.replicaId, hash);
    if (asked.hashes.size === asked.expected) asked.done();
  }

  /** `current`: the range as it is now; undefined when it is no more. */
  async check(
    ranges: readonly RangeId[],
    current: (id: RangeId) => RangeDescriptor | undefined,
  ): Promise<CheckedRange[]> {
    const checked: (CheckedRange | undefined)[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      for (let at = next++; at < ranges.length; at = next++) {
        const id = ranges[at]!;
        checked[at] = await this.#checkOne(() => current(id));
      }
    };
    await Promise.all(Array.from({ length: rangesAtOnce }, work));
    return checked.filter((range) => range !== undefined);
  }

  /** Undefined: it was merged away meanwhile. */
  async #checkOne(current: () => RangeDescriptor | undefined): Promise<CheckedRange | undefined> {
    let changes = 0;
    for (let tries = 1; ; tries++) {
      const descriptor = current();
      if (descriptor === undefined) return undefined;
      const isChanged = (): boolean => {
        const now = current();
        return now === undefined || !sameEpoch(now.epoch, descriptor.epoch);
      };
      const { hashes, reached, wanted } = await this.#ask(descriptor, isChanged);
      const result = compared(descriptor, hashes);
      if (result.equal === null && isChanged() && changes++ < changesMax) {
        tries = 0;
        continue;
      }
      // Again only when whoever can be reached was not taken at one moment.
      if (result.equal !== null || hashes.size < reached || tries === triesMax) return result;
      if (reached < wanted && result.replicas.filter(isHashed).length === reached) return result;
    }
  }

  async #ask(
    descriptor: RangeDescriptor,
    isChanged: () => boolean,
  ): Promise<{
    readonly hashes: ReadonlyMap<number, ReplicaHash>;
    readonly reached: number;
    readonly wanted: number;
  }> {
    const { rangeId } = descriptor;
    const replicas = descriptor.replicas.filter(isCompared);
    const { scheduler, clock } = this.#host.environment;
    if (this.#asked.size >= requestsMax) throw new Failure("Busy", "too many ranges are being checked");
    const requestId = ++this.#requestId;
    const hashes = new Map<number, ReplicaHash>();
    let reached = 0;
    await new Promise<void>((done) => {
      const endMs = clock.monotonicMs() + answerMsMax;
      const look = (): void => {
        // Who is a member no longer may not answer, and who has become one was not asked.
        if (clock.monotonicMs() >= endMs || isChanged()) done();
        else timer = scheduler.after(lookMs, look);
      };
      let timer = scheduler.after(lookMs, look);
      const all = (): void => {
        timer.cancel();
        done();
      };
      const asked: Asked = { rangeId, expected: replicas.length, hashes, done: all };
      this.#asked.set(requestId, asked);
      for (const { storeId } of replicas) {
        if (this.#host.send(storeId, { type: "replica-hash-request", requestId, rangeId })) reached++;
      }
      asked.expected = reached;
      if (reached === 0) all();
    });
    this.#asked.delete(requestId);
    return { hashes, reached, wanted: replicas.length };
  }
}

/** A learner is being filled; it is nobody's copy yet. */
const isCompared = ({ role }: RangeDescriptor["replicas"][number]): boolean => role !== "learner";
const isHashed = ({ checksum }: CheckedRange["replicas"][number]): boolean => checksum !== null;

function compared({ rangeId, replicas }: RangeDescriptor, hashes: ReadonlyMap<number, ReplicaHash>): CheckedRange {
  let appliedIndex: number | null = null;
  for (const { index } of hashes.values()) appliedIndex = Math.max(appliedIndex ?? 0, index);
  const rows = replicas.filter(isCompared).map(({ replicaId, storeId }) => {
    const hash = hashes.get(replicaId);
    if (hash === undefined || hash.index !== appliedIndex) return { storeId, checksum: null, keys: null, bytes: null };
    const { checksum, keys, bytes } = hash;
    return { storeId, checksum: checksum.toString(16).padStart(8, "0"), keys, bytes };
  });
  const found = rows.filter(isHashed);
  const same = found.every(
    ({ checksum, keys, bytes }) =>
      checksum === found[0]!.checksum && keys === found[0]!.keys && bytes === found[0]!.bytes,
  );
  // Two that differ are a finding, whatever a third would say.
  const equal = !same ? false : found.length === rows.length ? true : null;
  return { rangeId, appliedIndex, replicas: rows, equal };
}
