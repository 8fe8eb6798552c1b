/** Runs seeds of the simulator; each seed counts as one test. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../bootstrap/run-command.mjs";
import { root } from "../bootstrap/workspace.mjs";
import { failed } from "./stage.mjs";

const simulatorMain = join(root, "packages", "simulator", "dist", "main.js");

/**
 * @param {{ from: number, seeds: number, timeoutMs: number }} options
 * @returns {Promise<import("./stage.mjs").StageResult>}
 */
export async function runSeeds({ from, seeds, timeoutMs }) {
  if (!existsSync(simulatorMain)) return failed(`${simulatorMain} is missing`);
  const args = ["--seeds", String(seeds), "--from", String(from), "-o", "json"];
  const command = [process.execPath, simulatorMain, ...args];
  const { exitCode, output, timedOut } = await runCommand(command, { cwd: root, stdout: "capture", timeoutMs });
  if (timedOut) return failed(`stopped after ${timeoutMs / 1000} s`);
  try {
    return countSeeds(JSON.parse(output), seeds, exitCode);
  } catch (error) {
    process.stdout.write(output);
    return failed(`the simulator ended with ${exitCode}; its result: ${String(error)}`);
  }
}

/**
 * @param {{ seeds: number, failedSeeds: unknown[], simulatedSeconds?: number, operations?: number }} report
 * @param {number} asked how many seeds were to be run
 * @param {number} exitCode
 * @returns {import("./stage.mjs").StageResult}
 */
export function countSeeds(report, asked, exitCode) {
  if (!Number.isSafeInteger(report.seeds) || !Array.isArray(report.failedSeeds)) throw new Error("no counts in it");
  if (report.seeds !== asked) return failed(`${report.seeds} seeds were run, not ${asked}`);
  const failures = report.failedSeeds.length;
  const notes = report.failedSeeds.map((seed) => {
    const number = typeof seed === "object" && seed !== null && "seed" in seed ? seed.seed : seed;
    return `failed: npm run sim -- --from ${String(number)} --seeds 1`;
  });
  if (failures === 0 && exitCode !== 0) return failed(`the simulator ended with ${exitCode} and names no seed`);
  notes.push(`${report.simulatedSeconds ?? "?"} simulated seconds, ${report.operations ?? "?"} operations`);
  return { passed: asked - failures, failed: failures, notes };
}
