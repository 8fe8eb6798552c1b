import type { Verb } from "../command-io.ts";
import { addReportOptions, runReport } from "../bench/report/run-report.ts";

export const verb: Verb = { configure: addReportOptions, run: runReport };
