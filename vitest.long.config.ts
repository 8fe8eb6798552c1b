// Tests with real processes that only `npm run test:long` runs.
import cluster from "./vitest.cluster.config.ts";

export default { test: { ...cluster.test, include: ["test/long/**/*.cluster.ts"] } };
