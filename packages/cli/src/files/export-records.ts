/** The part that exports have in common: every record with a prefix, page by page, in the order of keys. */
import type { ClusterClient, ClusterEntry } from "../cluster-client.ts";
import type { CommandIo } from "../command-io.ts";
import { TransferProgress } from "./transfer-progress.ts";
import type { TransferReport } from "./transfer-report.ts";

export async function exportRecords(
  io: CommandIo,
  client: ClusterClient,
  prefix: Uint8Array,
  report: TransferReport,
  onPage: (page: readonly ClusterEntry<Uint8Array | undefined>[]) => Promise<void>,
): Promise<void> {
  const signal = io.interrupted();
  const interval = { signal, ...(prefix.length === 0 ? {} : { prefix }) };
  let total = 0;
  // Only for the length of the bar.
  if (io.noteIsTerminal)
    client.count(interval).then(
      (count) => (total = count),
      () => {},
    );
  const progress = new TransferProgress(() => report, { done: () => report.records, total: () => total });
  await progress.start(io.noteIsTerminal);
  try {
    for await (const page of client.scanPages(interval)) {
      signal.throwIfAborted();
      await onPage(page);
    }
  } finally {
    progress.stop();
  }
}
