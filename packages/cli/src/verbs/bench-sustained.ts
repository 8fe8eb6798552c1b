import type { Verb } from "../command-io.ts";
import { addSustainedOptions, runSustained } from "../bench/endurance/run-sustained.ts";

export const verb: Verb = { configure: addSustainedOptions, run: runSustained };
