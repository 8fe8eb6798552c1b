/**
 * What the placement driver does not know yet of the ranges that this store leads. A report says what has changed since one
 * that the driver has acknowledged, and the next ones repeat it until they are; to another driver, or to one that lacks the
 * report that the changes rest on, everything is said. What a report leaves out is as it was. So ranges that sleep cost
 * nothing here: looked at are those that are awake, or were since the last time.
 */
import { noStore } from "@flotilla/base";
import type { Incarnation, RangeId, StoreId } from "@flotilla/base";
import type {
  LoadReport,
  RangeReport,
  ReplicaReport,
  ReportReceipt,
  StoreReport,
  StoreStatus,
} from "@flotilla/transport";
import type { Replica } from "../replica/replica.ts";
import type { StoreReplicas } from "../store-replicas.ts";

/** Of one report, roughly; what is left out for that goes into the next one. */
const reportBytesMax: number = 1024 * 1024;
/** In no report yet. */
const unsaid = 0;

export interface RangeNewsHost {
  readonly incarnation: Incarnation;
  readonly replicas: StoreReplicas;
  status(): StoreStatus;
  rangeReport(replica: Replica): RangeReport;
}

export class RangeNews {
  readonly #host: RangeNewsHost;
  /** Of each range that this store leads, as of the last look. */
  readonly #known: Map<RangeId, RangeReport> = new Map();
  /**
   * Ranges, led or not any more, of which the driver may not know what is so now; with the first report that says it.
   * In the order in which they changed, so what is in a report stands in front of what is in none.
   */
  readonly #owed: Map<RangeId, number> = new Map();
  /** Of the last report. */
  #sequence = 0;
  /** The driver has it, and what it rests on. 0 = none; ≤ #sequence */
  #acknowledged = 0;
  /** Reports up to here were of what does not count any more: what is said of them comes too late. */
  #void = 0;
  #driver: StoreId = noStore;
  /** The last report did not hold everything that was owed. */
  #more = false;
  /** The driver asked for everything. */
  #asked = false;
  /** `replicas.forgotten` as of the last look. */
  #forgotten = 0;

  constructor(host: RangeNewsHost) {
    this.#host = host;
  }

  /** Of all ranges that this store leads, as of now. */
  known(): ReadonlyMap<RangeId, RangeReport> {
    this.#look();
    return this.#known;
  }

  /** Something that is not left for the time of the next report: another leader, term or epoch, or what the last had no room for. */
  get pressing(): boolean {
    const { replicas } = this.#host;
    const goesOn = this.#asked || (this.#more && this.#acknowledged === this.#sequence);
    if (goesOn || replicas.forgotten !== this.#forgotten) return true;
    for (const replica of replicas.awake) {
      const known = this.#known.get(replica.rangeId);
      if (replica.leads !== (known !== undefined)) return true;
      if (known !== undefined && (known.term !== replica.node.term || known.descriptor !== replica.descriptor))
        return true;
    }
    return false;
  }

  /** For that driver. */
  report(driver: StoreId): StoreReport {
    if (driver !== this.#driver) this.#startOver(driver);
    this.#look();
    this.#asked = false;
    const sequence = ++this.#sequence;
    const ranges: RangeReport[] = [];
    const gone: RangeId[] = [];
    let bytes = 0;
    for (const [rangeId, said] of this.#owed) {
      const range = this.#known.get(rangeId);
      bytes += range === undefined ? 9 : rangeBytes(range);
      if (bytes > reportBytesMax) break;
      if (said === unsaid) this.#owed.set(rangeId, sequence);
      if (range === undefined) gone.push(rangeId);
      else ranges.push(range);
    }
    this.#more = this.#owed.size > ranges.length + gone.length;
    return {
      type: "store-report",
      incarnation: this.#host.incarnation,
      sequence,
      base: this.#acknowledged,
      more: this.#more,
      status: this.#host.status(),
      ranges,
      gone,
    };
  }

  /** What the driver says to a report; late and repeated ones change nothing. */
  onReceipt(from: StoreId, { incarnation, sequence }: ReportReceipt): void {
    if (from !== this.#driver || incarnation !== this.#host.incarnation || sequence > this.#sequence) return;
    if (sequence === 0) {
      this.#startOver(from);
      this.#asked = true;
    }
    if (sequence <= Math.max(this.#acknowledged, this.#void)) return;
    this.#acknowledged = sequence;
    for (const [rangeId, said] of this.#owed) {
      if (said === unsaid) break;
      if (said <= sequence) this.#owed.delete(rangeId);
    }
  }

  /** It knows nothing, or not what it should: everything that is so, and nothing of what was. */
  #startOver(driver: StoreId): void {
    this.#driver = driver;
    this.#acknowledged = 0;
    this.#void = this.#sequence;
    this.#more = false;
    this.#owed.clear();
    for (const rangeId of this.#known.keys()) this.#owed.set(rangeId, unsaid);
  }

  #look(): void {
    const { replicas } = this.#host;
    this.#forgotten = replicas.forgotten;
    for (const { rangeId } of replicas.takeChanging()) {
      const replica = replicas.get(rangeId);
      const before = this.#known.get(rangeId);
      if (replica?.leads !== true) {
        if (!this.#known.delete(rangeId)) continue;
      } else {
        const report = this.#host.rangeReport(replica);
        if (before !== undefined && isSame(before, report)) continue;
        this.#known.set(rangeId, report);
      }
      this.#owed.delete(rangeId);
      this.#owed.set(rangeId, unsaid);
    }
  }
}

const rangeBytes = ({ descriptor, load }: RangeReport): number =>
  256 +
  descriptor.start.length +
  descriptor.end.length +
  64 * descriptor.replicas.length +
  (load.splitKey?.length ?? 0);

function isSame(a: RangeReport, b: RangeReport): boolean {
  return (
    a.descriptor === b.descriptor &&
    a.term === b.term &&
    a.sizeBytes === b.sizeBytes &&
    a.sizeKnown === b.sizeKnown &&
    a.keys === b.keys &&
    a.writesPerSecond === b.writesPerSecond &&
    a.readsPerSecond === b.readsPerSecond &&
    a.bytesPerSecond === b.bytesPerSecond &&
    a.asleep === b.asleep &&
    a.configurationPending === b.configurationPending &&
    a.sealedFor?.rangeId === b.sealedFor?.rangeId &&
    a.sealedFor?.bounds === b.sealedFor?.bounds &&
    isSameLoad(a.load, b.load) &&
    a.replicas.length === b.replicas.length &&
    a.replicas.every((replica, at) => isSameReplica(replica, b.replicas[at]!))
  );
}

const isSameLoad = (a: LoadReport, b: LoadReport): boolean =>
  a.operationsPerSecond === b.operationsPerSecond &&
  a.bytesPerSecond === b.bytesPerSecond &&
  a.loopPercent === b.loopPercent &&
  a.splitKey === b.splitKey &&
  a.splitReason === b.splitReason;

const isSameReplica = (a: ReplicaReport, b: ReplicaReport): boolean =>
  a.replicaId === b.replicaId &&
  a.storeId === b.storeId &&
  a.match === b.match &&
  a.state === b.state &&
  a.active === b.active;
