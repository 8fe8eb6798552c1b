import { logIndex, term } from "@flotilla/base";
import type { SharedLog } from "@flotilla/raft-log";
import type { Message, Persistence } from "@flotilla/raft";
import { beforeEach, describe, expect, test } from "vitest";
import { PersistBatches } from "../src/persist-batches.ts";
import type { Replica } from "../src/replica/replica.ts";

let events: string[];
let flushes: { resolve: () => void; reject: (error: Error) => void }[];
let failure: unknown;
let now: number;
let batches: PersistBatches;
let onMessages: () => void;

const log = {
  flush: () => new Promise<void>((resolve, reject) => void flushes.push({ resolve, reject })),
} as unknown as SharedLog;

const replica = {
  retired: false,
  persisted: ({ lastIndex }: Persistence) => void events.push(`persisted ${lastIndex}`),
} as unknown as Replica;

const upTo = (index: number): Persistence => ({
  term: term(1),
  lastIndex: logIndex(index),
  lastTerm: term(1),
  snapshotIndex: logIndex(0),
});

const messages: Message[] = [{ type: "timeout-now" } as Message];

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  events = [];
  flushes = [];
  failure = undefined;
  now = 1000;
  onMessages = () => {};
  batches = new PersistBatches(
    log,
    { monotonicMs: () => now, wallMs: () => 0 },
    {
      releaseMessages: () => {
        events.push("messages");
        onMessages();
      },
      onDurable: () => void events.push("durable"),
      onFailure: (error) => {
        failure = error;
      },
    },
  );
});

describe("what waits for the log", () => {
  test("A2 is released in the order in which it came, and not before its own batch is durable", async () => {
    batches.add(replica, upTo(1), undefined);
    batches.addBehind(replica, undefined, messages);
    batches.flush();
    batches.add(replica, upTo(2), () => void events.push("load"));
    batches.addBehind(replica, undefined, messages);
    batches.flush();
    await turn();
    expect(events).toEqual([]);
    expect(flushes).toHaveLength(1);
    flushes[0]!.resolve();
    await turn();
    expect(events).toEqual(["persisted 1", "messages", "durable"]);
    batches.flush();
    flushes[1]!.resolve();
    await turn();
    expect(events.slice(3)).toEqual(["persisted 2", "load", "messages", "durable"]);
    expect(batches.idle).toBe(true);
  });

  test("A2 what has nothing to write waits for the batch under way, and leaves at once when there is none", async () => {
    batches.addBehind(replica, undefined, messages);
    expect(events).toEqual(["messages"]);
    batches.add(replica, upTo(1), undefined);
    batches.flush();
    batches.addBehind(replica, upTo(1), messages);
    expect(events).toEqual(["messages"]);
    flushes[0]!.resolve();
    await turn();
    expect(events).toEqual(["messages", "persisted 1", "messages", "persisted 1", "durable"]);
  });

  test("F1 of a failed batch nothing is released, then or later", async () => {
    batches.add(replica, upTo(1), undefined);
    batches.flush();
    batches.addBehind(replica, undefined, messages);
    flushes[0]!.reject(new Error("EIO"));
    await turn();
    batches.add(replica, upTo(2), undefined);
    batches.flush();
    await turn();
    expect(events).toEqual([]);
    expect(flushes).toHaveLength(1);
    expect(failure).toMatchObject({ message: "EIO" });
  });

  test("I6 a step that fails when it is released is a failure like any other", async () => {
    onMessages = () => {
      throw new Error("a broken invariant");
    };
    batches.add(replica, upTo(1), undefined);
    batches.addBehind(replica, undefined, messages);
    batches.flush();
    flushes[0]!.resolve();
    await turn();
    expect(failure).toMatchObject({ message: "a broken invariant" });
  });

  test("H4 tells how long the batch under way has been waited for", async () => {
    expect(batches.underWayMs).toBe(0);
    batches.add(replica, upTo(1), undefined);
    batches.flush();
    now += 700;
    expect(batches.underWayMs).toBe(700);
    flushes[0]!.resolve();
    await turn();
    expect(batches.underWayMs).toBe(0);
  });
});
