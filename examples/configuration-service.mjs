/**
 * A configuration service: documents that several programs read and change at the same time, without a lock.
 *
 *     node configuration-service.mjs
 *
 * `update` reads a document with its version, applies a change, and writes it only if nobody has written in between; else it
 * begins again. So no change is lost, even when a node dies in the middle: here one does.
 */
import { isFlotillaError } from "flotilla";
import { createCluster } from "flotilla/cluster";

/** @typedef {Record<string, unknown>} Document */

/**
 * @param {import("flotilla").Keyspace<"utf8", "json">} documents
 * @param {string} name
 * @param {(document: Document) => Document} change may be called several times
 * @returns {Promise<Document>} as it was written
 */
async function update(documents, name, change) {
  for (;;) {
    const found = await documents.getEntry(name);
    const document = change(/** @type {Document} */ (found?.value ?? {}));
    try {
      await documents.put(name, document, found === undefined ? { ifAbsent: true } : { ifVersion: found.version });
      return document;
    } catch (error) {
      const lostTheRace = isFlotillaError(error) && error.code === "ConditionFailed";
      if (!lostTheRace) throw error;
    }
  }
}

const cluster = await createCluster({ nodes: 3 });
const client = cluster.client({ key: "utf8", value: "json" });
const documents = client.namespace("configuration/", { key: "utf8", value: "json" });

await update(documents, "mail", () => ({ host: "smtp.example.org", port: 25, revision: 0 }));

/** Each of four programs makes five changes. @param {string} program */
async function changeOften(program) {
  for (let i = 0; i < 5; i++) {
    await update(documents, "mail", (mail) => ({ ...mail, revision: Number(mail["revision"]) + 1, [program]: i }));
  }
}

const changes = Promise.all(["a", "b", "c", "d"].map(changeOften));
await cluster.nodes[0]?.kill();
await changes;
console.log(await documents.get("mail"));

await cluster.nodes[0]?.start();
console.log("nodes:", cluster.nodes.map(({ state }) => state).join(", "));
await cluster.close();
