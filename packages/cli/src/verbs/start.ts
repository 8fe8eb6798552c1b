import type { Command } from "commander";
import type { Logger } from "@flotilla/base";
import { createNodeLogger, startNode } from "@flotilla/server";
import type { RunningNode } from "@flotilla/server";
import type { NodeSettings } from "@flotilla/server/settings";
import { addSettingOptions, settingsOf } from "../arguments/setting-options.ts";
import type { CommandIo, Verb } from "../command-io.ts";
import { isToNode } from "../dev/node-messages.ts";
import type { FromNode } from "../dev/node-messages.ts";
import { removeNodeFile, writeNodeFile } from "../dev/node-file.ts";
import { exitCodeOf, exitDone, isCoded } from "../exit-code.ts";

export const verb: Verb = {
  refusalsAreInput: true,
  configure(command: Command) {
    addSettingOptions(command);
  },
  async run({ io, options }) {
    io.outliveReaders();
    const { settings } = await settingsOf(options, io.environment);
    const logger = createNodeLogger(settings.logLevel, process.stderr);
    const supervisor = connectSupervisor();
    const interrupted = io.interrupted();
    try {
      const node = await startNode(settings, logger, supervisor.untilStopped(interrupted));
      return await runNode(node, settings, logger, supervisor, interrupted);
    } catch (error) {
      if (supervisor.wasStopped(interrupted) && isCoded(error) && error.code === "Closed") return exitDone;
      return failed(error, settings, logger, supervisor, io);
    }
  },
};

/** Resolves after a clean stop; rejects when the node halted. */
async function runNode(
  node: RunningNode,
  settings: NodeSettings,
  logger: Logger,
  supervisor: Supervisor,
  interrupted: AbortSignal,
): Promise<number> {
  const { clusterId, nodeId, storeId, incarnation, address, httpAddress, plannedRanges } = node;
  const startedMs = performance.now();
  logger.info({ clusterId, nodeId, storeId, incarnation, address, httpAddress, pid: process.pid }, "listening");
  await writeNodeFile(settings.dataDir, { pid: process.pid, address, httpAddress });
  supervisor.tell({ type: "listening", address, httpAddress });
  node.ready.then(
    () => {
      logger.info(
        { elapsedMs: Math.round(performance.now() - startedMs) },
        "ready: every range of this store has a leader",
      );
      supervisor.tell({ type: "ready", ranges: plannedRanges });
    },
    () => {},
  );
  const stop = (transferMs: number, why: string): void => {
    logger.info({ transferMs }, `stopping: ${why}`);
    node.stop({ transferMs }).catch(() => {});
  };
  supervisor.onStop = (transferMs) => stop(transferMs, "told by flotilla dev");
  supervisor.onGone = () => stop(0, "flotilla dev has gone");
  const onInterrupt = (): void => stop(settings.stopTransferMs, (interrupted.reason as Error).message);
  if (interrupted.aborted) onInterrupt();
  else interrupted.addEventListener("abort", onInterrupt, { once: true });
  supervisor.begin();
  await node.closed;
  await removeNodeFile(settings.dataDir);
  logger.info({}, "stopped");
  return exitDone;
}

function failed(error: unknown, settings: NodeSettings, logger: Logger, supervisor: Supervisor, io: CommandIo): number {
  const message = error instanceof Error ? error.message : String(error);
  const { code, hint = "" } = isCoded(error) ? error : { code: "Internal" };
  supervisor.tell({ type: "failed", code, message, hint });
  logger.error({ code, hint, dataDir: settings.dataDir, error }, message);
  if (settings.logLevel === "silent") io.note(`error: ${message} (${code})\n`);
  return exitCodeOf(error, true);
}

/** `flotilla dev`, when it started this process. */
class Supervisor {
  onStop: (transferMs: number) => void = () => {};
  onGone: () => void = () => {};
  readonly #unwanted = new AbortController();
  #stopWith: number | undefined;
  #gone = false;
  #begun = false;

  constructor() {
    if (process.send === undefined) return;
    process.on("message", (message: unknown) => {
      if (!isToNode(message)) return;
      this.#stopWith = message.transferMs;
      this.#unwanted.abort();
      if (this.#begun) this.onStop(message.transferMs);
    });
    process.on("disconnect", () => {
      this.#gone = true;
      this.#unwanted.abort();
      if (this.#begun) this.onGone();
    });
  }

  /** Aborted when the node is not wanted any more, before it has begun. */
  untilStopped(interrupted: AbortSignal): AbortSignal {
    return AbortSignal.any([interrupted, this.#unwanted.signal]);
  }

  wasStopped(interrupted: AbortSignal): boolean {
    return interrupted.aborted || this.#unwanted.signal.aborted;
  }

  /** Nothing was missed that came while the node was starting. */
  begin(): void {
    this.#begun = true;
    if (this.#stopWith !== undefined) this.onStop(this.#stopWith);
    else if (this.#gone) this.onGone();
  }

  tell(message: FromNode): void {
    // The channel may close at any moment; `disconnect` tells.
    if (process.connected) process.send?.(message, undefined, undefined, () => {});
  }
}

const connectSupervisor = (): Supervisor => new Supervisor();
