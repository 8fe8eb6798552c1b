/**
 * `npm run test:long`: the hours-long run, in parts. What has passed is written down after each part, so an interrupted
 * run goes on where it was; a change of any source starts it over, for a result holds for one state of the sources only.
 * `--restart` forgets, `--seeds N` sets how many seeds the simulator runs (default 2 000).
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { hashContents, listFiles } from "../bootstrap/stamp.mjs";
import { cacheDirectory, packageFolders } from "../bootstrap/workspace.mjs";
import { lintStage } from "./lint.mjs";
import { runDefects, runListedSeeds, runSeeds } from "./simulator.mjs";
import { printSummary, runStage } from "./stage.mjs";
import { buildStage } from "./test.mjs";
import { runVitest } from "./vitest.mjs";

const stateFile = join(cacheDirectory, "test-long.json");
const seedsPerPart = 100;
const groupSeeds = 5000;
const largeCluster = { stores: 100, ranges: 100_000 };
const largeSeeds = 1000;
const largeSeedsPerPart = 50;
const clusterRounds = 3;

/** @typedef {{ sources: string, passed: Record<string, { passed: number, seconds: number }> }} State */

/**
 * @param {string[]} args
 * @returns {Promise<number>} exit code
 */
export async function testLong(args) {
  const options = /** @type {const} */ ({
    restart: { type: "boolean", default: false },
    seeds: { type: "string", default: "2000" },
  });
  const { values } = parseArgs({ args, options });
  const seeds = Number(values.seeds);
  if (!Number.isSafeInteger(seeds) || seeds < 1) throw new Error(`--seeds takes a number from 1, not ${values.seeds}`);
  const base = await runStage(buildStage);
  if (base.result.passed === 0) return printSummary([base]);
  const state = values.restart ? newState() : loadState();
  const reports = [base];
  for (const part of parts(seeds)) {
    const before = state.passed[part.name];
    if (before !== undefined) {
      const result = { passed: before.passed, failed: 0, notes: ["passed before"] };
      reports.push({ name: part.name, seconds: before.seconds, budgetSeconds: part.budgetSeconds, result });
      continue;
    }
    const report = await runStage(part);
    reports.push(report);
    if (report.result.failed === 0) {
      state.passed[part.name] = { passed: report.result.passed, seconds: report.seconds };
      saveState(state);
    }
  }
  return printSummary(reports);
}

/**
 * What a run consists of, in its order.
 *
 * @param {number} seeds
 * @returns {import("./stage.mjs").Stage[]}
 */
export function parts(seeds) {
  const all = [lintStage];
  const env = { FLOTILLA_TEST_LONG: "1" };
  for (const folder of testedFolders()) {
    const filters = [`${folder}/`];
    const run = /** @param {number} timeoutMs */ (timeoutMs) =>
      runVitest("vitest.config.ts", { filters, timeoutMs, env });
    all.push({ name: `unit ${folder}`, budgetSeconds: 300, run });
  }
  for (const scenario of /** @type {const} */ (["cluster", "elastic", "merge", "recovery", "placement"])) {
    for (let from = 1; from <= seeds; from += seedsPerPart) {
      const count = Math.min(seedsPerPart, seeds - from + 1);
      const run = /** @param {number} timeoutMs */ (timeoutMs) => runSeeds({ from, seeds: count, timeoutMs, scenario });
      all.push({ name: `${scenario} seeds ${from}-${from + count - 1}`, budgetSeconds: 300, run });
    }
  }
  for (let from = 1; from <= largeSeeds; from += largeSeedsPerPart) {
    const run = /** @param {number} timeoutMs */ (timeoutMs) =>
      runSeeds({ from, seeds: largeSeedsPerPart, timeoutMs, scenario: "placement", size: largeCluster });
    all.push({ name: `large placement seeds ${from}-${from + largeSeedsPerPart - 1}`, budgetSeconds: 300, run });
  }
  const runGroups = /** @param {number} timeoutMs */ (timeoutMs) =>
    runSeeds({ from: 1, seeds: groupSeeds, timeoutMs, scenario: "group" });
  all.push({ name: `group seeds 1-${groupSeeds}`, budgetSeconds: 300, run: runGroups });
  all.push({ name: "kept seeds", budgetSeconds: 60, run: (timeoutMs) => runListedSeeds("kept", timeoutMs) });
  all.push({ name: "defects", budgetSeconds: 300, run: (timeoutMs) => runDefects(timeoutMs, { long: true }) });
  for (let round = 1; round <= clusterRounds; round++) {
    for (const file of listFiles(["test/cluster"], isClusterTest)) {
      const run = /** @param {number} timeoutMs */ (timeoutMs) =>
        runVitest("vitest.cluster.config.ts", { filters: [file], timeoutMs, env });
      all.push({ name: `${file} round ${round}`, budgetSeconds: 300, run });
    }
  }
  for (const file of listFiles(["test/long"], isClusterTest)) {
    const run = /** @param {number} timeoutMs */ (timeoutMs) =>
      runVitest("vitest.long.config.ts", { filters: [file], timeoutMs, env });
    all.push({ name: file, budgetSeconds: 300, run });
  }
  return all;
}

function testedFolders() {
  const folders = packageFolders().filter((folder) => folder !== "packages");
  return folders.filter((folder) => listFiles([folder], (name) => name.endsWith(".test.ts")).length > 0);
}

/** @param {string} name */
const isClusterTest = (name) => name.endsWith(".cluster.ts");

/** @returns {State} */
function newState() {
  const files = listFiles(["packages", "tools", "test", "bench", "examples"], (name) =>
    /\.(?:ts|mjs|txt|json)$/.test(name),
  );
  return { sources: hashContents([...files, "pnpm-lock.yaml", "tsconfig.base.json"], process.version), passed: {} };
}

/** @returns {State} */
function loadState() {
  const fresh = newState();
  try {
    const saved = JSON.parse(readFileSync(stateFile, "utf8"));
    if (saved.sources === fresh.sources) return saved;
    console.log("the sources have changed since the last run: all parts are run again");
  } catch {
    // No run before this one, or its notes were cut short: nothing is known to have passed.
  }
  return fresh;
}

/** @param {State} state */
function saveState(state) {
  mkdirSync(cacheDirectory, { recursive: true });
  writeFileSync(stateFile, JSON.stringify(state, null, 2));
}
