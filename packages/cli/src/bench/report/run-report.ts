/** Joins the last results into one page. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { Failure } from "@flotilla/base";
import { addOutputOption, textOption } from "../../arguments/common-options.ts";
import type { Invocation } from "../../command-io.ts";
import { exitDone } from "../../exit-code.ts";
import { writeObject } from "../../output/documents.ts";
import { loadResults, resultsDirectory, resultsPathOf } from "../result-files.ts";
import { latestResults } from "./latest-results.ts";
import { reportPage } from "./report-page.ts";
import { reportSections } from "./report-sections.ts";

export function addReportOptions(command: Command): void {
  addOutputOption(command)
    .option("--results <dir>", "where the results are", resultsDirectory)
    .option("--file <file>", "the page that is written (default: report.html beside the results)");
}

export async function runReport(invocation: Invocation): Promise<number> {
  const { io, options, format } = invocation;
  const directory = resultsPathOf(invocation);
  const { results, skipped } = await loadResults(directory);
  for (const name of skipped) io.note(`${name} is no result of this version, and is left out\n`);
  if (results.length === 0) {
    throw new Failure("InvalidArgument", `there are no results in ${directory}`, {
      hint: "run `flotilla bench put`, `bench compare` or another one first; each keeps its result there",
    });
  }
  const sections = reportSections(latestResults(results));
  const page = reportPage({ sections, date: new Date().toISOString(), ...(await plotLibrary()) });
  const file = textOption(options, "file");
  const path = file === undefined ? join(directory, "report.html") : resolve(io.directory, file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, page);
  const document = { path, results: results.length, skipped, sections: sections.map(({ heading }) => heading) };
  await writeObject(io, format, document, () => `${path}  ${sections.map(({ heading }) => heading).join(", ")}\n`);
  return exitDone;
}

async function plotLibrary(): Promise<{ readonly plotScript: string; readonly plotStyle: string }> {
  const directory = dirname(createRequire(import.meta.url).resolve("uplot/package.json"));
  const read = (name: string): Promise<string> => readFile(join(directory, "dist", name), "utf8");
  return { plotScript: await read("uPlot.iife.min.js"), plotStyle: await read("uPlot.min.css") };
}
