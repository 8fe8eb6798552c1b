import { expect, test } from "vitest";
import { countDefects, countSeeds } from "../test-run/simulator.mjs";
import { countReport } from "../test-run/vitest.mjs";

const passedFile = { name: "a.test.ts", status: "passed", assertionResults: [{ status: "passed", fullName: "one" }] };
const allPassed = {
  numPassedTests: 1,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [passedFile],
};

test("tests that passed and failed are counted as vitest counts them", () => {
  expect(countReport(allPassed, 0)).toEqual({ passed: 1, failed: 0, notes: [] });
  const failedFile = { name: "b.test.ts", status: "failed", assertionResults: [{ status: "failed", fullName: "two" }] };
  const report = { ...allPassed, numFailedTests: 1, testResults: [passedFile, failedFile] };
  expect(countReport(report, 1)).toEqual({ passed: 1, failed: 1, notes: ["failed: b.test.ts: two"] });
});

test("a file that could not be loaded has failed, though none of its tests has", () => {
  const report = {
    ...allPassed,
    testResults: [passedFile, { name: "b.test.ts", status: "failed", assertionResults: [] }],
  };
  expect(countReport(report, 1)).toMatchObject({ passed: 1, failed: 1 });
});

test("an error outside every test, a test left out, and a run without tests are failures", () => {
  expect(countReport(allPassed, 1)).toMatchObject({ passed: 1, failed: 1 });
  expect(countReport({ ...allPassed, numPendingTests: 1 }, 0)).toMatchObject({ passed: 1, failed: 1 });
  expect(countReport({ ...allPassed, numTodoTests: 2 }, 0)).toMatchObject({ passed: 1, failed: 2 });
  expect(countReport({ ...allPassed, numPassedTests: 0, testResults: [] }, 0)).toMatchObject({ passed: 0, failed: 1 });
});

test("each seed of the simulator counts as one test, and a failed one is named with its command", () => {
  expect(countSeeds({ seeds: 40, failedSeeds: [] }, 40, 0)).toMatchObject({ passed: 40, failed: 0 });
  const violations = [{ replay: "npm run sim -- --from 7 --seeds 1" }];
  const result = countSeeds({ seeds: 40, failedSeeds: [7], violations }, 40, 1);
  expect(result).toMatchObject({ passed: 39, failed: 1 });
  expect(result.notes[0]).toBe("failed: npm run sim -- --from 7 --seeds 1");
});

test("a simulator that ran fewer seeds than asked, or failed without naming one, has not passed", () => {
  expect(countSeeds({ seeds: 3, failedSeeds: [] }, 40, 0)).toMatchObject({ passed: 0, failed: 1 });
  expect(countSeeds({ seeds: 40, failedSeeds: [] }, 40, 1)).toMatchObject({ passed: 0, failed: 1 });
});

test("seeds that passed and did not reach what they are for together are a failure that says what", () => {
  const result = countSeeds({ seeds: 40, failedSeeds: [], changesMissed: ["repair done"] }, 40, 1);
  expect(result).toMatchObject({ passed: 40, failed: 1 });
  expect(result.notes[0]).toBe("failed: 40 seeds did not reach: repair done");
});

test("each defect counts as one test, one that is not found is named, and none at all is a failure", () => {
  expect(countDefects({ passed: 20, failed: 0, failures: [] }, 0)).toEqual({ passed: 20, failed: 0, notes: [] });
  expect(countDefects({ passed: 1, failed: 1, failures: ["A1: seed 4 passes"] }, 1)).toEqual({
    passed: 1,
    failed: 1,
    notes: ["defect A1: seed 4 passes"],
  });
  expect(countDefects({ passed: 0, failed: 0, failures: [] }, 0)).toMatchObject({ passed: 0, failed: 1 });
  expect(countDefects({ passed: 1, failed: 0, failures: [] }, 1)).toMatchObject({ passed: 0, failed: 1 });
});
