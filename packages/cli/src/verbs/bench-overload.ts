import type { Verb } from "../command-io.ts";
import { addOverloadOptions, runOverload } from "../bench/endurance/run-overload.ts";

export const verb: Verb = { configure: addOverloadOptions, run: runOverload };
