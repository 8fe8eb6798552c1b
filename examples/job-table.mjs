/**
 * A table of jobs that workers take in order: the most urgent first, and the oldest of equal urgency.
 *
 *     node job-table.mjs
 *
 * Keys are tuples [urgency, sequence], and a scan gives them in the order of their elements. A worker claims a job by
 * writing its name and a deadline into it, on the condition that nobody else has; whoever is late lets others have it.
 */
import { isFlotillaError } from "flotilla";
import { createCluster } from "flotilla/cluster";

/** @typedef {{ text: string, worker?: string, untilMs?: number }} Job */
/** @typedef {import("flotilla").Keyspace<"tuple", "json">} Jobs */

const claimMs = 60_000;

/**
 * The first job that is free, claimed; undefined when there is none.
 *
 * @param {Jobs} jobs
 * @param {string} worker
 * @param {number} nowMs
 */
async function claim(jobs, worker, nowMs) {
  for await (const { key, value, version } of jobs.scan()) {
    const job = /** @type {Job} */ (value);
    if (job.untilMs !== undefined && job.untilMs > nowMs) continue;
    try {
      const claimed = { ...job, worker, untilMs: nowMs + claimMs };
      const written = await jobs.put(key, claimed, { ifVersion: version });
      return { key, text: job.text, version: written.version };
    } catch (error) {
      // Somebody was faster; the next one may be free.
      if (!isFlotillaError(error) || error.code !== "ConditionFailed") throw error;
    }
  }
  return undefined;
}

/** Works until nothing is left. @param {Jobs} jobs @param {string} worker @param {string[]} done */
async function work(jobs, worker, done) {
  for (let job = await claim(jobs, worker, 0); job !== undefined; job = await claim(jobs, worker, 0)) {
    await finish(jobs, job);
    done.push(job.text);
  }
}

/** Only if the claim still stands, not when another worker has taken the job over. @param {Jobs} jobs @param {Awaited<ReturnType<typeof claim>>} job */
async function finish(jobs, job) {
  if (job !== undefined) await jobs.delete(job.key, { ifVersion: job.version });
}

const cluster = await createCluster();
const jobs = cluster.client().namespace("jobs/", { key: "tuple", value: "json" });

await jobs.put([2, 1], { text: "send the newsletter" });
await jobs.put([10, 2], { text: "tidy up" });
await jobs.put([1, 3], { text: "page the operator" });
await jobs.put([2, 4], { text: "bill the customers" });
for await (const { key, value } of jobs.scan()) console.log(key.join("."), /** @type {Job} */ (value).text);

// This worker is so slow that its claim has ended before the others begin.
const late = await claim(jobs, "slow", -2 * claimMs);
/** @type {string[]} */
const done = [];
await Promise.all(["ann", "bob", "cleo"].map((worker) => work(jobs, worker, done)));
console.log("done:", done.length, "left:", await jobs.count());
await finish(jobs, late).catch((error) => console.log(`the slow worker's "${late?.text}": ${error.code}`));
await cluster.close();
