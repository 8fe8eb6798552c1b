/** LevelDB's errors as failures of ours: by their codes and by what the file system says, never by their texts. */
import { Failure } from "@flotilla/base";

/** `what` names what was being done, for the message. */
export function levelFailure(what: string, directory: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const cause = innermost(error);
  const code = codeOf(cause);
  if (code === "LEVEL_CORRUPTION") return corruption(what, directory, cause);
  if (code === "LEVEL_DATABASE_NOT_OPEN" || code === "LEVEL_ITERATOR_NOT_OPEN" || code === "LEVEL_BATCH_NOT_OPEN") {
    return new Failure("Closed", `cannot ${what} in ${directory}: it is closed`, { cause: error });
  }
  return new Failure("Internal", `cannot ${what} in ${directory}: ${messageOf(cause)}`, {
    hint: "the cause is the disk's or the file system's answer; check free space, permissions and the kernel's log",
    details: { directory },
    cause: error,
  });
}

/** Errors of `node:fs` on a directory that the user named. */
export function directoryFailure(directory: string, error: unknown): Failure {
  const code = codeOf(error);
  const details = { directory, code };
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new Failure("DiskFull", `no space left for ${directory}`, {
      hint: "free some space on that disk, then start again",
      details,
      cause: error,
    });
  }
  if (code === "ENOTDIR" || code === "EEXIST") {
    return new Failure("InvalidArgument", `${directory} is not a directory`, {
      hint: "name a directory, or a path at which one can be made",
      details,
      cause: error,
    });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new Failure("InvalidArgument", `${directory} cannot be written to (${code})`, {
      hint: "name a directory on a writable file system that belongs to the user who runs this process",
      details,
      cause: error,
    });
  }
  return new Failure("Internal", `cannot use ${directory}: ${messageOf(error)}`, { details, cause: error });
}

export const isLocked = (error: unknown): boolean => codeOf(innermost(error)) === "LEVEL_LOCKED";

export const isCorruption = (error: unknown): boolean => codeOf(innermost(error)) === "LEVEL_CORRUPTION";

/** `abstract-level` wraps what happened while opening; the reason is at the end of the chain. */
function innermost(error: unknown): unknown {
  let current = error;
  for (let depth = 0; depth < 8 && current instanceof Error && current.cause !== undefined; depth++) {
    current = current.cause;
  }
  return current;
}

function corruption(what: string, directory: string, cause: unknown): Failure {
  const message = messageOf(cause);
  // LevelDB names the file in its text, where it knows it: the only place that it tells.
  const file = /(\d{6,}\.(?:ldb|sst)|MANIFEST-\d+|CURRENT)/.exec(message)?.[1];
  return new Failure("Corruption", `cannot ${what} in ${directory}: ${message}`, {
    hint:
      "the store's files are damaged or some are missing. Keep the directory for inspection, start the node with an " +
      "empty one as a new store, and remove the old store from the cluster: the other replicas have the data",
    details: file === undefined ? { directory } : { directory, file: `${directory}/${file}` },
    cause,
  });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
