import type { Verb } from "../command-io.ts";
import { schedulerVerb } from "../operators/change-verbs.ts";

export const verb: Verb = schedulerVerb("pause", "\nOperators under way go on; it begins no new ones.");
