import type { Verb } from "../command-io.ts";
import { addIdleOptions } from "../bench/idle/idle-plan.ts";
import { runIdle } from "../bench/idle/run-idle.ts";

export const verb: Verb = { configure: addIdleOptions, run: runIdle };
