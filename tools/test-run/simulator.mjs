/** Runs seeds of the simulator, and defects that it must find; each seed and each defect counts as one test. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../bootstrap/run-command.mjs";
import { root } from "../bootstrap/workspace.mjs";
import { failed } from "./stage.mjs";

const simulatorMain = join(root, "packages", "simulator", "dist", "main.js");
const defectsMain = join(root, "tools", "dist", "sim-defects", "main.js");

/**
 * @param {{ from: number, seeds: number, timeoutMs: number, scenario?: "cluster" | "group" | "elastic" | "merge" | "recovery" | "placement", size?: { stores: number, ranges: number } }} options
 * @returns {Promise<import("./stage.mjs").StageResult>}
 */
export function runSeeds({ from, seeds, timeoutMs, scenario = "cluster", size }) {
  const args = ["--seeds", String(seeds), "--from", String(from), "-o", "json"];
  if (scenario !== "cluster") args.push(`--${scenario}`);
  if (size !== undefined) args.push("--stores", String(size.stores), "--ranges", String(size.ranges));
  return runProgram(simulatorMain, args, timeoutMs, (report, exitCode) => countSeeds(report, seeds, exitCode));
}

/**
 * `kept`: those that have found something before; `suite`: these and some of each scenario.
 *
 * @param {"kept" | "suite"} list
 * @param {number} timeoutMs
 */
export function runListedSeeds(list, timeoutMs) {
  return runProgram(simulatorMain, [`--${list}`, "-o", "json"], timeoutMs, (report, exitCode) =>
    countSeeds(report, Number(report.seeds), exitCode),
  );
}

/**
 * Every patch of test/defects applies, builds, and fails on its recorded seed; with `long` those of a long run, too.
 *
 * @param {number} timeoutMs
 * @param {{ long?: boolean }} [options]
 */
export function runDefects(timeoutMs, { long = false } = {}) {
  return runProgram(defectsMain, defectArguments(long), timeoutMs, countDefects);
}

/** @param {boolean} long */
export const defectArguments = (long) => ["--recorded", ...(long ? ["--long"] : []), "-o", "json"];

/**
 * @param {string} program
 * @param {string[]} args
 * @param {number} timeoutMs
 * @param {(report: any, exitCode: number) => import("./stage.mjs").StageResult} count
 * @returns {Promise<import("./stage.mjs").StageResult>}
 */
async function runProgram(program, args, timeoutMs, count) {
  if (!existsSync(program)) return failed(`${program} is missing`);
  const command = [process.execPath, program, ...args];
  const { exitCode, output, timedOut } = await runCommand(command, { cwd: root, stdout: "capture", timeoutMs });
  if (timedOut) return failed(`stopped after ${timeoutMs / 1000} s`);
  try {
    return count(JSON.parse(output), exitCode);
  } catch (error) {
    process.stdout.write(output);
    return failed(`the simulator ended with ${exitCode}; its result: ${String(error)}`);
  }
}

/**
 * @param {{ passed: number, failed: number, failures: string[] }} report
 * @param {number} exitCode
 * @returns {import("./stage.mjs").StageResult}
 */
export function countDefects(report, exitCode) {
  if (!Number.isSafeInteger(report.passed) || !Number.isSafeInteger(report.failed)) throw new Error("no counts in it");
  if (report.passed + report.failed === 0) return failed("there are no defects to find");
  if ((exitCode === 0) !== (report.failed === 0)) return failed(`sim:defects ended with ${exitCode}`);
  return { passed: report.passed, failed: report.failed, notes: report.failures.map((failure) => `defect ${failure}`) };
}

/**
 * @param {{ seeds: number, failedSeeds: number[], violations?: { replay: string }[], changesMissed?: string[], simulatedSeconds?: number, operations?: number }} report
 * @param {number} asked how many seeds were to be run
 * @param {number} exitCode
 * @returns {import("./stage.mjs").StageResult}
 */
export function countSeeds(report, asked, exitCode) {
  if (!Number.isSafeInteger(report.seeds) || !Array.isArray(report.failedSeeds)) throw new Error("no counts in it");
  if (report.seeds !== asked) return failed(`${report.seeds} seeds were run, not ${asked}`);
  const failures = report.failedSeeds.length;
  const notes = (report.violations ?? []).map(({ replay }) => `failed: ${replay}`);
  const missed = report.changesMissed ?? [];
  if (missed.length > 0) notes.push(`failed: ${asked} seeds did not reach: ${missed.join(", ")}`);
  if (failures === 0 && missed.length > 0) return { passed: asked, failed: 1, notes };
  if (failures === 0 && exitCode !== 0) return failed(`the simulator ended with ${exitCode} and names no seed`);
  notes.push(`${report.simulatedSeconds ?? "?"} simulated seconds, ${report.operations ?? "?"} operations`);
  return { passed: asked - failures, failed: failures, notes };
}
