/** Runs vitest and counts from its JSON report. */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { commands } from "../bootstrap/commands.mjs";
import { runCommand } from "../bootstrap/run-command.mjs";
import { root, stampDirectory } from "../bootstrap/workspace.mjs";
import { failed } from "./stage.mjs";

/**
 * @typedef {object} VitestReport the part of it that is used here
 * @property {number} numPassedTests
 * @property {number} numFailedTests
 * @property {number} numPendingTests
 * @property {number} numTodoTests
 * @property {{ name: string, status: string, assertionResults: { status: string, fullName: string }[] }[]} testResults
 */

/**
 * @param {string} config name of the configuration file in the root
 * @param {{ filters?: string[], timeoutMs: number, env?: NodeJS.ProcessEnv }} options filters are parts of file paths
 * @returns {Promise<import("./stage.mjs").StageResult>}
 */
export async function runVitest(config, { filters = [], timeoutMs, env = {} }) {
  const reportFile = join(stampDirectory, `${config}.${process.pid}.json`);
  mkdirSync(stampDirectory, { recursive: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
  const command = [process.execPath, commands.vitest, "run", "--config", config, ...reporters, ...filters];
  const colors = process.stdout.isTTY ? {} : { NO_COLOR: "1" };
  const environment = { ...process.env, ...colors, ...env };
  const { exitCode, timedOut } = await runCommand(command, { cwd: root, timeoutMs, env: environment });
  if (timedOut) return failed(`stopped after ${timeoutMs / 1000} s`);
  try {
    return countReport(JSON.parse(readFileSync(reportFile, "utf8")), exitCode);
  } catch (error) {
    return failed(`vitest ended with ${exitCode} and without a report: ${String(error)}`);
  } finally {
    rmSync(reportFile, { force: true });
  }
}

/**
 * A file that could not be loaded has no tests in the report: it counts as one failed. So does an error outside every
 * test, which shows in the exit code alone, and a run that found nothing. A test that was left out has not passed.
 *
 * @param {VitestReport} report
 * @param {number} exitCode of vitest
 * @returns {import("./stage.mjs").StageResult}
 */
export function countReport(report, exitCode) {
  const notes = [];
  let failures = report.numFailedTests;
  for (const file of report.testResults) {
    const named = file.assertionResults.filter((test) => test.status === "failed");
    for (const test of named) notes.push(`failed: ${relativePath(file.name)}: ${test.fullName}`);
    if (file.status === "failed" && named.length === 0) {
      failures++;
      notes.push(`failed: ${relativePath(file.name)}: could not be run`);
    }
  }
  const leftOut = report.numPendingTests + report.numTodoTests;
  if (leftOut > 0) {
    failures += leftOut;
    notes.push(`left out: ${leftOut} tests are marked as skipped or to do; a test is run or removed`);
  }
  if (exitCode !== 0 && failures === 0) {
    failures++;
    notes.push(`failed: vitest ended with ${exitCode}, see its output above`);
  }
  if (report.numPassedTests + failures === 0) {
    failures++;
    notes.push("failed: no test was found");
  }
  return { passed: report.numPassedTests, failed: failures, notes };
}

/** @param {string} path */
function relativePath(path) {
  return path.startsWith(root) ? path.slice(root.length + 1) : path;
}
