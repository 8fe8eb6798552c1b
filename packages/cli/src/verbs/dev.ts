import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatSettingsFile } from "@flotilla/server/settings";
import { addHandedOnOptions } from "../arguments/setting-options.ts";
import type { CommandIo, Verb } from "../command-io.ts";
import { DevCluster } from "../dev/dev-cluster.ts";
import type { DevOutput } from "../dev/dev-cluster.ts";
import { devNodes, parseDevOptions } from "../dev/dev-plan.ts";
import type { DevNode, DevOptions } from "../dev/dev-plan.ts";
import { requireFreePorts } from "../dev/free-ports.ts";
import { lockRoot, prepareCluster, wipe } from "../dev/prepare-directories.ts";
import type { PreparedCluster } from "../dev/prepare-directories.ts";
import { exitDone, exitNotDone } from "../exit-code.ts";

export const verb: Verb = {
  refusalsAreInput: true,
  configure(command) {
    command
      .option("--nodes <n>", "how many nodes a new cluster gets, at most 20 (default 3)")
      .option(
        "--replicas <n>",
        "replicas of each range of a new cluster (default 3, and 1 with fewer than three nodes)",
      )
      .option("--ranges <n>", "ranges of a new cluster, in even steps over printable ASCII (default 8)")
      .option("--split-at <key,...>", "bounds of the ranges of a new cluster, by hand")
      .option("--port <p>", "node n listens at P+n-1, its HTTP at P+79+n (default 7400)")
      .option("--data-dir <dir>", "where the nodes keep their data (default ./.flotilla)")
      .option("--fresh", "wipe the data first");
    addHandedOnOptions(command);
  },
  async run({ io, options }) {
    io.outliveReaders();
    const asked = parseDevOptions(options, io.directory);
    const lock = await lockRoot(asked.root);
    if (asked.fresh) await wipe(asked.root);
    const prepared = await prepareCluster(asked);
    tellIgnored(asked, prepared, io);
    const nodes = devNodes(asked, prepared.plan.stores.length, io.directory);
    await requireFreePorts(nodes.flatMap(({ address, httpAddress }) => [address, httpAddress]));
    await writeConfigurations(nodes);
    const exitCode = await runCluster(asked, nodes, prepared, io);
    await lock.release();
    return exitCode;
  },
};

async function runCluster(
  asked: DevOptions,
  nodes: readonly DevNode[],
  { plan }: PreparedCluster,
  io: CommandIo,
): Promise<number> {
  const output: DevOutput = { line: (text) => void io.out(text + "\n") };
  const cluster = new DevCluster(asked.root, nodes, output);
  const interrupted = io.interrupted();
  const stopAsked = new Promise<"interrupted">((resolve) => {
    interrupted.addEventListener("abort", () => resolve("interrupted"), { once: true });
  });
  // The second signal ends this process at once; the nodes notice and stop by themselves.
  const started = await Promise.race([cluster.start(), stopAsked]);
  if (started === "interrupted") {
    await cluster.stop();
    return exitDone;
  }
  if (started.ready === 0) {
    await cluster.stop();
    return started.failed[0]?.code ?? exitNotDone;
  }
  const count = started.ready === nodes.length ? `${nodes.length}` : `${started.ready} of ${nodes.length}`;
  output.line(`ready  ${count} nodes, ${plan.ranges.length} ranges, ${(performance.now() / 1000).toFixed(1)} s`);
  const endpoints = asked.root === join(io.directory, ".flotilla") ? "" : ` --endpoints ${nodes[0]!.address}`;
  output.line(`try   npx flotilla put hello world${endpoints}`);
  output.line(`      npx flotilla get hello${endpoints}`);
  output.line(`stop  Ctrl-C`);
  await stopAsked;
  output.line("stopping");
  await cluster.stop();
  return exitDone;
}

function tellIgnored(asked: DevOptions, { made, plan }: PreparedCluster, io: CommandIo): void {
  if (made) return;
  const ignored = [
    asked.ranges !== undefined && asked.ranges !== plan.ranges.length - 1 ? "--ranges" : "",
    asked.splitAt.length > 0 ? "--split-at" : "",
    asked.replicas !== undefined && asked.replicas !== plan.ranges[0]!.replicas.length ? "--replicas" : "",
  ].filter((name) => name !== "");
  if (ignored.length > 0)
    io.note(`${ignored.join(", ")}: only for a new cluster, ${asked.dataDir} already holds one (--fresh wipes it)\n`);
}

async function writeConfigurations(nodes: readonly DevNode[]): Promise<void> {
  const peers = nodes.map(({ address }) => address);
  for (const { dataDir, address, httpAddress, settings } of nodes) {
    await mkdir(dataDir, { recursive: true });
    const content = formatSettingsFile({ dataDir: ".", address, httpAddress, peers }, settings);
    await writeFile(join(dataDir, "flotilla.toml"), content);
  }
}
