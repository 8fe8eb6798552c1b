// Tests with real processes: against the build, one file at a time, each in a process of its own.
export default {
  test: {
    include: ["test/cluster/**/*.cluster.ts"],
    pool: "forks",
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
  },
};
