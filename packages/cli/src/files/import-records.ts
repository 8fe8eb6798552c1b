/** The part that imports have in common: records from somewhere, through `putMany`, into a report. */
import type { ClusterClient, PutRecord } from "../cluster-client.ts";
import type { CommandIo } from "../command-io.ts";
import { isCoded } from "../exit-code.ts";
import { TransferProgress } from "./transfer-progress.ts";
import type { ProgressScale } from "./transfer-progress.ts";
import type { TransferReport } from "./transfer-report.ts";

export interface ImportRecord extends PutRecord {
  /** For the report. */
  readonly name: string;
  readonly line: number | null;
}

/** Failures of one run that are the cluster's and not the record's: after so many there is no use in going on. */
const clusterFailuresMax = 1000;
const clusterCodes = new Set(["NoQuorum", "Timeout", "Busy", "DiskFull", "OutcomeUnknown"]);

/**
 * Resolves when everything was tried. Rejects with what ended it early: malformed input, an interruption, or a cluster that
 * is not there; the report then holds what was done until then.
 */
export async function importRecords(
  io: CommandIo,
  client: ClusterClient,
  records: AsyncIterable<ImportRecord>,
  report: TransferReport,
  scale: ProgressScale,
): Promise<void> {
  const stop = new AbortController();
  const interrupted = io.interrupted();
  const onInterrupt = (): void => stop.abort(interrupted.reason);
  interrupted.addEventListener("abort", onInterrupt, { once: true });
  let given = 0;
  let givenBytes = 0;
  let clusterFailures = 0;
  let ended: Error | undefined;
  async function* counted(): AsyncGenerator<ImportRecord, void, undefined> {
    try {
      for await (const record of records) {
        given++;
        givenBytes += record.key.length + record.value.length;
        yield record;
      }
    } catch (error) {
      // What was read before stays on its way; `putMany` waits for it.
      ended = error instanceof Error ? error : new Error(String(error));
    }
  }
  const progress = new TransferProgress(
    () => ({ records: given - report.failed, bytes: givenBytes, failed: report.failed }),
    scale,
  );
  await progress.start(io.noteIsTerminal);
  try {
    const done = await client.putMany(counted(), {
      signal: stop.signal,
      onFailure(error, record) {
        if (stop.signal.aborted) return;
        report.failWith(error, record.name, record.line, record.value.length);
        if (!isCoded(error)) return;
        if (clusterCodes.has(error.code)) clusterFailures++;
        if (error.code === "ConnectFailed" || error.code === "Closed" || clusterFailures >= clusterFailuresMax) {
          ended ??= error;
          stop.abort(error);
        }
      },
    });
    report.records = done.records;
    report.bytes = done.bytes;
  } catch (error) {
    ended ??= error instanceof Error ? error : new Error(String(error));
  } finally {
    progress.stop();
    interrupted.removeEventListener("abort", onInterrupt);
  }
  if (ended !== undefined) throw ended;
}
