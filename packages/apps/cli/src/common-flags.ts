import type { ArgsDef } from 'citty';

/** Flags of every verb. */
export const commonFlags = {
  json: { type: 'boolean', description: 'Print JSON only, one object a line, the result last' },
  quiet: { type: 'boolean', description: 'Print the result only' },
  debug: { type: 'boolean', description: 'Print the stack of an error' },
} as const satisfies ArgsDef;
