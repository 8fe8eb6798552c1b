/**
 * Rule "apply once": a range keeps for each client a floor and, above it, the numbers applied with their outcome.
 * Filled at apply from the entry itself, written by the flush, part of every range snapshot. The leader also notes
 * numbers that are under way in its term, so that a retry of one is recognized before it is applied.
 */
import { version } from "@flotilla/base";
import type { Version } from "@flotilla/base";
import { sessionEntriesMax } from "@flotilla/storage";
import { statusApplied, statusRepeated } from "./entry-format.ts";
import { SessionNumbers } from "./session-numbers.ts";
import type { AppliedCommand } from "./session-numbers.ts";

/** A command older than this behind the range's last version is refused, and its record may be forgotten. */
export const sessionWindowVersions: number = 10 * 60 * 1000 * 4096;
/** How often, in versions, the table is swept for forgotten clients: once a minute of the range's own time. */
const sweepVersions = 60 * 1000 * 4096;
/** Numbers that a client may have above its floor; beyond that it is answered Busy. */
export const sessionNumbersMax = 65_536;
/** Clients that a range remembers; while there are as many, others are answered Busy. */
export const sessionClientsMax = 200_000;

export class ClientSession {
  readonly clientId: number;
  /** Never falls. Every number below it is settled. */
  floor = 0;
  /** Version of its last command applied. */
  lastUsed = 0;
  /** Numbers ≥ floor (lower ones only while under way). */
  readonly numbers: SessionNumbers = new SessionNumbers();
  /** Differs from what the engine has. */
  dirty = false;

  constructor(clientId: number) {
    this.clientId = clientId;
  }
}

export type SessionVerdict = "new" | "applied" | "pending" | "below-floor" | "too-old" | "too-many";

export class SessionTable {
  readonly #clients: Map<number, ClientSession> = new Map();
  #dirty: ClientSession[] = [];
  #removed: number[] = [];

  get size(): number {
    return this.#clients.size;
  }

  session(clientId: number): ClientSession {
    let session = this.#clients.get(clientId);
    if (session === undefined) {
      session = new ClientSession(clientId);
      this.#clients.set(clientId, session);
    }
    return session;
  }

  /** For the leader, before it evaluates: undefined when there is no room for another client. */
  admit(clientId: number): ClientSession | undefined {
    const session = this.#clients.get(clientId);
    if (session === undefined && this.#clients.size >= sessionClientsMax) return undefined;
    return session ?? this.session(clientId);
  }

  /** What the leader does with a command that arrives, pending ones included. */
  judge(session: ClientSession, number: number, firstSent: number, lastVersion: number): SessionVerdict {
    if (number < session.floor) return "below-floor";
    const known = session.numbers.find(number);
    if (known >= 0) return session.numbers.statusAt(known) === 0 ? "pending" : "applied";
    if (firstSent < lastVersion - sessionWindowVersions) return "too-old";
    if (session.numbers.size >= sessionNumbersMax) return "too-many";
    return "new";
  }

  /** The leader gave the command to Raft. */
  notePending(session: ClientSession, number: number, firstSent: number): void {
    session.numbers.set(number, 0, 0, false, firstSent);
  }

  /** The entry that the command was in was rejected. */
  dropPendingOf(clientId: number, number: number): void {
    const session = this.#clients.get(clientId);
    if (session === undefined) return;
    const known = session.numbers.find(number);
    if (known >= 0 && session.numbers.statusAt(known) === 0) session.numbers.delete(number);
  }

  /** The term ended: what is not applied is forgotten. Rare, so it looks at everything. */
  dropPending(): void {
    for (const { numbers } of this.#clients.values()) numbers.retain((i) => numbers.statusAt(i) !== 0);
  }

  /** One command of an applied entry; `commandVersion` is its own, `kept` what its answer carries. */
  apply(
    session: ClientSession,
    number: number,
    status: number,
    kept: number,
    existed: boolean,
    firstSent: number,
    commandVersion: number,
  ): void {
    this.#touch(session);
    session.lastUsed = commandVersion;
    if (status === statusRepeated) return;
    session.numbers.set(number, status, kept, existed, firstSent);
  }

  /** The floor that stood in an applied entry: what is below is settled and dropped. */
  applyFloor(session: ClientSession, floor: number): void {
    if (floor <= session.floor) return;
    this.#touch(session);
    session.floor = floor;
    session.numbers.dropAppliedBelow(floor);
  }

  /**
   * Forgets what is older than the window, by the versions in the log alone, so that every replica does the same.
   * `previous` and `last` are the range's last version before and after an entry.
   */
  sweep(previous: number, last: number): void {
    if (Math.floor(previous / sweepVersions) === Math.floor(last / sweepVersions)) return;
    const oldest = last - sessionWindowVersions;
    for (const session of this.#clients.values()) {
      const { numbers } = session;
      const before = numbers.size;
      let applied = 0;
      numbers.retain((i) => {
        const status = numbers.statusAt(i);
        if (status === 0) return true;
        // A failed condition has no version of its own: its client's last one is not older.
        const own = status === statusApplied ? numbers.versionAt(i) : session.lastUsed;
        const keeps = numbers.firstSentAt(i) >= oldest || own >= oldest;
        if (keeps) applied++;
        return keeps;
      });
      if (numbers.size < before) this.#touch(session);
      if (applied === 0 && session.lastUsed < oldest) this.#forget(session);
    }
  }

  /** What is under way in a leader's term stays known to it; for the state that replicas share the client is gone. */
  #forget(session: ClientSession): void {
    this.#removed.push(session.clientId);
    session.floor = 0;
    session.lastUsed = 0;
    if (session.numbers.size === 0) this.#clients.delete(session.clientId);
  }

  #touch(session: ClientSession): void {
    if (session.dirty) return;
    session.dirty = true;
    this.#dirty.push(session);
  }

