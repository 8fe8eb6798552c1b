/**
 * What the client knows of the cluster's versions: milliseconds since 2024-01-01 UTC × 4096 + a counter. The estimate is
 * the clock of the store that a command goes to, as its Hello told, and never below a version that was seen.
 */
import type { Version } from "@flotilla/base";
import type { StoreLink } from "./store-link.ts";

const versionEpochMs = 1_704_067_200_000;

export class VersionClock {
  /** The highest version in any answer. */
  seen: Version = 0 as Version;

  see(version: Version): void {
    if (version > this.seen) this.seen = version;
  }

  /** For the first attempt of a command. A store forgets what it applied only long after this. */
  estimate(link: StoreLink, nowMs: number): Version {
    const millis = Math.floor(link.wallMs(nowMs)) - versionEpochMs;
    const estimated = millis * 4096;
    if (!(estimated > this.seen) || estimated > Number.MAX_SAFE_INTEGER) return this.seen;
    return estimated as Version;
  }
}
