import { describe, expect, test } from "vitest";
import { statusApplied, statusConditionFailed, statusRepeated } from "../src/replica/entry-format.ts";
import type { SessionNumbers } from "../src/replica/session-numbers.ts";
import {
  SessionTable,
  sessionClientsMax,
  sessionNumbersMax,
  sessionWindowVersions,
} from "../src/replica/session-table.ts";

const now = 400_000_000_000_000;
const client = 77;

const listed = (numbers: SessionNumbers): number[] => Array.from({ length: numbers.size }, (_, i) => numbers.at(i));

describe("the session table (rule: apply once)", () => {
  test("H1 a command applied once is recognized by its number, on any replica that applied the entry", () => {
    for (const table of [new SessionTable(), new SessionTable()]) {
      const session = table.session(client);
      expect(table.judge(session, 5, now, now)).toBe("new");
      table.apply(session, 5, statusApplied, now + 1, false, now, now + 1);
      expect(table.judge(session, 5, now, now + 1)).toBe("applied");
      expect(session.numbers.get(5)).toEqual({
        status: statusApplied,
        version: now + 1,
        existed: false,
        firstSent: now,
      });
    }
  });

  test("a command under way is recognized before it is applied, and forgotten with the term", () => {
    const table = new SessionTable();
    const session = table.session(client);
    table.notePending(session, 5, now);
    expect(table.judge(session, 5, now, now)).toBe("pending");
    table.dropPending();
    expect(table.judge(session, 5, now, now)).toBe("new");
  });

  test("the outcome of a repeated command stays the first one's", () => {
    const table = new SessionTable();
    const session = table.session(client);
    table.apply(session, 5, statusConditionFailed, 42, true, now, now + 1);
    table.apply(session, 5, statusRepeated, 0, false, now, now + 2);
    expect(session.numbers.get(5)).toEqual({
      status: statusConditionFailed,
      version: 42,
      existed: true,
      firstSent: now,
    });
  });

  test("below the floor nothing is kept and everything is refused, and the floor never falls", () => {
    const table = new SessionTable();
    const session = table.session(client);
    for (let number = 1; number <= 10; number++)
      table.apply(session, number, statusApplied, now + number, false, now, now + number);
    table.applyFloor(session, 8);
    expect(listed(session.numbers)).toEqual([8, 9, 10]);
    expect(table.judge(session, 7, now, now)).toBe("below-floor");
    table.applyFloor(session, 3);
    expect(table.judge(session, 7, now, now)).toBe("below-floor");
  });

  test("a number under way below a new floor is not lost before it is applied", () => {
    const table = new SessionTable();
    const session = table.session(client);
    table.notePending(session, 4, now);
    table.applyFloor(session, 6);
    expect(session.numbers.has(4)).toBe(true);
  });

  test("a command first sent before the window is refused, so that a forgotten one is never applied again", () => {
    const table = new SessionTable();
    const session = table.session(client);
    table.apply(session, 1, statusApplied, now, false, now, now);
    const later = now + sessionWindowVersions + 60_000 * 4096;
    table.apply(session, 2, statusApplied, later, false, later, later);
    table.sweep(now, later);
    expect(session.numbers.has(1)).toBe(false);
    expect(table.judge(session, 1, now, later)).toBe("too-old");
    expect(table.judge(session, 2, later, later)).toBe("applied");
  });

  test("a client that fell silent is forgotten, by the versions in the log alone", () => {
    const table = new SessionTable();
    const session = table.session(client);
    table.apply(session, 1, statusApplied, now, false, now, now);
    table.takeChanges();
    const later = now + sessionWindowVersions + 60_000 * 4096;
    table.sweep(now, later);
    expect(table.size).toBe(0);
    expect(table.takeChanges()).toEqual({ changed: [], removed: [client] });
  });

  test("a leader's command under way survives the sweep that forgets its client, so that a retry is still recognized", () => {
    const table = new SessionTable();
    const session = table.session(client);
    table.apply(session, 1, statusApplied, now, false, now, now);
    const later = now + sessionWindowVersions + 60_000 * 4096;
    table.notePending(session, 9, later);
    table.sweep(now, later);
    expect(table.session(client)).toBe(session);
    expect(table.judge(session, 9, later, later)).toBe("pending");
    expect(table.takeChanges().removed).toEqual([client]);
  });

  test("a client cannot make a range remember without bound", () => {
    const table = new SessionTable();
    const session = table.session(client);
    for (let number = 1; number <= sessionNumbersMax; number++) table.notePending(session, number, now);
    expect(table.judge(session, sessionNumbersMax + 1, now, now)).toBe("too-many");
  });

  test("H1 a command that was sent long ago and applied just now is remembered for the whole window", () => {
    const table = new SessionTable();
    const session = table.session(client);
    const sent = now - 5 * sessionWindowVersions;
    table.apply(session, 1, statusApplied, now, false, sent, now);
    table.apply(session, 2, statusConditionFailed, 7, true, sent, now + 1);
    table.sweep(sent, now + 1);
    expect(table.judge(session, 1, sent, now + 1)).toBe("applied");
    expect(table.judge(session, 2, sent, now + 1)).toBe("applied");
    table.sweep(now + 1, now + 2 * sessionWindowVersions);
    expect(table.judge(session, 1, sent, now + 2 * sessionWindowVersions)).toBe("too-old");
  });

  test("H9 a client is refused while too many others are remembered, the known ones go on", () => {
    const table = new SessionTable();
    for (let id = 1; id <= sessionClientsMax; id++) table.admit(id);
    expect(table.admit(sessionClientsMax + 1)).toBeUndefined();
    expect(table.admit(1)).toBeDefined();
    expect(table.size).toBe(sessionClientsMax);
    table.sweep(0, now);
    expect(table.admit(sessionClientsMax + 1)).toBeDefined();
  });

  test("a merge takes the higher floor of each client, and the numbers of both tables above it", () => {
    const [left, right] = [new SessionTable(), new SessionTable()];
    for (const number of [3, 9]) left.apply(left.session(client), number, statusApplied, now, false, now, now);
    for (const number of [4, 7, 8]) right.apply(right.session(client), number, statusApplied, now, false, now, now + 5);
    right.applyFloor(right.session(client), 7);
    right.apply(right.session(client + 1), 1, statusConditionFailed, 3, true, now, now);
    expect(left.mayAbsorb(right)).toBe(true);
    left.absorb(right);
    const session = left.session(client);
    expect(listed(session.numbers)).toEqual([7, 8, 9]);
    expect(session).toMatchObject({ floor: 7, lastUsed: now + 5 });
    expect(left.judge(session, 4, now, now)).toBe("below-floor");
    expect(left.judge(left.session(client + 1), 1, now, now)).toBe("applied");
    left.applyFloor(session, 9);
    expect(listed(session.numbers)).toEqual([9]);
    expect(left.takeChanges().changed.map(({ clientId }) => clientId)).toEqual([client, client + 1]);
  });

  test("a merge that would make a range remember too much of a client does not come into force", () => {
    const [left, right] = [new SessionTable(), new SessionTable()];
    for (let number = 1; number <= sessionNumbersMax; number++)
      left.apply(left.session(client), number, statusApplied, now, false, now, now);
    right.apply(right.session(client), sessionNumbersMax + 1, statusApplied, now, false, now, now);
    expect(left.mayAbsorb(right)).toBe(false);
  });
});
