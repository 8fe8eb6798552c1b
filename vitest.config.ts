// Tests run the sources, without a build: every package exports them under this condition.
export default {
  resolve: { conditions: ["flotilla-source"] },
  ssr: { resolve: { conditions: ["flotilla-source", "node"] } },
  // The limit is for tests that hang: a busy machine must not fail the others.
  test: {
    include: ["packages/*/test/**/*.test.ts", "test/**/*.test.ts", "tools/test/**/*.test.ts"],
    // Not threads: vitest ends them from outside, which Node does not survive while HTTP/2 reads (thread-sockets.ts).
    pool: "forks",
    maxWorkers: 2,
    isolate: false,
    testTimeout: 60_000,
  },
};
