/** From the meters of one window to the fields of a result. */
import type { LoadResult, RunSummary } from "./bench-result.ts";
import type { LoadMeter } from "./load-meter.ts";
import type { WindowCost } from "./node-meters.ts";

export interface MeasuredWindow {
  readonly meter: LoadMeter;
  readonly durationMs: number;
  readonly unsent: number;
  readonly cost: WindowCost;
  /** Keys and values that were put in the window, in bytes; 0: nothing, or not known. */
  readonly putBytes: number;
}

export function loadResultOf({ meter, durationMs, unsent, cost, putBytes }: MeasuredWindow): LoadResult {
  const { operations, errors, unknown } = meter;
  const perOperation = (micros: number | null): number | null =>
    micros === null || operations === 0 ? null : hundredths(micros / operations);
  const { serverCpuMicros, clientCpuMicros, fsyncs, serverWrittenBytes } = cost;
  return {
    operations,
    opsPerSecond: Math.round((operations * 1000) / durationMs),
    errors,
    unknown,
    errorCodes: Object.fromEntries(meter.errorCodes),
    latencyMs: meter.latencyMs,
    serviceMs: meter.serviceMs ?? null,
    latencyDistribution: meter.distribution,
    unsent,
    longestPauseMs: meter.longestPause.ms,
    seconds: meter.seconds,
    durationMs: Math.round(durationMs),
    fsyncs,
    fsyncsPerSecond: fsyncs === null ? null : hundredths((fsyncs * 1000) / durationMs),
    cpuMicrosPerOperation: perOperation(serverCpuMicros === null ? null : serverCpuMicros + clientCpuMicros),
    serverCpuMicrosPerOperation: perOperation(serverCpuMicros),
    clientCpuMicrosPerOperation: perOperation(clientCpuMicros) ?? 0,
    bytesWrittenPerByte: perByte(serverWrittenBytes, putBytes),
    diskBytesWrittenPerByte: perByte(cost.diskWrittenBytes, putBytes),
    peakRssBytes: cost.peakRssBytes,
    clientPeakRssBytes: cost.clientPeakRssBytes,
  };
}

/** Where nothing is counted it says 0, which no store can be. */
const perByte = (written: number | null, put: number): number | null =>
  put === 0 || written === null || written === 0 ? null : hundredths(written / put);

export function summaryOf(result: LoadResult): RunSummary {
  const { operations, opsPerSecond, errors, latencyMs, cpuMicrosPerOperation, bytesWrittenPerByte } = result;
  return { operations, opsPerSecond, errors, latencyMs, cpuMicrosPerOperation, bytesWrittenPerByte };
}

export const hundredths = (value: number): number => Math.round(value * 100) / 100;
