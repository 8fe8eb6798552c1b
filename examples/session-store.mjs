/**
 * Sessions of a web application: made once, read with every request, prolonged, and swept when they have expired.
 *
 *     node session-store.mjs
 *
 * A session is one record under its id. Two requests may prolong the same session, or one may while another ends it: each
 * change names the version that it has seen, so a session that was ended does not come back.
 */
import { randomUUID } from "node:crypto";
import { isFlotillaError } from "flotilla";
import { createCluster } from "flotilla/cluster";

const lifetimeMs = 30 * 60_000;

/** @typedef {{ user: string, expiresAtMs: number }} Session */

class SessionStore {
  /** @param {import("flotilla").Keyspace<"utf8", "json">} sessions */
  constructor(sessions) {
    this.sessions = sessions;
  }

  /** @param {string} user @param {number} nowMs */
  async begin(user, nowMs) {
    const id = randomUUID();
    await this.sessions.put(id, { user, expiresAtMs: nowMs + lifetimeMs }, { ifAbsent: true });
    return id;
  }

  /** The session's user, or undefined when there is no such session any more. @param {string} id @param {number} nowMs */
  async use(id, nowMs) {
    const found = await this.sessions.getEntry(id);
    const session = /** @type {Session | undefined} */ (found?.value);
    if (found === undefined || session === undefined || session.expiresAtMs <= nowMs) return undefined;
    try {
      await this.sessions.put(id, { ...session, expiresAtMs: nowMs + lifetimeMs }, { ifVersion: found.version });
    } catch (error) {
      // Another request has prolonged it, or ended it: the next one sees which.
      if (!isFlotillaError(error) || error.code !== "ConditionFailed") throw error;
    }
    return session.user;
  }

  /** @param {string} id */
  async end(id) {
    await this.sessions.delete(id);
  }

  /** Removes what has expired, and leaves what was prolonged in the meantime. @param {number} nowMs */
  async sweep(nowMs) {
    let removed = 0;
    for await (const { key, value, version } of this.sessions.scan()) {
      if (/** @type {Session} */ (value).expiresAtMs > nowMs) continue;
      const { deleted } = await this.sessions.delete(key, { ifVersion: version }).catch(() => ({ deleted: false }));
      if (deleted) removed++;
    }
    return removed;
  }
}

const cluster = await createCluster();
const client = cluster.client();
const store = new SessionStore(client.namespace("sessions/", { key: "utf8", value: "json" }));

const ann = await store.begin("ann", 0);
const bob = await store.begin("bob", 0);
const cleo = await store.begin("cleo", 0);
console.log("at 10 min:", await store.use(ann, 10 * 60_000));
await store.end(cleo);
console.log("at 35 min:", await store.use(ann, 35 * 60_000), await store.use(bob, 35 * 60_000));
console.log("swept:", await store.sweep(35 * 60_000));
console.log("left:", await client.count({ prefix: "sessions/" }));
await cluster.close();
