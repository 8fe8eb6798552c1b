/** The placement driver's side of `range check`: asks all members for their hashes, and compares those of one index. */
import { Failure } from "@flotilla/base";
import type { Environment, RangeDescriptor, StoreId } from "@flotilla/base";
import type { ReplicaHash, ReplicaHashRequest } from "@flotilla/transport";

const tries = 3;
const answerMsMax = 15_000;
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

  async check(ranges: readonly RangeDescriptor[]): Promise<CheckedRange[]> {
    const checked: CheckedRange[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      for (let at = next++; at < ranges.length; at = next++) checked[at] = await this.#checkOne(ranges[at]!);
    };
    await Promise.all(Array.from({ length: rangesAtOnce }, work));
    return checked;
  }

  async #checkOne(descriptor: RangeDescriptor): Promise<CheckedRange> {
    for (let i = 1; ; i++) {
      const { hashes, reached } = await this.#ask(descriptor);
      const result = compared(descriptor, hashes);
      // Again only when whoever can be reached was not taken at one moment.
      if (result.equal !== null || hashes.size < reached || i === tries) return result;
      if (reached < descriptor.replicas.length && result.replicas.filter(isHashed).length === reached) return result;
    }
  }

  async #ask({ rangeId, replicas }: RangeDescriptor): Promise<{
    readonly hashes: ReadonlyMap<number, ReplicaHash>;
    readonly reached: number;
  }> {
    if (this.#asked.size >= requestsMax) throw new Failure("Busy", "too many ranges are being checked");
    const requestId = ++this.#requestId;
    const hashes = new Map<number, ReplicaHash>();
    let reached = 0;
    await new Promise<void>((done) => {
      const timer = this.#host.environment.scheduler.after(answerMsMax, done);
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
    return { hashes, reached };
  }
}

const isHashed = ({ checksum }: CheckedRange["replicas"][number]): boolean => checksum !== null;

function compared({ rangeId, replicas }: RangeDescriptor, hashes: ReadonlyMap<number, ReplicaHash>): CheckedRange {
  let appliedIndex: number | null = null;
  for (const { index } of hashes.values()) appliedIndex = Math.max(appliedIndex ?? 0, index);
  const rows = replicas.map(({ replicaId, storeId }) => {
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
