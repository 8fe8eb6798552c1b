// Tests with real processes: against the build, each file in a process of its own. Two at a time: they mostly wait for
// timeouts. The long run takes them one by one, because it measures pauses.
const oneByOne = process.env["FLOTILLA_TEST_LONG"] !== undefined;

/** By the time they take. One that is not named here begins before them. */
const longestFirst = [
  "kills",
  "bad-input",
  "dev",
  "files",
  "quorum",
  "damaged-log",
  "init",
  "rolling-restart",
  "packages",
  "examples",
];

/** Without it the largest file begins first, and a long one that begins last keeps one worker busy while the other has nothing to do. */
class LongestFirst {
  sort<File extends { readonly moduleId: string }>(files: readonly File[]): File[] {
    const place = ({ moduleId }: File): number => longestFirst.findIndex((name) => moduleId.includes(`/${name}.`));
    return files.toSorted((a, b) => place(a) - place(b));
  }

  shard<File>(files: File[]): File[] {
    return files;
  }
}

export default {
  test: {
    include: ["test/cluster/**/*.cluster.ts"],
    pool: "forks",
    fileParallelism: !oneByOne,
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
  },
};
