// Tests with real processes: against the build, each file in a process of its own. Two at a time: they mostly wait for
// timeouts. The long run takes them one by one, because it measures pauses.
const oneByOne = process.env["FLOTILLA_TEST_LONG"] !== undefined;

export default {
  test: {
    include: ["test/cluster/**/*.cluster.ts"],
    pool: "forks",
    fileParallelism: !oneByOne,
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
  },
};