  /** What a flush has to write, taken once: rows to delete first, then rows to put. */
  takeChanges(): { readonly changed: readonly ClientSession[]; readonly removed: readonly number[] } {
    const changed = this.#dirty.filter((session) => session.lastUsed > 0);
    const removed = this.#removed;
    for (const session of this.#dirty) session.dirty = false;
    this.#dirty = [];
    this.#removed = [];
    return { changed, removed };
  }

  /** What has been applied, for the right half of a split: all of it is to be written by its next flush. */
  copy(): SessionTable {
    const copy = new SessionTable();
    for (const { clientId, floor, lastUsed, numbers } of this.#clients.values()) {
      if (lastUsed === 0) continue;
      copy.restore(clientId, floor, lastUsed, appliedOf(numbers));
      copy.#touch(copy.session(clientId));
    }
    return copy;
  }

  /** No client would have more numbers than a row can hold. By what is applied alone, so that every replica says the same. */
  mayAbsorb(right: SessionTable): boolean {
    for (const session of right.#clients.values()) {
      const own = this.#clients.get(session.clientId);
      if (own === undefined || own.numbers.size + session.numbers.size <= sessionEntriesMax) continue;
      const floor = Math.max(own.floor, session.floor);
      const together = new Set<number>();
      for (const { numbers } of [own, session])
        for (const [number] of appliedOf(numbers)) if (number >= floor) together.add(number);
      if (together.size > sessionEntriesMax) return false;
    }
    return true;
  }

  /**
   * A merge: for each client the higher floor, and of what is above it the numbers of both. One that is in both is the
   * same in both: it was there before the ranges were split. Nothing may be under way in either.
   */
  absorb(right: SessionTable): void {
    for (const { clientId, floor, lastUsed, numbers } of right.#clients.values()) {
      if (lastUsed === 0) continue;
      const session = this.session(clientId);
      this.#touch(session);
      session.lastUsed = Math.max(session.lastUsed, lastUsed);
      session.floor = Math.max(session.floor, floor);
      session.numbers.dropAppliedBelow(session.floor);
      for (const [number, { status, version: kept, existed, firstSent }] of appliedOf(numbers))
        if (number >= session.floor) session.numbers.set(number, status, kept, existed, firstSent);
    }
  }

  /** From the engine, at start or after a range snapshot. */
  restore(
    clientId: number,
    floor: number,
    lastUsed: number,
    numbers: Iterable<readonly [number, AppliedCommand]>,
  ): void {
    const session = this.session(clientId);
    session.floor = floor;
    session.lastUsed = lastUsed;
    for (const [number, { status, version: kept, existed, firstSent }] of numbers)
      session.numbers.set(number, status, kept, existed, firstSent);
  }

  clear(): void {
    this.#clients.clear();
    this.#dirty = [];
    this.#removed = [];
  }
}

function* appliedOf(numbers: SessionNumbers): Iterable<readonly [number, AppliedCommand]> {
  for (let i = 0; i < numbers.size; i++) {
    const number = numbers.at(i);
    if (numbers.statusAt(i) !== 0) yield [number, numbers.get(number)!];
  }
}

/** Milliseconds from 1970 to 2024-01-01 UTC, where versions begin. */
const versionEpochMs = 1_704_067_200_000;

/** The lowest version of a moment. */
export function versionAt(wallMs: number): Version {
  return version(Math.max(0, Math.floor(wallMs) - versionEpochMs) * 4096);
}
