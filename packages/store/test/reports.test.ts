/** What a store says of its ranges, and what the placement driver makes of it, over a network that loses, repeats and delays. */
import { incarnation, rangeId, storeId, term } from "@flotilla/base";
import type { Key, RangeDescriptor, RangeId, StoreId } from "@flotilla/base";
import type { RangeReport, ReportReceipt, StoreReport, StoreStatus } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import { RangeNews } from "../src/placement/range-news.ts";
import { ReportBook, newestRanges } from "../src/placement/report-book.ts";
import type { Replica } from "../src/replica/replica.ts";
import { StoreReplicas } from "../src/store-replicas.ts";
import { SmallRandom } from "./support/virtual-world.ts";

const driver = storeId(9);
const own = storeId(1);
const clock = { monotonicMs: () => 1000, wallMs: () => 1000 };

interface FakeReplica {
  readonly rangeId: RangeId;
  leads: boolean;
  descriptor: RangeDescriptor;
  sizeBytes: number;
  readonly node: { term: number };
  readonly sleep: { asleep: boolean };
}

function descriptorOf(range: RangeId, bounds: number): RangeDescriptor {
  const [start, end] = [`\x01${range}` as Key, `\x01${range}~` as Key];
  return { rangeId: range, start, end, epoch: { bounds, members: 1 }, replicas: [] };
}

/** A store with ranges that are plain numbers to play with. */
class FakeStore {
  readonly replicas = new StoreReplicas();
  readonly news: RangeNews;
  looks = 0;

  constructor(started = 1) {
    this.news = new RangeNews({
      incarnation: incarnation(started),
      replicas: this.replicas,
      status: () => ({ storeId: own }) as StoreStatus,
      rangeReport: (replica) => this.#report(replica as unknown as FakeReplica),
    });
  }

  add(id: number): FakeReplica {
    const range = rangeId(id);
    const fake = { rangeId: range, leads: true, descriptor: descriptorOf(range, 1), sizeBytes: 0 };
    const replica: FakeReplica = { ...fake, node: { term: 1 }, sleep: { asleep: false } };
    this.replicas.add(replica as unknown as Replica);
    return replica;
  }

  sleep(replica: FakeReplica, asleep: boolean): void {
    replica.sleep.asleep = asleep;
    this.replicas.noteSleep(replica as unknown as Replica, asleep);
  }

  forget(replica: FakeReplica): void {
    replica.leads = false;
    this.replicas.forget(replica as unknown as Replica);
  }

  #report(replica: FakeReplica): RangeReport {
    this.looks++;
    return {
      descriptor: replica.descriptor,
      term: term(replica.node.term),
      leaderStoreId: own,
      sizeBytes: replica.sizeBytes,
      sizeKnown: true,
      keys: null,
      writesPerSecond: 0,
      readsPerSecond: 0,
      bytesPerSecond: 0,
      load: { operationsPerSecond: 0, bytesPerSecond: 0, loopPercent: 0, splitKey: undefined, splitReason: "" },
      asleep: replica.sleep.asleep,
      configurationPending: false,
      sealedFor: undefined,
      replicas: [],
    };
  }
}

const told = (store: FakeStore): RangeId[] => [...store.news.known().keys()].sort((a, b) => a - b);
const known = (book: ReportBook): RangeId[] => [...(book.report(own)?.ranges.keys() ?? [])].sort((a, b) => a - b);

/** One report that arrives, and whose answer arrives. */
function exchange(store: FakeStore, book: ReportBook, to: StoreId = driver): StoreReport {
  const report = store.news.report(to);
  store.news.onReceipt(to, book.note(report));
  return report;
}

