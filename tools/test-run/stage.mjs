/**
 * A stage of a test run: something that is timed, has a budget, and ends in two counts. Budgets are for two cores; a
 * stage that exceeds its budget is named, one that takes six times as long is stopped and has failed.
 *
 * @typedef {{ passed: number, failed: number, notes: string[] }} StageResult
 * @typedef {object} Stage
 * @property {string} name
 * @property {number} budgetSeconds
 * @property {boolean} [isBase] when nothing of it passes, no later stage can run
 * @property {(timeoutMs: number) => Promise<StageResult>} run
 *
 * @typedef {{ name: string, seconds: number, budgetSeconds: number, result: StageResult }} StageReport
 */
import { CommandFailed } from "../bootstrap/run-command.mjs";

/** @returns {StageResult} one more check that held */
export function passed() {
  return { passed: 1, failed: 0, notes: [] };
}

/**
 * @param {string} note
 * @returns {StageResult} one check that did not hold
 */
export function failed(note) {
  return { passed: 0, failed: 1, notes: [note] };
}

/**
 * @param {StageResult[]} results
 * @returns {StageResult}
 */
export function sum(results) {
  const total = { passed: 0, failed: 0, notes: /** @type {string[]} */ ([]) };
  for (const result of results) {
    total.passed += result.passed;
    total.failed += result.failed;
    total.notes.push(...result.notes);
  }
  return total;
}

/**
 * @param {Stage} stage
 * @returns {Promise<StageReport>}
 */
export async function runStage(stage) {
  const { name, budgetSeconds } = stage;
  console.log(`\n=== ${name}`);
  const start = performance.now();
  const result = await stage.run(budgetSeconds * 6000).catch(asFailure);
  const seconds = (performance.now() - start) / 1000;
  return { name, seconds, budgetSeconds, result };
}

/** @param {unknown} error */
function asFailure(error) {
  if (!(error instanceof CommandFailed)) console.error(error);
  return failed(error instanceof Error ? error.message : String(error));
}

/**
 * Runs the stages in order and prints the summary, whose last line is the counts alone.
 *
 * @param {Stage[]} stages
 * @returns {Promise<number>} exit code: 0 when something passed and nothing failed
 */
export async function runStages(stages) {
  const reports = [];
  for (const stage of stages) {
    const report = await runStage(stage);
    reports.push(report);
    if (stage.isBase === true && report.result.passed === 0) break;
  }
  return printSummary(reports);
}

/**
 * @param {StageReport[]} reports
 * @returns {number} exit code
 */
export function printSummary(reports) {
  console.log("\n=== summary");
  for (const { name, seconds, budgetSeconds, result } of reports) {
    const counts = `${result.passed} passed, ${result.failed} failed`;
    console.log(
      `${name.padEnd(24)} ${seconds.toFixed(1).padStart(7)} s  of ${String(budgetSeconds).padStart(4)}  ${counts}`,
    );
    for (const note of result.notes) console.log(`    ${note}`);
    if (seconds > budgetSeconds) console.log(`    warning: ${(seconds - budgetSeconds).toFixed(1)} s over its budget`);
  }
  const total = sum(reports.map((report) => report.result));
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}
