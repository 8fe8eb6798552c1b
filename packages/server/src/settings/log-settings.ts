/** Of the log that all ranges of the store share. */
export interface LogSettings {
  readonly logSegmentBytes: number;
  readonly logBytesTarget: number;
}
