import type { Verb } from "../command-io.ts";
import { addCompareOptions } from "../bench/compare/compare-plan.ts";
import { runCompare } from "../bench/compare/run-compare.ts";

export const verb: Verb = { configure: addCompareOptions, run: runCompare };
