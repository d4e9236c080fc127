/** What the process ends with. */
export const exitCodes = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  data: 3,
  modelFile: 4,
  device: 5,
  diverged: 6,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
