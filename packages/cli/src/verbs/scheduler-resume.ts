import type { Verb } from "../command-io.ts";
import { schedulerVerb } from "../operators/change-verbs.ts";

export const verb: Verb = schedulerVerb("resume", "\nIt begins operators again.");
