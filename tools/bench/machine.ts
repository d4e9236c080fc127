import { cpus, loadavg } from 'node:os';

export const processor = (): string =>
  `${cpus().length} cores of ${cpus()[0]?.model.trim() ?? 'a processor'}`;

/** Processes that wanted to run in the last minute. */
export const load = (): number => loadavg()[0]!;
