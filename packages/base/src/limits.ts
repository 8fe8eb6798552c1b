/** Limits that every party checks on its own side. Units in the names. Overridable ones stand in the settings. */
export const keyBytesMax = 4096;
export const valueBytesMaxDefault: number = 1024 * 1024;
export const valueBytesMaxHighest: number = 8 * 1024 * 1024;
/** A Raft entry; a log frame holds at least one. */
export const entryBytesMax: number = 16 * 1024 * 1024;
/** Beyond the value limit, what one command's keys, conditions and effects may add. */
export const commandExtraBytesMax: number = 256 * 1024;
/** Largest gRPC message either side accepts: an entry, and the envelope around it. */
export const messageBytesMax: number = 20 * 1024 * 1024;