describe("reports to the placement driver", () => {
  test("hold what has changed since the last one that was acknowledged, and nothing of what sleeps", () => {
    const store = new FakeStore();
    const book = new ReportBook(clock);
    const replicas = Array.from({ length: 100 }, (_, at) => store.add(2 + at));
    const first = exchange(store, book);
    expect([first.base, first.ranges.length, first.gone]).toEqual([0, 100, []]);
    for (const replica of replicas) store.sleep(replica, true);
    expect(exchange(store, book).ranges).toHaveLength(100);
    store.looks = 0;
    const quiet = exchange(store, book);
    expect([quiet.base, quiet.ranges, quiet.gone, store.looks]).toEqual([2, [], [], 0]);
    store.sleep(replicas[3]!, false);
    replicas[3]!.sizeBytes = 7;
    store.forget(replicas[5]!);
    const next = exchange(store, book);
    expect([next.base, next.ranges.map(({ sizeBytes }) => sizeBytes), next.gone]).toEqual([3, [7], [rangeId(7)]]);
    expect(store.looks).toBe(1);
    expect(known(book)).toEqual(told(store));
  });

  test("are repeated until they are acknowledged, and begin anew for another driver", () => {
    const store = new FakeStore();
    const book = new ReportBook(clock);
    const replica = store.add(2);
    store.sleep(store.add(3), true);
    exchange(store, book);
    replica.node.term = 2;
    const lost = store.news.report(driver);
    expect(lost.ranges).toHaveLength(1);
    const again = store.news.report(driver);
    expect(again.ranges).toEqual(lost.ranges);
    expect(again.base).toBe(lost.base);
    const other = new ReportBook(clock);
    const whole = exchange(store, other, storeId(8));
    expect([whole.base, whole.ranges.length]).toEqual([0, 2]);
    // The first one's answers are not for it.
    store.news.onReceipt(driver, { type: "report-receipt", incarnation: incarnation(1), sequence: 0 });
    expect(exchange(store, other, storeId(8)).base).toBe(whole.sequence);
  });

  test("are asked for in whole by a driver that has forgotten, and are urgent then", () => {
    const store = new FakeStore();
    store.sleep(store.add(2), true);
    exchange(store, new ReportBook(clock));
    const started = new ReportBook(clock);
    const changes = exchange(store, started);
    expect([changes.base, started.report(own)]).toEqual([1, undefined]);
    expect(store.news.pressing).toBe(true);
    expect(exchange(store, started).base).toBe(0);
    expect(known(started)).toEqual([rangeId(2)]);
    expect(store.news.pressing).toBe(false);
  });

  test("press when leaders, terms or epochs change, and for nothing else", () => {
    const store = new FakeStore();
    const book = new ReportBook(clock);
    const replica = store.add(2);
    expect(store.news.pressing).toBe(true);
    exchange(store, book);
    replica.sizeBytes = 1;
    expect(store.news.pressing).toBe(false);
    const changes: (() => void)[] = [
      () => (replica.node.term = 5),
      () => (replica.descriptor = descriptorOf(replica.rangeId, 2)),
      () => (replica.leads = false),
      () => (replica.leads = true),
      () => store.forget(replica),
    ];
    for (const change of changes) {
      change();
      expect(store.news.pressing).toBe(true);
      exchange(store, book);
      expect(store.news.pressing).toBe(false);
    }
  });

  test("hold a bounded number of ranges, and are complete when the last of them has come", () => {
    const store = new FakeStore();
    const book = new ReportBook(clock);
    for (let id = 2; id < 10_002; id++) store.sleep(store.add(id), true);
    const first = exchange(store, book);
    expect(first.more).toBe(true);
    expect(first.ranges.length).toBeLessThan(5000);
    expect(book.isComplete(own, 0)).toBe(false);
    let reports = 1;
    while (store.news.pressing) {
      expect(exchange(store, book).base).toBe(reports);
      reports++;
    }
    expect(reports).toBeGreaterThan(2);
    expect(book.isComplete(own, 0)).toBe(true);
    expect(book.isComplete(own, 1001)).toBe(false);
    expect(known(book)).toHaveLength(10_000);
  });

  test("of an earlier process, and late ones, change nothing", () => {
    const before = new FakeStore(1);
    before.add(2);
    const book = new ReportBook(clock);
    exchange(before, book);
    const late = before.news.report(driver);
    const store = new FakeStore(2);
    store.add(3);
    const whole = exchange(store, book);
    book.note(late);
    expect(known(book)).toEqual([rangeId(3)]);
    store.add(4);
    exchange(store, book);
    expect(book.note(whole).sequence).toBe(2);
    expect(known(book)).toEqual([rangeId(3), rangeId(4)]);
  });

  test("give their descriptors to the map when one of the store's ranges has another epoch", () => {
    const store = new FakeStore();
    const book = new ReportBook(clock);
    const replica = store.add(2);
    store.add(3);
    const given = (all = false): RangeId[] => [...book.takeDescriptors(5000, all)].map(({ rangeId: id }) => id);
    exchange(store, book);
    expect(given()).toEqual([rangeId(2), rangeId(3)]);
    replica.sizeBytes = 5;
    exchange(store, book);
    expect(given()).toEqual([]);
    replica.descriptor = descriptorOf(replica.rangeId, 2);
    exchange(store, book);
    expect(given()).toEqual([rangeId(2), rangeId(3)]);
    expect(given(true)).toHaveLength(2);
  });

  test("E18 leave the driver with what is so, whatever of them was lost, late, or came twice", () => {
    for (let seed = 1; seed <= 200; seed++) playLosses(new SmallRandom(seed));
  });
});

/** Changes, lost and delayed messages in any order; then an exchange or two in which nothing is lost. */
function playLosses(random: SmallRandom): void {
  const draw = (below: number): number => random.uint32() % below;
  const store = new FakeStore();
  let book = new ReportBook(clock);
  const replicas = new Map<number, FakeReplica>();
  const reports: StoreReport[] = [];
  const receipts: ReportReceipt[] = [];
  for (let step = 0; step < 120; step++) {
    const id = 2 + draw(8);
    const replica = replicas.get(id);
    if (replica === undefined) replicas.set(id, store.add(id));
    else if (draw(6) === 0) {
      store.forget(replica);
      replicas.delete(id);
    } else if (replica.sleep.asleep) store.sleep(replica, false);
    else {
      replica.leads = draw(3) > 0;
      replica.node.term++;
      replica.sizeBytes = draw(100);
      if (draw(2) === 0) store.sleep(replica, true);
    }
    if (draw(40) === 0) book = new ReportBook(clock);
    if (draw(2) === 0) reports.push(store.news.report(driver));
    const arrives = reports[Math.max(0, reports.length - 1 - draw(4))];
    if (arrives !== undefined && draw(3) > 0) receipts.push(book.note(arrives));
    const answer = receipts[Math.max(0, receipts.length - 1 - draw(4))];
    if (answer !== undefined && draw(3) > 0) store.news.onReceipt(driver, answer);
  }
  // The first may rest on what this book does not have.
  for (let i = 0; i < 2; i++) exchange(store, book);
  const newest = newestRanges(book.fresh(5000));
  expect(new Map([...newest].sort(([a], [b]) => a - b))).toEqual(
    new Map([...store.news.known()].sort(([a], [b]) => a - b)),
  );
}
