/** One HTML page with everything in it: it opens from a disk, without a network. */
import { escapeHtml, jsonForScript } from "./html.ts";
import { pageScript } from "./page-script.ts";
import type { Section } from "./section.ts";

export interface PageParts {
  readonly sections: readonly Section[];
  /** When the page was made. */
  readonly date: string;
  /** uPlot as it is published: a script that defines `uPlot`, and its style sheet. */
  readonly plotScript: string;
  readonly plotStyle: string;
}

/** Nothing may be fetched, from anywhere. */
const policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'";

const style = `
  :root { color-scheme: light; }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #1f2328; background: #fff; }
  h1 { font-size: 1.6rem; } h2 { margin-top: 3rem; border-bottom: 1px solid #d0d7de; } h3 { margin-top: 2rem; font-size: 1rem; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; display: block; overflow-x: auto; }
  th, td { padding: .3rem .6rem; border-bottom: 1px solid #d0d7de; text-align: right; vertical-align: bottom; }
  th:first-child, td:first-child { text-align: left; }
  .origin { color: #57606a; font-size: 13px; } code { font-size: 12px; }
  .plot { margin: 1.5rem 0; }
`;

export function reportPage({ sections, date, plotScript, plotStyle }: PageParts): string {
  const plots = sections.flatMap((section) => section.plots);
  let drawn = 0;
  const body = sections.map(({ heading, body: content, plots: own }) => {
    const places = own.map(() => `<div class="plot" id="plot-${drawn++}"></div>`).join("\n");
    return `<section><h2>${escapeHtml(heading)}</h2>\n${content}\n${places}</section>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>Flotilla: benchmarks</title>
<style>${plotStyle}${style}</style>
</head>
<body>
<h1>Flotilla: benchmarks</h1>
<p>Made ${escapeHtml(date)}. Under each section stands when, at which commit and on what machine its figures were taken, and the command that takes them again. Figures of different machines or commits must not be laid beside each other.</p>
${body.join("\n")}
<script type="application/json" id="plots">${jsonForScript(plots)}</script>
<script>${plotScript}</script>
<script>${pageScript}</script>
</body>
</html>
`;
}
