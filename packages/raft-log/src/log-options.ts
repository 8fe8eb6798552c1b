/** What can be set of a log, and what it is when it is not set. */
import { assert } from "@flotilla/base";
import { blockBytes, segmentBytesMax } from "./log-format.ts";
import { segmentBytesMin } from "./segment-reserve.ts";

export interface FileSharedLogOptions {
  /** Size of a segment. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Size of a segment that is made when none is prepared, as at every open. Default 4 MiB, at most `segmentBytes`. */
  readonly shortSegmentBytes?: number;
  /** `reclaim` frees segments while the log is larger. Default 512 MiB. */
  readonly logBytesTarget?: number;
  /** `heldBackBy` speaks up when the next segment would make the log larger. Default twice the target. */
  readonly logBytesMax?: number;
  /** Recent entries kept in memory, all groups together. Default 64 MiB. */
  readonly cacheBytes?: number;
  /** Segments zero-filled ahead of need. Default 2. */
  readonly preparedSegments?: number;
  /** A group's tail that is appended again to free a segment has at most this size. Default 4 MiB, at most a quarter segment. */
  readonly rewriteBytesMax?: number;
  /** True: the disk is full, no segment can be prepared, only the reserve is left. False: there is room again. */
  readonly onSpace?: (full: boolean) => void;
}

export type LogOptions = Required<FileSharedLogOptions>;

const mebibyte = 1024 * 1024;
export const defaultSegmentBytes: number = 64 * mebibyte;
export const defaultLogBytesTarget: number = 512 * mebibyte;

export function withDefaults(options: FileSharedLogOptions): LogOptions {
  const segmentBytes = options.segmentBytes ?? defaultSegmentBytes;
  const logBytesTarget = options.logBytesTarget ?? defaultLogBytesTarget;
  assert(
    segmentBytes >= segmentBytesMin && segmentBytes <= segmentBytesMax && segmentBytes % blockBytes === 0,
    () =>
      `segmentBytes must be a multiple of ${blockBytes} from ${segmentBytesMin} to ${segmentBytesMax}, got ${segmentBytes}`,
  );
  const shortSegmentBytes = options.shortSegmentBytes ?? Math.min(4 * mebibyte, segmentBytes);
  assert(
    shortSegmentBytes >= segmentBytesMin && shortSegmentBytes <= segmentBytes && shortSegmentBytes % blockBytes === 0,
    () =>
      `shortSegmentBytes must be a multiple of ${blockBytes} from ${segmentBytesMin} to ${segmentBytes}, got ${shortSegmentBytes}`,
  );
  return {
    segmentBytes,
    shortSegmentBytes,
    logBytesTarget,
    logBytesMax: options.logBytesMax ?? 2 * logBytesTarget,
    cacheBytes: options.cacheBytes ?? 64 * mebibyte,
    preparedSegments: options.preparedSegments ?? 2,
    rewriteBytesMax: options.rewriteBytesMax ?? Math.min(4 * mebibyte, Math.floor(segmentBytes / 4)),
    onSpace: options.onSpace ?? (() => {}),
  };
}
