import { Failure } from "@flotilla/base";
import { addClusterOptions, addKeyEncodingOptions, encodingOf, textOption } from "../arguments/common-options.ts";
import { parseDurationMs } from "../arguments/duration.ts";
import { withClient } from "../arguments/with-client.ts";
import type { ClusterClient } from "../cluster-client.ts";
import type { Invocation, Verb } from "../command-io.ts";
import { exitDone, isCoded } from "../exit-code.ts";
import { encodedRange } from "../output/cluster-report.ts";
import { renderTop, skippedMax } from "../top/render-top.ts";
import { makeFrame } from "../top/top-frame.ts";
import type { TopFrame } from "../top/top-frame.ts";
import { takeSample, topOrders } from "../top/top-sample.ts";
import type { TopSample } from "../top/top-sample.ts";

const intervalDefault = "2s";
const intervalMsMin = 200;
const intervalMsMax = 3_600_000;

export const verb: Verb = {
  configure(command) {
    command
      .option("--interval <duration>", "between two looks", intervalDefault)
      .option("--once", "print one frame and end; so it is without a terminal, and with -o json");
    addKeyEncodingOptions(addClusterOptions(command)).addHelpText(
      "after",
      "\nWhat stores do and which ranges are hottest. Rates are counted between two looks, the first frame has none; --once looks\n" +
        "twice. LOG WRITE is the mean time to write and sync the log once, LOOP LATE the longest that a store's event loop was\n" +
        "late; they and rates of stores come from the nodes' /metrics, a dash is where a node's HTTP does not answer.\n" +
        "Keys: q ends, left and right change the order of ranges, up and down show more of them. -o jsonl: a frame a line.",
    );
  },
  async run(invocation) {
    const { io, format, options } = invocation;
    const intervalMs = parseDurationMs("--interval", textOption(options, "interval") ?? intervalDefault);
    if (intervalMs < intervalMsMin || intervalMs > intervalMsMax)
      throw new Failure("InvalidArgument", `--interval must be from ${intervalMsMin} ms to an hour`);
    const live = options["once"] !== true && (format === "jsonl" || (format === "table" && io.outIsTerminal));
    return withClient(invocation, async (client) => {
      if (!live) await once(invocation, client, intervalMs);
      else if (format === "jsonl") await lines(invocation, client, intervalMs);
      else await watch(invocation, client, intervalMs);
      return exitDone;
    });
  },
};

async function once(invocation: Invocation, client: ClusterClient, intervalMs: number): Promise<void> {
  const { io, format } = invocation;
  const before = await takeSample(client, "operations", () => io.nowMs());
  await io.pause(intervalMs, io.interrupted());
  const frame = makeFrame(before, await takeSample(client, "operations", () => io.nowMs()));
  if (format === "json") return io.out(JSON.stringify(document(frame, invocation), null, 2) + "\n");
  if (format === "jsonl") return io.out(JSON.stringify(document(frame, invocation)) + "\n");
  const view = { order: "operations", skipped: 0, encoding: encodingOf(invocation), keys: false } as const;
  const size = { columns: Number.POSITIVE_INFINITY, rows: Number.POSITIVE_INFINITY };
  return io.out(renderTop(frame, view, size).join("\n") + "\n");
}

async function lines(invocation: Invocation, client: ClusterClient, intervalMs: number): Promise<void> {
  const { io } = invocation;
  const interrupted = io.interrupted();
  let before: TopSample | undefined;
  while (!interrupted.aborted) {
    const now = await takeSample(client, "operations", () => io.nowMs());
    if (before !== undefined) await io.out(JSON.stringify(document(makeFrame(before, now), invocation)) + "\n");
    before = now;
    await io.pause(intervalMs, interrupted);
  }
}

/** Until `q`, Ctrl-C or SIGTERM. A cluster that does not answer is said so, and asked again. */
async function watch(invocation: Invocation, client: ClusterClient, intervalMs: number): Promise<void> {
  const { io } = invocation;
  const interrupted = io.interrupted();
  const screen = io.openScreen();
  let quit = false;
  /** Of the look under way and the wait behind it; aborted, the next one begins at once. */
  let look = new AbortController();
  interrupted.addEventListener("abort", () => look.abort());
  let order = 0;
  let skipped = 0;
  let frame: TopFrame | undefined;
  let problem: string | undefined;
  const draw = (): void => {
    const { columns, rows } = screen;
    if (frame === undefined) return screen.draw([(problem ?? "looking at the cluster").slice(0, columns)]);
    const encoding = encodingOf(invocation);
    screen.draw(
      renderTop(frame, { order: topOrders[order]!, skipped, encoding, problem, keys: true }, { columns, rows }),
    );
  };
  screen.onResize(draw);
  screen.onKey((name) => {
    if (name === "q" || name === "interrupt") {
      quit = true;
      return look.abort();
    }
    if (name === "up" || name === "down") {
      skipped = Math.max(0, Math.min(frame === undefined ? 0 : skippedMax(frame), skipped + (name === "up" ? -1 : 1)));
      return draw();
    }
    if (name !== "left" && name !== "right") return;
    order = (order + (name === "left" ? topOrders.length - 1 : 1)) % topOrders.length;
    skipped = 0;
    look.abort();
  });
  try {
    draw();
    let before: TopSample | undefined;
    let beforeMs = 0;
    while (!quit && !interrupted.aborted) {
      look = new AbortController();
      try {
        const now = await Promise.race([takeSample(client, topOrders[order]!, () => io.nowMs()), ended(look.signal)]);
        if (now === undefined) continue;
        frame = makeFrame(before, now);
        problem = undefined;
        // Another order is looked at at once: its rates are still over a whole interval.
        if (before === undefined || io.nowMs() - beforeMs >= intervalMs / 2) [before, beforeMs] = [now, io.nowMs()];
      } catch (error) {
        if (!isCoded(error)) throw error;
        problem = error.message;
      }
      draw();
      await io.pause(intervalMs, look.signal);
    }
  } finally {
    screen.close();
  }
}

function ended(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined), { once: true }));
}

function document(frame: TopFrame, invocation: Invocation): object {
  const { rangesTotal, rangesLed, ranges, ...rest } = frame;
  return {
    ...rest,
    rangesTotal,
    rangesLed,
    hottestRanges: ranges.map((row) => encodedRange(row, encodingOf(invocation))),
  };
}
