import type { Invocation } from "../../command-io.ts";
import { OwnCluster } from "../own-cluster.ts";
import { clusterBytesNeeded, makeWorkDirectory } from "../work-directory.ts";
import type { WorkDirectory } from "../work-directory.ts";

export interface OwnClusterTask {
  /** Keys and values that will lie in the cluster at most. */
  readonly recordBytes: number;
  environment?(directory: string): Readonly<Record<string, string>>;
}

/** A cluster for the time of one task, on a disk that has room; whatever happens, its processes and files are gone afterwards. */
export async function withOwnCluster<Result>(
  invocation: Invocation,
  { recordBytes, environment }: OwnClusterTask,
  task: (cluster: OwnCluster, directory: WorkDirectory) => Promise<Result>,
): Promise<Result> {
  const { io } = invocation;
  const directory = await makeWorkDirectory(invocation, clusterBytesNeeded(recordBytes));
  try {
    io.note(`starting a cluster in ${directory.path}\n`);
    const cluster = await OwnCluster.start({
      directory: directory.path,
      environment: environment?.(directory.path) ?? {},
      note: (text) => io.note(text),
    });
    try {
      return await task(cluster, directory);
    } finally {
      await cluster.stop();
    }
  } finally {
    await directory.remove();
  }
}
